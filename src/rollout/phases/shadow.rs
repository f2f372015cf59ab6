//! Shadow: the candidate gets a mirrored copy of the traffic; nobody sees its answers.

use crate::analysis::Stage;
use crate::api::Phase;
use crate::rollout::rollback::{self, Cause};
use crate::rollout::{Draft, provider, world};

use super::pending::{self, Overtaken};
use super::{canary, judged, preparing};

/// Decides the stage and writes the mirror in the same pass.
pub fn begin(d: &mut Draft<'_>) {
    let percent = d.spec().strategy.shadow.as_ref().map_or(100, |s| s.percent);
    judged::step(d, 0, 0);
    d.transition(
        Phase::Shadow,
        "Shadow",
        "ShadowStarted",
        format!("{percent} % of the requests are mirrored to it"),
    );
    provider::keep(d, Some(percent), false);
}

/// One pass.
pub fn run(d: &mut Draft<'_>) {
    match pending::overtaken(d) {
        Some(Overtaken::SetBack) => {
            let now = d.now();
            return rollback::begin(
                d,
                Cause::leave("SetBack", "the spec names the active version again", now),
            );
        }
        Some(Overtaken::Newer(message)) => return pending::supersede(d, &message),
        None => {}
    }
    let Some(shadow) = d.spec().strategy.shadow.clone() else { return removed(d) };
    let Some(look) = judged::look(d, Stage::Shadow, Some(shadow.percent)) else { return };
    // Said whatever else holds: it takes a person to go on.
    let paused = preparing::paused(d);
    if !look.steady || paused {
        return;
    }
    if !judged::hold_over(d, shadow.duration.get()) {
        return judged::wait_hold(d, shadow.duration.get(), "the shadow stage");
    }
    let mirrored = look.judged.verdicts.iter().map(|v| v.candidate.n).fold(0.0, f64::max);
    let enough = mirrored >= shadow.min_requests as f64;
    let mut missing = look.judged.still_needed(false);
    if !enough {
        missing = format!("{} mirrored requests, {mirrored:.0} so far", shadow.min_requests);
    }
    if !missing.is_empty() {
        judged::await_evidence(d, &look.judged, &missing);
        return;
    }
    if !look.judged.looked || !look.judged.may_advance() {
        return d.wait("the next look");
    }
    canary::begin(d, 0, &format!("{mirrored:.0} mirrored requests speak for it"));
}

/// The stage was taken out of the spec: it ends with what it has seen, unless something holds every advance.
fn removed(d: &mut Draft<'_>) {
    let mirror = world::reading(d.obs).and_then(|r| r.mirror).unwrap_or(100);
    let Some(look) = judged::look(d, Stage::Shadow, Some(mirror)) else { return };
    if look.steady && !preparing::paused(d) {
        canary::begin(d, 0, "spec.strategy.shadow was removed");
    }
}
