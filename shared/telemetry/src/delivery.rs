//! Which delivery of a message this is: what keeps apart the readings that have no time of their own.

/// One delivery of a message by the broker, known by a hash of its id.
///
/// The id is the rule's trace. Where there is none, as with publishes over HTTP, it is what the source of the event
/// calls its record: the SQS message id, the Kinesis shard and sequence number, the Kafka partition and offset, or the
/// request id of a direct invocation. All of these are the same when the record is delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery(u64);

impl Delivery {
    /// Bits of the hash that are part of a reading's `seq`.
    const HASH_BITS: u32 = 48;

    /// The delivery called `id`.
    ///
    /// The hash is FNV-1a of 64 bits (Fowler, Noll, Vo; parameters of draft-eastlake-fnv), finished by MurmurHash3's
    /// `fmix64` so that each bit depends on all of the id. Nobody who sends messages chooses the id.
    pub fn new(id: &str) -> Self {
        let fnv = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(mixed ^ (mixed >> 33))
    }

    /// 48 bits of the hash; never 0, which stands for no delivery in [`Seq`](crate::Seq).
    pub fn hash48(self) -> u64 {
        (self.0 & ((1 << Self::HASH_BITS) - 1)).max(1)
    }

    /// The microseconds, 0 to 999, that are added to the broker's millisecond of arrival. They come from the bits that
    /// [`Self::hash48`] leaves out.
    pub fn sub_millis(self) -> i64 {
        i64::try_from((self.0 >> Self::HASH_BITS) % 1_000).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_readers_of_stored_data_may_rely_on() {
        // By an implementation of its own, in Python.
        let check = |id: &str, hash48: u64, sub_millis: i64| {
            let delivery = Delivery::new(id);
            assert_eq!((delivery.hash48(), delivery.sub_millis()), (hash48, sub_millis), "{id}");
        };
        check("", 0x1f60ba992926, 392);
        check("b5e0c1f0-1a2b-3c4d-5e6f-000000000001", 0x69dcd58595ce, 746);
        check(
            "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            0x706e376891c1,
            435,
        );
    }
}
