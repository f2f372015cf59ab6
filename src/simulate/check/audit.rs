//! What the tests said at the end of an attempt is what the raw samples say, whatever the operator went through.

use chrono::Duration;

use crate::rollout::{Observed, Replay, ReplayError};
use crate::simulate::operator::Pass;
use crate::simulate::prometheus::{KEEP, Mood, Prometheus};
use crate::simulate::world::World;

use super::Checks;

/// Samples are asked for from so long before an attempt.
const BEFORE: Duration = Duration::minutes(3);

/// An attempt has just ended: it is recomputed.
pub fn ended(checks: &mut Checks, world: &World, pass: &Pass) {
    let before = pass.observed.rollout.status.as_ref().and_then(|s| s.last_evidence.as_ref());
    let Some(last) = pass.plan.status.last_evidence.as_ref().filter(|last| Some(*last) != before) else {
        return;
    };
    if last.evidence.t0 - BEFORE < world.now - KEEP {
        return;
    }
    // Whatever it answers now, what it scraped is there.
    let mut prometheus = world.prometheus.clone();
    prometheus.mood = Mood::Well;
    match again(&pass.observed, &last.evidence, &prometheus) {
        Ok(replay) => {
            for finding in replay.findings() {
                for difference in finding.differences {
                    checks.broken("audit", format!("{}: {difference}", finding.metric));
                }
            }
        }
        Err(error) => checks.broken("audit", error.to_string()),
    }
}

fn again(
    obs: &Observed,
    evidence: &crate::api::Evidence,
    prometheus: &Prometheus,
) -> Result<Replay, ReplayError> {
    let mut replay = Replay::start(obs, evidence, &prometheus.answer(Replay::past(obs, evidence)?))?;
    while let Some(questions) = replay.questions(obs) {
        replay.go_on(&prometheus.answer(questions))?;
    }
    Ok(replay)
}
