//! Sparkplug's one protobuf message (Sparkplug 3.0.0, 6.4, "Google Protocol Buffer schema"). What is not read is left out
//! of it: metadata, extensions, and lists of property sets. What few metrics have is boxed: lists of metrics are moved about.

/// A payload.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    /// When it was sent, in milliseconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    pub(crate) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) metrics: Vec<Metric>,
    /// Its number in the node's session: 0 to 255, then 0 again.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) seq: Option<u64>,
    /// Names another meaning of the payload, such as that its body is a compressed one.
    #[prost(string, optional, tag = "4")]
    pub(crate) uuid: Option<String>,
}

/// As [`Payload`], of which nothing but its number is read.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Numbered {
    #[prost(uint64, optional, tag = "3")]
    pub(crate) seq: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Metric {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    /// Stands for the name that a birth gives it.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) alias: Option<u64>,
    /// When it was measured, in milliseconds since 1970.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(crate) datatype: Option<u32>,
    /// Whether it is of the past, and not to be shown as the present.
    #[prost(bool, optional, tag = "5")]
    pub(crate) is_historical: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(crate) is_null: Option<bool>,
    #[prost(message, optional, boxed, tag = "9")]
    pub(crate) properties: Option<Box<PropertySet>>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
    #[prost(bytes = "vec", tag = "16")]
    Bytes(Vec<u8>),
    #[prost(message, boxed, tag = "17")]
    DataSet(Box<DataSet>),
    #[prost(message, boxed, tag = "18")]
    Template(Box<Template>),
}

/// A table.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DataSet {
    #[prost(string, repeated, tag = "2")]
    pub(crate) columns: Vec<String>,
    #[prost(uint32, repeated, packed = "false", tag = "3")]
    pub(crate) types: Vec<u32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Row {
    #[prost(message, repeated, tag = "1")]
    pub(crate) elements: Vec<Element>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Element {
    #[prost(oneof = "ElementValue", tags = "1, 2, 3, 4, 5, 6")]
    pub(crate) value: Option<ElementValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ElementValue {
    #[prost(uint32, tag = "1")]
    Int(u32),
    #[prost(uint64, tag = "2")]
    Long(u64),
    #[prost(float, tag = "3")]
    Float(f32),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(bool, tag = "5")]
    Boolean(bool),
    #[prost(string, tag = "6")]
    String(String),
}

/// An instance of a structure, or its definition.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Template {
    #[prost(message, repeated, tag = "2")]
    pub(crate) metrics: Vec<Metric>,
    #[prost(bool, optional, tag = "5")]
    pub(crate) is_definition: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PropertySet {
    #[prost(string, repeated, tag = "1")]
    pub(crate) keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) values: Vec<Property>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Property {
    #[prost(bool, optional, tag = "2")]
    pub(crate) is_null: Option<bool>,
    #[prost(oneof = "PropertyValue", tags = "3, 4, 8")]
    pub(crate) value: Option<PropertyValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum PropertyValue {
    #[prost(uint32, tag = "3")]
    Int(u32),
    #[prost(uint64, tag = "4")]
    Long(u64),
    #[prost(string, tag = "8")]
    String(String),
}

impl Metric {
    /// The value of the property `key`, where it has one.
    pub(crate) fn property(&self, key: &str) -> Option<&PropertyValue> {
        let properties = self.properties.as_ref()?;
        let place = properties.keys.iter().position(|known| known == key)?;
        let property = properties.values.get(place)?;
        property.value.as_ref().filter(|_| property.is_null != Some(true))
    }
}
