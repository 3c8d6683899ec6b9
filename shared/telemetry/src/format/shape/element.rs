//! What an object of a list calls itself.
//!
//! | an element of a list | its samples |
//! |---|---|
//! | `{"id": "t1", "v": 20}`: a name and a value, perhaps unit, quality and time | `t1` |
//! | `{"id": "t1", "v": 20, "rssi": -70}`: a name and more | `t1.v`, `t1.rssi` |
//! | `{"name": "door open", "time": …}`: a name and no more | `name`, whose value is the text |
//! | `{"a": 1}`: no name | a record of a series if it has a time, else numbered |

use super::Shape;
use super::object::{Facts, Object};
use crate::limits::MAX_NAME_BYTES;
use crate::reject::Reject;
use crate::sample::Sample;

/// How the samples of an object are called.
pub(super) enum Naming {
    /// By the names of their members.
    Plain,
    /// The sample at this place is called as the object is.
    Value(usize),
    /// What the object stands in and its own name are the `prefix` of its samples; of its value, if that is all it has,
    /// the whole name.
    Keyed { prefix: String, value: Option<usize> },
}

impl Shape<'_, '_> {
    /// How the samples of an object are called, which are those from `first_sample` on.
    pub(super) fn naming(&mut self, first_sample: usize, object: Object, facts: &Facts) -> Naming {
        let stem_length = match object {
            Object::Outermost => return Naming::Plain,
            Object::Nested => return self.value_of_nested(first_sample, facts),
            Object::Row => return Naming::Plain,
            Object::BatchElement => 0,
            Object::Element { index_at } => index_at,
        };
        let Some((_, identity_at)) = facts.identity else { return Naming::Plain };
        let samples = &self.payload.samples;
        let Some(identity) = samples.get(identity_at) else { return Naming::Plain };
        let mut others = samples.iter().enumerate().skip(first_sample);
        // What has a name of its own is not named by its element.
        let is_other = |place: usize, sample: &Sample| {
            place != identity_at && !sample.has_own_name && (!sample.is_spent || facts.value == Some(place))
        };
        let count = others.clone().filter(|(place, sample)| is_other(*place, sample)).count();
        let has_value = others.any(|(place, _)| facts.value == Some(place));
        if self.is_left_out(&identity.name.sent, stem_length) {
            self.spend(identity_at);
            return Naming::Plain;
        }
        if count == 0 {
            return Naming::Plain;
        }
        let stem = self.path.get(..stem_length).unwrap_or_default();
        let dot = if stem.is_empty() { "" } else { "." };
        let prefix = format!("{stem}{dot}{}", identity.value);
        let is_pair = has_value && count == 1;
        self.spend(identity_at);
        Naming::Keyed { prefix, value: facts.value.filter(|_| is_pair) }
    }

    /// A value with its unit or quality, and nothing else, is called as the object is.
    fn value_of_nested(&self, first_sample: usize, facts: &Facts) -> Naming {
        let Some(value_at) = facts.value else { return Naming::Plain };
        let mut samples = self.payload.samples.iter().enumerate().skip(first_sample);
        let mut has_spent = false;
        let is_alone = samples.all(|(place, sample)| {
            has_spent |= place != value_at && sample.is_spent;
            place == value_at || sample.is_spent
        });
        if is_alone && has_spent && !self.path.is_empty() { Naming::Value(value_at) } else { Naming::Plain }
    }

    /// Whether the profile leaves out the member that names the elements of a list, with or without its number: then
    /// they have no name.
    fn is_left_out(&self, sent: &str, stem_length: usize) -> bool {
        let Some(profile) = self.context.profile else { return false };
        let member = sent.rsplit('.').next().unwrap_or_default();
        let stem = self.path.get(..stem_length).unwrap_or_default();
        let unnumbered = if stem.is_empty() { member.to_owned() } else { format!("{stem}.{member}") };
        profile.ignores(sent) || profile.ignores(&unnumbered)
    }

    /// Puts `prefix` in place of the path in the names of the samples from `first_sample` on, and of the times of
    /// objects from `first_timed` on.
    pub(super) fn replace_prefix(
        &mut self,
        first_sample: usize,
        first_timed: usize,
        prefix: &str,
    ) -> Result<(), Reject> {
        if prefix.ends_with('.') {
            return Err(Reject::EmptyName);
        }
        let Self { context, payload, timed_objects, path, .. } = self;
        let samples = payload.samples.iter_mut().skip(first_sample).filter(|sample| !sample.has_own_name);
        let samples = samples.map(|sample| &mut sample.name);
        let times = timed_objects.iter_mut().skip(first_timed).map(|timed| &mut timed.time.name);
        let times = times.filter(|name| name.sent.starts_with(&**path));
        for known in samples.chain(times) {
            let rest = known.sent.get(path.len()..).unwrap_or_default();
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            let dot = if prefix.is_empty() { "" } else { "." };
            let name = format!("{prefix}{dot}{rest}");
            if name.is_empty() {
                return Err(Reject::EmptyName);
            }
            if name.len() > MAX_NAME_BYTES {
                return Err(Reject::LongName);
            }
            *known = context.names.get(&name, context.profile);
        }
        Ok(())
    }

    /// Calls the value of an object as the object is.
    pub(super) fn name_value(&mut self, place: usize, name: &str) -> Result<(), Reject> {
        if name.is_empty() || name.ends_with('.') {
            return Err(Reject::EmptyName);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(Reject::LongName);
        }
        let name = self.context.names.get(name, self.context.profile);
        if let Some(sample) = self.payload.samples.get_mut(place) {
            sample.name = name;
        }
        Ok(())
    }
}
