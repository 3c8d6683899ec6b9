//! Which devices a rule or a profile is about.

/// A pattern of device ids, `{site}/{device}`: `*` stands for any run of characters within a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePattern {
    site: String,
    device: String,
}

impl DevicePattern {
    /// A pattern such as `plant-1/pump-*`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((site, device)) if !site.is_empty() && !device.is_empty() && !device.contains('/') => {
                Ok(Self { site: site.to_owned(), device: device.to_owned() })
            }
            _ => Err(format!("{text:?} is no pattern such as plant-1/pump-* or */pump-7")),
        }
    }

    /// Whether the device `{site}/{device}` is one of these.
    pub fn matches(&self, id: &str) -> bool {
        id.split_once('/')
            .is_some_and(|(site, device)| is_like(&self.site, site) && is_like(&self.device, device))
    }

    /// How much it says, in characters that are no stars.
    pub(crate) fn weight(&self) -> usize {
        self.site.chars().chain(self.device.chars()).filter(|c| *c != '*').count()
    }
}

/// Whether a text is like a pattern with `*`. Each part between stars is taken where it first fits, which finds a
/// fit if there is one, in time linear in the product of both lengths.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(place) => text = &text[place + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_run_within_a_level() {
        let check = |pattern: &str, id: &str, expected: bool| {
            assert_eq!(DevicePattern::new(pattern).unwrap().matches(id), expected, "{pattern} {id}");
        };
        check("plant-1/pump-7", "plant-1/pump-7", true);
        check("plant-1/pump-7", "plant-1/pump-70", false);
        check("plant-1/*", "plant-1/pump-7", true);
        check("plant-1/*", "plant-10/pump-7", false);
        check("*/*", "any/thing", true);
        check("*/pump-*", "plant-1/pump-7", true);
        check("*/pump-*", "plant-1/fan-7", false);
        check("*/*-a-*-b", "x/1-a-2-b", true);
        check("*/*-a-*-b", "x/1-a-2-c", false);
        check("*/a*a", "x/a", false);
        check("*/a*a", "x/aa", true);
        check("*/**", "x/y", true);
        for refused in ["", "plant", "/pump", "plant/", "a/b/c"] {
            assert!(DevicePattern::new(refused).is_err(), "{refused}");
        }
    }
}
