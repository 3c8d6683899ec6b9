//! What stands at the places that a profile describes (`[[shape]]`), read by what it says.

use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer};

use super::object::{Facts, Object};
use super::tree::{Room, Tree, TreeSeed};
use super::{Node, Place, Shape, rewrite};
use crate::format::items::Failure;
use crate::format::{cbor, json, layout};
use crate::limits::{MAX_NAME_BYTES, MAX_UNIT_BYTES};
use crate::profile::{
    Anchor, Columns, Encoding, Gateway, Interval, MemberPath, NamePiece, Others, Profile, Records, Series,
    ShapeKind,
};
use crate::reading::{Quality, Value};
use crate::reject::Reject;
use crate::sample::{Distance, Payload, SentTime};
use crate::topic::check_name;
use crate::unit::Dialect;

/// What a profile says of a place.
#[derive(Clone, Copy)]
pub(super) enum Described {
    /// The rule at this place of the profile's list reads it.
    By(u16),
    /// It may be an object in which rules find rows and their headers; the rules up to this one have been applied.
    WithHeaders(Option<u16>),
}

impl<'c> Shape<'_, 'c> {
    /// Reads a payload that is one text.
    pub(crate) fn read_text(&mut self, text: &str) -> Result<(), Reject> {
        let outcome = match self.described(Place::Payload, None) {
            Some(Described::By(rule)) => self.read_by(rule, Tree::Text(text.into()), Place::Payload),
            Some(Described::WithHeaders(_)) | None => self.push_text(text),
        };
        outcome.map_err(|Failure(reject)| self.reject.take().unwrap_or(reject))
    }

    /// What the profile says of the value at the path; the rules up to `after` have been applied to it.
    pub(super) fn described(&mut self, place: Place, after: Option<u16>) -> Option<Described> {
        let profile = self.context.profile?;
        let has_header = profile.has_headers()
            && if self.path.is_empty() {
                profile.has_payload_headers()
            } else {
                self.context.names.get(&self.path, self.context.profile).has_headers
            };
        if has_header {
            return Some(Described::WithHeaders(after));
        }
        self.rule_at(place, after).map(Described::By)
    }

    /// Whether a place is that of a payload, to which a shape without `at` belongs: a document that came with others is
    /// one, and so is what a gateway says of one of its devices.
    fn is_payload(&self, place: Place) -> bool {
        let has_devices = || {
            matches!(
                self.context.profile.and_then(|profile| profile.gateway.as_ref()),
                Some(Gateway::Members)
            )
        };
        match place {
            Place::Payload => !self.has_documents && !has_devices(),
            Place::BatchElement => self.has_documents && self.depth == 1,
            Place::Device => true,
            Place::Member { .. } | Place::Element { .. } | Place::Row => false,
        }
    }

    /// The first rule after `after` that reads the value at the path.
    fn rule_at(&mut self, place: Place, after: Option<u16>) -> Option<u16> {
        let profile = self.context.profile?;
        let rule = match after {
            after if self.is_payload(place) => profile.shape(None, after),
            // No name stands over the elements of a payload.
            _ if self.path.is_empty() => None,
            None => return self.context.names.get(&self.path, self.context.profile).shape,
            after => profile.shape(Some(&self.path), after),
        };
        rule.map(|(rule, _)| rule)
    }

    /// Reads a described value.
    pub(super) fn read_described<'de, D: Deserializer<'de>>(
        &mut self,
        described: Described,
        deserializer: D,
        place: Place,
    ) -> Result<(), D::Error> {
        let mut room = Room::new(self.number_mark.clone());
        let tree = TreeSeed { room: &mut room, depth: self.depth }.deserialize(deserializer);
        self.met_large_number |= room.met_large_number;
        let tree = match room.reject {
            Some(reject) => return Err(self.stop(reject)),
            None => tree?,
        };
        let begin = self.begin();
        let outcome = match described {
            Described::By(rule) => self.read_by(rule, tree, place),
            Described::WithHeaders(after) => self.read_with_headers(after, tree, place),
        };
        outcome.map_err(|Failure(reject)| {
            let reject = self.reject.take().unwrap_or(reject);
            self.stop(reject)
        })?;
        if self.is_payload(place) {
            self.end_payload_of_records(begin);
        }
        Ok(())
    }

    /// Reads an object whose rows have their names beside them.
    fn read_with_headers(
        &mut self,
        after: Option<u16>,
        mut tree: Tree<'_>,
        place: Place,
    ) -> Result<(), Failure> {
        let profile: Option<&'c Profile> = self.context.profile;
        let mut used = Vec::new();
        for (rows_name, header) in profile.into_iter().flat_map(|profile| profile.headers(&self.path)) {
            if rewrite::rows_of_header(&mut tree, rows_name, header).is_some() {
                used.push(header);
            }
        }
        for header in used {
            tree.take(header);
        }
        match self.rule_at(place, after) {
            Some(rule) => self.read_by(rule, tree, place),
            None => self.feed(&tree, place),
        }
    }

    /// Reads a value by a rule.
    fn read_by(&mut self, index: u16, tree: Tree<'_>, place: Place) -> Result<(), Failure> {
        let profile: Option<&'c Profile> = self.context.profile;
        let Some(rule) = profile.and_then(|profile| profile.shapes.get(usize::from(index))) else {
            return self.feed(&tree, place);
        };
        // What is described has its own name, also where an object of that name would have none.
        let place = if let Place::Member { .. } = place { Place::Member { unprefixed: None } } else { place };
        let tree = match &rule.kind {
            ShapeKind::Records(records) => return self.read_records(records, index, tree, place),
            ShapeKind::Number { decimal } => match &tree {
                Tree::Text(text) => match rewrite::number(text, *decimal) {
                    Some((number, unit)) => return self.push_measured(number, unit),
                    None => tree,
                },
                _ => tree,
            },
            ShapeKind::Document(encoding) => match &tree {
                Tree::Text(_) | Tree::Bytes(_) => {
                    return self.with_prefix(rule.under.as_ref(), |shape| {
                        shape.read_encoded_document(&tree, *encoding, index, place)
                    });
                }
                _ => tree,
            },
            ShapeKind::Fields(encoding) => match bytes_of(&tree, *encoding) {
                Some(bytes) => {
                    let bytes = bytes?;
                    return self.with_prefix(rule.under.as_ref(), |shape| shape.read_fields(&bytes));
                }
                None => tree,
            },
            ShapeKind::Rows(Columns::Named(columns)) => rewrite::rows(tree, columns),
            ShapeKind::List { separator, into } => rewrite::list(tree, separator.as_deref(), into),
            ShapeKind::Pairs { separator, equals, end, others } => {
                rewrite::pairs(tree, separator, equals, end.as_deref(), *others)?
            }
            // These are found by the object that they stand in.
            ShapeKind::Rows(Columns::Member(_)) | ShapeKind::Series(_) => tree,
        };
        match self.rule_at(place, Some(index)) {
            Some(next) => self.read_by(next, tree, place),
            None if tree.is_scalar() => self.feed(&tree, place),
            None => self.with_prefix(rule.under.as_ref(), |shape| shape.feed(&tree, place)),
        }
    }

    /// Reads a tree as a document of the usual shapes.
    fn feed(&mut self, tree: &Tree<'_>, place: Place) -> Result<(), Failure> {
        tree.deserialize_any(Node { shape: self, place, after: None })
    }

    /// Runs `read` with another beginning of names, where there is one.
    fn with_prefix<T>(&mut self, under: Option<&Arc<str>>, read: impl FnOnce(&mut Self) -> T) -> T {
        let Some(under) = under else { return read(self) };
        self.with_names_under(under.to_string(), read)
    }

    /// Runs `read` with names that begin with `path`, whatever the place.
    fn with_names_under<T>(&mut self, path: String, read: impl FnOnce(&mut Self) -> T) -> T {
        let first = self.payload.samples.len();
        let outer = std::mem::replace(&mut self.path, path);
        let outcome = read(self);
        self.path = outer;
        for sample in self.payload.samples.get_mut(first..).unwrap_or_default() {
            sample.has_own_name = true;
        }
        outcome
    }

    fn push_measured(&mut self, number: Value, unit: &str) -> Result<(), Failure> {
        self.push_sample::<Failure>(number, Quality::Good)?;
        if let Some(sample) = self.payload.samples.last_mut().filter(|_| !unit.is_empty()) {
            sample.unit = Some((unit.into(), Dialect::Written));
        }
        Ok(())
    }

    fn read_encoded_document(
        &mut self,
        tree: &Tree<'_>,
        encoding: Option<Encoding>,
        rule: u16,
        place: Place,
    ) -> Result<(), Failure> {
        let bytes = match (tree, encoding) {
            (Tree::Text(text), None) if json::is_document(text) => {
                return self.read_document(text, place, Some(rule));
            }
            (tree, encoding) => match encoding.and_then(|encoding| bytes_of(tree, encoding)) {
                Some(bytes) => bytes?,
                None => return self.feed(tree, place),
            },
        };
        if cbor::is_probable(&bytes) {
            self.enter::<Failure>()?;
            let node = Node { shape: self, place, after: Some(rule) };
            cbor::read(&bytes, node)?;
            self.leave();
            return Ok(());
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| Reject::NotUtf8(error.valid_up_to()))?;
        self.read_document(text, place, Some(rule))
    }

    fn read_fields(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut inner = Payload::default();
        layout::decode(bytes, None, self.context, &mut inner)?;
        for sample in inner.samples {
            let base = self.path.len();
            self.push_name::<Failure>(&sample.name.sent)?;
            self.push_sample::<Failure>(sample.value, sample.quality)?;
            self.path.truncate(base);
            if let Some(last) = self.payload.samples.last_mut() {
                (last.unit, last.time) = (sample.unit, sample.time);
            }
        }
        Ok(())
    }

    /// Reads records that say which of their members is what.
    fn read_records(
        &mut self,
        records: &Records,
        rule: u16,
        tree: Tree<'_>,
        place: Place,
    ) -> Result<(), Failure> {
        let has_own_names = records.name.0.contains(&NamePiece::Own);
        self.enter::<Failure>()?;
        match tree {
            Tree::List(elements) | Tree::Rows(elements) => {
                for (number, element) in elements.into_iter().enumerate() {
                    self.read_keyed(records, &number.to_string(), element, None)?;
                }
            }
            Tree::Map(members) if has_own_names => {
                for (name, element) in members {
                    self.read_keyed(records, &name, element, None)?;
                }
            }
            object @ Tree::Map(_) => {
                // What is one record is no deeper than its place.
                self.leave();
                return self.read_keyed(records, "", object, Some(place));
            }
            other => {
                self.leave();
                return match self.rule_at(place, Some(rule)) {
                    Some(next) => self.read_by(next, other, place),
                    None => self.feed(&other, place),
                };
            }
        }
        self.leave();
        Ok(())
    }

    /// Reads one record, whose own name is `own`. One that lacks what names it is read as if nothing had been said of it.
    fn read_keyed(
        &mut self,
        records: &Records,
        own: &str,
        mut element: Tree<'_>,
        place: Option<Place>,
    ) -> Result<(), Failure> {
        let outer = (self.element, self.outer_element);
        self.elements = self.elements.saturating_add(1);
        (self.element, self.outer_element) = (self.elements, self.element);
        match self.record_name(records, own, &element) {
            Some(name) if name.len() > MAX_NAME_BYTES => return Err(Reject::LongName.into()),
            Some(name) if name.split('.').any(str::is_empty) => return Err(Reject::EmptyName.into()),
            Some(name) => {
                let first = self.payload.samples.len();
                let device = self.take_device_of(own, &mut element)?;
                for piece in &records.name.0 {
                    if let NamePiece::Member(member) = piece {
                        element.take(member);
                    }
                }
                if records.name.0.first() == Some(&NamePiece::Place) {
                    let outer = std::mem::replace(&mut self.path, name);
                    self.read_named(records, element)?;
                    self.path = outer;
                } else {
                    self.with_names_under(name, |shape| shape.read_named(records, element))?;
                }
                if device.is_some() {
                    let samples = self.payload.samples.get_mut(first..).unwrap_or_default();
                    samples.iter_mut().for_each(|sample| sample.device.clone_from(&device));
                }
            }
            None => match place {
                Some(place) => self.feed(&element, place)?,
                None if self.path.is_empty() => self.feed(&element, Place::BatchElement)?,
                None => {
                    let index_at = self.path.len();
                    self.push_name::<Failure>(own)?;
                    self.feed(&element, Place::Element { index_at })?;
                    self.path.truncate(index_at);
                }
            },
        }
        (self.element, self.outer_element) = outer;
        Ok(())
    }

    /// Takes the member of a record that names the device, where the profile says that one does.
    fn take_device_of(&mut self, own: &str, element: &mut Tree<'_>) -> Result<Option<Arc<str>>, Failure> {
        let gateway = self.context.profile.and_then(|profile| profile.gateway.as_ref());
        let (Some(Gateway::Member(names)), Tree::Map(members)) = (gateway, element) else { return Ok(None) };
        let base = [&*self.path, own].into_iter().filter(|part| !part.is_empty());
        let base: String = base.flat_map(|part| [part, "."]).collect();
        let is_name = |value: &Tree<'_>| matches!(value, Tree::Text(_) | Tree::Integer(_));
        let sent = |member: &str| format!("{base}{member}");
        let place = names.iter().find_map(|name| {
            members.iter().position(|(member, value)| is_name(value) && name.matches(&sent(member)))
        });
        let Some((_, value)) = place.map(|place| members.remove(place)) else { return Ok(None) };
        let device = self.value_of(&value).map(|device| device.to_string()).unwrap_or_default();
        Ok(Some(check_name(&device, "name of a gateway's device").map(Arc::from)?))
    }

    /// What a record's metric is called; `None` if a member of its name is missing.
    fn record_name(&self, records: &Records, own: &str, element: &Tree<'_>) -> Option<String> {
        let mut name = String::new();
        for piece in &records.name.0 {
            match piece {
                NamePiece::Text(text) => name.push_str(text),
                NamePiece::Own => name.push_str(own),
                NamePiece::Place => name.push_str(&self.path),
                NamePiece::Member(member) => match self.value_of(element.get(member)?)? {
                    Value::Text(text) if text.is_empty() => return None,
                    value => name.push_str(&value.to_string()),
                },
            }
        }
        Some(name)
    }

    /// Reads the value of a record, under its name, and its other members: one object, whose value is called as it is.
    fn read_named(&mut self, records: &Records, mut element: Tree<'_>) -> Result<(), Failure> {
        let said = self.take_what_is_said(records, &mut element);
        let is_object = matches!(element, Tree::Map(_));
        let time_of_record = self.profile_time.take();
        let device_of_record = self.profile_device.take();
        let begin = self.begin();
        let mut facts = Facts::default();
        let value = match &mut element {
            element if !is_object => Some(std::mem::take(element)),
            _ if records.value.is_empty() => None,
            element => take_value(records, element),
        };
        // The name that a record has is a place, too, at which the profile may describe its value.
        if let Some(value) = value {
            Node::new(self, Place::Member { unprefixed: None }).deserialize(&value)?;
            facts.value = value.is_scalar().then_some(begin.sample);
        }
        let first_other = self.payload.samples.len();
        for (name, value) in if let Tree::Map(members) = element { members } else { Vec::new() } {
            self.read_member(&name, Object::Row, &mut facts, |shape, place| {
                Node::new(shape, place).deserialize(&value)
            })?;
        }
        let is_all = records.value.is_empty();
        let last_value = if is_all { self.payload.samples.len() } else { first_other };
        for sample in self.payload.samples.get_mut(begin.sample..last_value).unwrap_or_default() {
            if let Some(unit) = said.unit.as_ref().filter(|unit| !unit.is_empty() && sample.unit.is_none()) {
                sample.unit = Some((Arc::clone(unit), Dialect::Written));
            }
            sample.quality = sample.quality.max(said.quality.unwrap_or(Quality::Good));
        }
        if said.time.is_some() {
            for sample in self.payload.samples.get_mut(begin.sample..).unwrap_or_default() {
                sample.time = sample.time.or(said.time);
            }
        }
        self.end_object::<Failure>(begin, Object::Row, facts)?;
        (self.profile_time, self.profile_device) = (time_of_record, device_of_record);
        if records.others == Others::Ignore && !is_all {
            for place in first_other..self.payload.samples.len() {
                self.spend(place);
            }
        }
        Ok(())
    }

    /// Takes what a record says of its value out of it.
    fn take_what_is_said(&self, records: &Records, element: &mut Tree<'_>) -> Said {
        let time = records.time.as_ref().and_then(|member| {
            let time = self.time_of(element.get(member)?)?;
            element.take(member);
            Some(time)
        });
        let unit = records.unit.as_ref().and_then(|member| match element.get(member)? {
            Tree::Text(text) if text.len() <= MAX_UNIT_BYTES => {
                let unit: Arc<str> = Arc::from(&**text);
                element.take(member);
                Some(unit)
            }
            Tree::Null => element.take(member).and(None),
            _ => None,
        });
        let quality = records.quality.as_ref().and_then(|member| {
            let quality = self.quality_of(element.get(member)?)?;
            element.take(member);
            Some(quality)
        });
        Said { time, unit, quality }
    }

    /// The value of a tree that is neither a list nor an object nor nothing.
    fn value_of(&self, tree: &Tree<'_>) -> Option<Value> {
        match tree {
            Tree::Boolean(flag) => Some(Value::Boolean(*flag)),
            Tree::Integer(number) => Some(Value::from_integer(*number)),
            Tree::Single(number) => Value::from_any_f32(*number).map(|(value, _)| value),
            Tree::Double(number) => Value::from_any_f64(*number).map(|(value, _)| value),
            Tree::Text(text) => Some(Value::Text(Arc::from(&**text))),
            Tree::Bytes(_) | Tree::Time(_) | Tree::Unstorable(_) | Tree::Null => None,
            Tree::List(_) | Tree::Map(_) | Tree::Rows(_) => None,
        }
    }

    fn time_of(&self, tree: &Tree<'_>) -> Option<SentTime> {
        match tree {
            Tree::Time(at) => Some(SentTime::of_device(*at)),
            tree => self.context.clock.read(&self.value_of(tree)?),
        }
    }

    fn quality_of(&self, tree: &Tree<'_>) -> Option<Quality> {
        let codes = self.context.profile.and_then(|profile| profile.quality.codes.as_ref());
        // OPC UA's JSON has a code with its name where it is verbose (OPC UA, part 6, 5.4.2.12).
        let code = match tree {
            Tree::Map(members) => &members.iter().find(|(name, _)| name == "Code")?.1,
            tree => tree,
        };
        super::quality::of_sender("", &self.value_of(code)?, codes)
    }

    /// Gives the values of the lists from `first_list` on that are series their list's name, and their distance in time.
    /// What they are called does not depend on whether the distance is there: without it all have the record's time, and
    /// are uncertain.
    pub(super) fn read_series(&mut self, first_list: usize, first_sample: usize) {
        let profile: Option<&'c Profile> = self.context.profile;
        let Some(profile) = profile.filter(|profile| profile.has_series()) else { return };
        let mut lists = self.lists.split_off(first_list.min(self.lists.len()));
        lists.retain(|list| {
            let Some(first) = self.payload.samples.get(list.first_sample) else { return true };
            let stem = first.name.sent.get(..list.stem_length).unwrap_or_default().to_owned();
            let Some(series) = profile.series(&stem) else { return true };
            let interval = self.interval_of(series, first_sample);
            let name = self.context.names.get(&stem, self.context.profile);
            let values = self.payload.samples.iter_mut().skip(list.first_sample).take(list.count);
            for (sample, place) in values.zip(0_u32..) {
                sample.name = std::rc::Rc::clone(&name);
                self.elements = self.elements.saturating_add(1);
                sample.element = self.elements;
                match interval {
                    Some(interval) => {
                        let distance = series.distance(self.elements, place, list.count, interval);
                        self.payload.distances.push(distance);
                    }
                    None => sample.quality = sample.quality.max(Quality::Uncertain),
                }
            }
            false
        });
        self.lists.extend(lists);
    }

    /// How far the values of a series are apart, in microseconds; takes the member that says it, if one does.
    fn interval_of(&mut self, series: &Series, first_sample: usize) -> Option<f64> {
        let (member, micros): (_, fn(f64, f64) -> f64) = match &series.interval {
            Interval::Micros(micros) => return Some(*micros),
            Interval::Member { name, .. } => (name, |count, unit| count * unit),
            Interval::Rate(name) => (name, |rate, _| 1e6 / rate),
        };
        let base = if self.path.is_empty() { String::new() } else { format!("{}.", self.path) };
        let sent = format!("{base}{}", member.0.join("."));
        let samples = self.payload.samples.iter().enumerate().skip(first_sample);
        let (place, sample) = samples.into_iter().find(|(_, sample)| *sample.name.sent == *sent)?;
        let unit = match &series.interval {
            Interval::Member { unit, .. } => unit.micros(),
            Interval::Micros(_) | Interval::Rate(_) => 1.0,
        };
        let micros = micros(sample.value.as_f64()?, unit);
        if !(micros.is_finite() && micros > 0.0) {
            return None;
        }
        self.spend(place);
        Some(micros)
    }
}

impl Series {
    /// How far the value at `place`, which is this element of the payload's lists, was measured from the record's time.
    fn distance(&self, element: u32, place: u32, count: usize, interval: f64) -> Distance {
        let last = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast saturates, and such a time is not accepted"
        )]
        let micros = |steps: f64| (steps * interval).round() as i64;
        let from_last = micros(f64::from(place) - f64::from(last));
        let after = match self.anchor {
            Anchor::First => micros(f64::from(place)),
            Anchor::Last => from_last,
        };
        Distance { element, after, from_last }
    }
}

/// What a record says of its value.
struct Said {
    time: Option<SentTime>,
    unit: Option<Arc<str>>,
    quality: Option<Quality>,
}

/// Takes the value of a record out of it: the first that is there and is not null, or a null.
fn take_value<'de>(records: &Records, element: &mut Tree<'de>) -> Option<Tree<'de>> {
    let is_value = |member: &&MemberPath| element.get(member).is_some_and(|value| *value != Tree::Null);
    let member = records.value.iter().find(is_value);
    let member = member.or_else(|| records.value.iter().find(|member| element.get(member).is_some()))?;
    element.take(member)
}

/// The bytes of an encoded text, or of a byte string, which needs no encoding; `None` if it is neither.
fn bytes_of(tree: &Tree<'_>, encoding: Encoding) -> Option<Result<Vec<u8>, Reject>> {
    match tree {
        Tree::Text(text) => Some(rewrite::bytes(text, encoding)),
        Tree::Bytes(bytes) => Some(Ok(bytes.to_vec())),
        _ => None,
    }
}
