//! Invariants that any plan must satisfy, checked before anything is written. A violation is an error of ours: the plan is
//! not carried out.

use k8s_openapi::api::core::v1::Service;

use crate::api::{Phase, Slot};
use crate::traffic::guard::guard_name;
use crate::traffic::{Names, http_route};
use crate::workload::both::Reach;
use crate::workload::companions::{self, Kind};

use super::{Action, Observed, Plan, world};

/// What a plan would break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// I1: the route would give the candidate more than the decided share.
    #[error("the plan would give the candidate {written} % where {decided} % is decided")]
    Share {
        /// Percent that the patch writes.
        written: i32,
        /// Percent that status decides.
        decided: i32,
    },
    /// More would be mirrored than was decided: it is paid for.
    #[error("the plan would mirror {written} % of the requests where {decided} % is decided")]
    Mirror {
        /// Percent that the patch writes.
        written: i32,
        /// Percent that status decides.
        decided: i32,
    },
    /// I1: a share without a ready endpoint.
    #[error("the plan would give traffic to a candidate without a ready endpoint")]
    NoEndpoint,
    /// I2: the stable arm would be scaled below what it had.
    #[error(
        "the plan would scale {deployment} to {replicas} while it is the stable arm, which had {capacity} ready pods"
    )]
    Stable {
        /// The Deployment.
        deployment: String,
        /// What it would be scaled to.
        replicas: i32,
        /// What it had.
        capacity: i32,
    },
    /// I6: the origin's own objects are never replaced or removed.
    #[error("the plan would replace or remove {0}, which is the user's")]
    NotOurs(String),
    /// I4 and the state machine: no way from a rollback back up.
    #[error("the plan would go from {0} to {1}")]
    Transition(Phase, Phase),
    /// I9: status is bounded.
    #[error("the status would have {0} bytes")]
    StatusSize(usize),
}

/// Most bytes of status.
const STATUS_LIMIT: usize = 64 * 1024;

/// Checks a plan against the world that it was made from.
pub fn check(obs: &Observed, plan: &Plan) -> Result<(), Violation> {
    transition(obs, plan)?;
    for action in &plan.actions {
        share(obs, plan, action)?;
        selection(obs, plan, action)?;
        stable(obs, plan, action)?;
        ours(obs, action)?;
    }
    // One that is as it was is not written again.
    let size = if obs.rollout.status.as_ref() == Some(&plan.status) { 0 } else { size(plan) };
    if size > STATUS_LIMIT && !plan.urgent {
        return Err(Violation::StatusSize(size));
    }
    Ok(())
}

fn size(plan: &Plan) -> usize {
    serde_json::to_vec(&plan.status).map_or(0, |v| v.len())
}

/// Whether one phase may follow another.
pub fn may_follow(from: Phase, to: Phase) -> bool {
    use Phase::{
        Active, Canary, Deleting, Pending, Preparing, RolledBack, RollingBack, Settling, Shadow, Watching,
    };
    if from == to || to == Deleting {
        return true;
    }
    match from {
        Pending => matches!(to, Preparing | Shadow | Canary | Settling | Active | RolledBack | RollingBack),
        Preparing => matches!(to, Pending | Shadow | Canary | Settling | RollingBack),
        Shadow => matches!(to, Pending | Canary | RollingBack),
        Canary => matches!(to, Pending | Watching | RollingBack),
        Watching => matches!(to, Settling | RollingBack | Active),
        Settling => matches!(to, Watching | Active | RollingBack | RolledBack | Pending | Preparing),
        RollingBack => matches!(to, RolledBack | Active | Pending | Preparing),
        Active | RolledBack => matches!(to, Pending | Preparing | Active | RolledBack),
        Deleting => matches!(to, Pending | Active | RolledBack | Preparing),
    }
}

fn transition(obs: &Observed, plan: &Plan) -> Result<(), Violation> {
    let from = obs.rollout.status.as_ref().and_then(|s| s.phase).unwrap_or(Phase::Pending);
    let to = plan.status.phase.unwrap_or(Phase::Pending);
    if may_follow(from, to) { Ok(()) } else { Err(Violation::Transition(from, to)) }
}

fn share(obs: &Observed, plan: &Plan, action: &Action) -> Result<(), Violation> {
    let Action::PatchRoute { name, patch, what: _ } = action else { return Ok(()) };
    let Some(mut route) = obs.route.clone().filter(|_| name == world::route_name(obs)) else { return Ok(()) };
    if json_patch::patch(&mut route, patch).is_err() {
        return Ok(());
    }
    let candidate = world::candidate_service(obs);
    let service = obs.rollout.spec.traffic.service.as_str();
    let names = Names { namespace: obs.namespace(), service, candidate: &candidate };
    let read = http_route::read(&route, &names);
    let written = read.candidate;
    let decided = match plan.status.phase {
        Some(Phase::Canary | Phase::Watching) => plan.status.step.as_ref().map_or(0, |s| s.set),
        _ => 0,
    };
    if written > decided {
        return Err(Violation::Share { written, decided });
    }
    let reading = world::reading(obs).unwrap_or_default();
    let (mirrored, to_mirror) = (read.mirror.unwrap_or(0), mirror(plan));
    if mirrored > to_mirror && mirrored > reading.mirror.unwrap_or(0) {
        return Err(Violation::Mirror { written: mirrored, decided: to_mirror });
    }
    if written > reading.candidate && world::candidate_endpoints(obs, &plan.status) == 0 {
        return Err(Violation::NoEndpoint);
    }
    Ok(())
}

/// Percent of the requests that a plan decides to mirror.
fn mirror(plan: &Plan) -> i32 {
    match (plan.status.phase, &plan.status.shadow) {
        (Some(Phase::Shadow), Some(shadow)) if shadow.off.is_some() => 0,
        (Some(Phase::Shadow), Some(shadow)) => shadow.percent,
        // An older operator began the stage.
        (Some(Phase::Shadow), None) => 100,
        (_, _) => 0,
    }
}

/// The user's Service leads to the candidate only once it is verified; or, where counts of pods split the traffic, by the
/// share that is decided.
fn selection(obs: &Observed, plan: &Plan, action: &Action) -> Result<(), Violation> {
    let service = &obs.rollout.spec.traffic.service;
    let Action::PatchService { patch, .. } = action else { return Ok(()) };
    let Some(before) = obs.service(service).filter(|_| action.is_about_service(service)) else {
        return Ok(());
    };
    let after = serde_json::to_value(before).ok().and_then(|mut value| {
        json_patch::patch(&mut value, patch).ok()?;
        serde_json::from_value::<Service>(value).ok()
    });
    let candidate = world::candidate_slot(&plan.status);
    let reach = |s: &Service| world::reach(obs, &plan.status, s);
    let Some(after) = after.as_ref().and_then(reach).filter(|to| reach(before) != Some(*to)) else {
        return Ok(());
    };
    let set = plan.status.step.as_ref().map_or(0, |s| s.set);
    let (written, decided) = match (after, plan.status.phase) {
        (Reach::Slot(slot), _) if slot != candidate => return Ok(()),
        (_, Some(Phase::Settling | Phase::Active | Phase::Deleting)) => return Ok(()),
        (Reach::Slot(_), Some(Phase::Watching)) => (100, set),
        (Reach::Both, Some(Phase::Canary | Phase::Watching)) => (set.max(1), set),
        (Reach::Slot(_), _) => (100, 0),
        (Reach::Both, _) => (1, 0),
    };
    if written > decided {
        return Err(Violation::Share { written, decided });
    }
    if world::candidate_endpoints(obs, &plan.status) == 0
        && reach(before) == Some(Reach::Slot(world::active_slot(&plan.status)))
    {
        return Err(Violation::NoEndpoint);
    }
    Ok(())
}

fn stable(obs: &Observed, plan: &Plan, action: &Action) -> Result<(), Violation> {
    let Action::Scale { deployment, replicas } = action else { return Ok(()) };
    let held = matches!(
        plan.status.phase,
        Some(Phase::Preparing | Phase::Shadow | Phase::Canary | Phase::Watching | Phase::RollingBack)
    );
    let slot = world::active_slot(&plan.status);
    let name = slot.deployment(&obs.rollout.spec.workload.deployment);
    let capacity = plan.status.capacity;
    let lowers = *replicas < world::replicas(obs.deployment(slot));
    if held && *deployment == name && *replicas < capacity && lowers {
        return Err(Violation::Stable { deployment: name, replicas: *replicas, capacity });
    }
    if *replicas == 0 && *deployment == name {
        return Err(Violation::Stable { deployment: name, replicas: 0, capacity });
    }
    Ok(())
}

fn ours(obs: &Observed, action: &Action) -> Result<(), Violation> {
    let origin = obs.rollout.spec.workload.deployment.as_str();
    let slots: Vec<String> = Slot::OURS.iter().map(|s| s.deployment(origin)).collect();
    let deployment = |name: &str| {
        if slots.iter().any(|s| s == name) {
            Ok(())
        } else {
            Err(Violation::NotOurs(format!("Deployment {name}")))
        }
    };
    let companion = |kind: Kind, name: &str| {
        deployment(name).map_err(|_| Violation::NotOurs(format!("{} {name}", kind.as_str())))
    };
    match action {
        Action::CreateDeployment(x) | Action::ReplaceDeployment(x) => {
            deployment(x.metadata.name.as_deref().unwrap_or_default())
        }
        Action::DeleteDeployment { name, uid: _ } => deployment(name),
        Action::DeleteService { name, uid: _ } if *name != world::candidate_service(obs) => {
            Err(Violation::NotOurs(format!("Service {name}")))
        }
        Action::DeleteRoute { name, uid: _ } if *name != world::warm_route(obs) => {
            Err(Violation::NotOurs(format!("HTTPRoute {name}")))
        }
        Action::CreateCompanion { kind, object } => companion(*kind, companions::name(object)),
        Action::PatchCompanion { kind, name, .. } | Action::DeleteCompanion { kind, name, .. } => {
            companion(*kind, name)
        }
        Action::DeleteGuard { name, uid: _ } | Action::PatchGuard { name, .. }
            if *name != guard_name(&obs.rollout.spec.traffic.service) =>
        {
            Err(Violation::NotOurs(format!("ConfigMap {name}")))
        }
        Action::CreateGuard(_)
        | Action::PatchGuard { .. }
        | Action::DeleteGuard { .. }
        | Action::DeleteService { .. }
        | Action::DeleteRoute { .. }
        | Action::SetFinalizers(_)
        | Action::Scale { .. }
        | Action::CreateService(_)
        | Action::PatchService { .. }
        | Action::CreateRoute(_)
        | Action::PatchRoute { .. }
        | Action::RecordOutcome { .. } => Ok(()),
    }
}
