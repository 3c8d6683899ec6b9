//! Texts of times in a layout that a profile writes down, in the directives of strptime.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};

use crate::clock::offset_seconds;

/// The directive for a mark of the zone, which stands at the end.
const MARK: &str = "%Z";

/// What letters at the end of a time say of its zone: seconds ahead of UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneMarks(BTreeMap<String, i32>);

impl ZoneMarks {
    /// Reads marks and their offsets: `S` and `+02:00`.
    ///
    /// # Errors
    /// What is wrong with one of them, in a sentence.
    pub(crate) fn new(marks: &BTreeMap<String, String>) -> Result<Self, String> {
        let mark = |(mark, offset): (&String, &String)| {
            if mark.is_empty() || !mark.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(format!("`zone_marks`: a mark such as {mark:?} is letters"));
            }
            let offset = offset_seconds(offset)
                .ok_or_else(|| format!("`zone_marks`: {mark} stands for an offset such as +02:00"))?;
            Ok((mark.clone(), offset))
        };
        marks.iter().map(mark).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The layout of a time's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat {
    /// As written.
    text: Box<str>,
    /// The part that says date and time.
    local: Box<str>,
    has_mark: bool,
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A time that was written in some layout.
pub(crate) enum Written {
    /// Date and time of a place, which something else says.
    Local(DateTime),
    /// A point in time: seconds ahead of UTC.
    At(DateTime, i32),
}

impl TimeFormat {
    /// Reads a layout, and tries it on a time.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let (local, has_mark) = match text.strip_suffix(MARK) {
            Some(local) => (local.trim_end(), true),
            None => (text, false),
        };
        if local.contains(MARK) {
            return Err("`format`: %Z, a mark of the zone, stands at the end".to_owned());
        }
        let format = Self { text: text.into(), local: local.into(), has_mark };
        let example = DateTime::constant(2024, 3, 15, 13, 45, 59, 0).to_zoned(TimeZone::UTC);
        let example = example.map_err(|error| error.to_string())?;
        let written = strtime::format(local, &example).map_err(|error| format!("`format`: {error}"))?;
        if format.read_local(&written).is_none() {
            return Err(format!(
                "`format` {text:?} does not say date and time of day: {written:?} cannot be read by it"
            ));
        }
        Ok(format)
    }

    /// Whether the layout ends in a mark of the zone.
    pub(crate) fn has_mark(&self) -> bool {
        self.has_mark
    }

    /// Reads a text; `None` if it is none of this layout, or has a mark that is not known.
    pub(crate) fn read(&self, text: &str, marks: &ZoneMarks) -> Option<Written> {
        if !self.has_mark {
            return self.read_local(text);
        }
        let mark_at = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (local, mark) = text.split_at_checked(mark_at)?;
        let ahead = *marks.0.get(mark)?;
        match self.read_local(local.trim_end())? {
            Written::Local(local) => Some(Written::At(local, ahead)),
            at @ Written::At(..) => Some(at),
        }
    }

    fn read_local(&self, text: &str) -> Option<Written> {
        let parsed = strtime::parse(&*self.local, text).ok()?;
        let local = match (parsed.to_datetime(), parsed.hour()) {
            (Ok(local), _) => local,
            // A day alone begins at midnight.
            (Err(_), None) => parsed.to_date().ok()?.to_datetime(Time::midnight()),
            (Err(_), Some(_)) => return None,
        };
        Some(
            parsed
                .offset()
                .map(Offset::seconds)
                .map_or(Written::Local(local), |ahead| Written::At(local, ahead)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(format: &str, text: &str) -> Option<String> {
        let marks = [("S", "+02:00"), ("W", "+01:00"), ("CEST", "+02:00")];
        let marks = marks.map(|(mark, offset)| (mark.to_owned(), offset.to_owned()));
        let marks = ZoneMarks::new(&BTreeMap::from(marks)).unwrap();
        Some(match TimeFormat::new(format).unwrap().read(text, &marks)? {
            Written::Local(local) => local.to_string(),
            Written::At(local, ahead) => format!("{local} {ahead}"),
        })
    }

    #[test]
    fn layouts_of_devices_are_read() {
        let check = |format: &str, text: &str, expected: Option<&str>| {
            assert_eq!(show(format, text).as_deref(), expected, "{format} {text}");
        };
        check("%Y/%m/%d %H:%M:%S", "2018/12/12 10:00:00", Some("2018-12-12T10:00:00"));
        check("%d.%m.%Y %H:%M:%S", "12.12.2018 10:00:01", Some("2018-12-12T10:00:01"));
        check("%d.%m.%Y %H:%M", "1.2.2018 7:05", Some("2018-02-01T07:05:00"));
        check("%Y%m%d%H%M%S", "20181212100002", Some("2018-12-12T10:00:02"));
        check("%y%m%d%H%M%S%Z", "181212100002W", Some("2018-12-12T10:00:02 3600"));
        check("%y%m%d%H%M%S%Z", "180712100002S", Some("2018-07-12T10:00:02 7200"));
        check("%d.%m.%Y %H:%M:%S %Z", "12.07.2018 10:00:01 CEST", Some("2018-07-12T10:00:01 7200"));
        check("%y%m%d%H%M%S%Z", "181212100002X", None);
        check("%y%m%d%H%M%S%Z", "181212100002", None);
        check("%Y-%m-%dT%H:%M:%S%z", "2023-10-13T07:13:18+0200", Some("2023-10-13T07:13:18 7200"));
        check("%d %b %Y %I:%M:%S %p", "05 Mar 2024 01:02:03 PM", Some("2024-03-05T13:02:03"));
        check("%Y-%m-%d %H:%M:%S%.f", "2024-03-05 01:02:03.25", Some("2024-03-05T01:02:03.25"));
        check("%d.%m.%Y", "12.12.2018", Some("2018-12-12T00:00:00"));
        check("%Y %m %d %H %M %S", "2024 7 11 6 40 0", Some("2024-07-11T06:40:00"));
        check("%d.%m.%Y %H:%M", "31.02.2018 07:05", None);
        check("%d.%m.%Y %H:%M", "12.12.2018 10:00:01", None);
        check("%d.%m.%Y %H:%M", "", None);
    }

    #[test]
    fn a_layout_that_is_none_is_refused() {
        for bad in ["", "%H:%M:%S", "%Q!", "%d.%m %H:%M", "%Z %Y-%m-%d %H:%M", "%"] {
            assert!(TimeFormat::new(bad).is_err(), "{bad}");
        }
        let marks = |mark: &str, offset: &str| {
            ZoneMarks::new(&BTreeMap::from([(mark.to_owned(), offset.to_owned())]))
        };
        assert!(marks("S", "+2").is_err() && marks("", "+02:00").is_err() && marks("1", "+02:00").is_err());
    }
}
