//! The layouts of a deployment, and what it ignores.

use std::fmt;
use std::str::FromStr;

use super::overlap::{common_topic, common_topic_of_layouts, common_topic_with_filter, covers};
use super::{LayoutTopic, Level, TopicLayout};
use crate::reject::Reject;
use crate::topic::{TopicFilter, check_broker_name, literal_problem};

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

/// Why a text is no [`LayoutSite`]; the template's pattern refuses the same texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a site that stands for itself in policies {0}")]
pub struct LayoutSiteError(&'static str);

impl FromStr for LayoutSite {
    type Err = LayoutSiteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = match literal_problem(text) {
            None if text.contains('/') => Some("has a slash"),
            // It parts what the broker vouches for from what a payload says.
            None if text.contains(':') => Some("has a colon"),
            None => check_broker_name(text, "site").err().map(|_| "is no name"),
            problem => problem,
        };
        problem.map_or_else(|| Ok(Self(text.into())), |problem| Err(LayoutSiteError(problem)))
    }
}

impl fmt::Display for LayoutSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A layout of a deployment, and what its fleet publishes besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetLayout {
    /// The layout.
    pub layout: TopicLayout,
    /// The topics whose messages are ignored.
    pub ignored: Option<TopicFilter>,
}

impl From<TopicLayout> for FleetLayout {
    /// Nothing is ignored.
    fn from(layout: TopicLayout) -> Self {
        Self { layout, ignored: None }
    }
}

/// The layouts of a deployment, of which no two match one topic, and the filters of topics that it ignores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layouts {
    layouts: Vec<FleetLayout>,
    site: LayoutSite,
}

impl Default for Layouts {
    /// [`DEFAULT_LAYOUT`](super::DEFAULT_LAYOUT), and nothing ignored.
    fn default() -> Self {
        Self { layouts: vec![TopicLayout::default().into()], site: LayoutSite::default() }
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
    /// If two rules select one topic, which would be stored or counted twice; if the policies of one layout permit or refuse
    /// topics of another; if a filter ignores a whole layout; or if there are too many.
    pub fn new(
        layouts: Vec<FleetLayout>,
        site: LayoutSite,
        payload_identity: Option<&TopicFilter>,
    ) -> Result<Self, LayoutsError> {
        let mut problems = Vec::new();
        if layouts.len() > MAX_LAYOUTS {
            problems.push(format!("there are {} layouts, more than {MAX_LAYOUTS}", layouts.len()));
        }
        for (place, fleet) in layouts.iter().enumerate() {
            for (other_place, other) in layouts.iter().enumerate().filter(|(other, _)| *other != place) {
                problems.extend(problem_of_reach(&fleet.layout, &other.layout));
                problems.extend(problem_with_ignored_of(fleet, &other.layout));
                if place < other_place {
                    problems.extend(problem_of_two(fleet, other));
                }
            }
            problems.extend(payload_identity.into_iter().flat_map(|filter| problems_with(fleet, filter)));
            let covering = fleet.ignored.iter().filter(|filter| covers(filter, &fleet.layout));
            problems.extend(
                covering.map(|filter| format!("{filter} would ignore all topics of {}", fleet.layout)),
            );
        }
        if problems.is_empty() { Ok(Self { layouts, site }) } else { Err(LayoutsError(problems)) }
    }

    /// The layouts.
    pub fn iter(&self) -> impl Iterator<Item = &TopicLayout> {
        self.layouts.iter().map(|fleet| &fleet.layout)
    }

    /// The site of devices whose layout names none.
    pub fn site(&self) -> &str {
        self.site.as_str()
    }

    /// Whether messages on a topic are ignored.
    pub fn ignores(&self, topic: &str) -> bool {
        self.layouts.iter().filter_map(|fleet| fleet.ignored.as_ref()).any(|filter| filter.matches(topic))
    }

    /// What `topic` says by the layout that it is of; `None` if it is of none.
    ///
    /// # Errors
    /// If a level cannot be the name that it stands for.
    pub fn read<'a>(&self, topic: &'a str) -> Option<Result<LayoutTopic<'a>, Reject>> {
        self.iter().find_map(|layout| layout.read(topic))
    }
}

/// Why the policies of `layout` do not go with the topics of `other`.
fn problem_of_reach(layout: &TopicLayout, other: &TopicLayout) -> Option<String> {
    if layout.first() != other.first() {
        return None;
    }
    if layout.is_open() && layout.has_text_after_device() {
        return Some(format!(
            "{layout} and {other} begin with the same level: a gateway's policy has stars that span slashes, and with the text after {{device}} of {layout} it would permit topics of {other}"
        ));
    }
    // In the policy of gateways every layout of fixed depth has a star. So that policy refuses what is deeper; where topics
    // are ignored, a rule selects it instead.
    (!layout.is_open() && other.is_deeper_than(layout)).then(|| {
        format!(
            "{other} is deeper than {layout} below the same first level, where the policies of {layout} refuse what is deeper, or a rule counts it"
        )
    })
}

/// Why what is ignored beside one layout does not go with another.
fn problem_with_ignored_of(fleet: &FleetLayout, other: &TopicLayout) -> Option<String> {
    let filter = fleet.ignored.as_ref().filter(|filter| filter.levels().next() == other.first())?;
    Some(format!(
        "{filter}, which is ignored beside {}, begins with the same level as {other}, whose rules would select its messages, too",
        fleet.layout
    ))
}

/// A topic that rules of both layouts select.
fn problem_of_two(a: &FleetLayout, b: &FleetLayout) -> Option<String> {
    let of_layouts = common_topic_of_layouts(&a.layout, &b.layout).map(|topic| {
        format!("{} and {} both match {topic}, whose readings would be stored twice", a.layout, b.layout)
    });
    of_layouts.or_else(|| {
        let (first, second) = (a.ignored.as_ref()?, b.ignored.as_ref()?);
        let topic = common_topic(first, second)?;
        Some(format!(
            "{first} and {second}, which are ignored, both match {topic}, which would be counted twice"
        ))
    })
}

/// Why a layout, or what is ignored beside it, does not go with topics whose payloads name the device.
fn problems_with(fleet: &FleetLayout, filter: &TopicFilter) -> impl Iterator<Item = String> {
    let FleetLayout { layout, ignored } = fleet;
    let of_layout = match common_topic_with_filter(layout, filter) {
        Some(topic) => Some(format!(
            "{layout} and {filter}, whose payloads name the device, both match {topic}, whose readings would be stored twice"
        )),
        None => (filter.levels().next() == layout.first()).then(|| {
            format!(
                "{layout} and {filter}, whose payloads name the device, begin with the same level: a policy's stars span slashes, and whoever may publish on {filter} could publish as any device"
            )
        }),
    };
    let of_ignored = ignored.as_ref().and_then(|ignored| {
        let topic = common_topic(ignored, filter)?;
        Some(format!(
            "{ignored}, which is ignored, and {filter}, whose payloads name the device, both match {topic}, which would be counted twice"
        ))
    });
    of_layout.into_iter().chain(of_ignored)
}

impl TopicLayout {
    /// Its first level, which is a text.
    fn first(&self) -> Option<&str> {
        match self.levels().first() {
            Some(Level::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether a text stands after the device.
    fn has_text_after_device(&self) -> bool {
        let mut after = self.levels().iter().skip_while(|level| **level != Level::Device);
        after.any(|level| matches!(level, Level::Literal(_)))
    }

    /// Whether it has topics that are deeper than `other`, which has a fixed depth.
    fn is_deeper_than(&self, other: &Self) -> bool {
        self.is_open() || self.levels().len() > other.levels().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layouts, each with what is ignored beside it; filters may be fewer.
    fn layouts(texts: &[&str], ignored: &[&str], payload: Option<&str>) -> Result<Layouts, LayoutsError> {
        let mut ignored = ignored.iter().map(|text| Some(*text).filter(|text| !text.is_empty()));
        let fleets = texts.iter().map(|text| FleetLayout {
            layout: text.parse().unwrap(),
            ignored: ignored.next().flatten().map(|text| text.parse().unwrap()),
        });
        let fleets: Vec<FleetLayout> = fleets.collect();
        assert!(ignored.next().is_none(), "a filter without a layout");
        let payload: Option<TopicFilter> = payload.map(|text| text.parse().unwrap());
        Layouts::new(fleets, LayoutSite::default(), payload.as_ref())
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
        // The first permits devices no topic but their own; but gateways are refused what is deeper.
        check(&["f/{device}/t", "f/{device}/air/{metric}"], &[], false);
        check(&["f/{device}/t", "f/{device}/{metric}/{prefix}/{stream}"], &["g/announce"], false);
        check(&["f/{device}/t", "f/a/{device}/{metric...}"], &[], false);
        check(&["f/{device}/a/{metric}", "f/{device}/b/{metric}"], &[], true);
        check(&["f/{device}/a/{metric}", "f/{device}/b/{metric}"], &["g/announce"], true);
    }

    /// `f/*/t/*` is `f/plant-1/u/pump-7/t/x`, too.
    #[test]
    fn a_layout_of_any_depth_with_a_text_after_the_device_has_a_first_level_of_its_own() {
        let check = |texts: &[&str], is_good: bool| {
            let error = layouts(texts, &[], None).err().map(|error| error.to_string());
            assert_eq!(error.is_none(), is_good, "{texts:?}: {error:?}");
            if let Some(error) = error {
                assert!(error.contains("begin with the same level"), "{error}");
            }
        };
        check(&["f/{device}/t/{metric...}", "f/{site}/u/{device}/{metric...}"], false);
        check(&["f/{site}/u/{device}/{metric...}", "f/{device}/t/{metric...}"], false);
        check(&["f/{device}/t/{metric...}", "f/{device}/u/{metric...}"], false);
        check(&["f/{device}/t/{metric...}", "g/{site}/u/{device}/{metric...}"], true);
        check(&["f/a/{device}/{metric...}", "f/b/{device}/{metric...}"], true);
    }

    #[test]
    fn what_is_ignored_beside_a_layout_begins_as_no_other_does() {
        let check = |texts: &[&str], ignored: &[&str], payload: Option<&str>, expected: Option<&str>| {
            let error = layouts(texts, ignored, payload).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected.is_some(), "{texts:?} {ignored:?}: {error:?}");
            if let (Some(error), Some(expected)) = (error, expected) {
                assert!(error.contains(expected), "{error}");
            }
        };
        let same = "begins with the same level as";
        check(&["f/{device}/a", "f/{device}/b"], &["f/announce"], None, Some(same));
        check(&["f/{device}/a", "g/{device}/b"], &["g/announce"], None, Some(same));
        check(&["f/{device}/a", "g/{device}/b"], &["f/announce", "g/announce"], None, None);
        check(
            &["f/{device}/a", "g/{device}/b"],
            &["h/#", "h/announce"],
            None,
            Some("both match h/announce,"),
        );
        check(&["f/{device}/a"], &["iot/hello"], Some("iot/#"), Some("both match iot/hello,"));
        check(&["f/{device}/a"], &["iot/hello"], Some("iot/data/#"), None);
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
        let some = layouts(&["z/{device}/{metric...}"], &["z/bridge/#"], None).unwrap();
        assert!(some.ignores("z/bridge/state") && some.ignores("z/bridge"));
        assert!(!some.ignores("z/lamp/state"));
        assert!(layouts(&["a/{device}", "b/{device}", "c/{device}", "d/{device}"], &[], None).is_err());
    }

    #[test]
    fn a_site_is_a_name_that_no_payload_has() {
        assert_eq!("main".parse::<LayoutSite>(), Ok(LayoutSite::default()));
        for refused in
            ["", "a/b", "a#", "a b", "payload::iot", "a:", "a:b", "\u{e9}", "a\u{a0}b", "a\u{2028}"]
        {
            assert!(refused.parse::<LayoutSite>().is_err(), "{refused}");
        }
    }
}
