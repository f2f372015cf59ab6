//! What shadow, canary and watch have in common: evidence, the signals that bring traffic back, the pods that the share
//! needs, the route kept as decided, and the clock of the step.

use chrono::Duration;

use crate::analysis::Stage;
use crate::api::{HoldOrRollback, RollbackOrHold, StepStatus};
use crate::rollout::evidence::{self, Judged};
use crate::rollout::foreign::Kept;
use crate::rollout::rollback::{self, Cause};
use crate::rollout::{Draft, capacity, provider};

/// What the phase may go on with.
pub struct Look {
    /// How the metrics stand.
    pub judged: Judged,
    /// The share is as decided, nobody interferes, enough pods are there and nothing holds.
    pub steady: bool,
    /// The same, but evidence may be missing: what a person's word is enough for.
    pub fit: bool,
}

/// One pass of a judged phase. `None`: traffic is being brought back, the phase has changed.
pub fn look(d: &mut Draft<'_>, stage: Stage, mirror: Option<i32>) -> Option<Look> {
    capacity::remember(d);
    capacity::hold_stable(d);
    evidence::remember_pods(d);
    evidence::remember_exits(d);
    let judged = evidence::judge(d, stage);
    let per_stable = provider::per_stable(d, mirror);
    let signals = evidence::signals(d, &judged, per_stable);
    if let Some(signal) = signals.first() {
        match signal.then {
            RollbackOrHold::Rollback => {
                rollback::begin(d, Cause::reject(signal.reason, signal.message.clone(), signal.at));
                return None;
            }
            RollbackOrHold::Hold => d.hold(signal.reason, signal.message.clone()),
        }
    }
    let foreign = provider::taken_away(d, mirror) && !judged.missing_source();
    if !foreign && no_data_for_long(d, &judged) {
        return None;
    }
    let enough = provider::pods(d, judged.looked, !signals.is_empty());
    let kept = provider::keep(d, mirror, judged.looked);
    clock(d, &judged, kept);
    let contested = provider::contested(d);
    let breached = signals.iter().any(|s| s.reason == "MetricBreach");
    let fit = kept == Kept::AsDecided && enough && !contested && !breached && d.stalled.is_none();
    let steady = fit && signals.is_empty() && d.hold.is_none();
    Some(Look { judged, steady, fit })
}

/// Prometheus away is not a regression; after `noData.after` the stated policy, which never promotes.
fn no_data_for_long(d: &mut Draft<'_>, judged: &Judged) -> bool {
    let Some((reason, message)) = judged.missing.clone() else { return false };
    let policy = d.spec().analysis.no_data.clone();
    let began = d.status.step.as_ref().map(|s| s.set_at);
    let since = d.status.evidence.as_ref().and_then(|e| e.fresh_at).max(began);
    let long = since.is_some_and(|t| d.now() - t >= policy.after.get());
    match policy.then {
        HoldOrRollback::Rollback if long => {
            let now = d.now();
            let text = format!("no evidence for {}: {message}", policy.after);
            rollback::begin(d, Cause::reject("NoEvidence", text, now));
            true
        }
        HoldOrRollback::Rollback | HoldOrRollback::Hold => {
            d.hold(&reason, message);
            false
        }
    }
}

/// Hold and watch times run only at the planned weight, by intervals with fresh samples of both arms.
fn clock(d: &mut Draft<'_>, judged: &Judged, kept: Kept) {
    let at_weight = provider::at_weight(d);
    let Some(step) = &mut d.status.step else { return };
    if kept == Kept::AsDecided && at_weight {
        step.held_ms += judged.counted.num_milliseconds();
    }
}

/// Begins a step: the weight is decided here and written in the same pass.
pub fn step(d: &mut Draft<'_>, index: i32, weight: i32) {
    let now = d.now();
    d.status.step = Some(StepStatus {
        index,
        weight,
        set: weight,
        set_at: now,
        written: false,
        short_since: None,
        awaited: None,
        counts: None,
        started_at: now,
        held_ms: 0,
        evidence_ms: 0,
        promoted: false,
    });
    provider::begin(d);
    evidence::begin_step(d);
    let until = now + evidence::warm_up(d);
    evidence::discard(d, now, until);
}

/// Whether the step's time is over.
pub fn hold_over(d: &Draft<'_>, hold: Duration) -> bool {
    d.status.step.as_ref().is_some_and(|s| s.promoted || s.held_ms >= hold.num_milliseconds())
}

/// Waits for evidence after the hold, within its deadline. True when traffic is being brought back.
pub fn await_evidence(d: &mut Draft<'_>, judged: &Judged, missing: &str) -> bool {
    let deadline = d.spec().strategy.deadlines.clone();
    let passed = judged.counted.num_milliseconds();
    let waited = d.status.step.as_mut().map_or(0, |s| {
        s.evidence_ms += passed;
        s.evidence_ms
    });
    if waited < deadline.evidence.get().num_milliseconds() {
        d.wait(format!("evidence: {missing}"));
        return false;
    }
    match deadline.on_evidence {
        HoldOrRollback::Hold => {
            d.hold(
                "EvidenceDeadline",
                format!("the evidence did not come within {}: {missing}", deadline.evidence),
            );
            false
        }
        HoldOrRollback::Rollback => {
            let now = d.now();
            let text = format!("the evidence did not come within {}: {missing}", deadline.evidence);
            rollback::begin(d, Cause::reject("EvidenceDeadline", text, now));
            true
        }
    }
}

/// Waits in words for the rest of a hold.
pub fn wait_hold(d: &mut Draft<'_>, hold: Duration, what: &str) {
    let held = d.status.step.as_ref().map_or(0, |s| s.held_ms);
    let left = hold - Duration::milliseconds(held);
    d.wait(format!("{what}: {} more with fresh evidence", crate::api::duration::in_words(left)));
}
