//! The way back, from every phase: the decision, and what it does in the same pass.

use chrono::{DateTime, Utc};

use crate::api::{LastRollback, Phase, Rejected, ReleaseKind, RollbackIntent};

use super::{Draft, capacity, clean, rejected, world};

/// Why traffic is brought back.
pub struct Cause {
    /// Reason in CamelCase.
    pub reason: String,
    /// The numbers, in a sentence.
    pub message: String,
    /// End of the interval that showed the breach, or when the decision was made.
    pub breach_at: DateTime<Utc>,
    /// The candidate is turned down.
    pub reject: bool,
}

impl Cause {
    /// A cause that turns the candidate down.
    pub fn reject(reason: &str, message: impl Into<String>, breach_at: DateTime<Utc>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), breach_at, reject: true }
    }

    /// A cause that leaves the candidate as it was: set back by the user, or overtaken.
    pub fn leave(reason: &str, message: impl Into<String>, at: DateTime<Utc>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), breach_at: at, reject: false }
    }
}

/// Decides the rollback and, in the same pass, writes the route: intent first, then the act.
pub fn begin(d: &mut Draft<'_>, cause: Cause) {
    let now = d.now();
    let version = d.status.candidate.as_ref().map_or_else(String::new, |c| c.version.clone());
    d.status.last_rollback = Some(LastRollback {
        version,
        reason: cause.reason.clone(),
        breach_at: cause.breach_at,
        decided_at: now,
        route_written_at: None,
        route_accepted_at: None,
    });
    d.status.rollback = Some(RollbackIntent {
        reason: cause.reason.clone(),
        message: cause.message.clone(),
        decided_at: now,
        reject: cause.reject,
        route_clean_at: None,
    });
    if cause.reject {
        reject(d, &cause);
    }
    d.status.overridden = None;
    d.status.conflict = None;
    d.status.settling = None;
    d.transition(Phase::RollingBack, "RollingBack", &cause.reason, cause.message);
    capacity::wake_stable(d);
    clean::clean(d, world::candidate_slot(&d.status));
}

fn reject(d: &mut Draft<'_>, cause: &Cause) {
    let Some(c) = d.status.candidate.clone() else { return };
    if c.kind == ReleaseKind::Expedited {
        return;
    }
    let entry = Rejected {
        version: c.version,
        bundle_digest: c.bundle_digest,
        template_hash: (c.kind == ReleaseKind::Template).then_some(c.template_hash),
        reason: cause.reason.clone(),
        message: super::draft::cut(cause.message.clone(), 512),
        at: d.now(),
        retry: d.spec().retry,
        attempt: c.attempt,
        retried: false,
    };
    rejected::add(d, entry);
}
