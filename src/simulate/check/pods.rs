//! I2: the stable version keeps its pods; nothing that gets or just got requests is scaled away.

use crate::api::{Phase, Slot};
use crate::rollout::Action;
use crate::simulate::expect::status_of;
use crate::simulate::operator::Pass;
use crate::simulate::world::{NAME, World};

use super::{Before, Checks, share};

/// A scale that was written.
pub fn scaled(checks: &mut Checks, before: &Before, world: &World, pass: &Pass, action: &Action) {
    let (deployment, replicas) = match action {
        Action::Scale { deployment, replicas } => (deployment, *replicas),
        Action::DeleteDeployment { name, uid: _ } => (name, 0),
        _ => return,
    };
    let old = before.objects.deployments.get(deployment).and_then(|d| d.spec.as_ref()?.replicas).unwrap_or(0);
    if replicas >= old {
        return;
    }
    let phase = world.objects.rollouts.get(pass.observed.name()).and_then(|r| status_of(r).phase);
    let selected = [NAME, "scorer-grpc"].into_iter().find(|s| share::selects(world, s, deployment));
    let held = matches!(
        phase,
        Some(Phase::Preparing | Phase::Shadow | Phase::Canary | Phase::Watching | Phase::RollingBack)
    );
    let spec = &pass.observed.rollout.spec;
    // Where pods make the share, one too many is a share too large.
    let of_candidate = |s: Slot| s.deployment(&spec.workload.deployment) == *deployment;
    let lowers_share = spec.traffic.replicas.is_some()
        && replicas > 0
        && pass.plan.status.candidate.as_ref().is_some_and(|c| of_candidate(c.slot));
    if let Some(service) = selected
        && (held || replicas == 0)
        && !lowers_share
    {
        checks.broken(
            "I2",
            format!("{deployment} was scaled from {old} to {replicas} while {service} selects it"),
        );
    }
    let share = world.objects.rollouts.get(NAME).map_or(0, |r| share::to(world, r, deployment));
    if share > 0 && replicas == 0 {
        checks.broken("I2", format!("{deployment} was scaled to 0 with a share of {share} %"));
    }
    drained(checks, world, pass, deployment, replicas);
}

/// An arm is stopped only when its last request is older than the drain.
fn drained(checks: &mut Checks, world: &World, pass: &Pass, deployment: &str, replicas: i32) {
    let Some(last) = world.ledger.last.get(deployment).filter(|_| replicas == 0) else { return };
    let spec = &pass.observed.rollout.spec;
    let back = pass.plan.status.rollback.is_some();
    // Without a gateway connections of before end only with their pods: there a candidate that is taken back is not drained.
    let by_count = back && pass.plan.status.route.is_none();
    let drain = if by_count { 1 } else { spec.traffic.drain.get().num_seconds() };
    let ready = world.objects.pods.values().any(|p| p.deployment == deployment && p.ready);
    let since = world.now.timestamp() - last;
    if ready && since < drain {
        checks.broken(
            "drain",
            format!("{deployment} was scaled to 0 {since} s after its last request, the drain is {drain} s"),
        );
    }
}
