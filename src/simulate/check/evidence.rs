//! I3: nothing advances without fresh evidence.

use crate::analysis::Arm;
use crate::api::{HistoryEntry, ReleaseKind};
use crate::rollout::questions::Answer;
use crate::simulate::operator::Pass;
use crate::simulate::prometheus::{self, Mood};
use crate::simulate::world::World;

use super::Checks;

/// A plan that goes up a step must have been made on answers about both arms.
pub fn advance(checks: &mut Checks, world: &World, pass: &Pass) {
    let old = pass.observed.rollout.status.as_ref().map_or(0, |s| s.history.len());
    let last_old = pass.observed.rollout.status.as_ref().and_then(|s| s.history.last()).map(|h| h.id.clone());
    let history = &pass.plan.status.history;
    let from = history
        .iter()
        .position(|h| Some(&h.id) == last_old.as_ref())
        .map_or(old.min(history.len()), |i| i + 1);
    for entry in &history[from.min(history.len())..] {
        if upward(entry) && !excused(pass, entry) {
            evidence(checks, world, pass, entry);
        }
    }
}

fn upward(entry: &HistoryEntry) -> bool {
    entry.to.starts_with("Canary(")
        || (entry.to == "Watching" && entry.from.starts_with("Canary("))
        || entry.to == "Settling"
}

/// Advances that a person or the spec has said need none.
fn excused(pass: &Pass, entry: &HistoryEntry) -> bool {
    let strategy = &pass.observed.rollout.spec.strategy;
    let status = &pass.plan.status;
    let kind = status.candidate.as_ref().or(pass
        .observed
        .rollout
        .status
        .as_ref()
        .and_then(|s| s.candidate.as_ref()));
    let expedited = kind.is_some_and(|c| c.kind == ReleaseKind::Expedited);
    let promoted = entry.reason == "Settling" && entry.message.contains("ended as verified");
    let no_watch = entry.to == "Settling" && strategy.watch.duration.get().is_zero();
    let first = entry.to == "Canary(0)" && (entry.from == "Preparing" || strategy.shadow.is_none());
    expedited || promoted || no_watch || first
}

fn evidence(checks: &mut Checks, world: &World, pass: &Pass, entry: &HistoryEntry) {
    let answers = &pass.observed.answers;
    let what = format!("{} > {}", entry.from, entry.to);
    if !prometheus::usable(answers) || !matches!(world.prometheus.mood, Mood::Well | Mood::GatewayOnly) {
        checks.broken("I3", format!("{what} on a pass without answers ({:?})", world.prometheus.mood));
        return;
    }
    let unpaired = pass.observed.rollout.spec.strategy.watch.control_weight == 0 && entry.to == "Settling";
    for arm in [Arm::Stable, Arm::Candidate] {
        let heard = answers.given.iter().any(|(q, a)| {
            q.arm == arm && !q.field.may_be_absent() && matches!(a, Answer::Series(s) if s.iter().any(rises))
        });
        let expected = !unpaired || arm != Arm::Stable;
        if expected && !heard {
            checks.broken("I3", format!("{what} without samples of {arm:?}"));
        }
    }
}

fn rises(series: &crate::analysis::RawSeries) -> bool {
    let mut numbers = series.samples.iter().filter(|(_, value)| value.is_finite());
    let first = numbers.next();
    let last = numbers.next_back();
    first.zip(last).is_some_and(|(a, b)| b.1 > a.1)
}
