//! Shadow: the candidate gets a mirrored copy of the traffic; nobody sees its answers.

use crate::analysis::Stage;
use crate::api::Phase;
use crate::rollout::rollback::{self, Cause};
use crate::rollout::{Draft, cost, provider};

use super::gate::{self, Gate};
use super::judged::Look;
use super::pending::{self, Overtaken};
use super::{canary, judged, preparing};

/// Decides the stage and writes the mirror in the same pass.
pub fn begin(d: &mut Draft<'_>) {
    let percent = d.spec().strategy.shadow.as_ref().map_or(100, |s| s.percent);
    judged::step(d, 0, 0);
    cost::begin(d, percent);
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
    let mirror = cost::mirror(d, &shadow);
    let Some(look) = judged::look(d, Stage::Shadow, mirror) else { return };
    // A budget is kept whatever holds the rollout.
    cost::keep(d, &shadow, &look.judged);
    // Said whatever else holds: it takes a person to go on.
    let paused = preparing::paused(d);
    let spent = cost::spent(d, &shadow, &look.judged);
    if !look.steady || paused {
        return;
    }
    if let Some(gate) = spent {
        match gate {
            Gate::Open => go_on(d, &look, "the budget is spent, "),
            Gate::Look => d.wait("the next look"),
            Gate::Hold | Gate::Evidence(_) => {}
        }
        return;
    }
    let hold = shadow.duration.get();
    match gate::shadow(judged::hold_over(d, hold), shadow.min_requests, &look.judged) {
        Gate::Hold => judged::wait_hold(d, hold, "the shadow stage"),
        Gate::Evidence(missing) => {
            judged::await_evidence(d, &look.judged, &missing);
        }
        Gate::Look => d.wait("the next look"),
        Gate::Open => go_on(d, &look, ""),
    }
}

fn go_on(d: &mut Draft<'_>, look: &Look, why: &str) {
    let cost = d.status.shadow.as_ref().and_then(|s| s.cost.clone());
    let cost = cost.map_or_else(String::new, |cost| format!(", all that was mirrored cost {cost}"));
    let mirrored = gate::mirrored(&look.judged);
    canary::begin(d, 0, &format!("{why}{mirrored:.0} mirrored requests speak for it{cost}"));
}

/// The stage was taken out of the spec: it ends with what it has seen, unless something holds every advance.
fn removed(d: &mut Draft<'_>) {
    let mirror = cost::mirror_in_force(d);
    let Some(look) = judged::look(d, Stage::Shadow, mirror) else { return };
    if look.steady && !preparing::paused(d) {
        canary::begin(d, 0, "spec.strategy.shadow was removed");
    }
}
