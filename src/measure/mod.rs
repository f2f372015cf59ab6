//! Where the numbers come from: metric sources. I/O only; what the numbers mean is decided in [`crate::analysis`].
//!
//! A source answers one question, "the raw samples of these selectors over this window", and its answer is typed: series,
//! no data, or an error with a class. Servers are named in the operator's configuration and never by a tenant.

pub mod source;

pub use source::{ArmMatcher, ErrorClass, Query, Reading, Server, Source, SourceError};
