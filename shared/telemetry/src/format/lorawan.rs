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
    let uplink = message.uplink().ok_or(Reject::NotUplink("member of theirs"))?;
    let speaks_for_others =
        matches!(context.profile.and_then(|profile| profile.gateway.as_ref()), Some(Gateway::Format));
    if speaks_for_others && uplink.eui.is_none() {
        return Err(Reject::NotUplink("EUI of a device"));
    }
    uplink.read_values(context, payload)?;
    uplink.add_radio_facts(context, &mut payload.samples)?;
    let device = uplink.eui.as_deref().filter(|_| speaks_for_others).map(Arc::from);
    for sample in &mut payload.samples {
        sample.device = device.clone().or(sample.device.take());
        sample.time = sample.time.or(uplink.time_of(sample.record));
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
            json::decode_text(decoded, context, payload)?;
        }
        let base64 = self.bytes.as_deref().unwrap_or_default();
        if !payload.samples.is_empty() || base64.is_empty() {
            return Ok(());
        }
        let bytes = base64_simd::STANDARD
            .decode_to_vec(base64)
            .map_err(|_| Reject::NotUplink("base64 in its data"))?;
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

    /// The time of a record that has none of its own; each is a microsecond after the one before, to stay another.
    fn time_of(&self, record: u32) -> Option<SentTime> {
        let at = self.received?.plus(record.into());
        Some(SentTime { at, source: TimeSource::Broker, basis: Basis::Epoch })
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
        let device = self.device_info.map_or(self.dev_eui, |device| device.dev_eui);
        // Servers tell of joins, acknowledgements and more, too: only an uplink has data, an object, or a counter and was
        // heard.
        let object =
            self.object.map(|object| Cow::Borrowed(object.get())).or_else(|| self.object_json.text());
        let bytes = self.data.text();
        let was_heard = self.f_cnt.0.is_some() && self.rx_info.is_some();
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
                frame_counter: self.f_cnt.0,
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
