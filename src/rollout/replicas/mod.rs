//! Without a gateway: the candidate's share is its part of the ready endpoints behind the user's Service. The Service
//! selects the active slot, or both arms while the candidate has a share, or the candidate alone while it is watched; the
//! candidate's scale makes the share. What is set in status says which: 0, 1 to 99, 100 %.

use k8s_openapi::api::apps::v1::Deployment;

use crate::api::condition::{ConditionType, Finding};
use crate::api::{AwaitedPods, Phase, Slot};
use crate::traffic::selector;
use crate::workload::both::Reach;

mod counts;
mod shared;

pub use counts::{begin, first_pods, held_still, need_of_step, stable_pods};
pub use shared::{not_shared, selector_of_both};

use counts::share_to_set;

use super::foreign::{self, Edit, Kept, On};
use super::provider::{self, Provider};
use super::{Action, Draft, capacity, evidence, guard, selectors, world};

/// Whether the Service's selector is kept here and not at the active slot.
pub fn governs(d: &Draft<'_>, service: &str) -> bool {
    provider::of_draft(d) == Provider::Replicas
        && service == d.spec().traffic.service
        && matches!(d.phase(), Phase::Canary | Phase::Watching)
}

/// What the Service is to select, by the share that is set.
pub fn reach(d: &Draft<'_>) -> Reach {
    match d.status.step.as_ref().map_or(0, |s| s.set) {
        ..=0 => Reach::Slot(world::active_slot(&d.status)),
        1..=99 => Reach::Both,
        100.. => Reach::Slot(world::candidate_slot(&d.status)),
    }
}

/// Where the Service leads until something is written: what is decided, and not yet a raise that only is decided.
pub fn kept(d: &Draft<'_>) -> Reach {
    let (at, decided) = (found(d).flatten(), reach(d));
    let written = d.status.step.as_ref().is_some_and(|s| s.written);
    match at {
        _ if written => decided,
        Some(at) if Some(at) >= level(d, Some(decided)) => decided,
        Some(1) => Reach::Both,
        Some(_) | None => Reach::Slot(world::active_slot(&d.status)),
    }
}

/// How much of the traffic a reach gives the candidate: nothing, a part, all. Nothing known for any other slot.
fn level(d: &Draft<'_>, reach: Option<Reach>) -> Option<u8> {
    match reach? {
        Reach::Slot(slot) if slot == world::active_slot(&d.status) => Some(0),
        Reach::Both => Some(1),
        Reach::Slot(slot) if slot == world::candidate_slot(&d.status) => Some(2),
        Reach::Slot(_) => None,
    }
}

fn found(d: &Draft<'_>) -> Option<Option<u8>> {
    let service = d.obs.service(&d.spec().traffic.service)?;
    Some(level(d, world::reach(d.obs, &d.status, service)))
}

/// The share that is set is the step's own, and exactly the pods for it are there.
pub fn at_weight(d: &Draft<'_>) -> bool {
    let set = d.status.step.as_ref().map_or(0, |s| s.set);
    let full = d.phase() != Phase::Watching || set >= 100;
    set > 0 && full && (set >= 100 || evidence::candidate_endpoints(d) == need_of_step(d))
}

/// The Service selects less of the candidate than was decided and written.
pub fn taken_away(d: &Draft<'_>) -> bool {
    let written = d.status.step.as_ref().is_some_and(|s| s.written);
    written && found(d).is_some_and(|at| at < level(d, Some(reach(d))))
}

/// The candidate's pods follow the share, and the share the stable version's pods. True when exactly those that the step asks
/// for are ready. `held`: something speaks against the candidate without taking it back.
pub fn pods(d: &mut Draft<'_>, looked: bool, held: bool) -> bool {
    let Some(c) = d.status.candidate.clone() else { return false };
    // With the candidate alone behind the Service, nothing of the share depends on them.
    let shared = d.status.step.as_ref().is_some_and(|s| s.set < 100);
    if stable_pods(d) == 0 && shared {
        capacity::wake_stable(d);
        d.hold(
            "StableNotReady",
            "the stable version has no ready pod; it is being woken, and the share stays as it is",
        );
        return false;
    }
    // What holds every advance holds this one too: the promotion is decided, and its pods may still be coming.
    let held = held || d.status.pause.is_some() || d.spec().suspend;
    let grows = d.phase() != Phase::Watching || !held;
    let (need, ready) = (need_of_step(d), evidence::candidate_endpoints(d));
    if d.status.overridden.is_none() {
        follow(d, grows);
    }
    scale(d, c.slot, need, grows && looked);
    await_pods(d, need, ready);
    if need <= 0 {
        let (stable, weight) = (stable_pods(d), d.status.step.as_ref().map_or(0, |s| s.weight));
        d.hold(
            "ShareNotPossible",
            format!(
                "beside {stable} ready pods of the stable version one of the candidate would have more than {weight} %; it gets \
                 nothing until there are more"
            ),
        );
    }
    if let Some(message) = not_shared(d).filter(|_| d.phase() == Phase::Canary) {
        d.hold("NoSharedLabel", message);
    }
    need > 0 && (ready == need || (ready > need && d.phase() == Phase::Watching))
}

/// The share that is set follows the pods of both arms.
fn follow(d: &mut Draft<'_>, grows: bool) {
    let (set, now) = (share_to_set(d), d.now());
    let Some(step) = d.status.step.clone().filter(|s| s.set != set && (grows || set < s.set)) else { return };
    if set < step.set {
        capacity::wake_stable(d);
    }
    let message = format!(
        "{} of {} pods of the candidate and {} of the stable version are ready: its share goes from {} to {set} %",
        evidence::candidate_endpoints(d),
        need_of_step(d),
        stable_pods(d),
        step.set
    );
    d.event(set < step.set, "ShareFollowsPods", message);
    if let Some(s) = &mut d.status.step {
        (s.set, s.set_at, s.written) = (set, now, false);
    }
    evidence::share_changed(d);
}

/// The candidate's scale: up on evidence that is fresh, down at once, for a pod too many is a share too large.
fn scale(d: &mut Draft<'_>, slot: Slot, need: i32, looked: bool) {
    let have = world::replicas(d.obs.deployment(slot));
    if need > 0 && (need <= have || (foreign::is_fresh(d, looked) && d.obs.watch_failing.is_none())) {
        // Also where they are there: an autoscaler's floor is remembered.
        capacity::raise(d, slot, need);
    }
    if 0 < need && need < have && d.phase() == Phase::Canary {
        let deployment = slot.deployment(&d.spec().workload.deployment);
        d.act_once(Action::Scale { deployment, replicas: need });
    }
}

fn await_pods(d: &mut Draft<'_>, need: i32, ready: i32) {
    let now = d.now();
    let before = d.status.step.as_ref().and_then(|s| s.awaited).filter(|a| a.pods == need);
    let awaited = (ready < need).then(|| AwaitedPods { pods: need, since: before.map_or(now, |a| a.since) });
    if let Some(s) = &mut d.status.step {
        s.awaited = awaited;
    }
    let Some(awaited) = awaited else {
        let message = format!("{ready} pods are ready, {need} needed");
        return d.condition(ConditionType::CandidateReady, Finding::yes("Ready", message));
    };
    let message = format!("{ready} of {need} pods that the share needs are ready");
    d.condition(ConditionType::CandidateReady, Finding::no("PodsMissing", message.clone()));
    d.wait(message);
    let deadline = awaited.since + d.spec().strategy.deadlines.ready.get();
    if deadline > now {
        d.wake_at(deadline);
    }
}

/// Keeps the Service's selector as the share asks for.
pub fn keep(d: &mut Draft<'_>, looked: bool) -> Kept {
    let name = d.spec().traffic.service.clone();
    let Some(service) = d.obs.service(&name) else {
        let message = format!("Service {name} does not exist; create it, it is how callers reach the model");
        d.hold("ServiceMissing", message);
        return Kept::Missing;
    };
    let Some(step) = d.status.step.clone() else { return Kept::AsDecided };
    let Some(at) = found(d).flatten() else { return to_stable(d, &name) };
    let wanted = level(d, Some(reach(d))).unwrap_or(0);
    if at == wanted {
        match step.written {
            true => foreign::gone(d),
            false if foreign::may_be_older(d) => return Kept::Writing,
            false => foreign::arrived(d),
        }
        return Kept::AsDecided;
    }
    if !step.written {
        return write_decided(d, at, looked);
    }
    let percent = world::share(d.obs, &d.status);
    let edit = Edit {
        writer: selector::last_writer(service),
        percent,
        mirror: None,
        unstuck: false,
        on: On::Selector,
    };
    if at > wanted {
        return foreign::more(d, &edit, |d| write(d, "foreign raise corrected", false));
    }
    // After a Resume the share is worked out anew: much may have changed since.
    foreign::less(d, &edit, percent > 0, |d| {
        follow(d, true);
        write_decided(d, at, looked);
    })
}

/// The selector is none that we write, and perhaps nobody is behind it: the stable version gets everything at once, and the
/// candidate its share again as at any raise.
fn to_stable(d: &mut Draft<'_>, name: &str) -> Kept {
    let (active, now) = (world::active_slot(&d.status), d.now());
    let what = format!("selector back to the active slot {active}");
    guard::keep_with(d, active, Reach::Slot(active));
    if selectors::turn(d, name, Reach::Slot(active), &what, false) {
        d.event(true, "SelectorCorrected", format!("Service {name}: {what}"));
        d.urgent();
    }
    if let Some(s) = d.status.step.as_mut().filter(|s| s.written) {
        (s.set_at, s.written) = (now, false);
    }
    Kept::Writing
}

/// Writes what was decided and has not been read back yet.
fn write_decided(d: &mut Draft<'_>, at: u8, looked: bool) -> Kept {
    let wanted = level(d, Some(reach(d))).unwrap_or(0);
    let raises = at < wanted;
    if raises && !foreign::may_raise(d, looked) {
        return Kept::Writing;
    }
    if raises && wanted == 1 && !counts_are_right(d) {
        return Kept::Writing;
    }
    write(d, "as decided", raises);
    Kept::Writing
}

/// Whether the pods behind the Service will make the share that is decided, and not more, once it selects both.
fn counts_are_right(d: &mut Draft<'_>) -> bool {
    let Some(slot) = d.status.candidate.as_ref().map(|c| c.slot) else { return false };
    let (need, scale) = (need_of_step(d), world::replicas(d.obs.deployment(slot)));
    let more = evidence::candidate_endpoints(d).max(scale) - need;
    if d.phase() == Phase::Canary && more > 0 {
        let deployment = slot.deployment(&d.spec().workload.deployment);
        d.act_once(Action::Scale { deployment, replicas: need.max(1) });
        d.wait(format!("{more} pods of the candidate to stop, which would make its share too large"));
        return false;
    }
    if let Some(message) = not_shared(d) {
        d.hold("NoSharedLabel", message);
        return false;
    }
    let active = world::active_slot(&d.status);
    if active == Slot::Origin && !d.obs.origin.as_deref().is_some_and(rolled_out) {
        d.wait("the Deployment's own rollout to end: pods of before may not have the label that both versions share");
        return false;
    }
    true
}

/// Kubernetes has rolled the present template out to all pods.
fn rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let count = |n: Option<i32>| n.unwrap_or(0);
    status.observed_generation >= deployment.metadata.generation
        && count(status.updated_replicas) >= world::replicas(Some(deployment))
        && count(status.replicas) == count(status.updated_replicas)
}

fn write(d: &mut Draft<'_>, why: &str, gives: bool) {
    let reach = reach(d);
    guard::keep_with(d, world::active_slot(&d.status), reach);
    let name = d.spec().traffic.service.clone();
    selectors::turn(d, &name, reach, &format!("select {reach} ({why})"), gives);
}
