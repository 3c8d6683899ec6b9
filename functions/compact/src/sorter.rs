//! Sorts more readings than memory holds: what fits is sorted and written to a temporary file, and the
//! files are merged.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lake::key::Fingerprint;
use lake::schema::ROW_GROUP_ROWS;
use lake::{Columns, LakeError, Merge, Reader, Writer};
use sha2::{Digest, Sha256};
use telemetry::Replaced;
use tempfile::TempDir;
use thiserror::Error;

/// Readings in memory at a time: some 60 MB.
const SORTED_ROWS: usize = 1_000_000;
/// Bytes of texts in memory at a time: readings may be texts of 1 KB, all of them different.
const SORTED_TEXT_BYTES: usize = 64 << 20;
/// Rows taken from a file at a time: 16 MB of the longest texts.
const STRIDE: usize = 16_384;
/// Beginning of the names of temporary folders; the id of the process that uses one follows.
const FOLDER: &str = "tidegate-compact-";

/// Collects the readings of many files.
#[derive(Debug)]
pub struct Sorter {
    dir: TempDir,
    limits: Limits,
    /// Readings that are not sorted yet.
    pending: Columns,
    /// Files of sorted readings, and how many rows they have in all.
    runs: Vec<PathBuf>,
    run_rows: usize,
    rows: usize,
    /// Of the rows that were sorted away.
    replaced: Replaced,
}

/// How much is in memory and in a file.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Readings that are sorted at a time …
    pub sorted_rows: usize,
    /// … unless their texts have as many bytes before.
    pub sorted_text_bytes: usize,
    /// Readings that are merged at a time, into one row group.
    pub merged_rows: usize,
    /// Bytes after which a file ends.
    pub file_bytes: usize,
}

impl Default for Limits {
    /// Files of 128 MB: what Athena reads best ("Top 10 performance tuning tips", optimal file size).
    fn default() -> Self {
        Self {
            sorted_rows: SORTED_ROWS,
            sorted_text_bytes: SORTED_TEXT_BYTES,
            merged_rows: ROW_GROUP_ROWS,
            file_bytes: 128 << 20,
        }
    }
}

/// A file of sorted readings, each identity once.
#[derive(Debug)]
pub struct Output {
    /// Where it is, until the [`Sorted`] is dropped.
    pub file: PathBuf,
    /// Its rows.
    pub rows: usize,
    digest: [u8; 32],
}

/// All readings, sorted, in files of their own.
#[derive(Debug)]
pub struct Sorted {
    /// The files, in the order of their readings.
    pub outputs: Vec<Output>,
    /// Digest over all of them.
    pub set: String,
    /// Readings that others of their identity have replaced.
    pub replaced: Replaced,
    _dir: TempDir,
}

/// Why a file's readings were not taken.
#[derive(Debug, Error)]
pub enum AddError {
    /// The file is at fault: it is left as it is.
    #[error(transparent)]
    Unreadable(LakeError),
    /// This machine is.
    #[error(transparent)]
    Local(#[from] SortError),
}

/// Temporary files could not be written or read.
#[derive(Debug, Error)]
pub enum SortError {
    /// The disk is full, or does not work.
    #[error("a temporary file could not be written")]
    File(#[from] io::Error),
    /// The same, seen by the encoder.
    #[error("a temporary file could not be encoded or decoded")]
    Encoding(#[from] LakeError),
    /// A fault of this program; nothing is replaced then.
    #[error("of {expected} sorted readings {found} are there")]
    Lost {
        /// Rows that were written.
        expected: usize,
        /// Rows that were found when they were read again.
        found: usize,
    },
    /// Whoever asked for it has no more time.
    #[error("the time is over")]
    Stopped,
}

impl Sorter {
    /// An empty one, with files in the system's temporary folder.
    ///
    /// # Errors
    /// If no folder can be made there.
    pub fn new(limits: Limits) -> Result<Self, SortError> {
        let dir = tempfile::Builder::new().prefix(&format!("{FOLDER}{}-", std::process::id())).tempdir()?;
        Ok(Self {
            dir,
            limits,
            pending: Columns::default(),
            runs: Vec::new(),
            run_rows: 0,
            rows: 0,
            replaced: Replaced::default(),
        })
    }

    /// Takes the readings of a file. Of one that turns out damaged in the middle nothing is kept that was
    /// not sorted away already, and that is among what can be read of it.
    ///
    /// # Errors
    /// If the file cannot be read, has columns of a later version, or there is no room for temporary files.
    pub fn add(&mut self, file: Bytes) -> Result<(), AddError> {
        let mut reader = Reader::open(file).map_err(AddError::Unreadable)?;
        reader.check_rewritable().map_err(AddError::Unreadable)?;
        let mut start = self.pending.len();
        loop {
            match reader.read(STRIDE, &mut self.pending) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.pending.truncate(start);
                    return Err(AddError::Unreadable(error));
                }
            }
            if self.pending.len() >= self.limits.sorted_rows
                || self.pending.text_bytes() >= self.limits.sorted_text_bytes
            {
                self.rows += self.pending.len() - start;
                self.spill()?;
                start = 0;
            }
        }
        self.rows += self.pending.len() - start;
        Ok(())
    }

    /// Sorts what is in memory into a file of its own.
    fn spill(&mut self) -> Result<(), SortError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let path = self.dir.path().join(format!("run-{}.parquet", self.runs.len()));
        let mut writer = Writer::new(BufWriter::new(File::create(&path)?))?;
        self.count(writer.write_sorted(&self.pending)?);
        self.run_rows += writer.rows();
        writer.finish()?.flush()?;
        self.runs.push(path);
        self.pending.clear();
        Ok(())
    }

    fn count(&mut self, replaced: Replaced) {
        self.replaced.equal += replaced.equal;
        self.replaced.different += replaced.different;
    }

    /// Merges all into files of a good size, unless it `should_stop` before.
    ///
    /// # Errors
    /// If temporary files fail, or it was stopped.
    pub fn finish(mut self, should_stop: impl Fn() -> bool) -> Result<Sorted, SortError> {
        let mut outputs =
            Outputs { dir: self.dir.path().to_owned(), limits: self.limits, done: Vec::new(), open: None };
        if self.runs.is_empty() {
            // All of it fits into memory: sorting it is all there is to do.
            self.count(outputs.writer()?.write_sorted(&self.pending)?);
        } else {
            self.spill()?;
            // Its memory is the merge's now.
            self.pending = Columns::default();
            let open = |path: &PathBuf| Ok::<_, SortError>(Reader::open(File::open(path)?)?);
            let readers = self.runs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            let mut merge = Merge::new(readers)?;
            let mut columns = Columns::default();
            while merge.next(self.limits.merged_rows, &mut columns)? {
                outputs.writer()?.write_in_order(&columns)?;
                outputs.roll()?;
                if should_stop() {
                    return Err(SortError::Stopped);
                }
            }
            check_rows(self.run_rows, merge.read())?;
            self.count(merge.replaced());
        }
        let outputs = outputs.finish()?;
        for output in &outputs {
            check_rows(output.rows, Reader::open(File::open(&output.file)?)?.rows())?;
        }
        let written: usize = outputs.iter().map(|output| output.rows).sum();
        check_rows(self.rows, written + self.replaced.total())?;
        let mut set = Fingerprint::default();
        outputs.iter().for_each(|output| set.update(&output.digest));
        Ok(Sorted { outputs, set: set.finish(), replaced: self.replaced, _dir: self.dir })
    }
}

fn check_rows(expected: usize, found: usize) -> Result<(), SortError> {
    if expected == found { Ok(()) } else { Err(SortError::Lost { expected, found }) }
}

/// Removes what processes have left in a folder of temporary files when they were ended in the middle: a function that
/// is started anew may find them there, and they would take its room.
pub fn remove_leftovers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(FOLDER)) else { continue };
        let id = rest.split('-').next().unwrap_or_default();
        let is_mine = id == std::process::id().to_string();
        if is_mine || !Path::new("/proc").join(id).exists() {
            // What cannot be removed is no reason not to begin.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The files under way.
struct Outputs {
    dir: PathBuf,
    limits: Limits,
    done: Vec<Output>,
    open: Option<(PathBuf, Writer<Digesting<BufWriter<File>>>)>,
}

impl Outputs {
    fn writer(&mut self) -> Result<&mut Writer<Digesting<BufWriter<File>>>, SortError> {
        if self.open.is_none() {
            let path = self.dir.join(format!("output-{}.parquet", self.done.len()));
            let file = Digesting { sink: BufWriter::new(File::create(&path)?), digest: Sha256::new() };
            self.open = Some((path, Writer::new(file)?));
        }
        match &mut self.open {
            Some((_, writer)) => Ok(writer),
            None => Err(io::Error::other("no file is open").into()),
        }
    }

    /// Ends the file if it is large enough.
    fn roll(&mut self) -> Result<(), SortError> {
        let is_full = self.open.as_ref().is_some_and(|(_, writer)| writer.bytes() >= self.limits.file_bytes);
        if is_full { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), SortError> {
        if let Some((file, writer)) = self.open.take() {
            let rows = writer.rows();
            let mut written = writer.finish()?;
            written.flush()?;
            self.done.push(Output { file, rows, digest: written.digest.finalize().into() });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Output>, SortError> {
        self.close()?;
        self.done.retain(|output| output.rows > 0);
        Ok(self.done)
    }
}

/// Takes the digest of what passes.
struct Digesting<W> {
    sink: W,
    digest: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
