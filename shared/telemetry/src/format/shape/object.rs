//! The members of an object: which of them are samples, and which say something of others.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use serde::de::{Error, MapAccess};

use super::columns::Times;
use super::element::Naming;
use super::{Key, Node, Place, Shape, quality, units};
use crate::names::{Name, Role, TimeRank};
use crate::profile::{NamePattern, TimeField};
use crate::reading::Value;
use crate::reject::Reject;
use crate::sample::{Sample, SentTime};
use crate::topic::check_name;
use crate::unit::Dialect;

/// The member whose object holds a record's samples beside its time.
const VALUES: &str = "values";

/// What an object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    /// The payload itself, a record.
    Outermost,
    /// An element of the array that the payload is, a record.
    BatchElement,
    /// An element of an array inside a record: a record of its own if it has a time. Its number begins at `index_at` in
    /// the path.
    Element { index_at: usize },
    /// One of several records under one name.
    Row,
    /// Part of a record.
    Nested,
}

/// What the members of an object say of others, as far as they have been read. Places are those of samples.
#[derive(Default)]
pub(super) struct Facts {
    time: Option<OwnTime>,
    /// A list of times.
    times: Option<Times>,
    /// Whom a gateway's record is of.
    device: Option<NamedDevice>,
    /// The member that names the object, and how telling its name is.
    pub(super) identity: Option<(usize, usize)>,
    /// The member that is the object's value.
    pub(super) value: Option<usize>,
    unit: Option<usize>,
    quality: Option<usize>,
    /// The member that is the quality of all that stand beside it.
    quality_of_all: Option<usize>,
    /// The members that are a time together, each with its place among them.
    time_parts: Vec<(u8, usize)>,
    /// The member that says what the seconds of the time lack.
    fraction: Option<usize>,
    /// Whether a member is the unit of others.
    has_unit_source: bool,
}

/// Where the samples, lists and timed objects of an object begin.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    pub(super) sample: usize,
    list: usize,
    timed: usize,
}

/// The best candidate so far for the time of an object. It is no sample while it is here.
pub(super) struct OwnTime {
    rank: TimeRank,
    at: SentTime,
    pub(super) name: Rc<Name>,
    value: Value,
}

/// A time from where the profile says that a record's stands, however deep.
pub(super) type ProfileTime = OwnTime;

/// The name of a gateway's device, and the place of the name that it stood under in the profile's list.
pub(super) type NamedDevice = (u16, Arc<str>);

/// An object inside a record that has a time of its own, and the places of its samples.
pub(super) struct TimedObject {
    samples: Range<usize>,
    pub(super) time: OwnTime,
}

impl Shape<'_, '_> {
    /// Reads an object that may be a record: an element of a list, or the payload.
    pub(super) fn read_record<'de, A: MapAccess<'de>>(
        &mut self,
        map: A,
        object: Object,
    ) -> Result<(), A::Error> {
        let outer = (self.element, self.outer_element);
        // An element's own time is looked for in the element: what has been found of the record is the record's.
        let time_of_record = self.profile_time.take();
        let device_of_record = self.profile_device.take();
        if object != Object::Outermost {
            self.elements += 1;
            (self.element, self.outer_element) = (self.elements, self.element);
        }
        self.read_object(map, object)?;
        (self.element, self.outer_element) = outer;
        self.profile_time = time_of_record;
        self.profile_device = device_of_record;
        Ok(())
    }

    /// Reads the members of an object. If the object may be a record, finds its time and gives it to its samples that
    /// have none yet.
    pub(super) fn read_object<'de, A: MapAccess<'de>>(
        &mut self,
        mut map: A,
        object: Object,
    ) -> Result<(), A::Error> {
        let mut facts = Facts::default();
        let begin = self.begin();
        while let Some(name) = map.next_key_seed(Key)? {
            self.read_member(&name, object, &mut facts, |shape, place| {
                map.next_value_seed(Node::new(shape, place))
            })?;
        }
        self.end_object(begin, object, facts)
    }

    /// Where an object begins that is read now.
    pub(super) fn begin(&self) -> Begin {
        Begin { sample: self.payload.samples.len(), list: self.lists.len(), timed: self.timed_objects.len() }
    }

    /// Reads a member of an object, whose value `read` reads at its place.
    pub(super) fn read_member<E: Error>(
        &mut self,
        name: &str,
        object: Object,
        facts: &mut Facts,
        read: impl FnOnce(&mut Self, Place) -> Result<(), E>,
    ) -> Result<(), E> {
        let base = self.path.len();
        let before = self.payload.samples.len();
        self.push_name(name)?;
        let level_at = self.path.len() - name.len();
        let is_outermost = matches!(object, Object::Outermost | Object::BatchElement);
        let unprefixed = (is_outermost && name == VALUES).then_some(base);
        read(self, Place::Member { unprefixed })?;
        let role = self.role_of_member(before, level_at, facts);
        self.path.truncate(base);
        match role {
            Some(role) => self.take_role(role, object, before, facts),
            None => Ok(()),
        }
    }

    /// Ends an object: what its members say of each other is given to them.
    pub(super) fn end_object<E: Error>(
        &mut self,
        begin: Begin,
        object: Object,
        mut facts: Facts,
    ) -> Result<(), E> {
        let Begin { sample: first_sample, list: first_list, timed: first_timed } = begin;
        self.give_device(first_sample, object, &mut facts);
        if facts.has_unit_source {
            let given = units::give_units(&mut self.payload.samples[first_sample..]);
            self.payload.has_spent |= given.map_err(|reject| self.stop(reject))?;
        }
        if self.context.profile.is_some() {
            self.join_time(object, &mut facts);
            self.read_series(first_list, first_sample);
            self.attach_to_all(first_sample, &facts);
        }
        if let Some(times) = facts.times.take() {
            self.read_columns(first_list, &times);
        }
        self.attach_to_value(&facts);
        let naming = self.naming(first_sample, object, &facts);
        let is_series = self.give_time(first_sample, first_timed, object, &mut facts);
        self.rename((first_sample, first_timed), object, naming, is_series)?;
        if object != Object::Nested {
            self.lists.truncate(first_list);
        }
        Ok(())
    }

    /// The role of the member whose name is in the path, and whose samples are those from `before` on. Lists have none,
    /// but may be one of times.
    fn role_of_member(&mut self, before: usize, level_at: usize, facts: &mut Facts) -> Option<Role> {
        let is_tagged = self.tagged_time.take() == Some(before);
        let (context, path) = (&mut *self.context, &self.path);
        match &self.payload.samples[before..] {
            // A scalar's sample has just this name; that of an object with one member has a longer one.
            [one, ..] if one.has_own_name => None,
            [one] if one.name.sent.len() == path.len() => {
                // A name with dots in it is no level that is known; the profile may know it.
                let is_level = one.name.last_level == level_at;
                match one.name.role.filter(|role| is_level || role.is_of_profile()) {
                    Some(Role::Time(rank)) => Some(Role::Time(rank)),
                    _ if is_tagged => Some(Role::Time(TimeRank::Tagged)),
                    role => role,
                }
            }
            [_, ..] => {
                let list = self
                    .lists
                    .last()
                    .filter(|list| list.first_sample == before && list.stem_length == path.len())?;
                let name = context.names.get(path, context.profile);
                let Some(Role::Time(rank)) = name.role else { return None };
                let clock = context.clock;
                let times = Times::read(rank, list, &self.payload.samples, |value| clock.read(value));
                if let Some(times) = times
                    && facts.times.as_ref().is_none_or(|best| times.rank < best.rank)
                {
                    facts.times = Some(times);
                }
                None
            }
            [] => None,
        }
    }

    /// The last sample, which is at `place`, stood under a name that may say what it is.
    fn take_role<E: Error>(
        &mut self,
        role: Role,
        object: Object,
        place: usize,
        facts: &mut Facts,
    ) -> Result<(), E> {
        let samples = &mut self.payload.samples;
        let value = samples.get(place).filter(|sample| !sample.is_spent).map(|sample| &sample.value);
        let is_null = value.is_none();
        let is_text = matches!(value, Some(Value::Text(_)));
        let is_integer = matches!(value, Some(Value::Integer(_)));
        match role {
            Role::Time(rank @ TimeRank::Profile { is_each: false, .. }) if object == Object::Nested => {
                let mut best = self.profile_time.take();
                self.take_time(rank, &mut best)?;
                self.profile_time = best;
            }
            Role::Time(rank) => self.take_time(rank, &mut facts.time)?,
            Role::DeviceId if matches!(object, Object::Outermost | Object::BatchElement) => {
                self.take_device_id()?;
            }
            Role::SubDevice { place, is_each: false } if object == Object::Nested => {
                let mut best = self.profile_device.take();
                self.take_device(place, &mut best)?;
                self.profile_device = best;
            }
            Role::SubDevice { place, .. } => self.take_device(place, &mut facts.device)?,
            Role::Identity { rank, may_be_integer } => {
                let is_one = is_text || (is_integer && may_be_integer);
                if is_one && facts.identity.is_none_or(|(best, _)| rank < best) {
                    facts.identity = Some((rank, place));
                }
            }
            // A null is a value, too: what stands beside it says nothing of anything else.
            Role::Value => facts.value = facts.value.or(Some(place)),
            Role::Unit if is_text => facts.unit = Some(place),
            Role::Quality if !is_null => facts.quality = Some(place),
            Role::QualityOfAll if !is_null => facts.quality_of_all = Some(place),
            Role::TimePart(part) if !is_null => facts.time_parts.push((part, place)),
            Role::TimeFraction if !is_null => facts.fraction = Some(place),
            Role::UnitOf(_) | Role::UnitSource => facts.has_unit_source = true,
            Role::Unit | Role::Quality | Role::DeviceId => {}
            Role::QualityOfAll | Role::TimePart(_) | Role::TimeFraction => {}
        }
        Ok(())
    }

    /// The last sample stood under a time's name: takes it as the time if its value is one and no better name has been
    /// seen. What is no time stays a sample.
    fn take_time<E: Error>(&mut self, rank: TimeRank, best: &mut Option<OwnTime>) -> Result<(), E> {
        let last = self.payload.samples.last().filter(|sample| !sample.is_spent);
        let Some(at) = last.and_then(|sample| self.context.clock.read(&sample.value)) else { return Ok(()) };
        let known = best.as_ref();
        if let (Some(known), Some(last)) = (known.filter(|known| known.rank == rank), last)
            && known.name.sent == last.name.sent
        {
            // The same name once more: nothing says which time is meant.
            if known.at != at {
                return Err(self.stop(Reject::Ambiguous));
            }
            self.payload.samples.pop();
            return Ok(());
        }
        if known.is_none_or(|known| rank < known.rank)
            && let Some(Sample { name, value, .. }) = self.payload.samples.pop()
            && let Some(replaced) = best.replace(OwnTime { rank, at, name, value })
        {
            self.restore(replaced, None);
        }
        Ok(())
    }

    /// Makes a sample of a time again: something else is the time.
    fn restore(&mut self, OwnTime { name, value, .. }: OwnTime, time: Option<SentTime>) {
        let (device, element) = (self.device.clone(), self.element);
        self.payload.samples.push(Sample { device, element, time, ..Sample::new(name, value, self.record) });
    }

    /// The last sample is the name of a gateway's device, if it can be one: takes it, unless a better name has been seen.
    fn take_device<E: Error>(&mut self, place: u16, best: &mut Option<NamedDevice>) -> Result<(), E> {
        let Some(device) = self.pop_identity() else { return Ok(()) };
        let device = check_name(&device, "name of a gateway's device");
        let device = device.map(Arc::from).map_err(|reject| self.stop(reject))?;
        if best.as_ref().is_none_or(|(known, _)| place <= *known) {
            *best = Some((place, device));
        }
        Ok(())
    }

    /// Gives the samples of an object the device that the object names, and a record's samples that have none that which
    /// stands deeper in the record.
    fn give_device(&mut self, first_sample: usize, object: Object, facts: &mut Facts) {
        let of_record = if object == Object::Nested { None } else { self.profile_device.take() };
        let samples = self.payload.samples.get_mut(first_sample..).unwrap_or_default();
        match (facts.device.take(), of_record) {
            (Some((place, device)), deeper) if deeper.as_ref().is_none_or(|(other, _)| place <= *other) => {
                samples.iter_mut().for_each(|sample| sample.device = Some(Arc::clone(&device)));
            }
            (_, Some((_, device))) => {
                let unnamed = samples.iter_mut().filter(|sample| sample.device == self.device);
                unnamed.for_each(|sample| sample.device = Some(Arc::clone(&device)));
            }
            (_, None) => {}
        }
    }

    /// Takes the last sample as a name, if it can be one.
    fn pop_identity(&mut self) -> Option<String> {
        let is_one = |sample: &mut Sample| {
            !sample.is_spent && matches!(sample.value, Value::Text(_) | Value::Integer(_))
        };
        self.payload.samples.pop_if(is_one).map(|sample| sample.value.to_string())
    }

    fn take_device_id<E: Error>(&mut self) -> Result<(), E> {
        let Some(device_id) = self.pop_identity() else { return Ok(()) };
        if self.payload.device_id.as_ref().is_some_and(|known| *known != device_id) {
            return Err(self.stop(Reject::ManyDevices));
        }
        self.payload.device_id = Some(device_id);
        Ok(())
    }

    /// Gives an object's value the unit and the quality that stand beside it. A null takes them along.
    fn attach_to_value(&mut self, facts: &Facts) {
        let Some(place) = facts.value else { return };
        let samples = &mut self.payload.samples;
        if let Some(unit_at) = facts.unit
            && let Some(Value::Text(text)) = samples.get(unit_at).map(|unit| unit.value.clone())
            && let Some(value) = samples.get_mut(place)
            && value.unit.is_none()
        {
            value.unit = Some((text, Dialect::Written));
            self.spend(unit_at);
        }
        if let Some(quality_at) = facts.quality {
            let quality = self.payload.samples.get(quality_at);
            let codes = self.context.profile.and_then(|profile| profile.quality.codes.as_ref());
            let quality =
                quality.and_then(|sample| quality::of_sender(&sample.name.sent, &sample.value, codes));
            if let (Some(quality), Some(value)) = (quality, self.payload.samples.get_mut(place)) {
                value.quality = value.quality.max(quality);
            }
            if quality.is_some() {
                self.spend(quality_at);
            }
        }
    }

    /// Gives the quality that the profile looks for to the object's value, or to all its samples where it has none.
    fn attach_to_all(&mut self, first_sample: usize, facts: &Facts) {
        let Some(place) = facts.quality_of_all else { return };
        let codes = self.context.profile.and_then(|profile| profile.quality.codes.as_ref());
        let sample = self.payload.samples.get(place);
        let quality = sample.and_then(|sample| quality::of_sender(&sample.name.sent, &sample.value, codes));
        let Some(quality) = quality else { return };
        let range = facts.value.map_or(first_sample..self.payload.samples.len(), |value| value..value + 1);
        for sample in self.payload.samples.get_mut(range).unwrap_or_default() {
            sample.quality = sample.quality.max(quality);
        }
        self.spend(place);
    }

    /// Makes the time of an object out of the members that the profile says it stands in.
    fn join_time(&mut self, object: Object, facts: &mut Facts) {
        let Some(field) = self.context.clock.field else { return };
        if let Some(time) = self.time_of_parts(field, facts) {
            let is_each = matches!(time.rank, TimeRank::Profile { is_each: true, .. });
            let is_of_record = object == Object::Nested && !is_each;
            let best = if is_of_record { &mut self.profile_time } else { &mut facts.time };
            if best.is_none() {
                *best = Some(time);
                for (_, place) in std::mem::take(&mut facts.time_parts) {
                    self.spend(place);
                }
            }
        }
        let is_beside = |time: &&mut OwnTime| {
            let of_object = time.name.sent.get(..time.name.last_level).unwrap_or_default();
            matches!(time.rank, TimeRank::Profile { .. }) && of_object.trim_end_matches('.') == self.path
        };
        let best = facts.time.as_mut().filter(is_beside).or(self.profile_time.as_mut().filter(is_beside));
        if let Some((_, unit)) = &field.fraction
            && let Some(place) = facts.fraction
            && let Some(time) = best
            && let Some(count) = self.payload.samples.get(place).and_then(|sample| sample.value.as_f64())
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast saturates, and such a time is not accepted"
            )]
            let micros = (count * unit.micros()) as i64;
            time.at.at = time.at.at.plus(micros);
            self.spend(place);
        }
    }

    /// The time that several members are together; `None` if one of them is missing, or they are none.
    fn time_of_parts(&self, field: &TimeField, facts: &Facts) -> Option<OwnTime> {
        if field.join.is_empty() {
            return None;
        }
        let part = |number: usize| {
            let (_, place) = facts.time_parts.iter().find(|(part, _)| usize::from(*part) == number)?;
            self.payload.samples.get(*place)
        };
        let parts = (0..field.join.len()).map(part).collect::<Option<Vec<&Sample>>>()?;
        let text = parts.iter().map(|sample| sample.value.to_string()).collect::<Vec<_>>().join(" ");
        let value = Value::Text(text.into());
        let name = Rc::clone(&parts.first()?.name);
        let at = self.context.clock.read(&value)?;
        let is_each = field.join.iter().any(NamePattern::may_be_several);
        Some(OwnTime { rank: TimeRank::Profile { place: 0, is_each }, at, name, value })
    }

    /// Gives an object's time to its samples that have none yet. Returns whether it is a record because of its time.
    fn give_time(
        &mut self,
        first_sample: usize,
        first_timed: usize,
        object: Object,
        facts: &mut Facts,
    ) -> bool {
        if object == Object::Nested {
            if let Some(time) = facts.time.take() {
                self.note_timed_object(first_sample, time);
            }
            return false;
        }
        let of_profile = self.profile_time.take().map(|time| time.at);
        let own = facts.time.take().map(|time| time.at);
        let time = of_profile.or(own);
        if let Some(at) = time {
            give(&mut self.payload.samples[first_sample..], at);
            // What stands deeper is one of the record's samples.
            for timed in self.timed_objects.split_off(first_timed) {
                self.restore(timed.time, time);
            }
        } else if matches!(object, Object::Outermost | Object::BatchElement) {
            // The inner ones come first.
            for timed in self.timed_objects.drain(first_timed..) {
                give(&mut self.payload.samples[timed.samples], timed.time.at);
            }
        }
        time.is_some()
    }

    /// Gives objects that no record stands around the times that have been found in them.
    pub(super) fn end_payload_of_records(&mut self, begin: Begin) {
        for timed in self.timed_objects.split_off(begin.timed.min(self.timed_objects.len())) {
            give(self.payload.samples.get_mut(timed.samples).unwrap_or_default(), timed.time.at);
        }
    }

    /// An object inside a record has a time. It counts if the record has none, or if the profile says so.
    fn note_timed_object(&mut self, first_sample: usize, time: OwnTime) {
        let samples = first_sample..self.payload.samples.len();
        let has_others = self.payload.samples[samples.clone()].iter().any(|sample| !sample.is_spent);
        if !has_others {
            self.restore(time, None);
        } else if matches!(time.rank, TimeRank::Profile { .. }) {
            give(&mut self.payload.samples[samples], time.at);
        } else {
            self.timed_objects.push(TimedObject { samples, time });
        }
    }

    /// Renames the samples of an object by what it is called, or by what needs no number.
    fn rename<E: Error>(
        &mut self,
        (first_sample, first_timed): (usize, usize),
        object: Object,
        naming: Naming,
        is_series: bool,
    ) -> Result<(), E> {
        self.was_keyed = matches!(naming, Naming::Keyed { .. });
        let outcome = match (naming, object) {
            (Naming::Plain, Object::Element { index_at }) if is_series => {
                let stem = self.path.get(..index_at).unwrap_or_default().to_owned();
                self.replace_prefix(first_sample, first_timed, &stem)
            }
            (Naming::Plain, Object::Element { .. }) => {
                // Its number is in its names: it is part of what it stands in.
                let (inner, outer) = (self.element, self.outer_element);
                let samples = self.payload.samples[first_sample..].iter_mut();
                samples.filter(|sample| sample.element == inner).for_each(|sample| sample.element = outer);
                Ok(())
            }
            (Naming::Plain, _) => Ok(()),
            (Naming::Value(place), _) => self.name_value(place, &self.path.clone()),
            (Naming::Keyed { prefix, value: Some(place) }, _) => self.name_value(place, &prefix),
            (Naming::Keyed { prefix, value: None }, _) if prefix.is_empty() => Err(Reject::EmptyName),
            (Naming::Keyed { prefix, value: None }, _) => {
                self.replace_prefix(first_sample, first_timed, &prefix)
            }
        };
        outcome.map_err(|reject| self.stop(reject))
    }
}

fn give(samples: &mut [Sample], at: SentTime) {
    for sample in samples {
        sample.time = sample.time.or(Some(at));
    }
}
