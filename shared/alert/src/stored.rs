//! How telemetry's types are stored in an alert's working memory: as plain JSON.

/// A time as microseconds since 1970.
pub(crate) mod micros {
    use serde::{Deserialize, Deserializer, Serializer};
    use telemetry::Micros;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        i64::deserialize(deserializer).map(Micros)
    }
}

/// A reading's value as DynamoDB writes it, whose numbers are texts: a JSON number may lose its last digit on the way
/// through a parser, and a value that lies exactly at a level must not.
pub(crate) mod value {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use telemetry::Value;
    use telemetry::attribute::{Attribute, V};

    pub(crate) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        V(value).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let attribute = Attribute::deserialize(deserializer)?;
        attribute.as_value().ok_or_else(|| D::Error::custom("not the value of a reading"))
    }
}

/// A double as text, which keeps its last digit, too.
pub(crate) mod double {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(|number| format!("{number:e}")).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::finite(&text).ok_or_else(|| D::Error::custom("not a number"))).transpose()
    }
}

/// Points of time and number, the numbers as [`double`] writes them.
pub(crate) mod points {
    use std::collections::VecDeque;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        points: &VecDeque<(i64, f64)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(points.iter().map(|(at, number)| (at, format!("{number:e}"))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<(i64, f64)>, D::Error> {
        let points = Vec::<(i64, String)>::deserialize(deserializer)?.into_iter();
        let read = |(at, text): (i64, String)| Some((at, super::finite(&text)?));
        points.map(|point| read(point).ok_or_else(|| D::Error::custom("not a number"))).collect()
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
