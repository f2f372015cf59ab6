//! Active and RolledBack: nothing moves. Selectors and route are guarded, and the spec is watched for something to do.

use crate::api::condition::ConditionType;
use crate::api::{Evidence, LastEvidence, Phase, Rejected, Slot};
use crate::rollout::target::{self, Wanted};
use crate::rollout::{
    Action, Draft, adoption, capacity, companions, expedite, guard, rejected, route, selectors, world,
};

use super::pending;

/// One pass.
pub fn run(d: &mut Draft<'_>) {
    keep(d);
    match target::wanted(d) {
        Wanted::Nothing => arrive(d),
        Wanted::Refused((reason, message)) => d.stall(reason, message),
        Wanted::Release(target, kind) => match rejected::refuses(d, &target, kind).cloned() {
            Some(entry) => {
                if d.phase() != Phase::RolledBack {
                    d.transition(
                        Phase::RolledBack,
                        "RolledBack",
                        "Rejected",
                        format!("{} was turned down before: {}", entry.version, entry.reason),
                    );
                }
                turned_down(d, &entry);
            }
            None => {
                d.status.candidate = None;
                d.transition(
                    Phase::Pending,
                    "Pending",
                    "ReleaseWanted",
                    format!("{} is to be brought on", target.version),
                );
                pending::run(d);
            }
        },
    }
}

/// The spec asks for what is active: Active; or for what was turned down: RolledBack.
pub fn arrive(d: &mut Draft<'_>) {
    forget_candidate(d);
    let wanted = target::wanted(d);
    let phase = match &wanted {
        Wanted::Nothing => Phase::Active,
        Wanted::Refused(_) | Wanted::Release(..) => Phase::RolledBack,
    };
    if d.status.phase != Some(phase) {
        let version = d.status.active.as_ref().map_or_else(String::new, |a| a.version.clone());
        let reason = match phase {
            Phase::Active => "Active",
            _ => "RolledBack",
        };
        d.transition(phase, reason, reason, format!("{version} serves"));
    }
    if phase == Phase::RolledBack
        && let Wanted::Release(target, kind) = &wanted
        && let Some(entry) = rejected::refuses(d, target, *kind).cloned()
    {
        turned_down(d, &entry);
    }
}

/// The spec names what was turned down. A change of the template is not rolled out meanwhile: it would be a release that
/// the spec does not ask for.
fn turned_down(d: &mut Draft<'_>, entry: &Rejected) {
    let changed = d.status.active.as_ref().is_some_and(|active| {
        target::of_version(d.obs, &active.version).is_ok_and(|now| now.template_hash != active.template_hash)
    });
    let waits = if changed {
        let deployment = &d.spec().workload.deployment;
        format!("; the changed template of Deployment {deployment} waits for that too")
    } else {
        String::new()
    };
    let message = format!(
        "{} was turned down ({}); name another version, raise spec.retry or create a Retry decision{waits}",
        entry.version, entry.reason
    );
    d.stall(&entry.reason, message);
}

/// What is forgotten when nothing is being brought on.
pub fn forget_candidate(d: &mut Draft<'_>) {
    keep_evidence(d);
    d.status.candidate = None;
    d.status.step = None;
    d.status.shadow = None;
    d.status.rollback = None;
    d.status.settling = None;
    d.status.route = None;
    d.status.overridden = None;
    d.status.conflict = None;
    d.status.capacity = 0;
    for gone in
        [ConditionType::CandidateReady, ConditionType::RouteProgrammed, ConditionType::EvidenceAvailable]
    {
        crate::api::condition::clear(&mut d.status.conditions, gone);
    }
    crate::api::condition::clear(&mut d.status.conditions, ConditionType::StableCapacity);
}

/// The tests as they ended are kept until the next attempt, for who wants to recompute them.
fn keep_evidence(d: &mut Draft<'_>) {
    let evidence = d.status.evidence.take().filter(|e| !e.tests.metrics.is_empty());
    if let (Some(c), Some(evidence)) = (&d.status.candidate, evidence) {
        let (version, plan_hash) = (c.version.clone(), c.plan_hash.clone());
        // What is only of use while it runs.
        let mut evidence = Evidence { forecast: None, ..evidence };
        evidence.tests.discarded.clear();
        d.status.last_evidence = Some(LastEvidence { version, plan_hash, evidence });
    }
}

/// What is kept right at rest: route and selectors, our Service on the idle slot, the scale that the user asks for.
pub fn keep(d: &mut Draft<'_>) {
    let dirty = world::reading(d.obs).is_some_and(|r| !r.only_stable);
    let before = d.actions.len();
    route::restore(d);
    if dirty && d.actions.len() > before {
        d.event(true, "RouteCorrected", "the route named the candidate at rest; it is put back");
        d.urgent();
    }
    if world::active_slot(&d.status) != Slot::Origin {
        // One that cannot follow is said when the next release asks for it.
        let _ = adoption::extend(d);
    }
    selectors::guard(d);
    guard::warn_contested(d);
    let active = world::active_slot(&d.status);
    if d.obs.service(&world::candidate_service(d.obs)).is_some() {
        selectors::candidate_service(d, active.next());
    }
    active_scale(d, active);
}

fn active_scale(d: &mut Draft<'_>, active: Slot) {
    if active == Slot::Origin {
        return;
    }
    let deployment = active.deployment(&d.spec().workload.deployment);
    let have = world::replicas(d.obs.deployment(active));
    // With an autoscaler the scale is the autoscaler's.
    if let Some(wanted) = d.spec().workload.replicas
        && companions::scaler(d, active).is_none()
        && have != wanted
        && d.obs.deployment(active).is_some()
    {
        d.act(Action::Scale { deployment, replicas: wanted });
    }
    if d.obs.deployment(active).is_none() {
        let replicas = capacity::from_nothing(d, active, d.spec().workload.replicas.unwrap_or(1));
        expedite::recreate(d, active, replicas);
    }
    let origin = world::replicas(d.obs.origin.as_deref());
    if origin > 0 && d.obs.origin.is_some() {
        let name = &d.spec().workload.deployment;
        d.warn(
            "ReplicasContested",
            format!("Deployment {name} is idle and spec.replicas asks for {origin} pods; they get no traffic. Leave the field out of what is synced"),
        );
    }
    if d.obs.origin.is_none() {
        let name = &d.spec().workload.deployment;
        d.warn(
            "OriginMissing",
            format!("Deployment {name} is gone; what serves goes on, no new version can be brought on"),
        );
    }
}
