//! LoRaWAN uplinks, as network servers wrap them: one envelope of JSON each.
//!
//! | network server | documented at |
//! |---|---|
//! | AWS IoT Core for LoRaWAN | docs.aws.amazon.com/iot-wireless, "View format of uplink messages sent from LoRaWAN devices" |
//! | The Things Stack 3 | thethingsindustries.com/docs/integrations/data-formats, "Uplink Messages" |
//! | ChirpStack 3 | chirpstack.io/application-server/integrations/events, "uplink" |
//! | ChirpStack 4 | chirpstack.io/docs/chirpstack/integrations/events.html, "up" |
//!
//! An uplink's samples are those of the object that the server has decoded, in the shapes of every JSON payload; or
//! else those that the profile finds in the bytes (FRMPayload); and beside them what is known of the radio: `rssi` and
//! `snr` at the gateway that heard it best, `spreading_factor` and `frame_counter`, unless the device has such a metric
//! itself. A time that the device sent stands before the time at which the server received it.
//!
//! The device is the topic's. Under a profile with `gateway = true` it is the EUI's, in lower-case hexadecimals, and so
//! it is on topics that take the device from the payload.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Context, json, layout};
use crate::limits::MAX_SAMPLES;
use crate::profile::Gateway;
use crate::reading::{TimeSource, Value};
use crate::reject::Reject;
use crate::sample::{Basis, Payload, Sample, SentTime};
use crate::scalar::Scalar;
use crate::time::Micros;
use crate::unit::Dialect;

/// Adds the samples of an uplink to `payload`.
pub(super) fn decode(bytes: &[u8], context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
    let text = std::str::from_utf8(bytes).map_err(|error| Reject::NotUtf8(error.valid_up_to()))?;
    if text.trim_ascii().is_empty() {
        return Err(Reject::Empty);
    }
    let message: Message<'_> = serde_json::from_str(text).map_err(|error| json::explain(&error, text))?;
    let uplink = message.uplink().ok_or(Reject::NotUplink("it is another message"))?;
    let speaks_for_others =
        matches!(context.profile.and_then(|profile| profile.gateway.as_ref()), Some(Gateway::Format));
    if speaks_for_others && uplink.eui.is_none() {
        return Err(Reject::NotUplink("it names no device by an EUI"));
    }
    uplink.read_values(context, payload)?;
    uplink.add_radio_facts(context, &mut payload.samples)?;
    let time = uplink.received.map(|at| SentTime { at, source: TimeSource::Broker, basis: Basis::Epoch });
    let device = uplink.eui.as_deref().filter(|_| speaks_for_others).map(Arc::from);
    for sample in &mut payload.samples {
        sample.device = device.clone().or(sample.device.take());
        sample.time = sample.time.or(time);
    }
    // What the object says of itself counts for less than whom the network server has let in.
    payload.device_id = uplink.eui;
    Ok(())
}

/// An uplink, whoever has wrapped it.
#[derive(Debug, Default)]
struct Uplink<'a> {
    eui: Option<String>,
    port: Option<u8>,
    frame_counter: Option<f64>,
    spreading_factor: Option<f64>,
    /// FRMPayload, in base64.
    bytes: Option<Cow<'a, str>>,
    /// What the server has decoded of it: a JSON text.
    decoded: Option<Cow<'a, str>>,
    /// As the gateway heard it that heard it best.
    rssi: Option<f64>,
    snr: Option<f64>,
    /// When the server received it.
    received: Option<Micros>,
}

impl Uplink<'_> {
    /// The samples that the device has sent; none if it has sent nothing.
    fn read_values(&self, context: &mut Context<'_>, payload: &mut Payload) -> Result<(), Reject> {
        if let Some(decoded) = self.decoded.as_deref().filter(|decoded| !decoded.trim_ascii().is_empty()) {
            json::decode(decoded.as_bytes(), context, payload)?;
        }
        let base64 = self.bytes.as_deref().unwrap_or_default();
        if !payload.samples.is_empty() || base64.is_empty() {
            return Ok(());
        }
        let bytes = base64_simd::STANDARD
            .decode_to_vec(base64)
            .map_err(|_| Reject::NotUplink("its data is not base64"))?;
        layout::decode(&bytes, self.port, context, payload)
    }

    fn add_radio_facts(&self, context: &mut Context<'_>, samples: &mut Vec<Sample>) -> Result<(), Reject> {
        let facts = [
            ("rssi", self.rssi, Some("dBm")),
            ("snr", self.snr, Some("dB")),
            ("spreading_factor", self.spreading_factor, None),
            ("frame_counter", self.frame_counter, None),
        ];
        let of_device = samples.len();
        for (name, number, unit) in facts {
            let Some(value) = number.and_then(Value::from_f64) else { continue };
            let name = context.names.get(name, context.profile);
            if samples.iter().take(of_device).any(|sample| sample.name.sent == name.sent) {
                continue;
            }
            let unit = unit.map(|unit| (Arc::from(unit), Dialect::Senml));
            samples.push(Sample { unit, ..Sample::new(name, value, 0) });
        }
        if samples.len() > MAX_SAMPLES { Err(Reject::Samples) } else { Ok(()) }
    }
}

/// What network servers publish: the members of all of them, of which a message has those of one.
#[derive(Deserialize)]
struct Message<'a> {
    // AWS IoT Core for LoRaWAN.
    #[serde(rename = "WirelessMetadata", borrow)]
    wireless_metadata: Option<WirelessMetadata<'a>>,
    #[serde(rename = "PayloadData", default, borrow)]
    payload_data: Scalar<'a>,
    // The Things Stack. `decoded_payload` is also what a rule's SQL may add to messages of AWS.
    #[serde(borrow)]
    end_device_ids: Option<EndDeviceIds<'a>>,
    #[serde(borrow)]
    uplink_message: Option<UplinkMessage<'a>>,
    #[serde(default, borrow)]
    received_at: Scalar<'a>,
    #[serde(borrow)]
    decoded_payload: Option<&'a RawValue>,
    // ChirpStack.
    #[serde(rename = "deviceInfo", borrow)]
    device_info: Option<DeviceInfo<'a>>,
    #[serde(rename = "devEUI", default, borrow)]
    dev_eui: Scalar<'a>,
    #[serde(default, borrow)]
    time: Scalar<'a>,
    #[serde(rename = "publishedAt", default, borrow)]
    published_at: Scalar<'a>,
    #[serde(rename = "fPort", default)]
    f_port: Number,
    #[serde(rename = "fCnt", default)]
    f_cnt: Number,
    #[serde(default, borrow)]
    data: Scalar<'a>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(rename = "objectJSON", default, borrow)]
    object_json: Scalar<'a>,
    #[serde(rename = "rxInfo", borrow)]
    rx_info: Option<Vec<Reception<'a>>>,
    #[serde(rename = "txInfo")]
    tx_info: Option<TxInfo>,
}

#[derive(Deserialize)]
struct WirelessMetadata<'a> {
    #[serde(rename = "LoRaWAN", borrow)]
    lorawan: Option<LorawanMetadata<'a>>,
}

#[derive(Deserialize)]
struct LorawanMetadata<'a> {
    #[serde(rename = "DevEui", default, borrow)]
    dev_eui: Scalar<'a>,
    // The guide's example has it the one way, the API the other.
    #[serde(rename = "FPort", alias = "Fport", default)]
    f_port: Number,
    #[serde(rename = "FCnt", default)]
    f_cnt: Number,
    #[serde(rename = "SpreadingFactor", default)]
    spreading_factor: Number,
    #[serde(rename = "Timestamp", default, borrow)]
    timestamp: Scalar<'a>,
    #[serde(rename = "Gateways", borrow)]
    gateways: Option<Vec<Reception<'a>>>,
    #[serde(rename = "PublicGateways", borrow)]
    public_gateways: Option<Vec<Reception<'a>>>,
}

#[derive(Deserialize)]
struct EndDeviceIds<'a> {
    #[serde(default, borrow)]
    dev_eui: Scalar<'a>,
}

#[derive(Deserialize)]
struct UplinkMessage<'a> {
    #[serde(default)]
    f_port: Number,
    #[serde(default)]
    f_cnt: Number,
    #[serde(default, borrow)]
    frm_payload: Scalar<'a>,
    #[serde(borrow)]
    decoded_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    normalized_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    rx_metadata: Option<Vec<Reception<'a>>>,
    settings: Option<Settings>,
    #[serde(default, borrow)]
    received_at: Scalar<'a>,
}

#[derive(Deserialize)]
struct Settings {
    data_rate: Option<DataRate>,
}

#[derive(Deserialize)]
struct DataRate {
    lora: Option<Lora>,
}

#[derive(Deserialize)]
struct DeviceInfo<'a> {
    #[serde(rename = "devEui", default, borrow)]
    dev_eui: Scalar<'a>,
}

#[derive(Deserialize)]
struct TxInfo {
    modulation: Option<Modulation>,
    #[serde(rename = "loRaModulationInfo")]
    lora: Option<Lora>,
}

/// In ChirpStack 4 an object, in ChirpStack 3 a word.
#[derive(Default)]
struct Modulation {
    lora: Option<Lora>,
}

#[derive(Deserialize)]
struct Lora {
    #[serde(rename = "spreadingFactor", alias = "spreading_factor", default)]
    spreading_factor: Number,
}

/// An uplink at one gateway.
#[derive(Deserialize)]
struct Reception<'a> {
    #[serde(alias = "Rssi", default)]
    rssi: Number,
    #[serde(alias = "Snr", alias = "loRaSNR", default)]
    snr: Number,
    #[serde(default, borrow)]
    time: Scalar<'a>,
}

impl<'a> Message<'a> {
    /// The uplink in it, if it has one.
    fn uplink(self) -> Option<Uplink<'a>> {
        if let Some(metadata) = self.wireless_metadata {
            return Some(of_aws(metadata.lorawan?, self.payload_data, self.decoded_payload));
        }
        if let Some(message) = self.uplink_message {
            return Some(of_the_things_stack(message, self.end_device_ids, self.received_at));
        }
        self.of_chirpstack()
    }

    fn of_chirpstack(self) -> Option<Uplink<'a>> {
        let is_version_4 = self.device_info.is_some();
        let device = self.device_info.map_or(self.dev_eui, |device| device.dev_eui);
        let object =
            self.object.map(|object| Cow::Borrowed(object.get())).or_else(|| self.object_json.text());
        let bytes = self.data.text();
        // Version 4 leaves out what is 0.
        let frame_counter = self.f_cnt.0.or_else(|| is_version_4.then_some(0.0));
        // Servers tell of joins, acknowledgements and more, too: only an uplink has data, an object, or a counter and
        // was heard.
        let was_heard = frame_counter.is_some() && self.rx_info.is_some();
        if !was_heard && bytes.is_none() && object.is_none() {
            return None;
        }
        let mut receptions = self.rx_info.unwrap_or_default();
        let times = receptions.iter_mut().map(|reception| std::mem::take(&mut reception.time));
        let mut times = [self.time, self.published_at].into_iter().chain(times);
        let tx_info = self.tx_info;
        let lora = tx_info
            .and_then(|tx_info| tx_info.modulation.and_then(|modulation| modulation.lora).or(tx_info.lora));
        Some(
            Uplink {
                eui: eui(device),
                port: port(self.f_port),
                frame_counter,
                spreading_factor: lora.and_then(|lora| lora.spreading_factor.0),
                bytes,
                decoded: object,
                received: times.find_map(time),
                ..Uplink::default()
            }
            .heard_by(&receptions),
        )
    }
}

fn of_aws<'a>(metadata: LorawanMetadata<'a>, data: Scalar<'a>, decoded: Option<&'a RawValue>) -> Uplink<'a> {
    let mut receptions = metadata.gateways.unwrap_or_default();
    receptions.extend(metadata.public_gateways.unwrap_or_default());
    Uplink {
        eui: eui(metadata.dev_eui),
        port: port(metadata.f_port),
        frame_counter: metadata.f_cnt.0,
        spreading_factor: metadata.spreading_factor.0,
        bytes: data.text(),
        decoded: decoded.map(|decoded| Cow::Borrowed(decoded.get())),
        received: time(metadata.timestamp),
        ..Uplink::default()
    }
    .heard_by(&receptions)
}

fn of_the_things_stack<'a>(
    message: UplinkMessage<'a>,
    ids: Option<EndDeviceIds<'a>>,
    received_at: Scalar<'a>,
) -> Uplink<'a> {
    let lora = message.settings.and_then(|settings| settings.data_rate?.lora);
    let decoded = message.decoded_payload.or(message.normalized_payload);
    Uplink {
        eui: ids.and_then(|ids| eui(ids.dev_eui)),
        port: port(message.f_port),
        // What is 0 is left out.
        frame_counter: Some(message.f_cnt.0.unwrap_or(0.0)),
        spreading_factor: lora.and_then(|lora| lora.spreading_factor.0),
        bytes: message.frm_payload.text(),
        decoded: decoded.map(|decoded| Cow::Borrowed(decoded.get())),
        received: time(message.received_at).or_else(|| time(received_at)),
        ..Uplink::default()
    }
    .heard_by(&message.rx_metadata.unwrap_or_default())
}

impl Uplink<'_> {
    /// With what the gateway says that heard it best.
    fn heard_by(self, receptions: &[Reception<'_>]) -> Self {
        let loudness = |reception: &&Reception<'_>| reception.rssi.0.unwrap_or(f64::NEG_INFINITY);
        let best = receptions.iter().max_by(|a, b| loudness(a).total_cmp(&loudness(b)));
        let fact = |fact: fn(&Reception<'_>) -> Option<f64>| best.and_then(fact);
        Self { rssi: fact(|best| best.rssi.0), snr: fact(|best| best.snr.0), ..self }
    }
}

/// An EUI of 64 bits in lower-case hexadecimals; ChirpStack 3 may write it in base64.
fn eui(text: Scalar<'_>) -> Option<String> {
    let text = text.text()?;
    let mut digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    digits.make_ascii_lowercase();
    if digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(digits);
    }
    let bytes: [u8; 8] = base64_simd::STANDARD.decode_to_vec(&*text).ok()?.try_into().ok()?;
    Some(format!("{:016x}", u64::from_be_bytes(bytes)))
}

fn port(number: Number) -> Option<u8> {
    let number = number.0.filter(|number| number.fract() == 0.0 && (0.0..256.0).contains(number))?;
    Some(number as u8)
}

fn time(text: Scalar<'_>) -> Option<Micros> {
    Micros::from_rfc3339(&text.text()?)
}

/// A finite number, which may be written as text. Anything else reads as none.
#[derive(Debug, Clone, Copy, Default)]
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(Some(number).filter(|number| number.is_finite())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.parse().ok().filter(|number: &f64| number.is_finite())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Number, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }
}

impl<'de> Deserialize<'de> for Modulation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModulationVisitor)
    }
}

struct ModulationVisitor;

impl<'de> Visitor<'de> for ModulationVisitor {
    type Value = Modulation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a modulation, or its name")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Modulation, E> {
        Ok(Modulation::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Modulation, A::Error> {
        let mut modulation = Modulation::default();
        while let Some(name) = map.next_key::<Scalar<'de>>()? {
            match name.text().as_deref() {
                Some("lora") => modulation.lora = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(modulation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::super::Format;
    use super::super::testing::{read, show};
    use super::*;
    use crate::profile::Profile;

    const AWS: &str = r#"{"WirelessDeviceId": "5b58245e", "PayloadData": "A2cBEAVnAP8=", "WirelessMetadata": {"LoRaWAN": {
        "DevEui": "647FDA0000006420", "FCnt": 1, "FPort": 136, "DataRate": "0", "SpreadingFactor": 12,
        "Timestamp": "2023-11-14T22:13:27Z", "Gateways": [{"GatewayEui": "80029cfffe5cf1cc", "Snr": 9.75, "Rssi": -29}]}}}"#;
    const THE_THINGS_STACK: &str = r#"{"end_device_ids": {"device_id": "dev1", "dev_eui": "0004A30B001C0530"},
        "received_at": "2023-11-14T22:13:29Z", "uplink_message": {"f_port": 1, "f_cnt": 5, "frm_payload": "gkHKCgQ=",
        "decoded_payload": {"temperature": 1.0, "luminosity": 0.64}, "rx_metadata": [{"rssi": -35, "snr": 5},
        {"rssi": -30, "snr": 4.2}, {"rssi": -100}], "settings": {"data_rate": {"lora": {"spreading_factor": 7}}},
        "received_at": "2023-11-14T22:13:28.5Z"}}"#;
    const CHIRPSTACK_3: &str = r#"{"applicationID": "123", "devEUI": "AgICAgICAgI=", "fPort": 5, "fCnt": 10, "data": "A2cBEA==",
        "objectJSON": "{\"temperatureSensor\":{\"1\":25}}", "publishedAt": null, "rxInfo": [{"gatewayID": "AwMDAwMDAwM=",
        "time": "2023-11-14T22:13:24Z", "rssi": -48, "loRaSNR": 9}], "txInfo": {"frequency": 868100000,
        "modulation": "LORA", "loRaModulationInfo": {"bandwidth": 125, "spreadingFactor": 11}}}"#;
    const CHIRPSTACK_4: &str = r#"{"deduplicationId": "3ac7e3c4", "time": "2023-11-14T22:13:25.775023242+00:00",
        "deviceInfo": {"devEui": "0101010101010101"}, "dr": 0, "fCnt": 4, "fPort": 1, "data": "ABEiMw==",
        "object": {"b": [1, 2], "rssi": -1}, "rxInfo": [{"rssi": -47, "snr": 0}],
        "txInfo": {"frequency": 868500000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 9}}}}"#;

    fn profile(more: &str) -> Profile {
        Profile::from_toml(&format!("name = \"p\"\ndevices = \"*/*\"\nformat = \"lorawan\"\n{more}")).unwrap()
    }

    fn show_uplink(text: &str, more: &str) -> Result<String, Reject> {
        show(Format::Lorawan, text.as_bytes(), Some(&profile(more)))
    }

    #[test]
    fn each_network_servers_uplinks_are_read() {
        let check = |text: &str, more: &str, expected: &str| {
            assert_eq!(show_uplink(text, more).as_deref(), Ok(expected), "{text}");
        };
        check(
            AWS,
            "payload = \"cayenne-lpp\"",
            "temperature_3=27.2[Cel]@7 temperature_5=25.5[Cel]@7 rssi=-29[dBm]@7 snr=9.75[dB]@7 spreading_factor=12@7 \
             frame_counter=1@7",
        );
        check(
            THE_THINGS_STACK,
            "",
            "temperature=1@8 luminosity=0.64@8 rssi=-30[dBm]@8 snr=4.2[dB]@8 spreading_factor=7@8 frame_counter=5@8",
        );
        check(
            CHIRPSTACK_3,
            "",
            "temperatureSensor.1=25@4 rssi=-48[dBm]@4 snr=9[dB]@4 spreading_factor=11@4 frame_counter=10@4",
        );
        // Whose object has an `rssi` of its own.
        check(
            CHIRPSTACK_4,
            "",
            "b.0=1@5 b.1=2@5 rssi=-1@5 snr=0[dB]@5 spreading_factor=9@5 frame_counter=4@5",
        );
    }

    #[test]
    fn a_gateways_profile_makes_the_eui_the_device() {
        let check = |text: &str, expected: &str| {
            let payload = read(
                Format::Lorawan,
                text.as_bytes(),
                Some(&profile("gateway = true\npayload = \"cayenne-lpp\"")),
            );
            let payload = payload.unwrap();
            assert!(
                payload.samples.iter().all(|sample| sample.device.as_deref() == Some(expected)),
                "{payload:?}"
            );
            assert_eq!(payload.device_id.as_deref(), Some(expected));
        };
        check(AWS, "647fda0000006420");
        check(THE_THINGS_STACK, "0004a30b001c0530");
        check(CHIRPSTACK_3, "0202020202020202");
        check(CHIRPSTACK_4, "0101010101010101");
        check(&CHIRPSTACK_3.replace("AgICAgICAgI=", "02-02-02-02-02-02-02-02"), "0202020202020202");
        for bad in ["", "01", "0101010101010g01", "dev", "AgICAgICAgICAg=="] {
            let text = CHIRPSTACK_4.replace("0101010101010101", bad);
            assert_eq!(
                show_uplink(&text, "gateway = true"),
                Err(Reject::NotUplink("it names no device by an EUI")),
                "{bad}"
            );
            assert!(show_uplink(&text, "").is_ok(), "{bad}");
        }
    }

    #[test]
    fn whom_the_server_let_in_counts_for_more_than_what_the_object_says() {
        let text = CHIRPSTACK_4.replace("\"rssi\": -1", "\"device_id\": \"another\"");
        let payload = read(Format::Lorawan, text.as_bytes(), None).unwrap();
        assert_eq!(payload.device_id.as_deref(), Some("0101010101010101"));
        assert!(payload.samples.iter().all(|sample| sample.device.is_none()));
    }

    #[test]
    fn times_of_the_device_stand_before_the_servers() {
        let source = |text: &str, name: &str| {
            let payload = read(Format::Lorawan, text.as_bytes(), None).unwrap();
            let sample = payload.samples.iter().find(|sample| &*sample.name.sent == name).unwrap();
            sample.time.map(|time| time.source)
        };
        let timed = THE_THINGS_STACK.replace("\"luminosity\": 0.64", "\"ts\": 1700000001");
        assert_eq!(source(&timed, "temperature"), Some(TimeSource::Device));
        assert_eq!(source(&timed, "snr"), Some(TimeSource::Broker));
        assert_eq!(source(THE_THINGS_STACK, "temperature"), Some(TimeSource::Broker));
        let untimed = THE_THINGS_STACK.replace("2023-11-14T", "soon");
        assert_eq!(source(&untimed, "temperature"), None);
        // Records without times stay apart.
        let records = THE_THINGS_STACK.replace(
            r#""decoded_payload": {"temperature": 1.0, "luminosity": 0.64}"#,
            r#""normalized_payload": [{"air": {"temperature": 1}}, {"air": {"temperature": 2}}]"#,
        );
        let payload = read(Format::Lorawan, records.as_bytes(), None).unwrap();
        let times: Vec<_> = payload.samples.iter().take(2).map(|sample| sample.time.unwrap().at).collect();
        assert_eq!(times[1], times[0]);
        assert_ne!(payload.samples[0].record, payload.samples[1].record);
    }

    #[test]
    fn bytes_are_read_by_what_the_profile_says_of_their_port() {
        let field = |name: &str, rest: &str| {
            format!("[[field]]\nname = \"{name}\"\noffset = 0\ntype = \"u16\"\n{rest}\n")
        };
        let text = |port: &str| {
            format!(
                r#"{{"deviceInfo": {{}}, "fCnt": 1, {port} "rxInfo": [{{"rssi": "-70"}}], "data": "ABE="}}"#
            )
        };
        let fields = [field("a", "port = 2"), field("a", "port = 3\nscale = 2"), field("b", "")].concat();
        let check = |port: &str, fields: &str, expected: Result<&str, Reject>| {
            assert_eq!(show_uplink(&text(port), fields).as_deref(), expected.as_ref().copied(), "{port}");
        };
        check("\"fPort\": 2,", &fields, Ok("a=17@- b=17@- rssi=-70[dBm]@- frame_counter=1@-"));
        check("\"fPort\": 3,", &fields, Ok("a=34@- b=17@- rssi=-70[dBm]@- frame_counter=1@-"));
        check("\"fPort\": 300,", &fields, Ok("b=17@- rssi=-70[dBm]@- frame_counter=1@-"));
        check("", &fields, Ok("b=17@- rssi=-70[dBm]@- frame_counter=1@-"));
        check("\"fPort\": 9,", &field("a", "port = 2"), Err(Reject::NoLayout("those of this port")));
        check("\"fPort\": 2,", "", Err(Reject::NoLayout("them")));
    }

    #[test]
    fn what_nobody_decoded_is_not_passed_over() {
        let check = |text: &str, expected: Result<&str, Reject>| {
            assert_eq!(show_uplink(text, "").as_deref(), expected.as_ref().copied(), "{text}");
        };
        let empty = r#"{"fCnt": 1, "rxInfo": [], "fPort": 1, "data": ""}"#;
        check(empty, Ok("frame_counter=1@-"));
        check(r#"{"uplink_message": {}}"#, Ok("frame_counter=0@-"));
        check(r#"{"object": {}, "data": "AQ=="}"#, Err(Reject::NoLayout("them")));
        check(r#"{"objectJSON": " ", "data": "AQ=="}"#, Err(Reject::NoLayout("them")));
        check(r#"{"data": "AQ"}"#, Err(Reject::NotUplink("its data is not base64")));
        check(r#"{"object": 5}"#, Err(Reject::BareValue));
    }

    #[test]
    fn other_messages_are_no_uplinks() {
        let check = |text: &str, expected: Reject| {
            assert_eq!(show_uplink(text, ""), Err(expected), "{text}");
        };
        let none = || Reject::NotUplink("it is another message");
        check(r#"{"end_device_ids": {"device_id": "dev1"}, "join_accept": {"session_key_id": "x"}}"#, none());
        check(r#"{"devEUI": "AgICAgICAgI=", "acknowledged": true, "fCnt": 15}"#, none());
        check(r#"{"deviceInfo": {"devEui": "0101010101010101"}, "margin": 7, "batteryLevel": 75.3}"#, none());
        check(r#"{"WirelessMetadata": {"Sidewalk": {}}, "PayloadData": "AQ=="}"#, none());
        check(r#"{"temperature": 22.5}"#, none());
        check("", Reject::Empty);
        check("{\"data\": \"AQ", Reject::CutShort);
        check(
            r#"{"rxInfo": 5}"#,
            Reject::NotJson { what: "an unexpected value stands".into(), line: 1, column: 12 },
        );
    }

    proptest! {
        #[test]
        fn any_change_of_an_uplink_is_samples_or_a_reason(
            text in select(&[AWS, THE_THINGS_STACK, CHIRPSTACK_3, CHIRPSTACK_4][..]),
            changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
            end in any::<Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut bytes = text.as_bytes().to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if is_cut {
                bytes.truncate(end.index(bytes.len()));
            }
            let _ = read(Format::Lorawan, &bytes, Some(&profile("gateway = true\npayload = \"cayenne-lpp\"")));
            let _ = read(Format::Lorawan, &bytes, None);
        }
    }
}
