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
    /// The hash takes the id eight bytes at a time, as little-endian numbers, the last ones filled up with zeros: each is
    /// added by XOR, multiplied by 2⁶⁴ divided by the golden ratio, and folded. It begins with FNV's offset basis, and
    /// ends with the length and MurmurHash3's `fmix64`, so that each bit depends on all of the id. No
    /// sender chooses the id. The same in Python is in this file's test.
    pub fn new(id: &str) -> Self {
        let word = |chunk: &[u8]| {
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(chunk).for_each(|(byte, of_id)| *byte = *of_id);
            u64::from_le_bytes(bytes)
        };
        let folded = id.as_bytes().chunks(8).fold(0xcbf2_9ce4_8422_2325_u64, |hash, chunk| {
            let product = (hash ^ word(chunk)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            product ^ (product >> 32)
        });
        let folded = folded ^ id.len() as u64;
        let mixed = (folded ^ (folded >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
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

    /// By this, in Python:
    ///
    /// ```python
    /// def delivery(id):
    ///     M, h, data = 2**64 - 1, 0xcbf29ce484222325, id.encode()
    ///     for at in range(0, len(data), 8):
    ///         p = ((h ^ int.from_bytes(data[at : at + 8], "little")) * 0x9E3779B97F4A7C15) & M
    ///         h = p ^ (p >> 32)
    ///     h ^= len(data)
    ///     h = ((h ^ (h >> 33)) * 0xFF51AFD7ED558CCD) & M
    ///     h = ((h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53) & M
    ///     h ^= h >> 33
    ///     return max(h & (2**48 - 1), 1), (h >> 48) % 1000
    /// ```
    #[test]
    fn the_hash_is_what_readers_of_stored_data_may_rely_on() {
        let check = |id: &str, hash48: u64, sub_millis: i64| {
            let delivery = Delivery::new(id);
            assert_eq!((delivery.hash48(), delivery.sub_millis()), (hash48, sub_millis), "{id}");
        };
        check("", 0x1f60ba992926, 392);
        check("b5e0c1f0-1a2b-3c4d-5e6f-000000000001", 0x6e8511d2b887, 849);
        check(
            "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            0xc2175b9d1cf8,
            581,
        );
    }
}
