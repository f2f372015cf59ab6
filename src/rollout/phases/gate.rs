//! Whether a judged phase may go on: what it waits for, from the verdicts and its clock alone.

use crate::analysis::{MetricVerdict, Outcome, Reason};
use crate::api::Advance;
use crate::rollout::evidence::Judged;

/// What a phase waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The rest of its time.
    Hold,
    /// Evidence, in words; within its deadline.
    Evidence(String),
    /// A look: evidence as it stands now is needed, not as it was.
    Look,
    /// Nothing.
    Open,
}

/// A canary step. `proof`: non-inferiority must be proven for every metric that decides. When the step may end as soon as it
/// is, the hold is only for what is not.
pub fn step(hold_over: bool, when: Advance, proof: bool, judged: &Judged) -> Gate {
    let shown = match when {
        Advance::AfterHold => false,
        Advance::WhenProven => judged.may_advance() && judged.still_needed(true).is_empty(),
    };
    if !hold_over && !shown {
        return Gate::Hold;
    }
    asked(judged, judged.still_needed(proof))
}

/// The shadow stage; `min_requests` must have been mirrored.
pub fn shadow(hold_over: bool, min_requests: i64, judged: &Judged) -> Gate {
    if !hold_over {
        return Gate::Hold;
    }
    let so_far = mirrored(judged);
    if so_far < min_requests as f64 {
        return Gate::Evidence(format!("{min_requests} mirrored requests, {so_far:.0} so far"));
    }
    asked(judged, judged.still_needed(false))
}

/// Requests that the candidate has answered in the shadow stage.
pub fn mirrored(judged: &Judged) -> f64 {
    judged.verdicts.iter().map(|v| v.candidate.n).fold(0.0, f64::max)
}

/// The watch. A paired one ends on what a step asks. An unpaired one runs on the candidate's evidence alone: its time is over
/// and nothing is over its bar, or there would be no way here.
pub fn watch(hold_over: bool, paired: bool, judged: &Judged) -> Gate {
    if !hold_over {
        return Gate::Hold;
    }
    let alone = |v: &MetricVerdict| {
        v.observe_only
            || matches!(
                v.outcome,
                Outcome::Unavailable(Reason::Unpaired) | Outcome::Pass | Outcome::Inconclusive { .. }
            )
    };
    if !paired && judged.looked && judged.missing.is_none() && judged.verdicts.iter().all(alone) {
        return Gate::Open;
    }
    let missing = judged.still_needed(false);
    if !paired && missing.is_empty() {
        return Gate::Look;
    }
    asked(judged, missing)
}

fn asked(judged: &Judged, missing: String) -> Gate {
    if !missing.is_empty() {
        Gate::Evidence(missing)
    } else if !judged.looked || !judged.may_advance() {
        Gate::Look
    } else {
        Gate::Open
    }
}
