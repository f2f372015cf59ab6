//! Without a gateway: the candidate's share is its part of the ready endpoints behind the user's Service. The Service
//! selects the active slot, or both arms while the candidate has a share, or the candidate alone while it is watched; the
//! candidate's scale makes the share. What is set in status says which: 0, 1 to 99, 100 %.

use chrono::{DateTime, Duration, Utc};

use crate::api::condition::{ConditionType, Finding};
use crate::api::{AwaitedPods, Phase, ReleaseKind, Slot};
use crate::traffic::replicas::{at_most, count, percent};
use crate::traffic::selector;
use crate::workload::both::Reach;
use crate::workload::capacity as of_capacity;

use super::foreign::{self, Edit, Kept, On};
use super::provider::{self, Provider};
use super::{Action, Draft, capacity, evidence, guard, selectors, world};

/// A scale that was decided longer ago and not written (the controller died in between) waits for a fresh look.
const STALE_INTENT: Duration = Duration::seconds(5);

/// Ready pods of the stable version beside which the candidate's are counted. The surge of a rolling update goes again.
pub fn stable_pods(d: &Draft<'_>) -> i32 {
    let slot = world::active_slot(&d.status);
    world::ready_pods(d.obs, slot, None).min(world::replicas(d.obs.deployment(slot)))
}

/// Pods of the candidate that a canary step asks for: those that give its share beside the stable version as it was, or
/// fewer while that has fewer. 0: one pod would already be too much.
pub fn pods_for(d: &Draft<'_>, index: i32, weight: i32) -> i32 {
    let (stable, before) = (stable_pods(d), d.status.capacity.max(1));
    let steps = &d.spec().strategy.canary.steps;
    let index = usize::try_from(index).unwrap_or(0).min(steps.len().saturating_sub(1));
    let planned =
        count(before, steps, index).filter(|_| steps.get(index).is_some_and(|s| s.weight == weight));
    at_most(stable, weight).max(planned.map_or(0, |n| n * stable.min(before) / before))
}

/// Pods that the present step asks for.
pub fn need_of_step(d: &Draft<'_>) -> i32 {
    let Some(step) = &d.status.step else { return 1 };
    match d.phase() {
        Phase::Canary => pods_for(d, step.index, step.weight),
        Phase::Pending
        | Phase::Preparing
        | Phase::Shadow
        | Phase::Watching
        | Phase::Settling
        | Phase::Active
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Deleting => of_capacity::need(d.status.capacity, step.weight, 0),
    }
}

/// The share that is to be set now, in percent: what the pods give in a canary step. In the watch everything, as soon as the
/// candidate has the pods for it; until then what it has pods for.
pub fn share_to_set(d: &Draft<'_>) -> i32 {
    let (stable, need) = (stable_pods(d), need_of_step(d));
    let ready = evidence::candidate_endpoints(d);
    match d.phase() {
        Phase::Watching if ready >= need => 100,
        Phase::Watching => percent(ready, stable).min(99),
        _ if need <= 0 => 0,
        _ => percent(need, stable).clamp(1, 99),
    }
}

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
/// for are ready.
pub fn pods(d: &mut Draft<'_>, looked: bool) -> bool {
    let (Some(c), Some(step)) = (d.status.candidate.clone(), d.status.step.clone()) else { return false };
    if stable_pods(d) == 0 {
        capacity::wake_stable(d);
        d.hold(
            "StableNotReady",
            "the stable version has no ready pod; it is being woken, and the share stays as it is",
        );
        return false;
    }
    let (need, ready) = (need_of_step(d), evidence::candidate_endpoints(d));
    follow(d, need, ready);
    scale(d, c.slot, need, step.set_at, looked);
    await_pods(d, need, ready);
    if need <= 0 {
        let stable = stable_pods(d);
        d.hold(
            "ShareNotPossible",
            format!("beside {stable} ready pods of the stable version one of the candidate would have more than {} %; it gets nothing until there are more", step.weight),
        );
    }
    need > 0 && (ready == need || (ready > need && step.weight >= 100))
}

/// The share that is set follows the pods of both arms.
fn follow(d: &mut Draft<'_>, need: i32, ready: i32) {
    let (set, now, stable) = (share_to_set(d), d.now(), stable_pods(d));
    let Some(step) = d.status.step.clone().filter(|s| s.set != set && d.status.overridden.is_none()) else {
        return;
    };
    if set < step.set {
        capacity::wake_stable(d);
    }
    let message = format!(
        "{ready} of {need} pods of the candidate and {stable} of the stable version are ready: its share goes from {} to {set} %",
        step.set
    );
    d.event(set < step.set, "ShareFollowsPods", message);
    if let Some(s) = &mut d.status.step {
        (s.set, s.set_at, s.written) = (set, now, false);
    }
    evidence::share_changed(d);
}

/// The candidate's scale: up on evidence that is fresh, down at once, for a pod too many is a share too large.
fn scale(d: &mut Draft<'_>, slot: Slot, need: i32, decided: DateTime<Utc>, looked: bool) {
    let have = world::replicas(d.obs.deployment(slot));
    let fresh = looked || d.now() - decided <= STALE_INTENT;
    if need > 0 && (need <= have || (fresh && d.obs.watch_failing.is_none())) {
        // Also where they are there: an autoscaler's floor is remembered.
        capacity::raise(d, slot, need);
    }
    let shares = d.status.step.as_ref().is_some_and(|s| s.weight < 100);
    if 0 < need && need < have && shares {
        d.act_once(Action::Scale {
            deployment: slot.deployment(&d.spec().workload.deployment),
            replicas: need,
        });
    }
}

/// While both arms are selected no autoscaler may move their counts; nor the candidate's before, which would come with too many.
pub fn held_still(d: &Draft<'_>) -> Vec<(Slot, i32)> {
    let Some(c) = d.status.candidate.as_ref().filter(|c| c.kind != ReleaseKind::Expedited) else {
        return Vec::new();
    };
    let scale = |slot| world::replicas(d.obs.deployment(slot));
    let (active, set) = (world::active_slot(&d.status), d.status.step.as_ref().map_or(0, |s| s.set));
    let stable = (active, d.status.capacity.max(scale(active)));
    match d.phase() {
        Phase::Preparing => {
            let first = d.spec().strategy.canary.steps.first().map_or(0, |s| s.weight);
            vec![(c.slot, capacity::need(d, first, 0))]
        }
        Phase::Canary => {
            // Too few stable pods for a share: the candidate's are kept, and get nothing.
            let candidate = Some(need_of_step(d)).filter(|need| *need > 0).unwrap_or_else(|| scale(c.slot));
            vec![stable, (c.slot, candidate)]
        }
        Phase::Watching if set < 100 => vec![stable, (c.slot, need_of_step(d))],
        Phase::Pending
        | Phase::Shadow
        | Phase::Watching
        | Phase::Settling
        | Phase::Active
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Deleting => Vec::new(),
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
        d.hold(
            "ServiceMissing",
            format!("Service {name} does not exist; create it, it is how callers reach the model"),
        );
        return Kept::Missing;
    };
    let Some(step) = d.status.step.clone() else { return Kept::AsDecided };
    let (at, wanted) = (found(d).flatten(), level(d, Some(reach(d))));
    if at == wanted {
        if step.written {
            foreign::gone(d);
        } else {
            foreign::arrived(d);
        }
        return Kept::AsDecided;
    }
    if !step.written {
        return write_decided(d, at, wanted, looked);
    }
    let percent = world::share(d.obs, &d.status);
    let edit = Edit { writer: selector::last_writer(service), percent, on: On::Selector };
    match at {
        Some(_) if at < wanted => {
            foreign::less(d, &edit, percent > 0, |d| write(d, "resumed", true));
            Kept::Overridden
        }
        // Nobody is behind it: there is nothing to wait for.
        None if world::ready_endpoints(d.obs, &name).is_empty() => {
            d.event(
                true,
                "SelectorCorrected",
                format!("Service {name} selected nothing of ours; it is put back"),
            );
            d.urgent();
            write(d, "selector put back", true);
            Kept::Writing
        }
        Some(_) | None => foreign::more(d, &edit, |d| write(d, "foreign raise corrected", false)),
    }
}

/// Writes what was decided and has not been read back yet.
fn write_decided(d: &mut Draft<'_>, at: Option<u8>, wanted: Option<u8>, looked: bool) -> Kept {
    let raises = at < wanted;
    if raises && !foreign::may_raise(d, looked) {
        return Kept::Writing;
    }
    let (ready, need) = (evidence::candidate_endpoints(d), need_of_step(d));
    if raises && ready > need {
        d.wait(format!(
            "{} pods of the candidate to stop, which would make its share too large",
            ready - need
        ));
        return Kept::Writing;
    }
    if let Some(message) = not_shared(d).filter(|_| raises && wanted == Some(1)) {
        d.hold("NoSharedLabel", message);
        return Kept::Writing;
    }
    write(d, "as decided", raises);
    Kept::Writing
}

fn write(d: &mut Draft<'_>, why: &str, gives: bool) {
    let what = match reach(d) {
        Reach::Slot(slot) => format!("select slot {slot} ({why})"),
        Reach::Both => format!("select both versions ({why})"),
    };
    guard::keep(d, world::active_slot(&d.status));
    let name = d.spec().traffic.service.clone();
    selectors::turn_governed(d, &name, &what, gives);
}

/// Why no selector leads to both arms and to nothing else; nothing when there is one.
pub fn not_shared(d: &Draft<'_>) -> Option<String> {
    let service = &d.spec().traffic.service;
    let deployment = &d.spec().workload.deployment;
    let keys: Vec<&str> =
        d.status.adoption.iter().flat_map(|a| a.labels.keys()).map(String::as_str).collect();
    let hint = format!(
        "Service {service} has to select both versions at once, so the pods of Deployment {deployment} need a label beside {} that no \
         other pods of the namespace have; add one to its pod template, such as serving: {deployment}",
        keys.join(" and ")
    );
    let Some(both) = world::both(d.obs, &d.status) else { return Some(hint) };
    let like = |labels: &&std::collections::BTreeMap<String, String>| {
        both.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let other = d.obs.other_pod_labels.iter().find(like)?;
    let other: Vec<String> = other.iter().map(|(k, v)| format!("{k}={v}")).collect();
    Some(format!("{hint} (those with {} have all of them)", other.join(",")))
}
