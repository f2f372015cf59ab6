//! Watching: the candidate has nearly all the traffic; the version before is warm and keeps a share to compare with. From
//! here on the plan is frozen: another version waits.

use crate::api::{OnNewVersion, Phase};
use crate::rollout::rollback::{self, Cause};
use crate::rollout::{Draft, evidence, provider};

use super::gate::{self, Gate};
use super::{judged, preparing, settling};

/// The promotion.
pub fn begin(d: &mut Draft<'_>, why: &str) {
    let weight = 100 - provider::control_weight(d);
    d.status.phase = Some(Phase::Watching);
    judged::step(d, 0, weight);
    d.transition(Phase::Watching, "Watching", "Promoted", format!("share {weight} %: {why}"));
    provider::keep(d, None, true);
}

/// One pass.
pub fn run(d: &mut Draft<'_>) {
    let set_back = d.status.active.as_ref().is_some_and(|a| a.version == d.spec().version)
        && d.status.candidate.as_ref().is_some_and(|c| c.version != d.spec().version);
    if set_back {
        let now = d.now();
        return rollback::begin(d, Cause::leave("SetBack", "the spec names the active version again", now));
    }
    stable_changed(d);
    let watch = d.spec().strategy.watch.clone();
    let Some(look) = judged::look(d, provider::stage_of_watch(d), None) else { return };
    let newer = newer(d);
    let end_now = newer.is_some() && watch.on_new_version == OnNewVersion::EndWatch;
    let promoted = end_now || d.status.step.as_ref().is_some_and(|s| s.promoted);
    // Who ends the watch as verified needs no more evidence; the share and the pods must be there all the same.
    let may_go = if promoted { look.fit } else { look.steady };
    // Said whatever else holds: it takes a person to go on.
    let paused = preparing::paused(d);
    if !may_go || paused {
        return;
    }
    let duration = watch.duration.get();
    if promoted {
        return settling::begin(d, "the watch was ended as verified");
    }
    let over = judged::hold_over(d, duration);
    let gate = gate::watch(over, provider::control_weight(d) > 0, &look.judged);
    match gate {
        Gate::Hold => {
            judged::wait_hold(d, duration, "the watch");
            if let Some(version) = newer {
                d.wait(format!("then {version}"));
            }
        }
        Gate::Open => settling::begin(d, "the watch ended clean"),
        Gate::Evidence(_) | Gate::Look if duration.is_zero() => settling::begin(d, "the watch ended clean"),
        Gate::Look => d.wait("the next look"),
        Gate::Evidence(missing) => {
            judged::await_evidence(d, &look.judged, &missing);
        }
    }
}

/// Another version that waits for the end of the watch; only the latest is kept, since the spec holds one.
fn newer(d: &mut Draft<'_>) -> Option<String> {
    let c = d.status.candidate.as_ref()?;
    (d.spec().version != c.version).then(|| d.spec().version.clone())
}

/// The origin is the stable arm and its template was changed in Git: Kubernetes rolls that out in place, so a rollback now
/// goes to the changed origin, and a full new watch is due.
fn stable_changed(d: &mut Draft<'_>) {
    let before = d.obs.rollout.status.as_ref().and_then(|s| s.active.clone());
    let (Some(before), Some(active)) = (before, d.status.active.clone()) else { return };
    if active.slot != crate::api::Slot::Origin || before.template_hash == active.template_hash {
        return;
    }
    let message = "the origin's template changed while it is the stable arm: a rollback goes to the changed origin, and the watch begins again";
    d.event(true, "StableChanged", message);
    let now = d.now();
    if let Some(s) = &mut d.status.step {
        s.held_ms = 0;
        s.started_at = now;
    }
    evidence::restart_watch(d);
}
