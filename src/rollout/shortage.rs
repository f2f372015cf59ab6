//! The weight on a route follows the candidate's ready pods.

use chrono::Duration;

use crate::api::AwaitedPods;
use crate::api::condition::{ConditionType, Finding};

use super::{Draft, capacity, evidence, world};

/// The pods that the share needs: missing ones lower the weight to what is ready, and it comes back by itself.
pub fn pods(d: &mut Draft<'_>) -> bool {
    let Some(c) = d.status.candidate.clone() else { return false };
    let Some(mut step) = d.status.step.clone() else { return false };
    let now = d.now();
    let need = capacity::need_of_step(d);
    capacity::raise(d, c.slot, need);
    let ready = evidence::candidate_endpoints(d);
    let enough = ready >= need;
    let bearable = if enough { step.weight } else { step.weight * ready.max(0) / need.max(1) };
    step.awaited = step.awaited.filter(|a| ready < a.pods);
    step.short_since = if enough { None } else { step.short_since.or(Some(now)) };
    let lowers = bearable < step.set;
    if lowers {
        capacity::wake_stable(d);
    }
    if lowers && ready > 0 && !world::stable_ready(d.obs, &d.status) {
        d.hold("StableNotReady", "pods of the candidate are missing, and the stable version has no ready pod to take over for them; it is being woken");
    } else if d.status.overridden.is_none() && bearable != step.set {
        let message = format!(
            "{ready} of {need} pods of the candidate are ready: its share goes from {} to {bearable} %",
            step.set
        );
        d.event(bearable < step.set, "ShareFollowsPods", message);
        step.set = bearable;
        step.set_at = now;
        step.written = false;
        evidence::share_changed(d);
    }
    if enough {
        d.condition(
            ConditionType::CandidateReady,
            Finding::yes("Ready", format!("{ready} pods are ready, {need} needed")),
        );
    } else {
        let message = format!("{ready} of {need} pods that the share needs are ready");
        d.condition(ConditionType::CandidateReady, Finding::no("PodsMissing", message.clone()));
        d.wait(message);
        let deadline = step.short_since.unwrap_or(now)
            + d.spec().strategy.deadlines.ready.get().min(Duration::minutes(5));
        // Over already, and it brought nothing back: what comes next is a change.
        if deadline > now {
            d.wake_at(deadline);
        }
    }
    d.status.step = Some(step);
    enough
}

/// Whether the pods for the next share are ready; if not they are started and waited for.
pub fn has_pods_for(d: &mut Draft<'_>, share: i32) -> bool {
    let need = capacity::need(d, share, 0);
    let ready = evidence::candidate_endpoints(d);
    if ready >= need {
        return true;
    }
    if let Some(slot) = d.status.candidate.as_ref().map(|c| c.slot) {
        capacity::raise(d, slot, need);
    }
    let now = d.now();
    if let Some(step) = &mut d.status.step {
        let since = step.awaited.map_or(now, |a| a.since);
        step.awaited = Some(AwaitedPods { pods: need, since });
        let deadline = since + d.spec().strategy.deadlines.ready.get();
        if deadline > now {
            d.wake_at(deadline);
        }
    }
    d.wait(format!("{need} pods for a share of {share} %, {ready} are ready"));
    false
}
