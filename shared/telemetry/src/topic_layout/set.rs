//! The layouts of a deployment, and what it ignores.

use std::fmt;
use std::str::FromStr;

use super::overlap::{common_topic_of_layouts, common_topic_with_filter, covers};
use super::{LayoutTopic, TopicLayout};
use crate::reject::Reject;
use crate::topic::{ClientId, TopicFilter, check_broker_name};

/// Most layouts of one deployment: each is a rule and a policy of the template.
const MAX_LAYOUTS: usize = 3;

/// The site of devices whose layout names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutSite(Box<str>);

impl LayoutSite {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LayoutSite {
    fn default() -> Self {
        Self("main".into())
    }
}

impl FromStr for LayoutSite {
    type Err = Reject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_broker_name(text, "site").map(|site| Self(site.into()))
    }
}

impl fmt::Display for LayoutSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The layouts of a deployment, of which no two match one topic, and the filters of topics that it ignores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layouts {
    layouts: Vec<TopicLayout>,
    ignored: Vec<TopicFilter>,
    site: LayoutSite,
}

impl Default for Layouts {
    /// [`DEFAULT_LAYOUT`](super::DEFAULT_LAYOUT), and nothing ignored.
    fn default() -> Self {
        Self { layouts: vec![TopicLayout::default()], ignored: Vec::new(), site: LayoutSite::default() }
    }
}

/// Why layouts do not go together, each problem in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct LayoutsError(Vec<String>);

impl LayoutsError {
    /// Each problem, in a sentence.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl Layouts {
    /// Layouts beside `payload_identity`, the filter of topics whose payloads name the device.
    ///
    /// # Errors
    /// If two of them select one topic, which would be stored twice; if one refuses the topics of another; if a filter
    /// ignores a whole layout; or if there are too many.
    pub fn new(
        layouts: Vec<TopicLayout>,
        ignored: Vec<TopicFilter>,
        site: LayoutSite,
        payload_identity: Option<&TopicFilter>,
    ) -> Result<Self, LayoutsError> {
        let mut problems = Vec::new();
        if layouts.len() > MAX_LAYOUTS {
            problems.push(format!("there are {} layouts, more than {MAX_LAYOUTS}", layouts.len()));
        }
        for (place, layout) in layouts.iter().enumerate() {
            let deeper = layouts.iter().filter(|other| other.is_below(layout, !ignored.is_empty()));
            problems.extend(deeper.map(|other| {
                format!(
                    "{other} is deeper than {layout} below the same first level, where the policies of {layout} refuse what is deeper, and a rule counts it"
                )
            }));
            for other in &layouts[place + 1..] {
                problems.extend(common_topic_of_layouts(layout, other).map(|topic| {
                    format!("{layout} and {other} both match {topic}, whose readings would be stored twice")
                }));
            }
            problems
                .extend(payload_identity.and_then(|filter| problem_with_payload_identity(layout, filter)));
            let covering = ignored.iter().filter(|filter| covers(filter, layout));
            problems.extend(covering.map(|filter| format!("{filter} would ignore all topics of {layout}")));
        }
        if problems.is_empty() { Ok(Self { layouts, ignored, site }) } else { Err(LayoutsError(problems)) }
    }

    /// The layouts.
    pub fn iter(&self) -> impl Iterator<Item = &TopicLayout> {
        self.layouts.iter()
    }

    /// The site of devices whose layout names none.
    pub fn site(&self) -> &str {
        self.site.as_str()
    }

    /// Whether messages on a topic are ignored.
    pub fn ignores(&self, topic: &str) -> bool {
        self.ignored.iter().any(|filter| filter.matches(topic))
    }

    /// What `topic` says by the layout that it is of; `None` if it is of none.
    ///
    /// # Errors
    /// If a level cannot be the name that it stands for.
    pub fn read<'a>(&self, topic: &'a str) -> Option<Result<LayoutTopic<'a>, Reject>> {
        self.layouts.iter().find_map(|layout| layout.read(topic))
    }
}

/// Why a layout and topics whose payloads name the device do not go together.
fn problem_with_payload_identity(layout: &TopicLayout, filter: &TopicFilter) -> Option<String> {
    if let Some(topic) = common_topic_with_filter(layout, filter) {
        return Some(format!(
            "{layout} and {filter}, whose payloads name the device, both match {topic}, whose readings would be stored twice"
        ));
    }
    let first = layout.levels().first().map(ToString::to_string);
    (filter.levels().next() == first.as_deref()).then(|| {
        format!(
            "{layout} and {filter}, whose payloads name the device, begin with the same level: a policy's stars span slashes, and whoever may publish on {filter} could publish as any device"
        )
    })
}

impl TopicLayout {
    /// Whether it has topics that the template gives to `other` for being deeper than that: the policies of a layout of fixed
    /// depth refuse them where they have stars, and where topics are ignored a rule selects them.
    fn is_below(&self, other: &Self, is_ignoring: bool) -> bool {
        let is_deeper = self.is_open() || self.levels().len() > other.levels().len();
        let has_claim = is_ignoring || other.policy(ClientId::Match).deny.is_some();
        !other.is_open() && has_claim && is_deeper && self.levels().first() == other.levels().first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layouts(texts: &[&str], ignored: &[&str], payload: Option<&str>) -> Result<Layouts, LayoutsError> {
        let layouts = texts.iter().map(|text| text.parse().unwrap()).collect();
        let ignored = ignored.iter().map(|text| text.parse().unwrap()).collect();
        let payload: Option<TopicFilter> = payload.map(|text| text.parse().unwrap());
        Layouts::new(layouts, ignored, LayoutSite::default(), payload.as_ref())
    }

    #[test]
    fn layouts_that_share_a_topic_are_refused_by_its_name() {
        let check = |texts: &[&str], expected: Option<&str>| {
            let error = layouts(texts, &[], None).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected.is_some(), "{texts:?}: {error:?}");
            if let (Some(error), Some(topic)) = (error, expected) {
                assert!(error.contains(&format!("both match {topic},")), "{error}");
            }
        };
        check(&["dt/{site}/{device}/{stream}", "N/{device}/{metric...}", "zigbee2mqtt/{device}"], None);
        check(&["f/{device}/t", "f/{device}/h"], None);
        check(&["f/{device}/t", "f/{device}/{metric}"], Some("f/pump-7/t"));
        check(&["f/a/{device}", "f/{device}/b"], Some("f/a/b"));
        check(&["f/{device}/{metric...}", "f/{site}/{device}/{stream}"], Some("f/pump-7/pump-7/state"));
        // The rule of the first selects it, though the layout does not match it.
        check(&["f/{device}/{metric...}", "f/{device}"], Some("f/pump-7"));
        check(&["f/{device}", "f/{device}"], Some("f/pump-7"));
    }

    #[test]
    fn a_deeper_layout_has_another_first_level() {
        let check = |texts: &[&str], ignored: &[&str], is_good: bool| {
            assert_eq!(layouts(texts, ignored, None).is_ok(), is_good, "{texts:?} {ignored:?}");
        };
        check(&["f/{device}/{metric}", "f/{site}/{device}/{stream}"], &[], false);
        check(&["f/{site}/{device}/{stream}", "f/{device}/{metric}"], &[], false);
        check(&["f/{device}/{metric}", "g/{site}/{device}/{stream}"], &[], true);
        // The first permits no topic but its own; but where topics are ignored, a rule selects all that is deeper.
        check(&["f/{device}/t", "f/{device}/air/{metric}"], &[], true);
        check(&["f/{device}/t", "f/{device}/air/{metric}"], &["f/announce"], false);
        check(&["f/{device}/a/{metric}", "f/{device}/b/{metric}"], &["f/announce"], true);
    }

    #[test]
    fn filters_that_share_a_topic_with_a_layout_are_refused() {
        let shared = layouts(&["iot/{device}"], &[], Some("iot/#")).unwrap_err().to_string();
        assert!(shared.contains("iot/# ") || shared.contains("iot/#,"), "{shared}");
        assert!(shared.contains("both match iot/pump-7,"), "{shared}");
        assert!(layouts(&["dt/{device}"], &[], Some("iot/#")).is_ok());
        // The policy has f/*/up, which is f/pump-8/t/up, too.
        let first = layouts(&["f/{device}/t/{metric}"], &[], Some("f/+/up")).unwrap_err().to_string();
        assert!(first.contains("begin with the same level"), "{first}");
        let all = layouts(&["z/{device}"], &["z/#"], None).unwrap_err().to_string();
        assert!(all.contains("z/# would ignore all topics of z/{device}"), "{all}");
        let some = layouts(&["z/{device}/{metric...}"], &["z/bridge/#", "z/announce"], None).unwrap();
        assert!(some.ignores("z/bridge/state") && some.ignores("z/bridge") && some.ignores("z/announce"));
        assert!(!some.ignores("z/lamp/state"));
        assert!(layouts(&["a/{device}", "b/{device}", "c/{device}", "d/{device}"], &[], None).is_err());
    }

    #[test]
    fn a_site_is_a_name_that_no_payload_has() {
        assert_eq!("main".parse::<LayoutSite>(), Ok(LayoutSite::default()));
        for refused in ["", "a/b", "a#", "payload::iot", "a:"] {
            assert!(refused.parse::<LayoutSite>().is_err(), "{refused}");
        }
    }
}
