//! Canary: the candidate gets a rising share; every step asks for fresh, sufficient evidence of both arms.

use crate::analysis::Stage;
use crate::api::{Advance, Phase, RequireProof, Step};
use crate::rollout::ab_test::{self, Turn};
use crate::rollout::rollback::{self, Cause};
use crate::rollout::{Draft, evidence, provider};

use super::gate::{self, Gate};
use super::pending::{self, Overtaken};
use super::{judged, preparing, watching};

/// Decides a step and writes its weight in the same pass.
pub fn begin(d: &mut Draft<'_>, index: i32, why: &str) {
    let Some(step) = at(d, index) else { return };
    d.status.phase = Some(Phase::Canary);
    judged::step(d, index, step.weight);
    ab_test::begin(d, index);
    let to = format!("Canary({index})");
    d.transition(Phase::Canary, &to, "StepStarted", format!("share {} %: {why}", step.weight));
    provider::keep(d, None, true);
}

fn at(d: &Draft<'_>, index: i32) -> Option<Step> {
    usize::try_from(index).ok().and_then(|i| d.spec().strategy.canary.steps.get(i).cloned())
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
    edited(d);
    let Some(look) = judged::look(d, Stage::Canary, None) else { return };
    let index = d.status.step.as_ref().map_or(0, |s| s.index);
    ab_test::count(d, index, &look.judged);
    // Said whatever else holds: it takes a person to go on.
    let paused = preparing::paused(d);
    if !look.steady || paused {
        return;
    }
    // The steps may have been cut short in the spec; then the last one that is left counts.
    let last = i32::try_from(d.spec().strategy.canary.steps.len()).unwrap_or(i32::MAX) - 1;
    let hold = at(d, index.min(last)).map_or_else(chrono::Duration::zero, |s| s.hold.get());
    let proof = index >= last || d.spec().strategy.require_proof == RequireProof::EveryStep;
    let over = judged::hold_over(d, hold) || ab_test::has_ended(d, index);
    let advance_when = match ab_test::turn(d, index, over, &look.judged) {
        Turn::Lost => return,
        Turn::Waits if over => return,
        // The time of a test is not cut short by proof of something else.
        Turn::Waits => Advance::AfterHold,
        Turn::Over => d.spec().strategy.advance,
    };
    match gate::step(over, advance_when, proof, &look.judged) {
        Gate::Hold => judged::wait_hold(d, hold, &format!("step {} of {}", index + 1, last + 1)),
        Gate::Evidence(missing) => {
            judged::await_evidence(d, &look.judged, &missing);
        }
        Gate::Look => {
            let wait = between_looks(d);
            d.wait(wait);
        }
        Gate::Open => advance(d, index, last),
    }
}

/// Between two looks the wait is what the last look said, so that a pass which is none writes nothing.
fn between_looks(d: &Draft<'_>) -> String {
    let said = d.obs.rollout.status.as_ref().and_then(|s| s.waiting_for.clone());
    let lasting = |text: &String| text.contains(" pods for a share of ");
    said.filter(lasting).unwrap_or_else(|| "the next look".to_owned())
}

/// The evidence is there: the next share waits only for its pods.
fn advance(d: &mut Draft<'_>, index: i32, last: i32) {
    let next = if index >= last {
        100 - provider::control_weight(d)
    } else {
        at(d, index + 1).map_or(0, |s| s.weight)
    };
    if !provider::has_pods_for(d, next) {
        return;
    }
    if index >= last {
        let why = ab_test::why(d, index, "non-inferiority is proven for every metric");
        watching::begin(d, &why);
    } else {
        let why = ab_test::why(d, index, "both arms have their samples, and they do not speak against it");
        begin(d, index + 1, &why);
    }
}

/// A later weight that was edited in the spec takes effect at once; the step never goes below the present index.
fn edited(d: &mut Draft<'_>) {
    let Some(step) = d.status.step.clone() else { return };
    let Some(wanted) = at(d, step.index) else { return };
    if wanted.weight >= step.weight {
        // A higher weight for the present step is a raise: it comes with the next step, on evidence.
        return;
    }
    let now = d.now();
    d.event(
        false,
        "StepEdited",
        format!("the present step goes from {} to {} %", step.weight, wanted.weight),
    );
    if let Some(s) = &mut d.status.step {
        s.weight = wanted.weight;
        s.set = s.set.min(wanted.weight);
        s.set_at = now;
        s.written = false;
    }
    provider::begin(d);
    evidence::share_changed(d);
    if !ab_test::has_ended(d, step.index) {
        ab_test::begin(d, step.index);
    }
}
