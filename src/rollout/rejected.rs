//! What was turned down, and when it may be tried again.

use crate::api::{Rejected, ReleaseKind};

use super::Draft;
use super::draft::RING;
use super::target::Target;

/// The entry that refuses a target, if any: a new bundle by its digest (with any template), a change of the template by
/// its hash. Going to another version and back does not retry it.
pub fn refuses<'a>(d: &'a Draft<'_>, target: &Target, kind: ReleaseKind) -> Option<&'a Rejected> {
    let spec_retry = d.spec().retry;
    d.status.rejected.iter().rev().find(|r| {
        let same = match kind {
            ReleaseKind::Version => {
                r.template_hash.is_none()
                    && r.version == target.version
                    && r.bundle_digest == target.bundle_digest
            }
            ReleaseKind::Template => r.template_hash.as_deref() == Some(target.template_hash.as_str()),
            ReleaseKind::Expedited => false,
        };
        same && !r.retried && spec_retry <= r.retry
    })
}

/// Which try of this target the next one is, from 1.
pub fn next_attempt(d: &Draft<'_>, target: &Target, kind: ReleaseKind) -> i32 {
    let tries = d.status.rejected.iter().filter(|r| match kind {
        ReleaseKind::Template => r.template_hash.as_deref() == Some(target.template_hash.as_str()),
        ReleaseKind::Version | ReleaseKind::Expedited => {
            r.template_hash.is_none()
                && r.bundle_digest == target.bundle_digest
                && r.version == target.version
        }
    });
    tries.map(|r| r.attempt).max().unwrap_or(0) + 1
}

/// Turns down what the rollout leaves.
pub fn add(d: &mut Draft<'_>, entry: Rejected) {
    d.status.rejected.retain(|r| {
        !(r.version == entry.version
            && r.bundle_digest == entry.bundle_digest
            && r.template_hash == entry.template_hash)
    });
    d.status.rejected.push(entry);
    let excess = d.status.rejected.len().saturating_sub(RING);
    if excess > 0 {
        let forgotten: Vec<String> = d.status.rejected.drain(..excess).map(|r| r.version).collect();
        d.event(
            true,
            "RejectionForgotten",
            format!("no longer remembered as turned down: {}", forgotten.join(", ")),
        );
    }
}

/// Lets a version be tried again. False when it is not among the rejected.
pub fn retry(d: &mut Draft<'_>, version: &str) -> bool {
    let mut found = false;
    for r in d.status.rejected.iter_mut().filter(|r| r.version == version) {
        r.retried = true;
        found = true;
    }
    found
}
