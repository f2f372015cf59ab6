//! What is mirrored stays within the budget of the shadow stage, and an interval's worth beyond it at most.

use crate::api::ModelRollout;
use crate::simulate::expect::status_of;
use crate::simulate::world::World;

use super::Checks;

/// The budget of an attempt.
#[derive(Clone, Debug, Default)]
pub struct Purse {
    attempt: String,
    terms: String,
    /// Mirrored requests before the attempt.
    before: u64,
    /// Mirrored requests when the terms last changed: what is spent is spent.
    spent: u64,
}

/// At the end of a second in which the operator was alive.
pub fn kept(checks: &mut Checks, world: &World, rollout: &ModelRollout) {
    let Some(shadow) = &rollout.spec.strategy.shadow else { return };
    let (Some(budget), Some(candidate)) = (&shadow.budget, &status_of(rollout).candidate) else { return };
    let attempt = format!("{} {}", candidate.plan_hash, candidate.attempt);
    let terms = format!("{budget:?}");
    let all = world.ledger.mirrored.get(&candidate.version).copied().unwrap_or(0);
    let purse = checks.purses.entry(rollout.metadata.uid.clone().unwrap_or_default()).or_default();
    if purse.attempt != attempt {
        *purse = Purse { attempt, before: all, ..Purse::default() };
    }
    let mirrored = all - purse.before;
    if purse.terms != terms {
        purse.terms = terms;
        purse.spent = mirrored;
    }
    let paid = (budget.limit.get() / budget.cost_per_thousand_requests.get() * 1000.0) as u64;
    let interval = rollout.spec.analysis.interval.get().num_milliseconds() as u64;
    let an_interval = world.shares.a_second() * interval / 1000;
    let most = paid.max(purse.spent) + an_interval;
    // Nobody switches a mirror off while the operator is away.
    if mirrored > most && !world.away {
        checks.broken("budget", format!("{mirrored} requests were mirrored where {most} are allowed"));
    }
}
