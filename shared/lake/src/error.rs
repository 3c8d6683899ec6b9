//! What can be wrong with a file.

use parquet::errors::ParquetError;
use thiserror::Error;

/// A file that could not be written or read. Nothing of what devices sent is quoted.
#[derive(Debug, Error)]
pub enum LakeError {
    /// Not Parquet, cut short, or the sink failed.
    #[error("the file is not readable Parquet")]
    Parquet(#[from] ParquetError),
    /// Parquet whose pages contradict themselves.
    #[error("the file's pages are damaged")]
    Damaged,
    /// Parquet, but none of the lake's.
    #[error("the file is Parquet, but not one of Tidegate's: it has no tidegate.version")]
    Foreign,
    /// Written by a later version, whose columns this one would drop.
    #[error("the file has version {0} of the schema, and this program knows {known} at most", known = crate::schema::VERSION)]
    Newer(u32),
    /// A column that every version has.
    #[error("the file's column {0} is missing, or not of the type that the schema gives it")]
    Column(&'static str),
    /// The schema has fewer columns than are written.
    #[error("the schema ends after {0} columns")]
    Schema(usize),
    /// Fewer rows, or more, than the footer says.
    #[error("the file does not have the rows that its footer says")]
    Rows,
    /// A row whose columns contradict each other.
    #[error("a row of the file has no value")]
    NoValue,
}
