//! The bounds on what one message may hold.
//!
//! A message beyond a bound is refused whole, with the bound in the reason: what a device sends
//! can make neither an item that DynamoDB refuses nor memory that grows with its wishes.

/// Longest payload, in bytes: what AWS IoT Core accepts of one MQTT publish
/// (AWS IoT Core quotas, "Maximum message payload size"). Kinesis, SQS and Kafka would allow more.
pub const MAX_PAYLOAD_BYTES: usize = 128 * 1024;

/// Longest payload after expansion, in bytes, of one that was compressed. Telemetry is seldom packed tighter than 8 to
/// 1, while 128 KiB of zeros could fill the memory of a function several times over.
pub const MAX_EXPANDED_BYTES: usize = 1024 * 1024;

/// Longest site, device or stream, in bytes: the longest name of an AWS IoT thing.
pub const MAX_TOPIC_LEVEL_BYTES: usize = 128;

/// Most levels of a topic: AWS IoT Core allows seven slashes (AWS IoT Core quotas, "Maximum number of slashes in topic and
/// topic filter").
pub const MAX_TOPIC_LEVELS: usize = 8;

/// Longest layout, in bytes: a policy, which the template makes of it, has at most 2,048 characters (AWS IoT Core quotas,
/// "Maximum policy document size").
pub const MAX_LAYOUT_BYTES: usize = 72;

/// Longest session identifier, in bytes. AWS IoT writes 32 or 36 characters, and promises no length.
pub const MAX_SESSION_BYTES: usize = 128;

/// Longest metric name, in bytes, the dots that join nested names included.
pub const MAX_NAME_BYTES: usize = 256;

/// Longest unit, in bytes: it stands beside each value.
pub const MAX_UNIT_BYTES: usize = 64;

/// Longest text value, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 16;

/// Most samples in one message, nulls among them.
pub const MAX_SAMPLES: usize = 10_000;

/// Most patterns of its profile that the different names of one message may be compared with: names times patterns. What
/// a name means is worked out once in a message; 200 patterns and 10,000 names would take the time of others.
pub const MAX_PATTERN_COMPARISONS: usize = 1_000_000;

/// Most different hours that one message may have times in, whatever the age that is accepted: a year. Each hour makes
/// a span, and an object of the lake. Below that, the accepted age is the bound.
pub const MAX_HOURS_OF_MESSAGE: usize = 24 * 366;

/// Longest time that one span covers, in microseconds: 15 minutes. A range query starts this much
/// earlier than its range, and finds every span that reaches into it.
pub const MAX_SPAN_MICROS: i64 = 15 * 60 * 1_000_000;

/// Largest span, in bytes of DynamoDB's JSON. The item itself is smaller than its JSON, so this
/// keeps well below the 400 KB that an item may have, 25 of them below the 16 MB of one request,
/// and several of them below the 6 MB of one stream event.
pub const MAX_SPAN_JSON_BYTES: usize = 128 * 1024;

/// Most that one device's latest values may take, in bytes of DynamoDB's JSON: again well below 400 KB.
pub const MAX_LATEST_JSON_BYTES: usize = 256 * 1024;

/// Most digits of an integer that keeps them: those that a DynamoDB number has (Amazon DynamoDB, "Supported data types",
/// Number). A longer one is the nearest double.
pub const MAX_INTEGER_DIGITS: u32 = 38;

/// Integers that keep their digits end below this magnitude.
pub const MAX_INTEGER: u128 = 10_u128.pow(MAX_INTEGER_DIGITS);

/// Smallest magnitude, zero aside, that a DynamoDB number can have
/// (Amazon DynamoDB, "Supported data types", Number).
pub const MIN_NUMBER: f64 = 1e-130;

/// DynamoDB's numbers end below this magnitude (largest: 9.9999999999999999999999999999999999999E+125).
pub const MAX_NUMBER: f64 = 1e126;
