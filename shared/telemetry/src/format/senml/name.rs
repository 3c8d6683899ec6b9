//! Names of SenML: whose a record is, and what it measures.

/// What DEV URNs (RFC 9039) begin with, in front of the kind of the identifier.
const DEVICE_URN: &str = "urn:dev:";

/// The metric where a name says no more than the device that a gateway speaks for.
pub(super) const OF_DEVICE_ITSELF: &str = "value";

/// Whether a resolved name is one (RFC 8428, 4.5.1). A leading slash is let pass: LwM2M's paths have it (LwM2M Core
/// 1.1, 7.4.4).
pub(super) fn is_allowed(name: &str) -> bool {
    let name = name.strip_prefix('/').unwrap_or(name);
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && has_allowed_characters(name)
}

/// Whether a name, or a part of one, has no characters but those that names may have.
pub(super) fn has_allowed_characters(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:./_".contains(&byte))
}

/// The device in a name, if `is_gateway`, and where the metric begins.
///
/// | name | device | metric |
/// |---|---|---|
/// | `urn:dev:ow:10e2073a01080063:voltage`, also with `_` or `/` before the metric | `urn:dev:ow:10e2073a01080063` | `voltage` |
/// | `2001:db8::2/temperature`, of a gateway | `2001:db8::2` | `temperature` |
/// | `2001:db8::2/temperature`, else | | all of it |
/// | `/3303/0/5700` | | `3303/0/5700` |
/// | `urn:dev:ow:10e2073a01080063`, of a gateway | all of it | none |
/// | `urn:dev:ow:10e2073a01080063`, else | | all of it |
pub(super) fn split(name: &str, is_gateway: bool) -> (Option<&str>, usize) {
    let start = usize::from(name.starts_with('/'));
    let path = name.get(start..).unwrap_or_default();
    let device = match (device_urn(path), path.split_once('/')) {
        (Some(urn), _) => Some(urn),
        (None, Some((first, _))) if is_gateway => Some(first),
        (None, _) => None,
    };
    let Some(device) = device else { return (None, start) };
    // What separates the two is one byte.
    let metric_at = (start + device.len() + 1).min(name.len());
    if metric_at < name.len() || is_gateway {
        (Some(device).filter(|_| is_gateway), metric_at)
    } else {
        (None, start)
    }
}

/// The DEV URN that a name begins with. The identifier in it has neither colon nor underscore nor slash (RFC 9039, 3.2).
fn device_urn(name: &str) -> Option<&str> {
    let prefix = name.get(..DEVICE_URN.len())?;
    if !prefix.eq_ignore_ascii_case(DEVICE_URN) {
        return None;
    }
    let kind_and_more = name.get(DEVICE_URN.len()..)?;
    let identifier_at = DEVICE_URN.len() + kind_and_more.find(':')? + 1;
    let identifier = name.get(identifier_at..)?;
    let length = identifier.find([':', '_', '/']).unwrap_or(identifier.len());
    if length == 0 { None } else { name.get(..identifier_at + length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_in_front_is_left_out() {
        let check = |name: &str, is_gateway: bool, device: Option<&str>, metric: &str| {
            let (found, metric_at) = split(name, is_gateway);
            assert_eq!((found, &name[metric_at..]), (device, metric), "{name}");
        };
        check("urn:dev:ow:10e2073a01080063:voltage", false, None, "voltage");
        check("urn:dev:ow:10e2073a01080063:room:temp", false, None, "room:temp");
        check("urn:dev:mac:0024befffe804ff1/temp", false, None, "temp");
        check("URN:DEV:mac:0024befffe804ff1_temp_1", false, None, "temp_1");
        check("urn:dev:ow:10e2073a01080063", false, None, "urn:dev:ow:10e2073a01080063");
        check("urn:dev:ow:10e2073a01080063:", false, None, "urn:dev:ow:10e2073a01080063:");
        check("urn:dev:ow", false, None, "urn:dev:ow");
        check("urn:dev:ow:", false, None, "urn:dev:ow:");
        check("urn:dev:ow::x", false, None, "urn:dev:ow::x");
        check("urn:uuid:1b4e:x", false, None, "urn:uuid:1b4e:x");
        check("2001:db8::2/temperature", false, None, "2001:db8::2/temperature");
        check("temperature", false, None, "temperature");
        check("/3303/0/5700", false, None, "3303/0/5700");
        let urn = Some("urn:dev:ow:10e2073a01080063");
        check("urn:dev:ow:10e2073a01080063:voltage", true, urn, "voltage");
        check("urn:dev:ow:10e2073a01080063", true, urn, "");
        check("urn:dev:ow:10e2073a01080063:", true, urn, "");
        check("2001:db8::2/temperature", true, Some("2001:db8::2"), "temperature");
        check("/d01/3303/0/5700", true, Some("d01"), "3303/0/5700");
        check("temperature", true, None, "temperature");
    }

    #[test]
    fn names_have_few_characters() {
        for name in ["a", "0", "2001:db8::2/t", "A-b_c.d/e:", "/3/0/1"] {
            assert!(is_allowed(name), "{name}");
        }
        for name in ["", "/", "//a", "-a", "_", ":a", ".", "a b", "é", "a+", "a#", "a\0", "a%"] {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
