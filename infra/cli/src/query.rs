//! `tidegate query` and `tidegate devices`: what is stored.

use std::str::FromStr;

use cloud::devices::Devices;
use cloud::readings::Readings;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use telemetry::{DeviceId, Identity, Latest, Micros, Quality, Reading, TimeSource, Unit, Value};

use crate::aws::patience;
use crate::console::{note, print};
use crate::error::{Context as _, Error, Result};
use crate::table::Table;
use crate::target::{Source, TableOf, Target};

/// A point in time as the user writes it: `2026-11-23T07:00:00Z`, or `-15m` from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A time.
    At(Micros),
    /// So much before now.
    Ago(SignedDuration),
}

impl When {
    pub(crate) fn micros(self, now: Timestamp) -> Micros {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => Micros(now.saturating_sub(ago).unwrap_or(now).as_microsecond()),
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a time such as 2026-11-23T07:00:00Z, `now`, or a time ago such as -15m, -2h or -1d";
        if text == "now" {
            return Ok(Self::Ago(SignedDuration::ZERO));
        }
        let Some(ago) = text.strip_prefix('-') else {
            return Micros::from_rfc3339(text).map(Self::At).ok_or(EXPECTED);
        };
        let (number, unit) = ago.split_at(ago.find(|c: char| !c.is_ascii_digit()).unwrap_or(ago.len()));
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(EXPECTED),
        };
        let number: i64 = number.parse().map_err(|_| EXPECTED)?;
        number
            .checked_mul(seconds)
            .map(|seconds| Self::Ago(SignedDuration::from_secs(seconds)))
            .ok_or(EXPECTED)
    }
}

/// How readings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What `query` is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// `{site}/{device}`.
    pub device: String,
    /// The first time.
    pub from: When,
    /// The last time.
    pub to: When,
    /// One metric; `None`: all.
    pub metric: Option<String>,
    /// The newest so many; `None`: all.
    pub limit: Option<usize>,
    /// How the answer is printed.
    pub format: Format,
}

/// Prints readings of a device.
///
/// # Errors
/// If they cannot be read, or the device is not known.
pub async fn query(target: &Target, question: &Question) -> Result<()> {
    let device = device_named(&question.device)?;
    let now = Timestamp::now();
    let (from, to) = (question.from.micros(now), question.to.micros(now));
    let source = target.open(TableOf::Readings).await?;
    let readings = Readings::new(source.clients.dynamodb.clone(), source.readings()?);
    let mut found = readings
        .query(&device, from, to, patience())
        .await
        .or_problem(|| "cannot read the readings table")?;
    if found.is_empty() {
        check_device(&source, &device, from, to).await?;
    }
    if let Some(metric) = &question.metric {
        found.retain(|reading| *reading.metric == **metric);
    }
    let newest = found.len().saturating_sub(question.limit.unwrap_or(usize::MAX));
    print(&render(&found[newest..], question.format)?)
}

/// The device that the user names.
pub(crate) fn device_named(device: &str) -> Result<DeviceId> {
    if device.split('/').filter(|level| !level.is_empty()).count() == 2 {
        return Ok(DeviceId::from_stored(device));
    }
    Err(Error::problem(format!("a device is named {{site}}/{{device}}, and {device:?} is not")))
}

/// Says why there is no reading: an error if nobody knows the device.
pub(crate) async fn check_device(source: &Source, device: &DeviceId, from: Micros, to: Micros) -> Result<()> {
    let nothing = format!("the device {device} has no readings from {from} to {to}");
    let Some(table) = source.known_devices() else {
        note(&nothing);
        return Ok(());
    };
    let known = list(source, table).await?;
    match known.iter().find(|latest| latest.device == *device) {
        Some(latest) => {
            note(&format!(
                "{nothing}; it was last seen at {}, its newest reading is of {}",
                latest.last_seen,
                latest.newest()
            ));
            Ok(())
        }
        None => Err(Error::negative(format!(
            "there is no device {device}; `tidegate devices` lists the {} that there are",
            known.len()
        ))),
    }
}

/// Prints all devices with their latest values: a table, or one object a line.
///
/// # Errors
/// If they cannot be read.
pub async fn devices(target: &Target, as_json: bool) -> Result<()> {
    let source = target.open(TableOf::Devices).await?;
    let devices = list(&source, source.devices()?).await?;
    if devices.is_empty() {
        note("no device has been heard yet");
    }
    print(&if as_json { device_lines(&devices)? } else { device_table(&devices) })
}

async fn list(source: &Source, table: &str) -> Result<Vec<Latest>> {
    let devices = Devices::new(source.clients.dynamodb.clone(), table);
    let mut devices = devices.list(patience()).await.or_problem(|| "cannot read the devices table")?;
    devices.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(devices)
}

fn device_table(devices: &[Latest]) -> String {
    let mut table = Table::new(["device", "last seen", "metric", "value", "at"]);
    for latest in devices {
        let mut name = (latest.device.to_string(), latest.last_seen.to_string());
        for reading in latest.metrics.values() {
            let (device, last_seen) = std::mem::take(&mut name);
            table.push([
                device,
                last_seen,
                reading.metric.to_string(),
                value_with_unit(reading),
                reading.at.to_string(),
            ]);
        }
    }
    table.render()
}

pub(crate) fn value_with_unit(reading: &Reading) -> String {
    reading
        .unit
        .as_ref()
        .map_or_else(|| reading.value.to_string(), |unit| format!("{} {}", reading.value, unit.as_str()))
}

fn device_lines(devices: &[Latest]) -> Result<String> {
    #[derive(Serialize)]
    struct Device<'a> {
        device: &'a str,
        /// Left out where the topic names the device.
        #[serde(skip_serializing_if = "Option::is_none")]
        identity: Option<&'static str>,
        first_seen: String,
        last_seen: String,
        latest: Vec<Line<'a>>,
    }
    let lines = devices.iter().map(|latest| Device {
        device: latest.device.as_str(),
        identity: Some(latest.identity).filter(|identity| !identity.is_of_a_thing()).map(Identity::as_str),
        first_seen: latest.first_seen.to_string(),
        last_seen: latest.last_seen.to_string(),
        latest: latest.metrics.values().map(Line::of).collect(),
    });
    json_lines(lines)
}

/// A reading as `query` and `decode` print it.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    device: &'a str,
    metric: &'a str,
    at: String,
    value: &'a Value,
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_sent: Option<&'a str>,
    time_source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_correction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_sent: Option<String>,
    quality: &'static str,
    /// A text: a reader of JSON may keep 53 bits of a number, and it has 62.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
}

impl<'a> Line<'a> {
    pub(crate) fn of(reading: &'a Reading) -> Self {
        let correction = reading.correction.as_deref();
        Self {
            device: reading.device.as_str(),
            metric: &reading.metric,
            at: reading.at.to_string(),
            value: &reading.value,
            unit: reading.unit.as_deref(),
            unit_sent: reading.unit.as_ref().and_then(Unit::sent),
            time_source: TimeSource::as_str(reading.time_source),
            time_correction: correction.map(|correction| correction.reason.as_str()),
            time_sent: correction.map(|correction| correction.sent.to_string()),
            quality: Quality::as_str(reading.quality),
            seq: (!reading.seq.is_none()).then(|| reading.seq.to_string()),
            revision: (reading.revision != Micros::default()).then(|| reading.revision.to_string()),
        }
    }
}

/// One object a line.
pub(crate) fn json_lines<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        text.push_str(&serde_json::to_string(&object).or_problem(|| "cannot write JSON")?);
        text.push('\n');
    }
    Ok(text)
}

fn render(readings: &[Reading], format: Format) -> Result<String> {
    match format {
        Format::Json => json_lines(readings.iter().map(Line::of)),
        Format::Csv => Ok(csv(readings)),
        Format::Table => {
            let mut table = Table::new(["at", "metric", "value", "unit", "time from", "quality"]);
            for reading in readings {
                table.push([
                    reading.at.to_string(),
                    reading.metric.to_string(),
                    reading.value.to_string(),
                    unit_words(reading),
                    time_words(reading),
                    reading.quality.to_string(),
                ]);
            }
            Ok(table.render())
        }
    }
}

/// `Cel, sent as degF`
fn unit_words(reading: &Reading) -> String {
    match reading.unit.as_ref().map(|unit| (unit.as_str(), unit.sent())) {
        Some((unit, Some(sent))) => format!("{unit}, sent as {sent}"),
        Some((unit, None)) => unit.to_owned(),
        None => String::new(),
    }
}

/// `arrival: outside, sent as 2020-01-01T00:00:00Z`
fn time_words(reading: &Reading) -> String {
    match &reading.correction {
        Some(correction) => {
            format!("{}: {}, sent as {}", reading.time_source, correction.reason, correction.sent)
        }
        None => reading.time_source.to_string(),
    }
}

/// The members of [`Line`] that a recording for `alert-rule test` has at least.
pub(crate) const CSV_HEADER: &str = "device,metric,at,value,unit,time_source,quality";

/// The members that follow [`CSV_HEADER`] in the header.
const CSV_HEADER_REST: &str = "unit_sent,time_correction,time_sent,seq,revision";
/// The places of a record's fields that reading it back asks for.
pub(crate) const CSV_SEQ: usize = 10;
pub(crate) const CSV_REVISION: usize = 11;

/// RFC 4180, with [`CSV_HEADER`] and [`CSV_HEADER_REST`].
pub(crate) fn csv(readings: &[Reading]) -> String {
    let mut text = format!("{CSV_HEADER},{CSV_HEADER_REST}\r\n");
    for reading in readings {
        let line = Line::of(reading);
        let value = line.value.to_string();
        let fields = [
            line.device,
            line.metric,
            &line.at,
            &value,
            line.unit.unwrap_or_default(),
            line.time_source,
            line.quality,
            line.unit_sent.unwrap_or_default(),
            line.time_correction.unwrap_or_default(),
            line.time_sent.as_deref().unwrap_or_default(),
            line.seq.as_deref().unwrap_or_default(),
            line.revision.as_deref().unwrap_or_default(),
        ];
        text.push_str(&fields.map(csv_field).join(","));
        text.push_str("\r\n");
    }
    text
}

fn csv_field(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use telemetry::{Correction, CorrectionReason, Seq};

    use super::*;

    fn reading(metric: &str, value: Value) -> Reading {
        Reading {
            device: DeviceId::from_stored("plant-1/pump-7"),
            metric: metric.into(),
            at: Micros(1_795_417_200_250_000),
            received: Micros(1_795_417_200_251_000),
            value,
            unit: None,
            quality: Quality::Good,
            seq: telemetry::Seq::default(),
            revision: telemetry::Micros::default(),
            time_source: TimeSource::Device,
            correction: None,
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let check =
            |text: &str, expected: Option<When>| assert_eq!(text.parse::<When>().ok(), expected, "{text}");
        check("2026-11-23T07:00:00.25Z", Some(When::At(Micros(1_795_417_200_250_000))));
        check("-15m", Some(When::Ago(SignedDuration::from_mins(15))));
        check("-1d", Some(When::Ago(SignedDuration::from_hours(24))));
        check("now", Some(When::Ago(SignedDuration::ZERO)));
        check("15m", None);
        check("-m", None);
        check("-15", None);
        check("-15é", None);
        check("-99999999999999999999s", None);
        check("-9223372036854775807d", None);
        check("yesterday", None);
        let now = Timestamp::from_second(1_795_417_200).unwrap();
        assert_eq!(When::Ago(SignedDuration::from_mins(1)).micros(now), Micros(1_795_417_140_000_000));
    }

    #[test]
    fn a_line_has_just_these_members() {
        let reading = reading("temperature", Value::Float(22.5));
        assert_eq!(
            json_lines([Line::of(&reading)]).unwrap(),
            "{\"device\":\"plant-1/pump-7\",\"metric\":\"temperature\",\"at\":\"2026-11-23T07:00:00.25Z\",\"value\":22.5,\
             \"unit\":null,\"time_source\":\"device\",\"quality\":\"good\"}\n"
        );
    }

    #[test]
    fn what_was_sent_otherwise_is_told() {
        let mut reading = reading("temperature", Value::Float(22.5));
        reading.unit = Some(Unit::new("Cel", Some("degF")));
        let correction = Correction { reason: CorrectionReason::Outside, sent: Micros(0) };
        reading.correction = Some(Box::new(correction));
        assert_eq!(unit_words(&reading), "Cel, sent as degF");
        assert_eq!(time_words(&reading), "device: outside, sent as 1970-01-01T00:00:00Z");
        let line = json_lines([Line::of(&reading)]).unwrap();
        let told = r#""unit":"Cel","unit_sent":"degF","time_source":"device","time_correction":"outside","time_sent":"1970-01-01T00:00:00Z""#;
        assert!(line.contains(told), "{line}");
        let line = csv(&[reading]);
        assert!(line.ends_with(",Cel,device,good,degF,outside,1970-01-01T00:00:00Z,,\r\n"), "{line}");
    }

    #[test]
    fn what_tells_readings_apart_is_printed_where_there_is_any() {
        let mut reading = reading("temperature", Value::Float(22.5));
        reading.seq = Seq((1 << 62) - 1);
        reading.revision = Micros(1_795_417_200_000_000);
        let line = json_lines([Line::of(&reading)]).unwrap();
        let told = r#","quality":"good","seq":"4611686018427387903","revision":"2026-11-23T07:00:00Z"}"#;
        assert!(line.ends_with(&format!("{told}\n")), "a number would lose its last digits: {line}");
        let text = csv(&[reading]);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let field = |column: usize| [rows[0][column], rows[1][column]];
        assert_eq!(field(CSV_SEQ), ["seq", "4611686018427387903"]);
        assert_eq!(field(CSV_REVISION), ["revision", "2026-11-23T07:00:00Z"]);
        assert_eq!(rows[0].len(), CSV_REVISION + 1);
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let readings = [reading("note", Value::Text("a, \"b\"".into())), reading("n", Value::Integer(7))];
        assert_eq!(
            csv(&readings),
            "device,metric,at,value,unit,time_source,quality,unit_sent,time_correction,time_sent,seq,revision\r\n\
             plant-1/pump-7,note,2026-11-23T07:00:00.25Z,\"a, \"\"b\"\"\",,device,good,,,,,\r\n\
             plant-1/pump-7,n,2026-11-23T07:00:00.25Z,7,,device,good,,,,,\r\n"
        );
    }

    #[test]
    fn a_device_is_named_once_in_its_rows() {
        let metrics = ["a", "b"].map(|name| (name.into(), reading(name, Value::Integer(1)))).into();
        let device = DeviceId::from_stored("plant-1/pump-7");
        let seen = Micros(1_795_417_200_000_000);
        let table = device_table(&[Latest {
            device,
            metrics,
            first_seen: seen,
            last_seen: seen,
            profile: None,
            identity: telemetry::Identity::Topic,
        }]);
        assert_eq!(table.matches("plant-1/pump-7").count(), 1);
        assert_eq!(table.lines().count(), 3);
    }
}
