//! How a rollout ended, and by what.

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
    /// It finished far fewer requests than its share predicts.
    Silence,
    /// Stable has won the A/B test.
    AbTest,
}

impl By {
    /// The same for people.
    pub fn text(self) -> &'static str {
        match self {
            By::Limit => "worse than its limit",
            By::CoarseGuard => "coarse guard against stable",
            By::AbsoluteGuard => "coarse guard without a baseline",
            By::Range => "beyond its fixed limit",
            By::EvidenceDeadline => "the evidence did not come in time",
            By::NoEvidence => "no evidence for long",
            By::Silence => "the candidate is silent",
            By::AbTest => "lost its A/B test",
        }
    }
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
