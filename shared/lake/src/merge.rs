//! Many sorted files into one order, each identity once.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use parquet::file::reader::ChunkReader;
use telemetry::Replaced;

use crate::columns::{Columns, SymbolMap};
use crate::decode::Reader;
use crate::error::LakeError;

/// Rows of each file in memory at a time: 2 MB of the longest texts.
const STRIDE: usize = 2_048;
/// Bytes of texts after which readings are given out, however few they are.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// Merges sorted files; keeps a stride of each in memory.
pub struct Merge<R: ChunkReader + 'static> {
    /// The sources that have rows left, the one whose row comes next on top.
    heads: BinaryHeap<Source<R>>,
    read: usize,
    replaced: Replaced,
    /// The reading that was given out last: it replaces what else has its identity.
    last: Columns,
}

struct Source<R: ChunkReader + 'static> {
    reader: Reader<R>,
    stride: Columns,
    index: usize,
    map: SymbolMap,
}

impl<R: ChunkReader + 'static> Source<R> {
    /// Moves on to the next row; returns whether there is one.
    fn advance(&mut self) -> Result<bool, LakeError> {
        self.index += 1;
        if self.index < self.stride.len() { Ok(true) } else { self.refill() }
    }

    fn refill(&mut self) -> Result<bool, LakeError> {
        self.stride.clear();
        self.map.clear();
        self.index = 0;
        self.reader.read(STRIDE, &mut self.stride)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_identity = self.stride.compare_identity(self.index, &other.stride, other.index);
        // The one that replaces the others comes first.
        by_identity
            .then_with(|| other.stride.precedence(other.index).cmp(&self.stride.precedence(self.index)))
    }
}

/// The heap gives the greatest, and the first is wanted.
impl<R: ChunkReader + 'static> Ord for Source<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.compare(self)
    }
}

impl<R: ChunkReader + 'static> PartialOrd for Source<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: ChunkReader + 'static> PartialEq for Source<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R: ChunkReader + 'static> Eq for Source<R> {}

impl<R: ChunkReader + 'static> Merge<R> {
    /// Of these files, each sorted by device, metric, time and `seq`, and each identity in it once.
    ///
    /// # Errors
    /// If one is damaged.
    pub fn new(readers: impl IntoIterator<Item = Reader<R>>) -> Result<Self, LakeError> {
        let mut heads = BinaryHeap::new();
        for reader in readers {
            let mut source =
                Source { reader, stride: Columns::default(), index: 0, map: SymbolMap::default() };
            if source.refill()? {
                heads.push(source);
            }
        }
        Ok(Self { heads, read: 0, replaced: Replaced::default(), last: Columns::default() })
    }

    /// Fills `columns` with the next readings, each identity once: at most `max`, and fewer if their texts are long.
    /// Returns whether there were any.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn next(&mut self, max: usize, columns: &mut Columns) -> Result<bool, LakeError> {
        columns.clear();
        self.forget_symbols();
        while columns.len() < max && columns.text_bytes() < MAX_TEXT_BYTES {
            let Some(mut head) = self.heads.peek_mut() else { break };
            self.read += 1;
            let source = &mut *head;
            let kept = if columns.is_empty() { &self.last } else { &*columns };
            let (next, index) = (&source.stride, source.index);
            match kept.len().checked_sub(1) {
                Some(last) if kept.compare_identity(last, next, index).is_eq() => {
                    self.replaced.add(kept.says_the_same(last, next, index));
                }
                _ => columns.push_from(next, index, &mut source.map),
            }
            if !source.advance()? {
                PeekMut::pop(head);
            }
        }
        if let Some(count) = columns.len().checked_sub(1) {
            self.last.clear();
            self.last.push_from(columns, count, &mut SymbolMap::default());
        }
        Ok(!columns.is_empty())
    }

    /// The columns given out have new symbols.
    fn forget_symbols(&mut self) {
        let mut sources = std::mem::take(&mut self.heads).into_vec();
        sources.iter_mut().for_each(|source| source.map.clear());
        self.heads = sources.into();
    }

    /// Rows read so far, those that were replaced among them.
    pub fn read(&self) -> usize {
        self.read
    }

    /// Rows that were replaced so far, by those that were given out.
    pub fn replaced(&self) -> Replaced {
        self.replaced
    }
}
