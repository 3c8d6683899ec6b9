//! Documents made of maps and lists, in the shapes that devices send.
//!
//! One pass of a serde visitor, without a tree of values in between, for every format that has a
//! serde deserializer. What it accepts:
//!
//! - an object, whose members are samples: `{"temperature": 22.5}`;
//! - nested objects, names joined by dots: `{"battery": {"level": 80}}` is `battery.level`;
//! - a value beside its unit and quality: `{"temperature": {"value": 22.5, "unit": "°C"}}` is `temperature`;
//! - arrays of values, numbered: `{"accel": [0.1, 0.2]}` is `accel.0` and `accel.1`;
//! - an array of objects, each a record with its own time: a device's batch upload;
//! - an array whose elements name themselves: `[{"id": "t1", "v": 20}, {"id": "t2", "v": 21}]` is `t1` and `t2`,
//!   `[{"id": "t1", "v": 20, "rssi": -70}]` is `t1.v` and `t1.rssi` ([`element`]);
//! - any other array inside an object: a series of records if its elements have times, else numbered;
//! - `{"ts": …, "values": {…}}`, and arrays of those;
//! - columns: `{"ts": […], "temperature": […]}`, each value at the time of its place ([`columns`]);
//! - a text that is such a document: the whole payload, or a member of which the profile says so;
//! - `{"device A": [{"ts": …, "values": {…}}]}`, where the profile says that members are devices;
//! - whatever else the profile describes at a place ([`described`]);
//! - one bare value, or a list of such, where the topic says what it is called.
//!
//! A record's time is the first of [`TIME_NAMES`](crate::TIME_NAMES) in it whose value is a time; where a record has
//! none, each object in it that has one has it for itself ([`object`]). `null` is no sample; a record's `device_id` says
//! who sends and is no sample either.
//!
//! What a sample is called depends on the names and types of a document, and on the profile; never on numbers, texts or
//! times.

mod columns;
mod described;
mod element;
mod object;
mod quality;
mod rewrite;
mod tree;
mod units;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize as _;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _,
    Visitor,
};

use self::object::{NamedDevice, Object, ProfileTime};
use super::{Context, json, json_numbers as numbers};
use crate::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_SAMPLES, MAX_TEXT_BYTES};
use crate::names::Name;
use crate::profile::Gateway;
use crate::reading::{Quality, Value};
use crate::reject::Reject;
use crate::sample::{Payload, Sample};
use crate::time::Micros;
use crate::topic::check_name;

/// The unit, perhaps empty, of the number that a text is where the profile says that numbers stand in texts.
pub(crate) fn unit_of_number(text: &str, decimal: char) -> Option<&str> {
    rewrite::number(text, decimal).map(|(_, unit)| unit)
}

/// A document while it is read.
pub(crate) struct Shape<'s, 'c> {
    pub(super) context: &'s mut Context<'c>,
    pub(super) payload: &'s mut Payload,
    /// Whether the profile describes what stands at places.
    has_descriptions: bool,
    /// Whether the elements of the list that is read are payloads: documents that came together.
    has_documents: bool,
    /// The name so far, dots included.
    path: String,
    depth: usize,
    /// The number of the record that is being read.
    record: u32,
    /// Elements of lists that were met so far.
    elements: u32,
    /// The element that is being read, 0 outside of lists, and the one that it stands in.
    element: u32,
    outer_element: u32,
    /// Nulls that were met so far and are no samples. A record of nothing else is one, too: whether a null is a sample is
    /// the profile's to say, and which record is which must not be.
    nulls: usize,
    /// The place of the element that is being read in the array that the payload is.
    batch_index: usize,
    /// Whether the object that was read last had a name of its own.
    was_keyed: bool,
    /// Whom the samples are of, where a gateway has said it.
    device: Option<Arc<str>>,
    /// The record's time, from where the profile says that it stands.
    profile_time: Option<ProfileTime>,
    /// Whom the record is of, from where the profile says that it stands.
    profile_device: Option<NamedDevice>,
    /// Objects of the record that have a time of their own.
    timed_objects: Vec<object::TimedObject>,
    /// Lists of values in the record.
    lists: Vec<columns::List>,
    /// Why decoding stopped, where it was not the parser that stopped it: serde's errors carry text only.
    reject: Option<Reject>,
    /// The place of the last sample whose value the format says is a time.
    tagged_time: Option<usize>,
    /// What a text begins with that stands for a number which the parser cannot hold.
    number_mark: Option<Rc<str>>,
    /// Whether a number was met that may have been more than the parser can hold.
    pub(super) met_large_number: bool,
}

impl<'s, 'c> Shape<'s, 'c> {
    pub(crate) fn new(context: &'s mut Context<'c>, payload: &'s mut Payload) -> Self {
        let mut path = std::mem::take(&mut payload.path);
        path.clear();
        let has_descriptions = context.profile.is_some_and(|profile| !profile.shapes.is_empty());
        Self {
            context,
            payload,
            has_descriptions,
            has_documents: false,
            path,
            depth: 0,
            record: 0,
            elements: 0,
            element: 0,
            outer_element: 0,
            nulls: 0,
            batch_index: 0,
            was_keyed: false,
            device: None,
            profile_time: None,
            profile_device: None,
            timed_objects: Vec::new(),
            lists: Vec::new(),
            reject: None,
            tagged_time: None,
            number_mark: None,
            met_large_number: false,
        }
    }

    /// The elements of the list that is read are payloads.
    pub(super) fn with_documents(self, has_documents: bool) -> Self {
        Self { has_documents, ..self }
    }

    /// Texts that begin with `mark` are the digits of numbers.
    pub(super) fn with_number_mark(self, mark: Rc<str>) -> Self {
        Self { number_mark: Some(mark), ..self }
    }

    /// Ends the document; why it was refused, where it was not the parser that did.
    pub(crate) fn finish(self) -> Option<Reject> {
        if self.payload.has_spent {
            self.payload.samples.retain(|sample| !sample.is_spent);
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
        if !self.path.is_empty() {
            return Ok(self.context.names.get(&self.path, self.context.profile));
        }
        if self.context.names.has_stem() {
            let mut number = itoa::Buffer::new();
            let sent = if self.depth == 0 { BARE_VALUE } else { number.format(self.batch_index) };
            return Ok(self.context.names.get(sent, self.context.profile));
        }
        Err(self.stop(match (&self.device, self.depth) {
            (Some(_), _) => Reject::Shape("a gateway's object in which a device has bare values"),
            (None, 0) => Reject::BareValue,
            (None, _) => Reject::Shape("an array of bare values"),
        }))
    }

    fn push_sample<E: Error>(&mut self, value: Value, quality: Quality) -> Result<(), E> {
        let name = self.name()?;
        self.push_named(name, value, quality)
    }

    fn push_named<E: Error>(&mut self, name: Rc<Name>, value: Value, quality: Quality) -> Result<(), E> {
        self.check_room()?;
        // Each member by its name: samples are many, and large to move.
        self.payload.samples.push(Sample {
            name,
            value,
            quality,
            unit: None,
            time: None,
            record: self.record,
            element: self.element,
            device: self.device.clone(),
            has_own_name: false,
            is_spent: false,
        });
        Ok(())
    }

    /// That there is room for one more sample, or one more null: each may be a record, and a record's place has 14 bits.
    fn check_room<E: Error>(&mut self) -> Result<(), E> {
        let met = self.payload.samples.len() + self.nulls;
        if met >= MAX_SAMPLES { Err(self.stop(Reject::Samples)) } else { Ok(()) }
    }

    /// A null is no sample, but in a list it has its place among others, and as a member it takes what says something
    /// of it along. Of any other member nothing is left.
    fn push_null<E: Error>(&mut self, place: Place) -> Result<(), E> {
        if self.path.is_empty() {
            return Ok(());
        }
        let name = self.name()?;
        if matches!(place, Place::Member { .. }) && !name.relates_to_others() {
            self.check_room()?;
            self.nulls += 1;
            return Ok(());
        }
        self.push_named(name, Value::Boolean(false), Quality::Good)?;
        self.spend(self.payload.samples.len() - 1);
        Ok(())
    }

    /// Marks a sample as none any more.
    fn spend(&mut self, place: usize) {
        if let Some(sample) = self.payload.samples.get_mut(place) {
            sample.is_spent = true;
            self.payload.has_spent = true;
        }
    }

    /// A number; one that cannot be stored as such is kept as the text of its `digits`.
    fn push_number<E: Error>(
        &mut self,
        number: Option<(Value, Quality)>,
        digits: impl FnOnce() -> String,
    ) -> Result<(), E> {
        match number {
            Some((value, quality)) => self.push_sample(value, quality),
            None => {
                let digits = digits();
                if digits.len() > MAX_TEXT_BYTES {
                    return Err(self.stop(Reject::LongText));
                }
                self.push_sample(Value::Text(digits.into()), Quality::Bad)
            }
        }
    }

    fn push_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let name = self.name()?;
        if name.is_document && json::is_document(text) {
            return self.read_document(text, Place::Member { unprefixed: None }, None);
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

    /// Reads a text that is a JSON document itself; the profile's rules up to `after` have been applied to it.
    fn read_document<E: Error>(&mut self, text: &str, place: Place, after: Option<u16>) -> Result<(), E> {
        self.enter()?;
        let marked = numbers::mark(text);
        let text = marked.as_ref().map_or(text, |marked| &marked.text);
        let outer =
            std::mem::replace(&mut self.number_mark, marked.as_ref().map(|marked| Rc::clone(&marked.mark)));
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let outcome = Node { shape: self, place, after }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        if let Err(error) = outcome {
            let reject = self.reject.take().unwrap_or_else(|| json::explain(&error, text));
            return Err(self.stop(reject));
        }
        self.number_mark = outer;
        self.leave();
        Ok(())
    }

    /// The members of a gateway's document, each a device with its records.
    fn read_devices<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Key)? {
            let name = check_name(&name, "name of a gateway's device").map_err(|reject| self.stop(reject))?;
            self.device = Some(Arc::from(name));
            map.next_value_seed(Node::new(self, Place::Device))?;
        }
        Ok(())
    }

    /// The elements of the array that a payload is: each that has a value or a null, and no name of its own, is a record.
    fn read_batch<'de, A: SeqAccess<'de>>(&mut self, mut seq: A) -> Result<(), A::Error> {
        for number in 0.. {
            let before = (self.payload.samples.len(), self.nulls);
            self.batch_index = number;
            if seq.next_element_seed(Node::new(self, Place::BatchElement))?.is_none() {
                break;
            }
            // What is told apart by name is of one record, so that it shares its time with the others.
            if (self.payload.samples.len(), self.nulls) != before && !self.was_keyed {
                self.record += 1;
            }
        }
        Ok(())
    }

    /// Records under one name, each an object or a value.
    fn read_rows<'de, A: SeqAccess<'de>>(&mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Node::new(self, Place::Row))?.is_some() {}
        Ok(())
    }

    /// The elements of an array under a name, each under its number.
    fn read_list<'de, A: SeqAccess<'de>>(&mut self, mut seq: A) -> Result<(), A::Error> {
        let (index_at, first_sample) = (self.path.len(), self.payload.samples.len());
        let (mut count, mut has_values_only) = (0, true);
        loop {
            self.push_name(itoa::Buffer::new().format(count))?;
            let before = self.payload.samples.len();
            let element = seq.next_element_seed(Node::new(self, Place::Element { index_at }))?;
            let name_length = self.path.len();
            self.path.truncate(index_at);
            if element.is_none() {
                break;
            }
            count += 1;
            let added = self.payload.samples.get(before..).unwrap_or_default();
            has_values_only &=
                matches!(added, [one] if one.name.sent.len() == name_length && !one.has_own_name);
        }
        if count > 0 && has_values_only {
            self.lists.push(columns::List { first_sample, count, stem_length: index_at });
        }
        Ok(())
    }
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
    /// One of several records under the name in the path.
    Row,
}

/// What a bare value stands under on a topic that says what it is called.
const BARE_VALUE: &str = "value";

/// One value, at its place.
pub(crate) struct Node<'a, 's, 'c> {
    shape: &'a mut Shape<'s, 'c>,
    place: Place,
    /// The rules of the profile up to this one have been applied to it.
    after: Option<u16>,
}

impl<'a, 's, 'c> Node<'a, 's, 'c> {
    /// The whole document.
    pub(crate) fn payload(shape: &'a mut Shape<'s, 'c>) -> Self {
        Self::new(shape, Place::Payload)
    }

    fn new(shape: &'a mut Shape<'s, 'c>, place: Place) -> Self {
        Self { shape, place, after: None }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.shape.has_descriptions
            && let Some(described) = self.shape.described(self.place, self.after)
        {
            return self.shape.read_described(described, deserializer, self.place);
        }
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
            Place::Payload | Place::Device => shape.read_record(map, Object::Outermost)?,
            Place::BatchElement => shape.read_record(map, Object::BatchElement)?,
            Place::Element { index_at } => shape.read_record(map, Object::Element { index_at })?,
            Place::Row => shape.read_record(map, Object::Row)?,
            Place::Member { unprefixed } => {
                shape.path.truncate(unprefixed.unwrap_or(shape.path.len()));
                shape.read_object(map, Object::Nested)?;
            }
        }
        shape.leave();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let shape = self.shape;
        shape.enter()?;
        match self.place {
            Place::Payload | Place::Device => shape.read_batch(seq)?,
            Place::BatchElement if shape.has_documents && shape.depth == 2 => shape.read_batch(seq)?,
            Place::BatchElement => return Err(shape.stop(Reject::Shape("an array of arrays"))),
            Place::Member { .. } | Place::Element { .. } | Place::Row => shape.read_list(seq)?,
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
        self.shape.push_sample(Value::from_integer(number), Quality::Good)
    }

    fn visit_f32<E: Error>(self, number: f32) -> Result<(), E> {
        self.shape.push_number(Value::from_any_f32(number), || number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        let value = Value::from_any_f64(number);
        self.shape.met_large_number |= may_be_larger(number);
        self.shape.push_number(value, || format!("{number:e}"))
    }

    /// A text without escapes, as which marked numbers stand in a document.
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        match self.shape.number_mark.as_deref().and_then(|mark| text.strip_prefix(mark)) {
            Some(digits) => {
                let number = Value::from_digits(digits);
                self.shape.push_number(number.map(|value| (value, Quality::Good)), || digits.to_owned())
            }
            None => self.visit_str(text),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let is_document =
            matches!(self.place, Place::Payload) && text.trim_ascii_start().starts_with(['{', '[', '"']);
        if is_document {
            self.shape.read_document(text, Place::Payload, self.after)
        } else {
            self.shape.push_text(text)
        }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        // Three bytes are four letters: nothing is written out only to be refused.
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(self.shape.stop(Reject::LongText));
        }
        self.shape.push_text(&base64_simd::STANDARD.encode_to_string(bytes))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.shape.push_null(self.place)
    }

    /// What no value can hold, as text.
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let text = String::deserialize(deserializer)?;
        self.shape.push_number(None, || text)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let micros = i64::deserialize(deserializer)?;
        self.shape.push_time(Micros(micros))
    }

    /// Rows, which only a tree has.
    fn visit_enum<A: EnumAccess<'de>>(self, rows: A) -> Result<(), A::Error> {
        let (_, rows) = rows.variant::<IgnoredAny>()?;
        rows.tuple_variant(0, Rows(self))
    }
}

/// The records of one list, at the place of the list.
struct Rows<'a, 's, 'c>(Node<'a, 's, 'c>);

impl<'de> Visitor<'de> for Rows<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let Self(Node { shape, place, .. }) = self;
        shape.enter()?;
        match place {
            Place::Payload | Place::Device => shape.read_batch(seq)?,
            Place::BatchElement | Place::Member { .. } | Place::Element { .. } | Place::Row => {
                shape.read_rows(seq)?;
            }
        }
        shape.leave();
        Ok(())
    }
}

/// Whether a number may have been an integer of more than 64 bits, or what no double holds: two to the 63rd, and what is
/// too small to be stored.
fn may_be_larger(number: f64) -> bool {
    number.abs() >= 9.2e18 || Value::from_any_f64(number).is_none()
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
