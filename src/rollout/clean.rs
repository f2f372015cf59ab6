//! Everything of a candidate is taken away, in the order in which nothing fails: route, selectors, drain, pods.

use chrono::Duration;

use crate::api::{Phase, Slot};

use super::provider::{self, Provider};
use super::{Action, Draft, capacity, guard, route, selectors, world};

/// The nodes' proxies write what they learn at most once a second.
const NODES_FOLLOW: Duration = Duration::seconds(2);

/// How far the cleaning is, as observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaned {
    /// The route still names the candidate.
    Route,
    /// The route is the user's again; requests to the candidate may still be running.
    Draining,
    /// The candidate's pods are going.
    Stopping,
    /// Nothing of the candidate gets or could get traffic.
    Done,
}

/// Takes the candidate in `slot` away. Called in every pass until it says `Done`.
pub fn clean(d: &mut Draft<'_>, slot: Slot) -> Cleaned {
    if d.status.rollback.is_some() && d.status.step.as_ref().is_some_and(|step| step.weight > 0) {
        // In each pass: the scale may have been refused in the one whose route write went through.
        capacity::wake_stable(d);
    }
    if !stable_takes_over(d) {
        // Its Services may select nothing for now: that is part of what it waits for. What gives the candidate its share stays.
        if provider::of_draft(d) == Provider::Gateway {
            selectors_back(d);
        }
        d.urgent();
        return Cleaned::Route;
    }
    let restored = route::restore(d);
    let selected = selectors_back(d);
    if !restored || !selected {
        if let Some(intent) = &mut d.status.rollback {
            intent.route_clean_at = None;
        }
        d.urgent();
        d.wait(match provider::of_draft(d) {
            Provider::Gateway => "the route to be as the user wrote it",
            Provider::Replicas => "the Service to select the stable version alone",
        });
        return Cleaned::Route;
    }
    let now = d.now();
    let clean_at = match &mut d.status.rollback {
        Some(intent) => *intent.route_clean_at.get_or_insert(now),
        None => now - lingering(d, slot),
    };
    let until = clean_at + lingering(d, slot);
    if now < until && d.obs.pods_of(slot).any(|p| p.ready) {
        d.wait(format!("requests to the candidate to end ({} s)", (until - now).num_seconds().max(1)));
        d.wake_at(until);
        return Cleaned::Draining;
    }
    if !stop(d, slot) {
        return Cleaned::Stopping;
    }
    if !route::remove_warm(d) {
        d.wait("the warm route to go");
        return Cleaned::Stopping;
    }
    Cleaned::Done
}

/// Whether the stable version can take what the candidate has now: at once where it has an endpoint, else it is woken, and
/// the candidate keeps its share until then. With neither of them the route goes to stable all the same.
fn stable_takes_over(d: &mut Draft<'_>) -> bool {
    if world::share(d.obs, &d.status) == 0 {
        return true;
    }
    capacity::wake_stable(d);
    let service = &d.spec().traffic.service;
    if world::stable_ready(d.obs, &d.status) && !world::ready_endpoints(d.obs, service).is_empty() {
        return true;
    }
    // The user who removes the origin together with the rollout is not waited for: nothing could bring it back.
    let lost = d.status.phase == Some(Phase::Deleting)
        && d.obs
            .deployment(world::active_slot(&d.status))
            .is_none_or(|x| x.metadata.deletion_timestamp.is_some());
    if world::candidate_endpoints(d.obs, &d.status) > 0 && !lost {
        d.hold("StableNotReady", "the stable version has no ready pod; it is being woken, and gets the traffic with its first ready pod");
        return false;
    }
    d.event(true, "NoReadyBackend", "neither version has a ready pod; the route goes to the stable version");
    true
}

/// While a slot of ours is active its Services select it; with the origin active they select no slot of ours.
fn selectors_back(d: &mut Draft<'_>) -> bool {
    let active = world::active_slot(&d.status);
    match active {
        Slot::A | Slot::B => selectors::point_all(d, active, "back to the active slot"),
        Slot::Origin => {
            let slots = d.status.adoption.iter().flat_map(|a| &a.services);
            let any = slots.filter_map(|s| d.obs.service(&s.name)).any(|s| selectors::leads_to_ours(d, s));
            guard::keep(d, active);
            if any {
                return selectors::point_all(d, active, "back to the origin");
            }
            selectors::give_back(d);
            true
        }
    }
}

/// How long the candidate's pods stay after its traffic was taken away. By counts of pods they go almost at once: connections
/// of before end only with them. Almost, because the nodes take up to a second until they send no new ones.
fn lingering(d: &Draft<'_>, slot: Slot) -> Duration {
    match provider::of_draft(d) {
        Provider::Gateway => drain(d, slot),
        // Endpoints that do not follow the selector are not waited for any longer than an arm drains.
        Provider::Replicas if world::endpoints_by_arm(d.obs, &d.status).0 > 0 => {
            drain(d, slot).max(NODES_FOLLOW)
        }
        Provider::Replicas => NODES_FOLLOW,
    }
}

/// How long an arm without traffic is kept: `traffic.drain`, at least its pods' grace period.
pub fn drain(d: &Draft<'_>, slot: Slot) -> Duration {
    let grace = d.obs.pods_of(slot).map(|p| p.grace_seconds).max().unwrap_or(0);
    d.spec().traffic.drain.get().max(Duration::seconds(grace))
}

/// Scales a slot of ours to 0. True when it has no pods, as observed.
pub fn stop(d: &mut Draft<'_>, slot: Slot) -> bool {
    let Some(deployment) = d.obs.deployment(slot) else { return true };
    if slot == Slot::Origin || !crate::workload::slot::is_ours(&deployment.metadata, &world::mark(d.obs)) {
        return true;
    }
    if world::replicas(Some(deployment)) > 0 {
        d.act(Action::Scale { deployment: slot.deployment(&d.spec().workload.deployment), replicas: 0 });
        d.wait("the candidate's pods to stop");
        return false;
    }
    if d.obs.living_pods_of(slot).next().is_some() {
        d.wait("the candidate's pods to stop");
        return false;
    }
    true
}
