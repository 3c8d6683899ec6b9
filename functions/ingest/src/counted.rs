//! Lists of an event whose elements are counted as they begin, before anything is known of them.
//!
//! The count does not come from what the parser keeps. So a record that gets lost between the event's text and its
//! disposition shows as a difference.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// Appends the elements of a list to `into`, and counts each in `begun`. `null` is no list.
pub(crate) struct CountedList<'c, T> {
    pub(crate) begun: &'c Cell<usize>,
    pub(crate) into: &'c mut Vec<T>,
}

/// Whether there was a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    List,
    Null,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for CountedList<'_, T> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for CountedList<'_, T> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while let Some(element) = list.next_element_seed(Counted::new(self.begun))? {
            self.into.push(element);
        }
        Ok(Found::List)
    }
}

/// One element.
struct Counted<'c, T> {
    begun: &'c Cell<usize>,
    element: PhantomData<T>,
}

impl<'c, T> Counted<'c, T> {
    fn new(begun: &'c Cell<usize>) -> Self {
        Self { begun, element: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Counted<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        self.begun.set(self.begun.get() + 1);
        T::deserialize(deserializer)
    }
}
