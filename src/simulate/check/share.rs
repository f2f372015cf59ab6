//! I1 and I4: the candidate's share, worked out from route, selectors and pod labels.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{ModelRollout, Phase, Slot};
use crate::simulate::expect::status_of;
use crate::simulate::network;
use crate::simulate::operator::Pass;
use crate::simulate::prometheus;
use crate::simulate::sessions;
use crate::simulate::world::World;
use crate::workload::services;

use super::{Before, Checks};

/// Seconds within which a foreign raise must have been corrected, five corrections a minute included.
const CORRECTED_WITHIN: i64 = 11;
/// The same when the operator died between the intent and the write, which has used up one correction: ten more.
const CORRECTED_WITHIN_KILLED: i64 = 21;

/// Seconds for which a decided raise may be written without another look.
const WORD_HOLDS: i64 = 5;

/// Labels of the pods of a Deployment, by its template.
pub fn pod_labels(world: &World, deployment: &str) -> BTreeMap<String, String> {
    let found = world.objects.deployments.get(deployment);
    found.map(|d| crate::workload::labels::pod_template_labels(d)).unwrap_or_default()
}

/// Whether a Service selects the pods of a Deployment.
pub fn selects(world: &World, service: &str, deployment: &str) -> bool {
    let labels = pod_labels(world, deployment);
    world.objects.services.get(service).is_some_and(|s| !labels.is_empty() && services::selects(s, &labels))
}

/// The part of a Service's requests that reach a Deployment: all, where it selects nothing else, else by the ready pods.
fn part(world: &World, service: &str, deployment: &str) -> f64 {
    if !selects(world, service, deployment) {
        return 0.0;
    }
    let Some(found) = world.objects.services.get(service) else { return 0.0 };
    let ready: Vec<_> =
        world.objects.pods.values().filter(|p| p.ready && services::selects(found, &p.labels)).collect();
    match ready.len() {
        0 => 1.0,
        all => ready.iter().filter(|p| p.deployment == deployment).count() as f64 / all as f64,
    }
}

fn candidate_slot(rollout: &ModelRollout) -> Slot {
    let status = status_of(rollout);
    let active = status.active.as_ref().map_or(Slot::Origin, |a| a.slot);
    status.candidate.as_ref().map_or(active.next(), |c| c.slot)
}

/// Percent of the route's requests that reach the pods of the candidate's slot, the highest over the user's rules, of those with
/// a session and of those without, rounded up.
pub fn of(world: &World, rollout: &ModelRollout) -> i32 {
    let deployment = candidate_slot(rollout).deployment(&rollout.spec.workload.deployment);
    to(world, rollout, &deployment)
}

/// The same for any Deployment.
pub fn to(world: &World, rollout: &ModelRollout, deployment: &str) -> i32 {
    let service = rollout.spec.traffic.service.as_str();
    let ours = format!("{service}-candidate");
    let rules = world.route().and_then(|r| r["spec"]["rules"].as_array()).map_or(&[][..], Vec::as_slice);
    let share = |rule: &Value| {
        let pair = |b: &&Value| b["name"] == service || b["name"] == ours.as_str();
        let weight = |b: &Value| b["weight"].as_i64().unwrap_or(1);
        let list: Vec<&Value> = rule["backendRefs"].as_array().into_iter().flatten().filter(pair).collect();
        let total: i64 = list.iter().map(|b| weight(b)).sum();
        let reaching = |b: &&Value| part(world, b["name"].as_str().unwrap_or_default(), deployment);
        let part: f64 = list.iter().map(|b| weight(b) as f64 * reaching(b)).sum();
        if total == 0 { 0.0 } else { part * 100.0 / total as f64 }
    };
    let users = (0..rules.len()).filter(|at| !sessions::is_copy(&rules[*at]));
    let highest = users.map(|at| {
        let with =
            sessions::dealt(rules, at).into_iter().map(|(rule, part)| share(&rules[rule]) * part).sum();
        share(&rules[at]).max(with)
    });
    // Rounded up, but not for what only floating point leaves.
    highest.map(|s| (s - 1e-6).ceil() as i64).max().map_or(0, |s| i32::try_from(s).unwrap_or(100))
}

/// A step that has begun allows its share, from the write of its intent on.
pub fn grant(checks: &mut Checks, world: &World, pass: &Pass) {
    let uid = pass.observed.uid().to_owned();
    let spec = &pass.observed.rollout.spec;
    let Some(rollout) = world.objects.rollouts.get(pass.observed.name()) else { return };
    let status = status_of(rollout);
    let by_count = spec.traffic.replicas.is_some();
    let step = |i: usize| spec.strategy.canary.steps.get(i).map(|s| s.weight);
    let granted = match status.phase {
        Some(Phase::Canary) => {
            let index = status.step.as_ref().map_or(0, |s| usize::try_from(s.index).unwrap_or(0));
            // A step that was cut out of the spec keeps what it had; one that was lowered is lowered.
            let weight = step(index).unwrap_or_else(|| checks.granted.get(&uid).copied().unwrap_or(0));
            // One pod may be more than the step says: less than that cannot be given.
            if by_count { weight.max((100 + status.capacity) / (status.capacity + 1)) } else { weight }
        }
        // By counts of pods nothing is left for stable.
        Some(Phase::Watching) if by_count => 100,
        Some(Phase::Watching) => 100 - spec.strategy.watch.control_weight,
        Some(Phase::Settling) => 100,
        Some(
            Phase::Pending
            | Phase::Preparing
            | Phase::Shadow
            | Phase::Active
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Deleting,
        )
        | None => 0,
    };
    let began = status.history.last().map(|h| h.id.clone());
    let before = pass.observed.rollout.status.as_ref().and_then(|s| s.history.last()).map(|h| h.id.clone());
    let old = checks.granted.get(&uid).copied().unwrap_or(0);
    // Within a step the share is never granted more, whatever the spec now says.
    let granted =
        if began == before && status.phase == Some(Phase::Canary) { granted.min(old) } else { granted };
    checks.granted.insert(uid, granted);
}

/// A write that raises the share stays within what is granted, and raises it only to pods that are ready.
pub fn raised(checks: &mut Checks, before: &Before, world: &World, pass: &Pass) {
    let name = pass.observed.name();
    let Some(rollout) = world.objects.rollouts.get(name) else { return };
    let (old, new) = (before.share.get(name).copied().unwrap_or(0), of(world, rollout));
    let slot_changed =
        before.objects.rollouts.get(name).map(|r| candidate_slot(r)) != Some(candidate_slot(rollout));
    zero_weights(checks, before, world);
    if new <= old || slot_changed {
        return;
    }
    let granted = checks.granted.get(pass.observed.uid()).copied().unwrap_or(0);
    if new > granted {
        checks.broken("I1", format!("the share was raised from {old} to {new} %, {granted} % are allowed"));
    }
    on_old_word(checks, world, pass);
    let deployment = candidate_slot(rollout).deployment(&rollout.spec.workload.deployment);
    let ready = world.objects.pods.values().any(|p| p.deployment == deployment && p.ready);
    if !ready && !checks.blindfold {
        checks.broken("I1", format!("the share was raised to {new} % without a ready pod"));
    }
}

/// A raise that was decided a while ago, by an operator that died before it wrote it, is written only with a fresh look.
fn on_old_word(checks: &mut Checks, world: &World, pass: &Pass) {
    let status = &pass.plan.status;
    let judged = matches!(status.phase, Some(Phase::Canary | Phase::Watching));
    let Some(step) = status.step.as_ref().filter(|_| judged) else { return };
    let age = (world.now - step.set_at).num_seconds();
    if age > WORD_HOLDS && !prometheus::usable(&pass.observed.answers) {
        checks.broken("I3", format!("a share decided {age} s ago was written without a fresh look"));
    }
}

/// An arm at 0 is not in the route.
fn zero_weights(checks: &mut Checks, before: &Before, world: &World) {
    let zeros = |route: Option<&Value>| {
        let rules = route.and_then(|r| r["spec"]["rules"].as_array()).into_iter().flatten();
        rules
            .flat_map(|r| r["backendRefs"].as_array().into_iter().flatten())
            .filter(|b| b["weight"] == 0)
            .count()
    };
    let name = crate::simulate::world::NAME;
    let (old, new) = (before.objects.routes.get(name), world.objects.routes.get(name));
    if zeros(new.map(|r| r.as_ref())) > zeros(old.map(|r| r.as_ref())) {
        checks.broken("I1", "a backend with weight 0 was written");
    }
}

/// The pass that decides a rollback also brings the traffic back, where the stable version can take it.
pub fn brought_back(checks: &mut Checks, world: &World, pass: &Pass) {
    let was = pass.observed.rollout.status.as_ref().and_then(|s| s.phase);
    let begins = pass.plan.status.phase == Some(Phase::RollingBack) && was != Some(Phase::RollingBack);
    let Some(rollout) = world.objects.rollouts.get(pass.observed.name()).filter(|_| begins) else { return };
    let service = pass.observed.rollout.spec.traffic.service.as_str();
    let share = of(world, rollout);
    let stable = status_of(rollout).active.as_ref().map_or(Slot::Origin, |a| a.slot);
    let origin = rollout.spec.workload.deployment.as_str();
    let warm = world.objects.pods.values().any(|p| p.deployment == stable.deployment(origin) && p.ready);
    if share > 0 && warm {
        checks.broken("I4", format!("after the pass that decided the rollback the share is {share} %"));
    }
    if warm && network::ready(world, service).is_empty() && !checks.blindfold {
        checks.broken(
            "I4",
            format!("after the pass that decided the rollback {service} has no ready endpoint"),
        );
    }
}

/// At the end of a second the share is within what is allowed, except while a foreign edit is being corrected and while the
/// stable version cannot take the traffic.
pub fn bounded(checks: &mut Checks, world: &World, rollout: &ModelRollout) {
    let status = status_of(rollout);
    let within = if world.follows { CORRECTED_WITHIN_KILLED } else { CORRECTED_WITHIN };
    let recent = checks.foreign.is_some_and(|at| world.now.timestamp() - at <= within);
    // Superseded or rolling back: the share stays until the stable version can take it.
    let stable = status.active.as_ref().map_or(Slot::Origin, |a| a.slot);
    let stable = stable.deployment(&rollout.spec.workload.deployment);
    let cold = !world.objects.pods.values().any(|p| p.deployment == stable && p.ready);
    let rolling_back =
        status.phase == Some(Phase::RollingBack) || (cold && status.phase == Some(Phase::Pending));
    let turned = matches!(status.phase, Some(Phase::Active | Phase::RolledBack | Phase::Deleting));
    if recent || rolling_back || turned || status.candidate.is_none() {
        return;
    }
    let granted = rollout.metadata.uid.as_ref().and_then(|u| checks.granted.get(u)).copied().unwrap_or(0);
    let share = of(world, rollout);
    if share > granted {
        checks.broken(
            "I1",
            format!("the share is {share} % at the end of the second, {granted} % are allowed"),
        );
    }
}
