//! What of a verdict is drawn.

use chrono::{DateTime, Utc};

use crate::analysis::{Kind, MetricVerdict};

use super::axis::Unit;

/// A metric at one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// End of the look.
    pub at: DateTime<Utc>,
    /// Requests or scores of stable in this stage so far, and its value.
    pub stable: (f64, Option<f64>),
    /// Those of the candidate.
    pub candidate: (f64, Option<f64>),
    /// The value at which the candidate would be on the rollback bound.
    pub limit: Option<f64>,
    /// Log evidence that the candidate is worse than allowed, and its bar.
    pub worse: (f64, f64),
    /// Log evidence that it is within the promotion bound, and its bar.
    pub good: (f64, f64),
}

impl Point {
    /// A look's verdict as a point.
    pub fn of(at: DateTime<Utc>, v: &MetricVerdict) -> Self {
        Self {
            at,
            stable: (v.stable.n, v.stable.value.map(|x| x.0)),
            candidate: (v.candidate.n, v.candidate.value.map(|x| x.0)),
            limit: v.limit.map(|x| x.0),
            worse: (v.log_bad, v.bar_bad),
            good: (v.log_ok, v.bar_ok),
        }
    }
}

/// In what an arm's value is shown, and what it is called.
pub fn unit(kind: Kind) -> (Unit, &'static str) {
    match kind {
        Kind::Ratio => (Unit::Share, "share of bad requests"),
        Kind::Latency => (Unit::Share, "share of requests slower than the highest chosen bound"),
        Kind::Slo => (Unit::Share, "share of requests slower than the bound"),
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => (Unit::Number, "mean"),
        Kind::Value => (Unit::Number, "value"),
    }
}
