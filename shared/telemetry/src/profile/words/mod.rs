//! Profiles in words: what each construct does, in a sentence.

mod shapes;

use serde::Serialize;

use super::field::{Endian, FieldFields};
use super::metric_rule::{MeaningField, MetricFields, SentinelField};
use super::quality_field::{CodesField, QualityFields};
use super::time_field::TimeFields;
use super::written::{ProfileFields, Texts};
use super::{FieldType, Gateway, Leniency, MetricRule, NamePattern, Profile, ProfileUnit, ValueType};

/// Most entries of a map or a table of codes that are shown.
const MAX_SHOWN: usize = 6;

impl Profile {
    /// What it does, in lines: which messages it reads, how, and what it makes of each place, member and metric.
    pub fn summary(&self) -> Vec<String> {
        // It is what the profile was made of.
        let Ok(fields) = serde_json::from_str::<ProfileFields>(&self.document) else { return Vec::new() };
        let mut lines = vec![format!("reads {}{}", messages(&fields), as_format(&fields))];
        lines.extend(self.gateway.as_ref().map(gateway));
        lines.extend(self.interval.map(|interval| format!("each device sends every {interval}")));
        lines.extend(fields.topic_name.as_ref().map(|name| {
            format!("a bare value is called {name} by its topic, which stands before all other names")
        }));
        lines.extend(fields.charset.map(|charset| format!("its texts are {}", word(&charset))));
        if !self.lenient.is_empty() {
            let lets = self.lenient.iter().map(|leniency| leniency_words(*leniency)).collect::<Vec<_>>();
            lines.push(format!("lets pass {}", lets.join(", ")));
        }
        lines.extend(fields.time.as_ref().into_iter().flat_map(|time| self.time_lines(time)));
        lines.extend(fields.quality.as_ref().map(quality));
        if self.numbers_as_text {
            lines.push("texts that are numbers are numbers".to_owned());
        }
        lines.extend(list(&fields.documents).map(|names| format!("the text of {names} is a document")));
        lines.extend(self.shapes.iter().map(shapes::shape));
        if fields.payload.is_some() {
            lines.push("its bytes are Cayenne LPP: each value is called by its type and channel".to_owned());
        }
        lines.extend(fields.field.iter().map(field));
        lines.extend(list(&fields.ignore).map(|names| format!("leaves out {names}")));
        let mut rules = self.metrics.iter();
        for written in &fields.metric {
            // Patterns of one `from` make rules that say the same.
            let of_metric: Vec<_> = rules.by_ref().take(written.from.0.len()).collect();
            lines.extend(of_metric.first().map(|rule| metric(rule, written)));
        }
        lines
    }

    fn time_lines(&self, written: &TimeFields) -> Vec<String> {
        let mut lines: Vec<String> = time(written).into_iter().collect();
        let several: Vec<&str> =
            self.time.fields.iter().filter(|field| field.stars() > 0).map(|field| field.as_str()).collect();
        if !several.is_empty() {
            lines.push(format!("each object that has {} has that time for itself", several.join(" or ")));
        }
        let first: Vec<&str> = self
            .time
            .fields
            .iter()
            .filter(|field| field.stars() == 0 && field.is_at_any_depth())
            .map(|field| field.as_str())
            .collect();
        if !first.is_empty() {
            lines.push(format!(
                "of several members {} the first counts, for the whole record",
                first.join(" or ")
            ));
        }
        lines
    }
}

/// The word that a value is written as.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The texts; `None` if there is none.
fn list(texts: &Texts) -> Option<String> {
    (!texts.is_empty()).then(|| texts.0.join(", "))
}

fn messages(fields: &ProfileFields) -> String {
    match (list(&fields.topics), list(&fields.devices)) {
        (Some(topics), Some(devices)) => format!("messages on {topics} of {devices}"),
        (Some(topics), None) => format!("messages on {topics}"),
        (None, devices) => format!("messages of {}", devices.unwrap_or_default()),
    }
}

fn as_format(fields: &ProfileFields) -> String {
    fields.format.map_or_else(String::new, |format| format!(", as {}", word(&format)))
}

fn gateway(gateway: &Gateway) -> String {
    match gateway {
        Gateway::Members => "a gateway: each member of its payloads is a device".to_owned(),
        Gateway::Member(names) => {
            let names: Vec<_> = names.iter().map(NamePattern::as_str).collect();
            format!("a gateway: {} names the device of a record", names.join(", else "))
        }
        Gateway::Format => "a gateway: the format names the devices".to_owned(),
    }
}

fn leniency_words(leniency: Leniency) -> &'static str {
    match leniency {
        Leniency::Nan => "NaN and Infinity",
        Leniency::LeadingZeros => "numbers with leading zeros",
        Leniency::TrailingCommas => "trailing commas",
        Leniency::SingleQuotes => "single quotes",
        Leniency::Documents => "several documents in a payload, each a record",
        Leniency::Empty => "payloads without a value, which are ignored and counted",
    }
}

fn time(time: &TimeFields) -> Option<String> {
    let field = match &*time.field.0 {
        [] => None,
        [one] => Some(format!("stand in {one}")),
        several => Some(format!("stand in the first of {} that has one", several.join(", "))),
    };
    let join = list(&time.join).map(|parts| format!("are {parts} together"));
    let fraction = time.fraction.as_ref().zip(time.fraction_unit);
    let fraction =
        fraction.map(|(member, unit)| format!("have their fraction in {member}, in {}", word(&unit)));
    let format = list(&time.format).map(|formats| format!("are written as {formats}"));
    let marks: Vec<_> = time.zone_marks.iter().map(|(mark, ahead)| format!("{mark} for {ahead}")).collect();
    let marks = (!marks.is_empty()).then(|| format!("have the mark {}", marks.join(", ")));
    let unit = time.unit.map(|unit| format!("count {}", word(&unit)));
    let bits = time.bits.filter(|bits| *bits == 32).map(|_| "run over after 32 bits".to_owned());
    let zone = time.zone.as_ref().map(|zone| format!("are of {zone} where they say no zone"));
    let kept = time.resolution.map(|resolution| {
        format!("are {resolution} apart, and samples of one such time from different messages are all kept")
    });
    let said = [field, join, fraction, format, marks, unit, bits, zone, kept];
    let said: Vec<String> = said.into_iter().flatten().collect();
    (!said.is_empty()).then(|| format!("its times {}", said.join(", ")))
}

fn quality(quality: &QualityFields) -> String {
    let codes = quality.codes.as_ref().map(|codes| match codes {
        CodesField::Named(name) => format!("codes of quality are those of {name}"),
        CodesField::Table(table) => {
            let entries = table.iter().map(|(code, quality)| match code.as_str() {
                "other" => format!("any other is {quality}"),
                code => format!("{code} is {quality}"),
            });
            format!("of codes of quality {}", shown(entries))
        }
    });
    let field = list(&quality.field).map(|names| {
        format!(
            "{names} says the quality of the value beside it, or of all beside it where none is called value"
        )
    });
    [field, codes].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The first of some entries.
fn shown(entries: impl ExactSizeIterator<Item = String>) -> String {
    let count = entries.len();
    let mut shown: Vec<String> = entries.take(MAX_SHOWN).collect();
    if count > MAX_SHOWN {
        shown.push(format!("and {} more", count - MAX_SHOWN));
    }
    shown.join(", ")
}

/// `byte 2 is TempC_SHT: i16, times 0.01, on port 2`.
fn field(field: &FieldFields) -> String {
    let size = field.kind.size();
    let place = match size {
        1 => format!("byte {}", field.offset),
        _ => format!("bytes {} to {}", field.offset, field.offset.saturating_add(size - 1)),
    };
    let mut said = vec![word(&field.kind)];
    if size > 1 {
        said.push(
            if field.endian == Some(Endian::Little) { "lowest byte first" } else { "highest byte first" }
                .to_owned(),
        );
    }
    let bits = match (field.kind, field.shift, field.bits) {
        (FieldType::Bool, shift, _) => Some(format!("bit {}", shift.unwrap_or(0))),
        (_, shift, Some(bits)) => Some(format!("{bits} bits from bit {}", shift.unwrap_or(0))),
        (_, Some(shift), None) => Some(format!("the bits from bit {shift}")),
        (_, None, None) => None,
    };
    said.extend(bits);
    said.extend(field.scale.map(|scale| format!("times {scale}")));
    said.extend(field.add.map(|add| format!("plus {add}")));
    said.extend(field.unit.as_ref().map(|unit| format!("in {unit}")));
    said.extend(field.port.map(|port| format!("on port {port}")));
    format!("{place} become{} {}: {}", if size == 1 { "s" } else { "" }, field.name, said.join(", "))
}

fn metric(rule: &MetricRule, written: &MetricFields) -> String {
    let from = written.from.0.join(" or ");
    let mut said = vec![rule.name().map_or_else(|| from.clone(), |name| format!("{from} becomes {name}"))];
    said.extend((!written.map.is_empty()).then(|| {
        format!(
            "where {}",
            shown(written.map.iter().map(|(text, meaning)| format!("{text} is {}", meaning_words(meaning))))
        )
    }));
    said.extend(rule.value_type.map(|value_type| match value_type {
        ValueType::Text => "as text".to_owned(),
        ValueType::Number => "as number, bad if it is none".to_owned(),
        ValueType::Boolean => "as true or false, bad if it is neither".to_owned(),
    }));
    said.extend(written.scale.map(|scale| format!("times {scale}")));
    said.extend(written.offset.map(|offset| format!("plus {offset}")));
    said.extend(rule.unit.as_ref().filter(|_| rule.unit_from.is_none()).map(unit));
    said.extend(rule.unit_from().map(|name| format!("in the unit that {name} says")));
    said.extend(
        rule.unit.as_ref().filter(|_| rule.unit_from.is_some()).map(|known| format!("else {}", unit(known))),
    );
    said.extend(written.range.map(|[low, high]| format!("plausible from {low} to {high}")));
    said.extend(written.sentinels.as_deref().map(sentinels));
    said.extend(written.deadband.map(|deadband| format!("shown when it has moved by {deadband}")));
    said.join(", ")
}

fn meaning_words(meaning: &MeaningField) -> String {
    match meaning {
        MeaningField::Boolean(flag) => flag.to_string(),
        MeaningField::Integer(number) => number.to_string(),
        MeaningField::Float(number) => number.to_string(),
        MeaningField::Text(text) => text.clone(),
    }
}

/// `in mOhm, stored in Ohm (1 mOhm = 0.001 Ohm)`: the factor shows a unit that is not the one meant.
fn unit(unit: &ProfileUnit) -> String {
    let canonical = unit.canonical();
    if *canonical == *unit.text {
        return format!("in {canonical}");
    }
    let formula = unit.formula().map(|formula| format!(" ({formula})")).unwrap_or_default();
    format!("in {}, stored in {canonical}{formula}", unit.text)
}

fn sentinels(sentinels: &[SentinelField]) -> String {
    if sentinels.is_empty() {
        return "every number is a measurement".to_owned();
    }
    let sentinel = |sentinel: &SentinelField| match sentinel {
        SentinelField::Bad(value) => format!("{value} is bad"),
        SentinelField::Of { value, quality } => format!("{value} is {quality}"),
    };
    sentinels.iter().map(sentinel).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::profile::Profile;

    #[test]
    fn a_profile_is_told_in_words() {
        let check = |text: &str, expected: &[&str]| {
            let profile = Profile::from_toml(&format!("name = \"p\"\n{text}")).unwrap();
            assert_eq!(profile.summary(), expected, "{text}");
        };
        check(r#"topics = "dt/+/+/SENSOR""#, &["reads messages on dt/+/+/SENSOR"]);
        check(
            "devices = [\"*/a-*\", \"*/b-*\"]\nformat = \"json\"",
            &["reads messages of */a-*, */b-*, as json"],
        );
        check(
            "topics = \"dt/#\"\ndevices = \"*/*\"\ngateway = \"members\"\ninterval = \"5m\"\nnumbers_as_text = true\nignore = [\"a\", \"b.*\"]\ndocuments = \"data\"",
            &[
                "reads messages on dt/# of */*",
                "a gateway: each member of its payloads is a device",
                "each device sends every 5m",
                "texts that are numbers are numbers",
                "the text of data is a document",
                "leaves out a, b.*",
            ],
        );
        check(
            "topics = \"dt/#\"\ntime = { field = \"when\", unit = \"s\", bits = 32, zone = \"UTC\" }",
            &[
                "reads messages on dt/#",
                "its times stand in when, count s, run over after 32 bits, are of UTC where they say no zone",
            ],
        );
        check(
            "topics = \"dt/#\"\ntime = { field = [\"Epoch\", \"Time\"], resolution = \"1s\", same_time = \"keep\" }",
            &[
                "reads messages on dt/#",
                "its times stand in the first of Epoch, Time that has one, are 1s apart, and samples of one such time from different messages are all kept",
            ],
        );
        check(
            "topics = \"dt/#\"\n[[metric]]\nfrom = \"*.t\"\nname = \"{1}.temperature\"\nscale = 0.1\noffset = -40\nunit = \"degF\"\nrange = [-40, 140.5]\nsentinels = [-127, {value = 85, quality = \"uncertain\"}]\ndeadband = 0.5\n[[metric]]\nfrom = \"h\"\nunit_from = \"hu\"\nsentinels = []\n[[metric]]\nfrom = \"*.r\"\nunit = \"mOhm\"\n[[metric]]\nfrom = \"*.v\"\nunit_from = \"{1}.unit\"",
            &[
                "reads messages on dt/#",
                "*.t becomes {1}.temperature, times 0.1, plus -40, in degF, stored in Cel (Cel = degF × 0.555556 − 17.7778), plausible from -40 to 140.5, -127 is bad, 85 is uncertain, shown when it has moved by 0.5",
                "h, in the unit that hu says, every number is a measurement",
                "*.r, in mOhm, stored in Ohm (1 mOhm = 0.001 Ohm)",
                "*.v, in the unit that {1}.unit says",
            ],
        );
    }

    #[test]
    fn what_stands_at_places_is_told_in_words() {
        let check = |text: &str, expected: &[&str]| {
            let profile = Profile::from_toml(&format!("name = \"p\"\ntopics = \"dt/#\"\n{text}")).unwrap();
            assert_eq!(
                profile.summary().get(1..),
                Some(&*expected.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()),
                "{text}"
            );
        };
        let shape = |text: &str, expected: &str| check(&format!("[[shape]]\n{text}"), &[expected]);
        shape(
            "at = \"l\"\nas = \"records\"\nname = \"{.}.{id}-{}\"\nvalue = [\"v\", \"w.x\"]\nunit = \"u\"\ntime = \"t\"\nothers = \"ignore\"",
            "l is records called {.}.{id}-{}, whose value is the first of v, w.x, unit u, time t, the rest is left out",
        );
        shape(
            "at = \"l\"\nas = \"records\"\nname = \"{id}\"",
            "l is records called {id}, whose other members are values",
        );
        shape(
            "at = \"l\"\nas = \"series\"\nrate = 4\nanchor = \"last\"",
            "l is a series of values 0.25 s apart; the last has the record's time",
        );
        shape(
            "at = \"l\"\nas = \"series\"\ninterval_from = \"i\"\ninterval_unit = \"ms\"",
            "l is a series of values as far apart as i says, in ms; the first has the record's time",
        );
        shape(
            "as = \"rows\"\ncolumns = [\"a\", \"\", \"b\"]\nunder = \"r\"",
            "the payload is rows of a, (left out), b, each a record; its names begin with r",
        );
        shape(
            "at = \"l\"\nas = \"list\"\nseparator = \",\"\ninto = [\"x\"]",
            "l is a list of values, or a text that \",\" parts, called x",
        );
        shape(
            "as = \"pairs\"",
            "the payload is a text of names and values: \"=\" between the two, \";\" between pairs; parts without a name are numbered",
        );
        shape(
            "at = \"l\"\nas = \"number\"\ndecimal = \",\"",
            "l is a number in a text, perhaps with its unit, with a decimal comma",
        );
        shape(
            "at = \"l\"\nas = \"document\"\nencoding = \"hex\"\nunder = \"\"",
            "l is a document in a text of hex; its names begin anew",
        );
        check(
            "[time]\nfield = [\"*.ts\", \"**.at\"]\nformat = \"%y%m%d%H%M%S%Z\"\nzone_marks = { S = \"+02:00\" }",
            &[
                "its times stand in the first of *.ts, **.at that has one, are written as %y%m%d%H%M%S%Z, have the mark S for +02:00",
                "each object that has *.ts has that time for itself",
                "of several members **.at the first counts, for the whole record",
            ],
        );
        check("[time]\njoin = [\"d\", \"c\"]", &["its times are d, c together"]);
        check(
            "quality.codes = { \"0\" = \"good\", other = \"bad\" }",
            &["of codes of quality 0 is good, any other is bad"],
        );
        check(
            "quality.field = \"s\"\nquality.codes = \"opc-ua\"",
            &[
                "s says the quality of the value beside it, or of all beside it where none is called value; codes of quality are those of opc-ua",
            ],
        );
        check(
            "lenient = [\"nan\", \"empty\"]\ncharset = \"latin-1\"",
            &[
                "its texts are latin-1",
                "lets pass NaN and Infinity, payloads without a value, which are ignored and counted",
            ],
        );
        check(
            "payload = \"cayenne-lpp\"",
            &["its bytes are Cayenne LPP: each value is called by its type and channel"],
        );
        check(
            "[[field]]\nname = \"t\"\noffset = 2\ntype = \"i16\"\nscale = 0.01\nunit = \"Cel\"\nport = 2\n[[field]]\nname = \"on\"\noffset = 4\ntype = \"bool\"\nshift = 3",
            &[
                "bytes 2 to 3 become t: i16, highest byte first, times 0.01, in Cel, on port 2",
                "byte 4 becomes on: bool, bit 3",
            ],
        );
        check(
            "[[metric]]\nfrom = [\"a\", \"b\"]\nname = \"c\"\nmap = { ON = true, \"0\" = \"idle\" }\n[[metric]]\nfrom = \"d\"\ntype = \"text\"\n[[metric]]\nfrom = \"e\"\nunit_from = \"u\"\nunit = \"Cel\"",
            &[
                "a or b becomes c, where 0 is idle, ON is true",
                "d, as text",
                "e, in the unit that u says, else in Cel",
            ],
        );
    }
}
