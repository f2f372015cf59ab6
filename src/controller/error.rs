//! Why a pass did not go through.

use crate::cluster::{Class, WriteError};
use crate::rollout::Violation;

/// Why a pass did not go through. Waiting, holding and rolling back are none of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The plan would have broken a promise. That is a defect of ours; nothing that raises traffic was written.
    #[error("a plan was not carried out: {0}; please report it with the rollout's status")]
    Violation(#[from] Violation),
}

impl Error {
    /// What is sensible now.
    pub fn class(&self) -> Class {
        match self {
            Self::Write(error) => error.class(),
            Self::Violation(_) => Class::RetryLater,
        }
    }

    /// For the counter of passes.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Violation(_) => "violation",
            Self::Write(error) => match error.class() {
                Class::Stale => "conflict",
                Class::RetrySoon => "retry-soon",
                Class::RetryLater => "retry-later",
                Class::NotLeader => "not-leader",
            },
        }
    }
}
