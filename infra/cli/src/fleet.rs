//! Devices: registered as AWS IoT wants them, connected as real ones connect.

use std::sync::Arc;
use std::time::Duration;

use cloud::sdk::iot;
use cloud::sdk::iot::error::ProvideErrorMetadata as _;
use cloud::sdk::iot::types::AttributePayload;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::error::{Context as _, Error, Result};

/// How long the broker may take to accept a connection or a message.
const PATIENCE: Duration = Duration::from_secs(10);
/// AWS IoT Core's longest payload, with room for the topic.
const MAX_PACKET_BYTES: usize = 160 * 1024;
/// Messages on their way to the broker, or unacknowledged.
const IN_FLIGHT: u16 = 100;

/// An MQTT broker that asks for certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port of MQTT over mutual TLS.
    pub port: u16,
    /// The certificate that signed the broker's, in PEM.
    pub ca: String,
}

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its thing's attribute `site`.
    pub site: String,
    /// Name of its thing, and its MQTT client id.
    pub name: String,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its private key, in PEM.
    pub key: String,
}

impl Device {
    /// The topic `dt/{site}/{device}/{stream}`.
    pub fn topic(&self, stream: &str) -> String {
        format!("dt/{}/{}/{stream}", self.site, self.name)
    }
}

/// Registers a device: a thing with the attribute `site`, a certificate and key of its own, and
/// `policies` attached to the certificate. A thing that exists gets another certificate.
///
/// # Errors
/// If AWS IoT refuses.
pub async fn register(iot: &iot::Client, policies: &[&str], site: &str, name: &str) -> Result<Device> {
    let sentence = || format!("cannot register the device {name}");
    let attributes = AttributePayload::builder().attributes("site", site).build();
    let created = iot.create_thing().thing_name(name).attribute_payload(attributes.clone()).send().await;
    match created {
        Err(error) if error.code() == Some("ResourceAlreadyExistsException") => {
            let update = iot.update_thing().thing_name(name).attribute_payload(attributes);
            update.send().await.map(drop).or_problem(sentence)?;
        }
        created => created.map(drop).or_problem(sentence)?,
    }
    let made = iot.create_keys_and_certificate().set_as_active(true).send().await.or_problem(sentence)?;
    let arn = made.certificate_arn().unwrap_or_default();
    for policy in policies {
        iot.attach_policy().policy_name(*policy).target(arn).send().await.or_problem(sentence)?;
    }
    iot.attach_thing_principal().thing_name(name).principal(arn).send().await.or_problem(sentence)?;
    Ok(Device {
        site: site.to_owned(),
        name: name.to_owned(),
        certificate: made.certificate_pem().unwrap_or_default().to_owned(),
        key: made.key_pair().and_then(|pair| pair.private_key()).unwrap_or_default().to_owned(),
    })
}

/// A device's connection. Dropping it cuts it, as when a device loses its network.
#[derive(Debug)]
pub struct Connection {
    device: String,
    client: AsyncClient,
    happenings: UnboundedReceiver<Happening>,
    received: UnboundedReceiver<Received>,
    driver: AbortHandle,
}

/// A message that a subscription brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it was published.
    pub topic: String,
    /// What was published.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it from before the subscription.
    pub is_retained: bool,
}

#[derive(Debug)]
enum Happening {
    Connected,
    Sent(u16),
    Acknowledged(u16),
    Subscribed,
    Broken(String),
}

impl Connection {
    /// Connects `device` by mutual TLS, its name as the client id.
    ///
    /// # Errors
    /// If the broker refuses, or does not answer in time.
    pub async fn open(broker: &Broker, device: &Device) -> Result<Self> {
        let mut options = MqttOptions::new(&device.name, &broker.host, broker.port);
        options.set_transport(Transport::tls_with_config(tls(broker, device)?));
        options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
        options.set_inflight(IN_FLIGHT).set_keep_alive(Duration::from_secs(30));
        let (client, events) = AsyncClient::new(options, usize::from(IN_FLIGHT));
        let (tell, happenings) = unbounded_channel();
        let (deliver, received) = unbounded_channel();
        let driver = tokio::spawn(drive(events, tell, deliver)).abort_handle();
        let mut connection = Self { device: device.name.clone(), client, happenings, received, driver };
        connection
            .wait_for("connect", |happening| matches!(happening, Happening::Connected).then_some(()))
            .await?;
        Ok(connection)
    }

    /// Publishes with QoS 1 and waits until the broker has acknowledged it.
    ///
    /// # Errors
    /// If the connection breaks, or there is no acknowledgement in time.
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        if self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.is_err() {
            // The driver has ended, and has left word why.
            return self.wait_for("publish", |_| None).await;
        }
        let sent = |happening: &Happening| if let Happening::Sent(id) = happening { Some(*id) } else { None };
        let id = self.wait_for("publish", sent).await?;
        let acknowledged = |happening: &Happening| match happening {
            Happening::Acknowledged(acknowledged) if *acknowledged == id => Some(()),
            _ => None,
        };
        self.wait_for("publish", acknowledged).await
    }

    /// Subscribes to a topic filter with QoS 1.
    ///
    /// # Errors
    /// If the broker refuses, or does not answer in time.
    pub async fn subscribe(&mut self, filter: &str) -> Result<()> {
        if self.client.subscribe(filter, QoS::AtLeastOnce).await.is_err() {
            return self.wait_for("subscribe", |_| None).await;
        }
        self.wait_for("subscribe", |happening| matches!(happening, Happening::Subscribed).then_some(())).await
    }

    /// The next message of a subscription; `None` if none comes within `patience`.
    pub async fn receive(&mut self, patience: Duration) -> Option<Received> {
        timeout(patience, self.received.recv()).await.ok().flatten()
    }

    /// Says goodbye to the broker.
    pub async fn close(mut self) {
        if self.client.disconnect().await.is_ok() {
            // The driver ends with the connection.
            let _ = timeout(PATIENCE, async { while self.happenings.recv().await.is_some() {} }).await;
        }
    }

    async fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&Happening) -> Option<T>) -> Result<T> {
        let device = &self.device;
        let failed = |why: String| Error::problem(format!("the device {device} could not {what}: {why}"));
        let happenings = &mut self.happenings;
        let wait = async {
            loop {
                match happenings.recv().await {
                    Some(Happening::Broken(why)) => return Err(failed(why)),
                    None => return Err(failed("the connection is closed".to_owned())),
                    Some(happening) => {
                        if let Some(found) = wanted(&happening) {
                            return Ok(found);
                        }
                    }
                }
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failed(format!("the broker did not answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Keeps the connection going until it breaks or is closed; never connects again, because a test
/// or demo has to see that it broke.
async fn drive(mut events: EventLoop, tell: UnboundedSender<Happening>, deliver: UnboundedSender<Received>) {
    loop {
        let happening = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Happening::Connected,
            Ok(Event::Incoming(Packet::PubAck(ack))) => Happening::Acknowledged(ack.pkid),
            Ok(Event::Incoming(Packet::SubAck(_))) => Happening::Subscribed,
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let (topic, payload) = (publish.topic, publish.payload.to_vec());
                // Nobody listens any more where the connection is being dropped.
                let _ = deliver.send(Received { topic, payload, is_retained: publish.retain });
                continue;
            }
            Ok(Event::Outgoing(Outgoing::Publish(id))) => Happening::Sent(id),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(_) => continue,
            Err(error) => {
                let _ = tell.send(Happening::Broken(error.to_string()));
                return;
            }
        };
        if tell.send(happening).is_err() {
            return;
        }
    }
}

fn tls(broker: &Broker, device: &Device) -> Result<TlsConfiguration> {
    let unreadable = |what: &'static str| move || what;
    let mut roots = RootCertStore::empty();
    for certificate in
        certificates(&broker.ca).or_problem(unreadable("the broker's CA is no certificate in PEM"))?
    {
        roots.add(certificate).or_problem(unreadable("the broker's CA is no certificate"))?;
    }
    let chain = certificates(&device.certificate)
        .or_problem(unreadable("the device's certificate is none in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(device.key.as_bytes());
    let key = key.or_problem(unreadable("the device's key is none in PEM"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        versions.or_problem(unreadable("ring offers no version of TLS"))?.with_root_certificates(roots);
    let config = config
        .with_client_auth_cert(chain, key)
        .or_problem(|| format!("the device {} cannot use its certificate", device.name))?;
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect()
}
