//! Payloads of bare bytes, which nothing but a profile can lay out: a skeleton to fill in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most payloads of one length that are shown.
const MAX_SHOWN: usize = 3;
/// Most bytes of a payload that are shown.
const MAX_BYTES: usize = 64;

/// Comments: how long the payloads are, their bytes in groups of four, and a field to begin with.
pub(super) fn skeleton(payloads: &[&[u8]]) -> String {
    let mut by_length: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
    for payload in payloads {
        let shown = by_length.entry(payload.len()).or_default();
        if !shown.contains(payload) {
            shown.push(payload);
        }
    }
    let mut text = "\n# Bytes, which the profile lays out: say where each value stands.\n".to_owned();
    for (length, payloads) in by_length {
        let _ = writeln!(text, "# Payloads of {length} byte{}:", if length == 1 { "" } else { "s" });
        let _ = writeln!(text, "#   offset {}", offsets(length.min(MAX_BYTES)));
        for payload in payloads.iter().take(MAX_SHOWN) {
            let _ = writeln!(text, "#          {}", dump(payload));
        }
        if payloads.len() > MAX_SHOWN {
            let _ = writeln!(text, "#          and {} others", payloads.len() - MAX_SHOWN);
        }
    }
    text.push_str("# format = \"bytes\"\n#\n# [[field]]\n# name = \"…\"\n# offset = 0\n# type = \"u16\" # bool, u8 … i64, f32, f64\n# endian = \"big\" # or little\n# scale = 0.1\n# unit = \"…\"\n");
    text
}

/// The number of the first byte of each group, as wide as the group.
fn offsets(length: usize) -> String {
    let groups = (0..length).step_by(4).map(|first| {
        let width = (length - first).min(4) * 3 - 1;
        format!("{first:<width$}")
    });
    groups.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn dump(payload: &[u8]) -> String {
    let shown = payload.get(..MAX_BYTES).unwrap_or(payload);
    let group = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let dots = if payload.len() > MAX_BYTES { " …" } else { "" };
    shown.chunks(4).map(group).collect::<Vec<_>>().join("  ") + dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_groups() {
        let text = skeleton(&[&[8, 0x66, 1], &[9, 0x66, 1], &[9, 0x66, 1], &[1, 2, 3, 4, 5, 6]]);
        let expected = "# Payloads of 3 bytes:\n#   offset 0\n#          08 66 01\n#          09 66 01\n\
                        # Payloads of 6 bytes:\n#   offset 0            4\n#          01 02 03 04  05 06\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    }
}
