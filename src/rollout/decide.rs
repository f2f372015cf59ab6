//! One pass: the observed world in, the plan out. The dispatcher is only the `match`.

use crate::api::{Phase, keys};

use super::phases::{
    canary, deleting, pending, preparing, resting, rolling_back, settling, shadow, watching,
};
use super::{
    Action, Draft, Observed, Plan, adoption, companions, conditions, decisions, guard as selector_guard,
    marks, pace, provider, refused, route, selectors, unseen, world,
};

/// Decides what is to be done now. Pure: the same world gives the same plan.
pub fn decide(obs: &Observed) -> Plan {
    let mut d = Draft::new(obs);
    if obs.rollout.metadata.deletion_timestamp.is_some() {
        deleting::run(&mut d);
    } else if let Some(rival) = &obs.rival {
        let message = format!(
            "ModelRollout {} has the older claim on {}; remove one of the two",
            rival.name, rival.what
        );
        d.stall("Claimed", message);
    } else if !has_finalizer(obs) {
        take_charge(&mut d);
    } else {
        pass(&mut d);
    }
    report(&mut d);
    d.finish()
}

fn pass(d: &mut Draft<'_>) {
    adoption::recognise(d);
    if d.status.active.is_none() && d.stalled.is_some() {
        return;
    }
    if d.status.active.is_none() {
        let deployment = &d.spec().workload.deployment;
        return d.stall("OriginMissing", format!("Deployment {deployment} does not exist; create it, it serves on day one and is the template of every version"));
    }
    guard(d);
    if !decisions::take_up(d).rolled_back && !unseen::holds(d) {
        phase(d);
    }
    // Last, so that they are for the roles and needs that this pass has decided.
    companions::keep(d);
    marks::keep(d);
}

fn phase(d: &mut Draft<'_>) {
    match d.phase() {
        Phase::Pending => pending::run(d),
        Phase::Preparing => preparing::run(d),
        Phase::Shadow => shadow::run(d),
        Phase::Canary => canary::run(d),
        Phase::Watching => watching::run(d),
        Phase::Settling => settling::run(d),
        Phase::RollingBack => rolling_back::run(d),
        Phase::Active | Phase::RolledBack => resting::run(d),
        // The deletion was taken back by removing the timestamp, which the API does not do; start over.
        Phase::Deleting => pending::run(d),
    }
}

/// During a rollout the selectors are guarded as at rest; while settling they are being moved.
fn guard(d: &mut Draft<'_>) {
    match d.phase() {
        Phase::Preparing | Phase::Shadow | Phase::Canary | Phase::Watching => {
            selectors::guard(d);
            companions::guard(d);
            // Preparing makes it, after the slot. From then on it is made again whenever somebody deletes it: the route names it.
            let there = d.obs.service(&world::candidate_service(d.obs)).is_some();
            if there || d.phase() != Phase::Preparing {
                let slot = world::candidate_slot(&d.status);
                selectors::candidate_service(d, slot);
            }
        }
        Phase::Pending
        | Phase::Settling
        | Phase::Active
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Deleting => {}
    }
}

/// The very first pass: the finalizer, before anything of ours exists.
fn take_charge(d: &mut Draft<'_>) {
    let mut finalizers = d.obs.rollout.metadata.finalizers.clone().unwrap_or_default();
    finalizers.push(keys::FINALIZER.to_owned());
    d.act(Action::SetFinalizers(finalizers));
    d.wait("its finalizer");
}

fn has_finalizer(obs: &Observed) -> bool {
    obs.rollout.metadata.finalizers.iter().flatten().any(|f| f == keys::FINALIZER)
}

fn report(d: &mut Draft<'_>) {
    d.status.slots = world::slots(d.obs, &d.status);
    selectors::report(d);
    selector_guard::report(d);
    if let Some((old, new)) = route::renamed(d) {
        let message =
            format!("the spec names HTTPRoute {new} now; it counts as soon as {old} is as you wrote it");
        d.warn("RouteChangeWaits", message);
    }
    if d.status.adoption.is_some() {
        provider::report(d);
    }
    pace::report(d);
    refused::report(d);
    conditions::report(d);
}
