//! Counts of pods: how many of the candidate make a share beside the stable version, and what share they make.

use crate::api::{Phase, ReleaseKind, Slot, StepCounts, StepStatus};
use crate::rollout::{Draft, evidence, world};
use crate::traffic::replicas::{at_most, count, percent};
use crate::workload::capacity as of_capacity;

use super::shared::not_shared;

/// Ready pods of the stable version beside which the candidate's are counted. The surge of a rolling update goes again.
pub fn stable_pods(d: &Draft<'_>) -> i32 {
    let slot = world::active_slot(&d.status);
    world::ready_pods(d.obs, slot, None).min(world::replicas(d.obs.deployment(slot)))
}

/// Pods that make the first step's share, for its start.
pub fn first_pods(d: &Draft<'_>) -> i32 {
    let steps = &d.spec().strategy.canary.steps;
    count(stable_pods(d).max(1), steps, 0).unwrap_or(1)
}

/// The counts that make a canary step's share, as its time begins.
fn counts(d: &Draft<'_>, step: &StepStatus) -> Option<StepCounts> {
    let steps = &d.spec().strategy.canary.steps;
    let index = usize::try_from(step.index).ok()?;
    let stable = d.status.capacity.max(1);
    let candidate =
        count(stable, steps, index).filter(|_| steps.get(index).is_some_and(|s| s.weight == step.weight));
    Some(StepCounts { candidate: candidate.unwrap_or(0).max(at_most(stable, step.weight)), stable })
}

/// Pods that the present step asks for: those that make its share beside the stable version as it was, or fewer while that
/// has fewer, or more while it has more. 0: one pod would already be too much. In the watch, what all of the traffic needs.
pub fn need_of_step(d: &Draft<'_>) -> i32 {
    let Some(step) = &d.status.step else { return 1 };
    match (d.phase(), step.counts) {
        (Phase::Canary, Some(planned)) => {
            let stable = stable_pods(d);
            let part = planned.candidate * stable.min(planned.stable) / planned.stable.max(1);
            at_most(stable, step.weight).max(part)
        }
        (Phase::Canary, None) => at_most(stable_pods(d), step.weight),
        (
            Phase::Pending
            | Phase::Preparing
            | Phase::Shadow
            | Phase::Watching
            | Phase::Settling
            | Phase::Active
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Deleting,
            _,
        ) => of_capacity::need(d.status.capacity, step.weight, 0),
    }
}

/// A step begins, or its weight was edited.
pub fn begin(d: &mut Draft<'_>) {
    let canary = d.phase() == Phase::Canary;
    let counts = d.status.step.as_ref().filter(|_| canary).and_then(|step| counts(d, step));
    if let Some(step) = &mut d.status.step {
        step.counts = counts;
    }
    let set = share_to_set(d);
    if let Some(step) = &mut d.status.step {
        step.set = set;
    }
}

/// The share that is to be set now, in percent: what the pods give in a canary step. In the watch everything, as soon as the
/// candidate has the pods for it; until then what it has pods for.
pub fn share_to_set(d: &Draft<'_>) -> i32 {
    let (stable, need) = (stable_pods(d), need_of_step(d));
    let ready = evidence::candidate_endpoints(d);
    match d.phase() {
        Phase::Watching if ready >= need => 100,
        _ if not_shared(d).is_some() => 0,
        Phase::Watching => percent(ready, stable).min(99),
        _ if need <= 0 => 0,
        _ => percent(need, stable).clamp(1, 99),
    }
}

/// While both arms are selected no autoscaler may move their counts; nor the candidate's before, which would come with too many.
pub fn held_still(d: &Draft<'_>) -> Vec<(Slot, i32)> {
    let Some(c) = d.status.candidate.as_ref().filter(|c| c.kind != ReleaseKind::Expedited) else {
        return Vec::new();
    };
    let scale = |slot| world::replicas(d.obs.deployment(slot));
    let (active, set) = (world::active_slot(&d.status), d.status.step.as_ref().map_or(0, |s| s.set));
    let stable = (active, d.status.capacity.max(scale(active)));
    match d.phase() {
        Phase::Preparing => vec![(c.slot, first_pods(d))],
        Phase::Canary => {
            // Too few stable pods for a share: the candidate's are kept, and get nothing.
            let candidate = Some(need_of_step(d)).filter(|need| *need > 0).unwrap_or_else(|| scale(c.slot));
            vec![stable, (c.slot, candidate)]
        }
        Phase::Watching if set < 100 => vec![stable, (c.slot, need_of_step(d))],
        Phase::Pending
        | Phase::Shadow
        | Phase::Watching
        | Phase::Settling
        | Phase::Active
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Deleting => Vec::new(),
    }
}
