//! Sparkplug's topics: `spBv1.0/{group}/{message type}/{edge node}[/{device}]` (Sparkplug 3.0.0, 4.1).

use std::fmt;
use std::sync::Arc;

use crate::reject::Reject;
use crate::topic::{JOINT, check_broker_name, check_name, name_behind, without_basic_ingest};

/// The first level of every topic of Sparkplug B.
pub const NAMESPACE: &str = "spBv1.0";

/// What a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NBIRTH: an edge node's session begins.
    NodeBirth,
    /// NDEATH: the broker has lost it. Its will, so it has no sequence number.
    NodeDeath,
    /// NDATA.
    NodeData,
    /// DBIRTH: a device is there.
    DeviceBirth,
    /// DDEATH: it is there no longer.
    DeviceDeath,
    /// DDATA.
    DeviceData,
}

impl Kind {
    fn of_level(level: &str) -> Option<Self> {
        Some(match level {
            "NBIRTH" => Self::NodeBirth,
            "NDEATH" => Self::NodeDeath,
            "NDATA" => Self::NodeData,
            "DBIRTH" => Self::DeviceBirth,
            "DDEATH" => Self::DeviceDeath,
            "DDATA" => Self::DeviceData,
            _ => return None,
        })
    }

    fn is_of_device(self) -> bool {
        matches!(self, Self::DeviceBirth | Self::DeviceDeath | Self::DeviceData)
    }
}

/// An edge node: `{group}/{node}`. It is a device itself, and of the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// `{group}/{node}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The node whose message a topic is of, where it is a topic of one.
    pub fn of_topic(topic: &str) -> Option<Self> {
        Some(Address::read(without_basic_ingest(topic))?.ok()?.node())
    }

    /// Where the node listens for commands.
    pub fn command_topic(&self) -> String {
        let (group, node) = self.0.split_once('/').unwrap_or_default();
        format!("{NAMESPACE}/{group}/NCMD/{node}")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A topic, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: Kind,
    pub(crate) node: &'a str,
    pub(crate) device: Option<&'a str>,
}

impl<'a> Address<'a> {
    /// `None` if the topic is of another namespace.
    pub(crate) fn read(topic: &'a str) -> Option<Result<Self, Reject>> {
        let rest = topic.strip_prefix(NAMESPACE)?.strip_prefix('/')?;
        Some(Self::read_levels(rest))
    }

    fn read_levels(levels: &'a str) -> Result<Self, Reject> {
        let mut levels = levels.split('/');
        let (Some(group), Some(kind), Some(node)) = (levels.next(), levels.next(), levels.next()) else {
            return Err(Reject::SparkplugTopic);
        };
        let (device, None) = (levels.next(), levels.next()) else { return Err(Reject::SparkplugTopic) };
        let kind = Kind::of_level(kind).ok_or(Reject::SparkplugTopic)?;
        if kind.is_of_device() != device.is_some() {
            return Err(Reject::SparkplugTopic);
        }
        check_broker_name(group, "group")?;
        check_name(node, "edge node")?;
        if node.contains(JOINT) || node.ends_with(':') {
            return Err(Reject::SparkplugNode);
        }
        device.map(|device| check_name(device, "device")).transpose()?;
        let address = Self { group, kind, node, device };
        check_name(&address.name(), "device")?;
        Ok(address)
    }

    /// Who the message is about, as a device of the site that is the group: the node, or `{node}::{device}`.
    pub(crate) fn name(&self) -> String {
        self.device.map_or_else(|| self.node.to_owned(), |device| name_behind(self.node, device))
    }

    pub(crate) fn node(&self) -> NodeId {
        NodeId(format!("{}/{}", self.group, self.node).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_say_who_and_what() {
        let check = |topic: &str, expected: Result<(&str, Kind, &str), Reject>| {
            let found = Address::read(topic).unwrap();
            let words = found.map(|address| (address.node().to_string(), address.kind, address.name()));
            assert_eq!(
                words.as_ref().map(|(node, kind, name)| (&**node, *kind, &**name)),
                expected.as_ref().copied(),
                "{topic}"
            );
        };
        check("spBv1.0/plant/NBIRTH/line-3", Ok(("plant/line-3", Kind::NodeBirth, "line-3")));
        check("spBv1.0/plant/NDEATH/line-3", Ok(("plant/line-3", Kind::NodeDeath, "line-3")));
        check("spBv1.0/plant/DDATA/AA:BB/pump", Ok(("plant/AA:BB", Kind::DeviceData, "AA:BB::pump")));
        check("spBv1.0/plant/DBIRTH/n/a::b", Ok(("plant/n", Kind::DeviceBirth, "n::a::b")));
        for commands_and_faults in [
            "spBv1.0/",
            "spBv1.0/plant",
            "spBv1.0/plant/NDATA",
            "spBv1.0/STATE/host",
            "spBv1.0/plant/NCMD/line-3",
            "spBv1.0/plant/DCMD/line-3/pump",
            "spBv1.0/plant/ndata/line-3",
            "spBv1.0/plant/NDATA/line-3/pump",
            "spBv1.0/plant/DDATA/line-3",
            "spBv1.0/plant/DDATA/line-3/pump/7",
        ] {
            check(commands_and_faults, Err(Reject::SparkplugTopic));
        }
        check("spBv1.0/plant/NDATA/line::3", Err(Reject::SparkplugNode));
        check("spBv1.0/plant/NDATA/line:", Err(Reject::SparkplugNode));
        check("spBv1.0//NDATA/line-3", Err(Reject::Name("group")));
        check("spBv1.0/plant/NDATA/", Err(Reject::Name("edge node")));
        check("spBv1.0/plant/DDATA/n/", Err(Reject::Name("device")));
        check(&format!("spBv1.0/plant/DDATA/n/{}", "d".repeat(126)), Err(Reject::Name("device")));
        assert_eq!(Address::read("dt/plant/pump/state"), None);
        assert_eq!(Address::read("spBv1.0x/plant/NDATA/n"), None);
    }

    #[test]
    fn commands_go_to_the_node() {
        let node = NodeId::of_topic("spBv1.0/plant/DDATA/line-3/pump").unwrap();
        assert_eq!(node.command_topic(), "spBv1.0/plant/NCMD/line-3");
        assert_eq!(NodeId::of_topic("spBv1.0/plant/NCMD/line-3"), None);
        assert_eq!(NodeId::of_topic("$aws/rules/r/spBv1.0/plant/NDATA/line-3"), Some(node));
    }
}
