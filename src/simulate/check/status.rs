//! I9, I11, I12 and the rules that any status must satisfy.

use std::sync::Arc;

use crate::api::{HistoryEntry, ModelRollout, ModelRolloutStatus, Phase};
use crate::rollout::may_follow;
use crate::simulate::expect::status_of;
use crate::simulate::operator::Pass;
use crate::simulate::world::World;

use super::{Checks, share};

/// Most bytes of a status, with eight metrics too.
const LIMIT: usize = 16 * 1024;
/// Entries of a ring.
const RING: usize = 20;

/// A status that was written.
pub fn written(checks: &mut Checks, world: &World, pass: &Pass) {
    let Some(rollout) = world.objects.rollouts.get(pass.observed.name()) else { return };
    let (status, none) = (status_of(rollout), ModelRolloutStatus::default());
    let before = pass.observed.rollout.status.as_ref().unwrap_or(&none);
    let from = before.phase.unwrap_or(Phase::Pending);
    let to = status.phase.unwrap_or(Phase::Pending);
    if !may_follow(from, to) {
        checks.broken("phases", format!("{from} was followed by {to}"));
    }
    if !world.follows {
        bounded(checks, status);
    }
    history(checks, rollout.metadata.uid.as_deref().unwrap_or_default(), before, status);
    conditions(checks, rollout, before, status);
}

fn bounded(checks: &mut Checks, status: &ModelRolloutStatus) {
    let size = serde_json::to_vec(status).map_or(0, |v| v.len());
    if size > LIMIT {
        checks.broken("I9", format!("the status has {size} bytes"));
    }
    for (what, n) in [
        ("history", status.history.len()),
        ("rejected", status.rejected.len()),
        ("decisions", status.decisions.len()),
    ] {
        if n > RING {
            checks.broken("I9", format!("{what} has {n} entries"));
        }
    }
}

/// Each transition is recorded once: its id comes once, names what came before, and never changes what it says.
fn history(checks: &mut Checks, uid: &str, before: &ModelRolloutStatus, status: &ModelRolloutStatus) {
    let mut last: Option<&HistoryEntry> = None;
    for entry in &status.history {
        if let Some(previous) = last.filter(|p| p.to != entry.from) {
            checks.broken(
                "I12",
                format!(
                    "history goes from {} to {}, then on from {}",
                    previous.from, previous.to, entry.from
                ),
            );
        }
        last = Some(entry);
        let twins = status.history.iter().filter(|h| h.id == entry.id).count();
        if twins > 1 {
            checks.broken("I12", format!("history has {} {twins} times", entry.id));
        }
        let key = (uid.to_owned(), entry.id.clone());
        match checks.ids.get(&key) {
            Some(known) if **known != *entry => {
                checks.broken("I12", format!("{} has become another entry", entry.id))
            }
            Some(_) => {}
            None => drop(checks.ids.insert(key, Arc::new(entry.clone()))),
        }
    }
    let moved = before.phase.is_some() && before.phase != status.phase;
    let recorded = status.history.last().map(|h| &h.id) != before.history.last().map(|h| &h.id);
    if moved && !recorded {
        checks.broken("I12", format!("{:?} > {:?} is not in history", before.phase, status.phase));
    }
}

/// What kubectl and kstatus rely on.
fn conditions(
    checks: &mut Checks,
    rollout: &ModelRollout,
    before: &ModelRolloutStatus,
    status: &ModelRolloutStatus,
) {
    let get = |s: &ModelRolloutStatus, t: &str| s.conditions.iter().find(|c| c.type_ == t).cloned();
    let is = |t: &str| get(status, t).map(|c| c.status);
    if is("Ready").is_none() {
        checks.broken("kstatus", "there is no condition Ready");
    }
    if is("Stalled").is_some() && is("Ready").as_deref() == Some("True") {
        checks.broken("kstatus", "Stalled and Ready at once");
    }
    for t in ["Reconciling", "Stalled"] {
        if is(t).is_some_and(|s| s != "True") {
            checks.broken("kstatus", format!("{t} is there and not True"));
        }
    }
    let generation = rollout.metadata.generation;
    let ahead = |g: Option<i64>| g > generation;
    if ahead(status.observed_generation) || status.conditions.iter().any(|c| ahead(c.observed_generation)) {
        checks.broken("kstatus", "observedGeneration is above the generation");
    }
    for c in &status.conditions {
        if c.reason.is_empty() || !c.reason.chars().all(|x| x.is_ascii_alphanumeric()) {
            checks.broken("kstatus", format!("condition {} has the reason {:?}", c.type_, c.reason));
        }
        if let Some(old) = get(before, &c.type_)
            && old.status == c.status
            && old.last_transition_time != c.last_transition_time
        {
            checks.broken("kstatus", format!("condition {} moved its time without its status", c.type_));
        }
    }
}

/// I11: the reported share is the one that can be read back.
pub fn honest(checks: &mut Checks, world: &World, rollout: &ModelRollout) {
    let status = status_of(rollout);
    let Some(weights) = status.weights.filter(|_| world.route().is_some()) else { return };
    let actual = share::of(world, rollout);
    if weights.candidate != actual || weights.stable != 100 - actual {
        checks.broken(
            "I11",
            format!("status says {} %, the route and the selectors say {actual} %", weights.candidate),
        );
    }
    if status.observed_generation != rollout.metadata.generation
        && rollout.metadata.deletion_timestamp.is_none()
    {
        checks.broken("I11", "observedGeneration is behind at the end of the second");
    }
}
