//! The function `compact`: a closed hour of the lake becomes few large sorted objects, each reading once.
//!
//! ```text
//! list of keys ─Hours─► an hour's objects ─is it closed, and did enough come?─► Sorter ─► put new ─► delete old
//! ```
//!
//! Nothing is remembered between two runs: the names of an hour's objects tell whether it has changed since
//! it was compacted, their sizes and dates whether that is enough to rewrite it. Why no query loses a row meanwhile: ARCHITECTURE.md, "The lake".

pub mod handler;
pub mod plan;
pub mod sorter;
