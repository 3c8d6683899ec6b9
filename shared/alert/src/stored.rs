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

/// Whether a time says nothing.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_zero(at: &telemetry::Micros) -> bool {
    at.0 == 0
}

/// Whether a quality is the one that is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_good(quality: &telemetry::Quality) -> bool {
    *quality == telemetry::Quality::Good
}

/// What tells apart readings of one time, as a number.
pub(crate) mod seq {
    use serde::{Deserialize, Deserializer, Serializer};
    use telemetry::Seq;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(seq: &Seq, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(seq.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Seq, D::Error> {
        u64::deserialize(deserializer).map(Seq)
    }
}

/// A quality by its word.
pub(crate) mod quality {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use telemetry::Quality;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(quality: &Quality, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(quality.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quality, D::Error> {
        let word = String::deserialize(deserializer)?;
        Quality::from_word(&word).ok_or_else(|| D::Error::custom("not a quality"))
    }
}

/// A unit as its text, or as a list of it and the one that was sent where that is another.
pub(crate) mod unit {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serialize, Serializer};
    use telemetry::Unit;

    pub(crate) fn serialize<S: Serializer>(unit: &Option<Unit>, serializer: S) -> Result<S::Ok, S::Error> {
        match unit.as_ref().map(|unit| (unit.as_str(), unit.sent())) {
            Some((unit, Some(sent))) => [unit, sent].serialize(serializer),
            Some((unit, None)) => serializer.serialize_str(unit),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Unit>, D::Error> {
        struct OneOrTwo;
        impl<'de> Visitor<'de> for OneOrTwo {
            type Value = Option<Unit>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a unit, or a unit and the one that was sent")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_str<E: Error>(self, unit: &str) -> Result<Self::Value, E> {
                Ok(Some(Unit::new(unit, None)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut text = || list.next_element::<String>()?.ok_or_else(|| A::Error::custom("no unit"));
                let (unit, sent) = (text()?, text()?);
                Ok(Some(Unit::new(&unit, Some(&sent))))
            }
        }
        deserializer.deserialize_any(OneOrTwo)
    }
}

/// Instants: each as its time, or as a list of time and `seq` where the latter is not 0.
pub(crate) mod instants {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeSeq as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use telemetry::{Micros, Seq};

    pub(crate) fn serialize<S: Serializer>(
        instants: &[(Micros, Seq)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(instants.len()))?;
        for (at, seq) in instants {
            if seq.is_none() {
                list.serialize_element(&at.0)?;
            } else {
                list.serialize_element(&(at.0, seq.0))?;
            }
        }
        list.end()
    }

    struct Instant(Micros, Seq);

    impl<'de> Deserialize<'de> for Instant {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct OneOrTwo;
            impl<'de> Visitor<'de> for OneOrTwo {
                type Value = Instant;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a time, or a time and a seq")
                }

                fn visit_i64<E: Error>(self, at: i64) -> Result<Instant, E> {
                    Ok(Instant(Micros(at), Seq::default()))
                }

                fn visit_u64<E: Error>(self, at: u64) -> Result<Instant, E> {
                    i64::try_from(at).map_err(E::custom).and_then(|at| self.visit_i64(at))
                }

                fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Instant, A::Error> {
                    let at = list.next_element::<i64>()?.ok_or_else(|| A::Error::custom("no time"))?;
                    let seq = list.next_element::<u64>()?.ok_or_else(|| A::Error::custom("no seq"))?;
                    Ok(Instant(Micros(at), Seq(seq)))
                }
            }
            deserializer.deserialize_any(OneOrTwo)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Micros, Seq)>, D::Error> {
        let instants = Vec::<Instant>::deserialize(deserializer)?;
        Ok(instants.into_iter().map(|Instant(at, seq)| (at, seq)).collect())
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
