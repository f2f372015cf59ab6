//! Why the past could not be read.

use chrono::{DateTime, Utc};

use super::shown;
use crate::cli::input::InputError;
use crate::course::Unusable;
use crate::measure::{ScopeError, SourceError};

/// Why the past could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The manifest.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The rollout has nothing to judge by.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Prometheus.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A selector of the manifest.
    #[error("metric {metric}: {selector}: {error}")]
    Selector {
        /// Whose.
        metric: String,
        /// As it stands in the manifest.
        selector: String,
        /// What is wrong.
        error: ScopeError,
    },
    /// Nobody said which series an arm has.
    #[error(
        "metric {metric}: which series were the {arm}'s? Its arms are told apart by the label {label}: say --{arm} \
         '{label}=~\"...\"'"
    )]
    NoArm {
        /// Whose.
        metric: String,
        /// Which arm.
        arm: &'static str,
        /// The label of its arms.
        label: String,
    },
    /// The gateway's label names the port.
    #[error(
        "metric {metric}: the gateway's label {label} has the Service's port in it ({value}): say --port, or name the arm by \
         --{arm} '{label}=\"...\"'"
    )]
    NoPort {
        /// Whose.
        metric: String,
        /// Which arm.
        arm: &'static str,
        /// The label.
        label: String,
        /// Its value in the manifest.
        value: String,
    },
    /// A matcher that lets several values through where one tells the arm.
    #[error(
        "metric {metric}: --{arm} {matcher} matches several values of that label ({found}): name one of them"
    )]
    Several {
        /// Whose.
        metric: String,
        /// Which arm.
        arm: &'static str,
        /// As it was given.
        matcher: String,
        /// The values.
        found: String,
    },
    /// A regular expression on an expression's arms.
    #[error(
        "metric {metric}: the pods of an expression cannot be looked up by {matcher}: add a metric with counters, or name one \
         pod exactly"
    )]
    Expression {
        /// Whose.
        metric: String,
        /// As it was given.
        matcher: String,
    },
    /// Two labels.
    #[error(
        "metric {metric}: the arms are told apart by two labels, {stable} and {candidate}; a series could be in both. Use one \
         label for both"
    )]
    Labels {
        /// Whose.
        metric: String,
        /// Stable's label.
        stable: String,
        /// The candidate's.
        candidate: String,
    },
    /// The arms are the same series.
    #[error(
        "metric {metric}: both arms have {shared}. Arms must not share series, or every look would be a draw. For A/A take two \
         sets of stable's pods"
    )]
    Shared {
        /// Whose.
        metric: String,
        /// In words.
        shared: String,
    },
    /// Prometheus knows no such series in that time.
    #[error(
        "metric {metric}: Prometheus has no series of the {arm} from {from} to {to}. Asked: {query}",
        from = shown(.from), to = shown(.to)
    )]
    NoSeries {
        /// Whose.
        metric: String,
        /// Which arm.
        arm: &'static str,
        /// What was asked.
        query: String,
        /// Begin.
        from: DateTime<Utc>,
        /// End.
        to: DateTime<Utc>,
    },
    /// A look's worth of samples is too large.
    #[error("metric {metric}: {error}; a minute of it is still too much")]
    TooLarge {
        /// Whose.
        metric: String,
        /// What Prometheus, or the reading of its answer, said.
        error: SourceError,
    },
    /// The process.
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
}
