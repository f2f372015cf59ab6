//! What became of an attempt.

use chrono::Duration;

use crate::analysis::{BreachKind, Stage};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Traffic was brought back.
    RolledBack {
        /// In which stage.
        stage: Stage,
        /// The metric, where it was one.
        metric: Option<String>,
        /// What decided.
        by: By,
    },
    /// Promoted, and the watch ended clean.
    Active,
    /// Promoted, and the watch has not ended.
    Watched,
    /// Not promoted in all that time. True: a breach or a deadline holds it until a person decides.
    Undecided(bool),
}

/// What brought traffic back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The metric's own test against its limit.
    Limit,
    /// The coarse guard against stable.
    CoarseGuard,
    /// The coarse guard without a baseline.
    AbsoluteGuard,
    /// A value beyond its fixed limit.
    Range,
    /// `onEvidence: Rollback`.
    EvidenceDeadline,
    /// `noData.then: Rollback`.
    NoEvidence,
}

/// Times and requests since the candidate is what its settings say (its first request, or the onset).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    /// From then to the decision.
    pub time: Duration,
    /// The candidate's requests in that time.
    pub requests: f64,
    /// Its requests up to the end of the look that decided: what the test needed, without what came while the samples were on
    /// their way and without warm-ups.
    pub judged: f64,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Looks until then.
    pub looks: u32,
    /// Until it was taken back, when it was.
    pub detection: Option<Clock>,
    /// From the first request to the promotion, when there was one.
    pub promotion: Option<Clock>,
    /// The candidate was taken back before it was what its settings say.
    pub too_early: bool,
}

impl From<BreachKind> for By {
    fn from(kind: BreachKind) -> Self {
        match kind {
            BreachKind::Limit => By::Limit,
            BreachKind::CoarseGuard => By::CoarseGuard,
            BreachKind::Range => By::Range,
            BreachKind::AbsoluteGuard | BreachKind::AbsoluteGuardControlThin => By::AbsoluteGuard,
        }
    }
}
