//! The operator as a process: it observes, asks `decide`, and carries the plan out write by write. It keeps nothing that a
//! new process would not find again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::Deployment;

use crate::api::{ModelRollout, Slot};
use crate::presets;
use crate::rollout::observed::{Covering, FailedWrite, PodFacts};
use crate::rollout::{Action, Observed, OwnWrites, Plan, claims, decide, questions};
use crate::traffic::guard::guard_name;
use crate::traffic::mirror::GatewayFacts;
use crate::workload::companions::Kind;
use crate::workload::labels::pod_template_labels;

use super::companions;
use super::controllers::{GRACE, template_label};
use super::objects::Objects;
use super::server::Refused;
use super::world::World;

/// What the process remembers.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// When to look at a rollout again, at the latest.
    pub wake: BTreeMap<String, DateTime<Utc>>,
    /// The state of the world at the last pass of each rollout.
    pub seen: BTreeMap<String, u64>,
    /// When this process wrote the user's route.
    pub route_written_at: Option<DateTime<Utc>>,
    /// Its writes of the last minute.
    pub own_writes: BTreeMap<String, OwnWrites>,
    /// The write that the last pass of a rollout failed with.
    pub failed: BTreeMap<String, FailedWrite>,
    /// Until when the process is dead.
    pub dead_until: Option<DateTime<Utc>>,
    /// Its reads lag so many writes.
    pub lag: usize,
}

impl Operator {
    /// Remembers a write that was refused, for the next pass to say.
    pub fn note(&mut self, rollout: &str, refused: &Refused, now: DateTime<Utc>) {
        let Refused::Forbidden(what) = refused else { return };
        let why = "the script says so".to_owned();
        let failed = FailedWrite::new(what.clone(), why, true, now).after(self.failed.remove(rollout));
        self.failed.insert(rollout.to_owned(), failed);
    }
}

/// What one write was.
#[derive(Clone, Debug)]
pub enum Write {
    /// The rollout's status.
    Status,
    /// An action.
    Act(Action),
}

/// A pass that has been decided and not carried out.
pub struct Pass {
    /// What was observed.
    pub observed: Observed,
    /// What is to be done.
    pub plan: Plan,
    /// Which state of the world was observed.
    pub at: u64,
}

/// Gathers what the real operator would, and decides.
pub fn look(world: &World, operator: &Operator, rollout: &str) -> Option<Pass> {
    let (at, objects) = world.seen(operator.lag);
    let rollout = objects.rollouts.get(rollout)?.as_ref().clone();
    let mut observed = gather(world, &objects, rollout, operator);
    observed.answers = world.prometheus.answer(questions(&observed));
    let plan = decide(&observed);
    Some(Pass { observed, plan, at })
}

fn gather(world: &World, objects: &Objects, mut rollout: ModelRollout, operator: &Operator) -> Observed {
    presets::write_out(&mut rollout.spec);
    let origin = rollout.spec.workload.deployment.clone();
    let service = rollout.spec.traffic.service.clone();
    let name = rollout.metadata.name.clone().unwrap_or_default();
    let route = rollout.route_name().unwrap_or_default().to_owned();
    let ours: BTreeSet<String> = Slot::OURS.iter().map(|s| s.deployment(&origin)).collect();
    let others = objects.deployments.iter().filter(|(n, _)| **n != origin && !ours.contains(*n));
    let slots: BTreeMap<Slot, Arc<Deployment>> = Slot::OURS
        .into_iter()
        .filter_map(|s| objects.deployments.get(&s.deployment(&origin)).map(|d| (s, d.clone())))
        .collect();
    let open = |d: &&std::sync::Arc<crate::api::RolloutDecision>| {
        d.spec.rollout == name && d.status.as_ref().is_none_or(|s| s.outcome.is_none())
    };
    let older = claims::older(&rollout, objects.rollouts.values().map(AsRef::as_ref));
    Observed {
        now: world.now,
        namespace_terminating: objects.terminating,
        rival: claims::rival(&rollout, &older),
        older_services: claims::services(&older),
        rollout_uids: objects.rollouts.values().filter_map(|r| r.metadata.uid.clone()).collect(),
        versions: objects.versions.values().cloned().collect(),
        decisions: objects.decisions.values().filter(open).map(|d| d.as_ref().clone()).collect(),
        origin: objects.deployments.get(&origin).cloned(),
        slots,
        services: objects.services.values().cloned().collect(),
        other_pod_labels: others.map(|(_, d)| pod_template_labels(d)).collect(),
        covering: Some(Covering { covers: objects.covers.clone(), unread: Vec::new() }),
        claims: objects.claims.clone(),
        endpoints: objects.endpoints.iter().map(|(n, e)| (n.clone(), e.as_ref().clone())).collect(),
        pods: pods(objects, &origin),
        guard: objects.guards.get(&guard_name(&service)).map(|g| g.as_ref().clone()),
        selector_policy: world.selector_policy.clone(),
        no_gateway_api: world.gateway.absent,
        route: objects.routes.get(&route).map(|r| r.as_ref().clone()),
        warm_route: objects.routes.get(&format!("{service}-understudy")).map(|r| r.as_ref().clone()),
        gateways: vec![GatewayFacts {
            gateway: "edge".to_owned(),
            class: "contour".to_owned(),
            controller_name: "projectcontour.io/gateway-controller".to_owned(),
            supported_features: world.gateway.features.clone(),
        }],
        route_written_at: operator.route_written_at,
        own_writes: operator.own_writes.get(&name).cloned().unwrap_or_default(),
        failed_write: operator.failed.get(&name).cloned(),
        watch_failing: world.watch_failing.clone(),
        autoscalers: companions::all(world, objects, Kind::Autoscaler),
        budgets: companions::all(world, objects, Kind::Budget),
        unread: world.unread.clone(),
        answers: Default::default(),
        rollout,
    }
}

fn pods(objects: &Objects, origin: &str) -> Vec<PodFacts> {
    let slot_of = |deployment: &str| {
        [Slot::Origin, Slot::A, Slot::B].into_iter().find(|s| s.deployment(origin) == deployment)
    };
    objects
        .pods
        .values()
        .filter_map(|p| {
            Some(PodFacts {
                name: p.name.clone(),
                slot: slot_of(&p.deployment)?,
                template_hash: template_label(p),
                ready: p.ready,
                deleting: p.deleting.is_some(),
                ended: p.ended,
                started: p.started,
                grace_seconds: GRACE,
                exits: p.exit.iter().cloned().collect(),
                waiting: p.waiting.clone(),
                disrupted: p.disrupted,
            })
        })
        .collect()
}

/// Carries out a plan as the real operator does. `after` is called after each write and may end the pass, as a crash does:
/// it returns false.
pub fn carry_out(
    world: &mut World,
    operator: &mut Operator,
    pass: &Pass,
    after: &mut dyn FnMut(&mut World, &Write) -> bool,
) -> Result<(), Refused> {
    let mut rollout = pass.observed.rollout.clone();
    let name = rollout.metadata.name.clone().unwrap_or_default();
    let (mut failed, mut aside) = (None, None);
    match world.write_status(&rollout, &pass.plan.status) {
        Ok(false) => {}
        Ok(true) => {
            rollout = current(world, &rollout);
            if !after(world, &Write::Status) {
                return Ok(());
            }
        }
        // Traffic is brought back whatever becomes of the status.
        Err(refused @ Refused::Unavailable(_)) if pass.plan.urgent => failed = Some(refused),
        Err(refused) => return Err(refused),
    }
    for action in &pass.plan.actions {
        if failed.is_some() && !pass.plan.goes_on_with(action) {
            continue;
        }
        let confirmed = if action.irreversible() { world.same_rollout(&rollout).map(drop) } else { Ok(()) };
        if let Err(refused) = confirmed.and_then(|()| world.act(&rollout, action)) {
            if pass.plan.goes_on_without(action) {
                aside = aside.or(Some(refused));
                continue;
            }
            if !pass.plan.urgent {
                return Err(refused);
            }
            failed = failed.or(Some(refused));
            continue;
        }
        if matches!(action, Action::PatchRoute { name, .. } if Some(name.as_str()) == rollout.route_name()) {
            operator.route_written_at = Some(world.now);
        }
        operator.own_writes.entry(name.clone()).or_default().note(action, world.now);
        world.count(action);
        if matches!(action, Action::SetFinalizers(_)) {
            rollout = current(world, &rollout);
        }
        if !after(world, &Write::Act(action.clone())) {
            return Ok(());
        }
    }
    failed.or(aside).map_or(Ok(()), Err)
}

/// The rollout as its write left it.
fn current(world: &World, rollout: &ModelRollout) -> ModelRollout {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    world.objects.rollouts.get(name).map_or_else(|| rollout.clone(), |r| r.as_ref().clone())
}

/// Names of all rollouts.
pub fn rollouts(world: &World) -> Vec<String> {
    world.objects.rollouts.keys().cloned().collect()
}
