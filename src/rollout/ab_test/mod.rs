//! The A/B test of a canary step: the step is held until both versions have their sessions, then the difference is reckoned
//! once, and there is a winner. The sessions are counted in the state of the metric's test, so they too move with the looks.

mod standing;

use crate::analysis::ab_test::Sessions;
use crate::analysis::{MetricPlan, MetricState};
use crate::api::{AbTest, AbTestResult, AbTestStatus, AbWinner};
use crate::rollout::Draft;
use crate::rollout::evidence::{self, Judged};
use crate::rollout::rollback::{self, Cause};
pub use standing::{Standing, standing};

/// What the test means for the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The step has none, or it has been decided for the candidate: the step goes on as any other.
    Over,
    /// It is not decided.
    Waits,
    /// Stable has won: traffic is being brought back, the phase has changed.
    Lost,
}

/// The test of a step.
pub fn at(d: &Draft<'_>, index: i32) -> Option<AbTest> {
    let steps = &d.spec().strategy.canary.steps;
    usize::try_from(index).ok().and_then(|i| steps.get(i)?.ab_test.clone())
}

/// Its sessions are counted from here on.
pub fn begin(d: &mut Draft<'_>, index: i32) {
    let Some(test) = at(d, index) else { return };
    d.status.ab_test =
        Some(AbTestStatus { metric: test.metric, wanted: test.sessions, ..Default::default() });
    evidence::begin_ab_test(d);
}

/// A pass: how many sessions there are.
pub fn count(d: &mut Draft<'_>, index: i32, judged: &Judged) {
    let Some(test) = at(d, index) else { return };
    if result(d).is_some() {
        return;
    }
    let Some((_, state)) = compared(judged, &test) else { return };
    match state.sessions {
        Some(sessions) => {
            let (stable, candidate) = (sessions.stable.n as i64, sessions.candidate.n as i64);
            let status =
                AbTestStatus { metric: test.metric, wanted: test.sessions, stable, candidate, result: None };
            d.status.ab_test = Some(status);
        }
        // The test came into the spec while the step was under way.
        None => begin(d, index),
    }
}

/// The metric that the test compares, where it is one whose sessions can be compared.
fn compared<'a>(judged: &'a Judged, test: &AbTest) -> Option<&'a (MetricPlan, MetricState)> {
    judged.states.iter().find(|(plan, _)| plan.name == test.metric && Sessions::of(plan).is_some())
}

/// What the test means for the step. `over`: the step's hold is.
pub fn turn(d: &mut Draft<'_>, index: i32, over: bool, judged: &Judged) -> Turn {
    let Some(test) = at(d, index) else { return Turn::Over };
    if let Some(result) = result(d).cloned() {
        return decided(d, &result);
    }
    if !over {
        return Turn::Waits;
    }
    let Some((plan, state)) = compared(judged, &test) else {
        d.hold("ABTestMetricMissing", missing(&test.metric));
        return Turn::Waits;
    };
    match standing(&test, plan, state) {
        Standing::Counting(text) => {
            d.wait(format!("the A/B test: {text}"));
            Turn::Waits
        }
        Standing::Unusable(why) => {
            d.hold("ABTestUnusable", format!("the A/B test cannot be reckoned: metric {}: {why}", plan.name));
            Turn::Waits
        }
        Standing::Ended(mut result) => {
            result.at = d.now();
            d.event(false, "ABTestEnded", result.message.clone());
            if let Some(step) = &mut d.status.step {
                // Who ended the hold has not chosen a winner by that.
                step.promoted = false;
            }
            d.status.ab_test.get_or_insert_default().result = Some(*result.clone());
            decided(d, &result)
        }
    }
}

/// The step has a test, and it has been decided or is a person's to decide.
pub fn has_ended(d: &Draft<'_>, index: i32) -> bool {
    at(d, index).is_some() && result(d).is_some()
}

/// The test has ended, and who wins is a person's choice.
pub fn awaits_choice(d: &Draft<'_>) -> bool {
    let index = d.status.step.as_ref().map_or(0, |step| step.index);
    at(d, index).is_some() && result(d).is_some_and(|result| result.winner == AbWinner::Person)
}

/// The reason of a transition at the end of the step.
pub fn why(d: &Draft<'_>, index: i32, reason: &str) -> String {
    match (at(d, index), result(d)) {
        (Some(_), Some(result)) => format!("{reason}; {}", result.message),
        (Some(_), None) | (None, _) => reason.to_owned(),
    }
}

fn result<'a>(d: &'a Draft<'_>) -> Option<&'a AbTestResult> {
    d.status.ab_test.as_ref()?.result.as_ref()
}

/// What is said where the test's metric cannot be compared.
pub fn missing(metric: &str) -> String {
    format!(
        "abTest.metric {metric} is not among the metrics that this attempt began with, or not of a kind whose spread is known (a \
         ratio, or a mean with passFail or sumOfSquares); name one that is, take abTest out, or create an Abort decision"
    )
}

fn decided(d: &mut Draft<'_>, result: &AbTestResult) -> Turn {
    match result.winner {
        AbWinner::Candidate => Turn::Over,
        AbWinner::Stable => {
            let now = d.now();
            rollback::begin(d, Cause::reject("ABTestLost", result.message.clone(), now));
            Turn::Lost
        }
        AbWinner::Person if d.status.step.as_ref().is_some_and(|step| step.promoted) => Turn::Over,
        AbWinner::Person => {
            d.wait(format!(
                "a person's choice: {} Create a Promote decision for the candidate, an Abort decision for the stable version",
                result.message
            ));
            Turn::Waits
        }
    }
}
