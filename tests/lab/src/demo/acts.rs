//! What is played: one release a version, with what is known of it, so that the end can be judged.

use chrono::{DateTime, Utc};

use super::snapshot::{Act, ActState};
use crate::scenario::verdict::{Expect, Release};

/// One release of the demo.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) version: &'static str,
    pub(super) what: &'static str,
    pub(super) expect: Expect,
    /// Whether the rollout has a shadow stage. Without one the clients meet the version.
    pub(super) shadow: bool,
}

/// All of them, in order. The last two are released without a shadow stage: what finds them is real traffic.
pub(super) fn all() -> Vec<Script> {
    let back = |by: &[&str]| Expect::RolledBack { by: by.iter().map(|&cause| cause.to_owned()).collect() };
    let script = |version, what, expect, shadow| Script { version, what, expect, shadow };
    vec![
        script("1.0.0", "good", Expect::Adopted, true),
        script("1.1.0", "better", Expect::Promoted, true),
        script("1.2.0", "wrong more often", back(&["accuracy"]), true),
        script("1.3.0", "slow at the tail", back(&["latency"]), true),
        script("1.4.0", "fails 3 % of requests", back(&["errors", "gateway"]), false),
        script("1.5.0", "never answers", back(&["CandidateSilent"]), false),
    ]
}

impl Script {
    /// For the view, before it is played.
    pub(super) fn act(&self) -> Act {
        Act { version: self.version.to_owned(), what: self.what.to_owned(), state: ActState::Waiting }
    }

    /// For the table, after it was played.
    pub(super) fn release(&self, began: DateTime<Utc>, ended: DateTime<Utc>) -> Release {
        let (version, what) = (self.version.to_owned(), self.what.to_owned());
        Release { version, what, expect: self.expect.clone(), began, ended, outside: 0 }
    }

    /// How the end is called when it is the right one.
    pub(super) fn word(&self) -> &'static str {
        match self.expect {
            Expect::Adopted => "adopted",
            Expect::Promoted => "active",
            Expect::RolledBack { .. } => "back",
        }
    }
}

/// Versions that are known to be bad: what they do wrong is theirs.
pub(super) fn bad(scripts: &[Script]) -> Vec<&'static str> {
    let is_bad = |script: &&Script| matches!(script.expect, Expect::RolledBack { .. });
    scripts.iter().filter(is_bad).map(|script| script.version).collect()
}
