//! Companions: the user's are never written, no share comes before its floor, and stable's floor stays while it is needed.

use serde_json::Value;

use crate::api::Phase;
use crate::rollout::Action;
use crate::simulate::expect::status_of;
use crate::simulate::operator::Pass;
use crate::simulate::world::{NAME, World};
use crate::workload::companions::{Kind, is_copy};

use super::{Before, Checks, share};

/// An action of the operator.
pub fn written(checks: &mut Checks, before: &Before, world: &World, pass: &Pass, action: &Action) {
    match action {
        Action::CreateCompanion { .. } | Action::PatchCompanion { .. } | Action::DeleteCompanion { .. } => {
            users_own(checks, before, world);
            floor_stays(checks, before, world, pass);
        }
        Action::PatchRoute { name, .. } if name == NAME => before_share(checks, before, world, pass),
        _ => {}
    }
}

fn users_own(checks: &mut Checks, before: &Before, world: &World) {
    for (key, old) in before.objects.companions.iter().filter(|(_, o)| !is_copy(o)) {
        if world.objects.companions.get(key) != Some(old) {
            checks.broken("I6", format!("{} {} of the user was changed", key.0.as_str(), key.1));
        }
    }
}

fn least(object: &Value) -> i64 {
    object["spec"]["minReplicas"].as_i64().unwrap_or(1)
}

fn ready(world: &World, deployment: &str) -> i64 {
    let pods = world.objects.pods.values().filter(|p| p.deployment == deployment && p.ready);
    i64::try_from(pods.count()).unwrap_or(0)
}

/// I2: while the stable version may get everything back, no write takes away the floor under the pods that it has.
fn floor_stays(checks: &mut Checks, before: &Before, world: &World, pass: &Pass) {
    let Some(rollout) = world.objects.rollouts.get(pass.observed.name()) else { return };
    let held = matches!(status_of(rollout).phase, Some(Phase::Shadow | Phase::Canary | Phase::Watching));
    if !held || !pass.observed.rollout.spec.workload.hold_capacity {
        return;
    }
    let autoscaler =
        |(kind, name): &&(Kind, String)| *kind == Kind::Autoscaler && share::selects(world, NAME, name);
    for key in before.objects.companions.keys().filter(autoscaler).filter(|(_, n)| n != NAME) {
        let old = before.objects.companions.get(key).map_or(0, |o| least(o));
        let new = world.objects.companions.get(key).map_or(0, |o| least(o));
        let users = world.objects.companions.iter().any(|((k, n), _)| *k == Kind::Autoscaler && n == NAME);
        if users && new < old.min(ready(world, &key.1)) {
            checks.broken("I2", format!("the floor of {} went from {old} to {new}", key.1));
        }
    }
}

/// A share is given only over a floor that bears it.
fn before_share(checks: &mut Checks, before: &Before, world: &World, pass: &Pass) {
    let Some(rollout) = world.objects.rollouts.get(pass.observed.name()) else { return };
    let share = share::of(world, rollout);
    let raised = share > before.share.get(pass.observed.name()).copied().unwrap_or(0);
    let users = pass.observed.autoscalers.iter().any(|o| !is_copy(o));
    let Some(candidate) = status_of(rollout).candidate.as_ref().filter(|_| raised && users) else { return };
    let stable = status_of(rollout).active.as_ref().map_or(NAME.to_owned(), |a| a.slot.deployment(NAME));
    let need = (ready(world, &stable) * i64::from(share) + 99) / 100;
    let name = candidate.slot.deployment(NAME);
    let floor = world.objects.companions.get(&(Kind::Autoscaler, name.clone())).map_or(0, |o| least(o));
    if floor < need && !checks.blindfold {
        checks.broken(
            "I1",
            format!("{share} % were given to {name}, whose autoscaler may go down to {floor} of {need} pods"),
        );
    }
}
