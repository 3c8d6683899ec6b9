//! Documents made of maps and lists, in the shapes that devices send.
//!
//! One pass of a serde visitor, without a tree of values in between, for every format that has a
//! serde deserializer. What it accepts:
//!
//! - an object, whose members are samples: `{"temperature": 22.5}`;
//! - nested objects, names joined by dots: `{"battery": {"level": 80}}` is `battery.level`;
//! - a value beside its unit: `{"temperature": {"value": 22.5, "unit": "°C"}}` is `temperature`;
//! - arrays of values, numbered: `{"accel": [0.1, 0.2]}` is `accel.0` and `accel.1`;
//! - an array of objects, each a record with its own time: a device's batch upload;
//! - such an array inside an object: records if its elements have times, else numbered;
//! - `{"ts": …, "values": {…}}`, and arrays of those;
//! - pairs: `[{"name": "temperature", "value": 22.5}]`, with `n` or `key`, `v`, and a `unit` or `u`;
//! - columns: `{"ts": […], "temperature": […]}`, each value at the time of its place;
//! - a text that is such a document: the whole payload, or a member of which the profile says so;
//! - `{"device A": [{"ts": …, "values": {…}}]}`, where the profile says that members are devices.
//!
//! A record's time is the first of [`TIME_NAMES`](crate::TIME_NAMES) in it whose value is a time; `null`
//! is no sample; a record's `device_id` says who sends and is no sample either.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Context, json, records};
use crate::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use crate::names::{Name, Role};
use crate::profile::Gateway;
use crate::reading::{Quality, Value};
use crate::reject::Reject;
use crate::sample::{Payload, Sample, SentTime};
use crate::time::Micros;
use crate::topic::check_name;

/// The member whose object holds a record's samples beside its time.
const VALUES: &str = "values";

/// The rank of a time that no name says is one.
const TAGGED: usize = usize::MAX;

/// A document while it is read.
pub(crate) struct Shape<'s, 'c> {
    pub(super) context: &'s mut Context<'c>,
    pub(super) payload: &'s mut Payload,
    /// The name so far, dots included.
    path: String,
    depth: usize,
    record: u32,
    /// Whom the samples are of, where a gateway has said it.
    device: Option<Arc<str>>,
    /// The record's time, from where the profile says that it stands.
    profile_time: Option<SentTime>,
    /// Why decoding stopped, where it was not the parser that stopped it: serde's errors carry text only.
    reject: Option<Reject>,
    /// The place of the last sample whose value the format says is a time.
    tagged_time: Option<usize>,
}

impl<'s, 'c> Shape<'s, 'c> {
    pub(crate) fn new(context: &'s mut Context<'c>, payload: &'s mut Payload) -> Self {
        let mut path = std::mem::take(&mut payload.path);
        path.clear();
        Self {
            context,
            payload,
            path,
            depth: 0,
            record: 0,
            device: None,
            profile_time: None,
            reject: None,
            tagged_time: None,
        }
    }

    /// Ends the document; why it was refused, where it was not the parser that did.
    pub(crate) fn finish(self) -> Option<Reject> {
        if self.payload.has_pairs && self.reject.is_none() {
            records::number_pairs(&mut self.payload.samples);
        }
        self.payload.path = self.path;
        self.reject
    }

    fn stop<E: Error>(&mut self, reject: Reject) -> E {
        self.reject = Some(reject);
        E::custom("rejected")
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.stop(Reject::Depth)) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Extends the path by one name; undone by truncating it to what it was.
    fn push_name<E: Error>(&mut self, name: &str) -> Result<(), E> {
        if name.is_empty() {
            return Err(self.stop(Reject::EmptyName));
        }
        let dot = usize::from(!self.path.is_empty());
        if self.path.len() + dot + name.len() > MAX_NAME_BYTES {
            return Err(self.stop(Reject::LongName));
        }
        if dot == 1 {
            self.path.push('.');
        }
        self.path.push_str(name);
        Ok(())
    }

    /// What is known of the name so far.
    fn name<E: Error>(&mut self) -> Result<Rc<Name>, E> {
        if self.path.is_empty() {
            let shape = if self.depth == 0 { "one bare value" } else { "an array of bare values" };
            return Err(self.stop(Reject::Shape(shape)));
        }
        Ok(self.context.names.get(&self.path, self.context.profile))
    }

    fn push_sample<E: Error>(&mut self, value: Value, quality: Quality) -> Result<(), E> {
        let name = self.name()?;
        self.push_named(name, value, quality)
    }

    fn push_named<E: Error>(&mut self, name: Rc<Name>, value: Value, quality: Quality) -> Result<(), E> {
        if self.payload.samples.len() == MAX_SAMPLES {
            return Err(self.stop(Reject::Samples));
        }
        let device = self.device.clone();
        self.payload.samples.push(Sample { quality, device, ..Sample::new(name, value, self.record) });
        Ok(())
    }

    fn push_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let name = self.name()?;
        if name.is_document {
            return self.read_document(text, Place::Member { unprefixed: None });
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(self.stop(Reject::LongText));
        }
        self.push_named(name, Value::Text(Arc::from(text)), Quality::Good)
    }

    /// A value of which the format itself says that it is a time. It is the record's, if none has a better name; else
    /// it stays a sample, as text.
    fn push_time<E: Error>(&mut self, at: Micros) -> Result<(), E> {
        self.tagged_time = Some(self.payload.samples.len());
        self.push_sample(Value::Text(Arc::from(at.to_string())), Quality::Good)
    }

    /// Reads a text that is a JSON document itself.
    fn read_document<E: Error>(&mut self, text: &str, place: Place) -> Result<(), E> {
        self.enter()?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let outcome =
            Node { shape: self, place }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        if let Err(error) = outcome {
            let reject = self.reject.take().unwrap_or_else(|| json::explain(&error, text));
            return Err(self.stop(reject));
        }
        self.leave();
        Ok(())
    }

    /// The members of an object. If the object may be a record, finds its time and gives it to its samples that have
    /// none yet. Returns whether its samples stay apart from those of others without a number in their names.
    fn read_object<'de, A: MapAccess<'de>>(&mut self, mut map: A, object: Object) -> Result<bool, A::Error> {
        let first_sample = self.payload.samples.len();
        let mut record = Record::default();
        let base = self.path.len();
        while let Some(name) = map.next_key_seed(Key)? {
            let before = self.payload.samples.len();
            self.push_name(&name)?;
            let level_at = self.path.len() - name.len();
            let is_outermost = matches!(object, Object::Outermost | Object::BatchElement);
            let unprefixed = (is_outermost && name == VALUES).then_some(base);
            map.next_value_seed(Node { shape: self, place: Place::Member { unprefixed } })?;
            // A scalar's sample has just this name; that of an object with one member has a longer one.
            let role = match &self.payload.samples[before..] {
                [one] if one.name.sent.len() == self.path.len() && one.name.last_level == level_at => {
                    match one.name.role {
                        Some(Role::Time(rank)) => Some(Role::Time(rank)),
                        _ if self.tagged_time == Some(before) => Some(Role::Time(TAGGED)),
                        role => role,
                    }
                }
                [first, ..] if is_first_of_list(&first.name.sent, self.path.len()) => {
                    self.note_times(before, object, &mut record);
                    None
                }
                _ => None,
            };
            self.path.truncate(base);
            if let Some(role) = role {
                self.take_role(role, object, &mut record)?;
            }
        }
        let is_pair = record.needs_shaping && self.finish_shape(first_sample, object, &record)?;
        let is_record = object != Object::Nested;
        let at = record.time.map(|time| time.at);
        let at = if is_record { self.profile_time.take().or(at) } else { at };
        for sample in &mut self.payload.samples[first_sample..] {
            sample.time = sample.time.or(at);
        }
        Ok(at.is_some() && !is_pair)
    }

    /// The last sample stood under a name that may say what it is.
    fn take_role<E: Error>(&mut self, role: Role, object: Object, record: &mut Record) -> Result<(), E> {
        match role {
            Role::Time(rank) if object != Object::Nested => self.take_time(rank, record),
            // Where the profile says that the time stands, however deep.
            Role::Time(0) => {
                if let Some(at) = self.last_time() {
                    self.payload.samples.pop();
                    self.profile_time = Some(at);
                }
            }
            Role::DeviceId if matches!(object, Object::Outermost | Object::BatchElement) => {
                self.take_device_id()?;
            }
            Role::SubDevice => {
                if let Some(device) = self.pop_identity() {
                    let device = check_name(&device, "name of a gateway's device");
                    let device = device.map(Arc::from).map_err(|reject| self.stop(reject))?;
                    record.device = Some(device);
                    record.needs_shaping = true;
                }
            }
            Role::PairName | Role::PairValue | Role::PairUnit | Role::UnitOf(_) | Role::UnitSource => {
                record.needs_shaping = true;
            }
            Role::Time(_) | Role::DeviceId => {}
        }
        Ok(())
    }

    /// Does what can only be done when all members of an object are known. Returns whether it was a pair, whose name
    /// has no number in it.
    fn finish_shape<E: Error>(
        &mut self,
        first_sample: usize,
        object: Object,
        record: &Record,
    ) -> Result<bool, E> {
        let samples = &mut self.payload.samples;
        if let Some(device) = &record.device {
            samples[first_sample..].iter_mut().for_each(|sample| sample.device = Some(Arc::clone(device)));
        }
        records::give_units(samples, first_sample);
        if let Some(times) = &record.times {
            let path_of = |stem: &str| self.context.names.get(stem, self.context.profile);
            records::read_columns(samples, first_sample, times, path_of);
        }
        let name = match object {
            Object::BatchElement | Object::Element => records::pair_name(&samples[first_sample..]),
            Object::Nested => records::is_value_with_unit(&samples[first_sample..]).then(String::new),
            Object::Outermost => None,
        };
        let Some(name) = name else { return Ok(false) };
        let base = self.path.clone();
        if object == Object::Element {
            self.path.truncate(self.path.rfind('.').unwrap_or(0));
        }
        if object != Object::Nested {
            self.push_name(&name)?;
        }
        let name = self.name()?;
        self.path = base;
        records::make_pair(&mut self.payload.samples, first_sample, name);
        self.payload.has_pairs |= object == Object::BatchElement;
        Ok(object != Object::Nested)
    }

    /// One element of an array inside an object: `index_at` is where its number begins in the path.
    fn read_element<'de, A: MapAccess<'de>>(&mut self, map: A, index_at: usize) -> Result<(), A::Error> {
        let first_sample = self.payload.samples.len();
        let name_at = self.path.len();
        if self.read_object(map, Object::Element)? {
            self.drop_index_from_names(first_sample, index_at, name_at);
        }
        Ok(())
    }

    /// The members of a gateway's document, each a device with its records.
    fn read_devices<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Key)? {
            let name = check_name(&name, "name of a gateway's device").map_err(|reject| self.stop(reject))?;
            self.device = Some(Arc::from(name));
            map.next_value_seed(Node { shape: self, place: Place::Device })?;
        }
        Ok(())
    }

    /// The last sample stood under a time's name: takes it as the record's time if its value is
    /// one and no better name has been seen. What is no time stays a sample.
    fn take_time(&mut self, rank: usize, record: &mut Record) {
        let Some(at) = self.last_time() else { return };
        if record.time.as_ref().is_some_and(|best| best.rank <= rank) {
            return;
        }
        let sample = self.payload.samples.pop();
        let replaced = sample.and_then(|sample| record.time.replace(RecordTime { rank, at, sample }));
        self.payload.samples.extend(replaced.map(|replaced| replaced.sample));
    }

    /// The last sample's value, as a time.
    fn last_time(&self) -> Option<SentTime> {
        self.context.clock.read(&self.payload.samples.last()?.value)
    }

    /// The samples from `before` on are a list: notes its times, if its name is a time's and all are times.
    fn note_times(&mut self, before: usize, object: Object, record: &mut Record) {
        if object == Object::Nested {
            return;
        }
        let name = self.context.names.get(&self.path, self.context.profile);
        if !matches!(name.role, Some(Role::Time(_))) {
            return;
        }
        let times =
            self.payload.samples[before..].iter().map(|sample| self.context.clock.read(&sample.value));
        record.times = times.collect::<Option<Vec<_>>>().map(|times| (name, times));
        record.needs_shaping |= record.times.is_some();
    }

    /// Takes the last sample as a name, if it can be one.
    fn pop_identity(&mut self) -> Option<String> {
        let sample =
            self.payload.samples.pop_if(|s| matches!(s.value, Value::Text(_) | Value::Integer(_)))?;
        Some(sample.value.to_string())
    }

    fn take_device_id<E: Error>(&mut self) -> Result<(), E> {
        let Some(device_id) = self.pop_identity() else { return Ok(()) };
        if self.payload.device_id.as_ref().is_some_and(|known| *known != device_id) {
            return Err(self.stop(Reject::ManyDevices));
        }
        self.payload.device_id = Some(device_id);
        Ok(())
    }

    /// Samples of a record with a time of its own need no number in their names to stay apart.
    fn drop_index_from_names(&mut self, first_sample: usize, index_at: usize, name_at: usize) {
        for index in first_sample..self.payload.samples.len() {
            let sent = &self.payload.samples[index].name.sent;
            let name = format!("{}{}", &sent[..index_at], &sent[name_at..]);
            self.payload.samples[index].name = self.context.names.get(&name, self.context.profile);
        }
    }
}

/// Whether a sample's name is that of the first in the list whose name ends at `path_length`.
fn is_first_of_list(name: &str, path_length: usize) -> bool {
    name.get(path_length..).is_some_and(|rest| rest == ".0")
}

/// What is found out about an object while its members are read.
#[derive(Default)]
struct Record {
    time: Option<RecordTime>,
    /// A list of times, and the name that it stands under.
    times: Option<(Rc<Name>, Vec<SentTime>)>,
    device: Option<Arc<str>>,
    needs_shaping: bool,
}

/// The best candidate so far for a record's time.
struct RecordTime {
    rank: usize,
    at: SentTime,
    sample: Sample,
}

/// What an object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    /// The payload itself, a record.
    Outermost,
    /// An element of the array that the payload is, a record.
    BatchElement,
    /// An element of an array inside a record: a record of its own if it has a time.
    Element,
    /// Part of a record.
    Nested,
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Place {
    Payload,
    BatchElement,
    /// Under the name of a gateway's device.
    Device,
    /// Under a name; `unprefixed` is where the path ends without that name, if an object here
    /// leaves it out.
    Member {
        unprefixed: Option<usize>,
    },
    /// Under a number that begins at `index_at` in the path.
    Element {
        index_at: usize,
    },
}

/// One value, at its place.
pub(crate) struct Node<'a, 's, 'c> {
    shape: &'a mut Shape<'s, 'c>,
    place: Place,
}

impl<'a, 's, 'c> Node<'a, 's, 'c> {
    /// The whole document.
    pub(crate) fn payload(shape: &'a mut Shape<'s, 'c>) -> Self {
        Self { shape, place: Place::Payload }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let shape = self.shape;
        shape.enter()?;
        let gateway = shape.context.profile.and_then(|profile| profile.gateway.as_ref());
        match self.place {
            Place::Payload if matches!(gateway, Some(Gateway::Members)) => shape.read_devices(map)?,
            Place::Payload | Place::Device => {
                shape.read_object(map, Object::Outermost)?;
            }
            Place::BatchElement => {
                shape.read_object(map, Object::BatchElement)?;
            }
            Place::Element { index_at } => shape.read_element(map, index_at)?,
            Place::Member { unprefixed } => {
                shape.path.truncate(unprefixed.unwrap_or(shape.path.len()));
                shape.read_object(map, Object::Nested)?;
            }
        }
        shape.leave();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let shape = self.shape;
        shape.enter()?;
        match self.place {
            Place::Payload | Place::Device => {
                while seq.next_element_seed(Node { shape, place: Place::BatchElement })?.is_some() {
                    shape.record += 1;
                }
            }
            Place::BatchElement => return Err(shape.stop(Reject::Shape("an array of arrays"))),
            Place::Member { .. } | Place::Element { .. } => {
                let index_at = shape.path.len();
                for index in 0_usize.. {
                    shape.push_name(itoa::Buffer::new().format(index))?;
                    let element =
                        seq.next_element_seed(Node { shape, place: Place::Element { index_at } })?;
                    shape.path.truncate(index_at);
                    if element.is_none() {
                        break;
                    }
                }
            }
        }
        shape.leave();
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.shape.push_sample(Value::Boolean(flag), Quality::Good)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.shape.push_sample(Value::Integer(number.into()), Quality::Good)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.shape.push_sample(Value::Integer(number.into()), Quality::Good)
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<(), E> {
        #[expect(clippy::cast_precision_loss, reason = "what 64 bits cannot hold is a float, as in JSON")]
        self.visit_f64(number as f64)
    }

    fn visit_f32<E: Error>(self, number: f32) -> Result<(), E> {
        match Value::from_any_f32(number) {
            Some((value, quality)) => self.shape.push_sample(value, quality),
            None => Err(self.shape.stop(Reject::NumberRange)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match Value::from_any_f64(number) {
            Some((value, quality)) => self.shape.push_sample(value, quality),
            None => Err(self.shape.stop(Reject::NumberRange)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let is_document =
            matches!(self.place, Place::Payload) && text.trim_ascii_start().starts_with(['{', '[', '"']);
        if is_document { self.shape.read_document(text, Place::Payload) } else { self.shape.push_text(text) }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        // Three bytes are four letters: nothing is written out only to be refused.
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(self.shape.stop(Reject::LongText));
        }
        self.shape.push_text(&base64_simd::STANDARD.encode_to_string(bytes))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let micros = i64::deserialize(deserializer)?;
        self.shape.push_time(Micros(micros))
    }
}

/// A member's name, borrowed where it has no escapes.
pub(super) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
