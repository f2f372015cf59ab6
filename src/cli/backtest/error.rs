//! Why nothing could be replayed.

use std::path::PathBuf;

use chrono::{DateTime, Duration, Utc};

use crate::api::duration::in_words;
use crate::backtest::Refused;
use crate::cli::past::{PastError, shown};

/// Why nothing could be replayed.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The manifest, or the samples.
    #[error(transparent)]
    Past(#[from] PastError),
    /// `--to`.
    #[error("--to {at} lies in the future: there is no history of it yet", at = shown(.0))]
    Future(DateTime<Utc>),
    /// Not even one look.
    #[error(
        "from {from} to {to} is shorter than one look of {interval} (spec.analysis.interval)",
        from = shown(.from), to = shown(.to), interval = in_words(*.interval)
    )]
    Short {
        /// Begin.
        from: DateTime<Utc>,
        /// End.
        to: DateTime<Utc>,
        /// A look.
        interval: Duration,
    },
    /// Older samples are gone.
    #[error(
        "stable's oldest sample is of {first}, after --from {from}: Prometheus keeps no older ones (its retention), or stable \
         was not scraped. Choose a later --from, with an hour of stable before it",
        first = shown(.first), from = shown(.from)
    )]
    TooOld {
        /// The oldest.
        first: DateTime<Utc>,
        /// What was asked for.
        from: DateTime<Utc>,
    },
    /// The controller would not have begun.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A picture.
    #[error("could not write {path}: {source}", path = .path.display())]
    Plot {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
