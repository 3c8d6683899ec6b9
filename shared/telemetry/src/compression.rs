//! Compressed payloads, known by how they begin: gzip, zlib and zstd.
//!
//! No payload of a format that is looked at here begins so itself; bare bytes may, and are not looked at. A zlib stream
//! is recognised with a window of 32 KiB only, which is what every library writes unless told otherwise: the first bytes
//! for smaller ones also begin Protobuf messages and texts.

use std::fmt;
use std::io::{self, BufRead as _, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use zstd::zstd_safe::{self, DCtx};

use crate::limits::MAX_EXPANDED_BYTES;
use crate::reject::Reject;

const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The four levels of compression that a header names, with the check bits that belong to each (RFC 1950, 2.2);
/// without a preset dictionary, which nobody has here.
const ZLIB: [[u8; 2]; 4] = [[0x78, 0x01], [0x78, 0x5e], [0x78, 0x9c], [0x78, 0xda]];

/// Expands payloads; keeps what it needs for that from one to the next.
#[derive(Default)]
pub(crate) struct Expander {
    zstd: Option<DCtx<'static>>,
}

impl fmt::Debug for Expander {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expander")
    }
}

impl Expander {
    /// Replaces `into` by what `bytes` expand to; `false` if they are not compressed.
    ///
    /// # Errors
    /// [`Reject::Expansion`] if that is more than [`MAX_EXPANDED_BYTES`], [`Reject::Compressed`] if they are damaged
    /// or other bytes follow.
    pub(crate) fn expand(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<bool, Reject> {
        if bytes.starts_with(&GZIP) {
            read(MultiGzDecoder::new(bytes), into).map_err(|_| Reject::Compressed("gzip"))?;
        } else if ZLIB.iter().any(|start| bytes.starts_with(start)) {
            let mut decoder = ZlibDecoder::new(bytes);
            read(&mut decoder, into).map_err(|_| Reject::Compressed("zlib"))?;
            let is_whole = into.len() > MAX_EXPANDED_BYTES
                || decoder.into_inner().fill_buf().is_ok_and(|rest| rest.is_empty());
            if !is_whole {
                return Err(Reject::Compressed("zlib"));
            }
        } else if bytes.starts_with(&ZSTD) {
            self.expand_zstd(bytes, into)?;
        } else {
            return Ok(false);
        }
        if into.len() > MAX_EXPANDED_BYTES { Err(Reject::Expansion) } else { Ok(true) }
    }

    /// In one step, into a buffer of the largest size that is accepted: so what has been written is the window, and no
    /// header can ask for a larger one.
    fn expand_zstd(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<(), Reject> {
        into.clear();
        into.reserve_exact(MAX_EXPANDED_BYTES);
        let decoder = self.zstd.get_or_insert_with(DCtx::create);
        match decoder.decompress(into, bytes) {
            Ok(_) => Ok(()),
            Err(code) if zstd_safe::get_error_name(code) == TOO_SMALL => Err(Reject::Expansion),
            Err(_) => Err(Reject::Compressed("zstd")),
        }
    }
}

/// What the library calls an output that does not fit its buffer (`ZSTD_error_dstSize_tooSmall`).
const TOO_SMALL: &str = "Destination buffer is too small";

/// Replaces `into` by what there is to read, up to one byte more than is accepted.
fn read(decoder: impl Read, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    decoder.take(MAX_EXPANDED_BYTES as u64 + 1).read_to_end(into).map(drop)
}
