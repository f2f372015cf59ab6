//! Settling: the candidate is verified; Services, route and pods are put to rest in an order in which no request fails.
//! It goes only forward once the Services have followed.

use std::sync::Arc;

use chrono::Duration;
use k8s_openapi::api::core::v1::Service;

use crate::analysis::Stage;
use crate::api::{ActiveVersion, Pause, Phase, ReleaseKind, RollbackOrHold, Settling, Slot};
use crate::rollout::clean::drain;
use crate::rollout::rollback::{self, Cause};
use crate::rollout::target;
use crate::rollout::{Action, Draft, adoption, capacity, evidence, guard, provider, route, selectors, world};
use crate::workload::labels::pod_template_labels;
use crate::workload::services;

use super::{pending, resting};

/// How long the endpoints have to follow the selectors, and the old arm its scale.
const FOLLOW_WITHIN: Duration = Duration::seconds(60);

/// Decides it and points the Services in the same pass.
pub fn begin(d: &mut Draft<'_>, why: &str) {
    let now = d.now();
    let old_slot = world::active_slot(&d.status);
    d.status.settling = Some(Settling { step: 1, since: now, old_slot, reverse: false });
    d.transition(Phase::Settling, "Settling", "Settling", why.to_owned());
    go_on(d);
}

/// The Services have followed: `status.active` is the new version, and there is only the way forward.
pub fn turned(d: &Draft<'_>) -> bool {
    d.status.settling.as_ref().is_some_and(|s| s.step >= 2)
}

/// A Rollback after the turn: as soon as the route is settled, the old arm, which is still warm, gets everything back.
pub fn reverse(d: &mut Draft<'_>) -> Result<String, String> {
    match &mut d.status.settling {
        Some(s) if !s.reverse => {
            s.reverse = true;
            Ok("the old arm is kept warm and gets the traffic back as soon as the route is settled".into())
        }
        Some(_) => Err("that is already under way".into()),
        None => Err("nothing is being settled".into()),
    }
}

/// One pass.
pub fn run(d: &mut Draft<'_>) {
    if !stands(d) {
        return;
    }
    go_on(d);
}

fn go_on(d: &mut Draft<'_>) {
    let Some(settling) = d.status.settling.clone() else {
        return resting::arrive(d);
    };
    if settling.step >= 2 && !pointed(d, &settling) {
        return;
    }
    match settling.step {
        ..=1 => follow(d, &settling),
        2 => the_route(d),
        3 => companions(d, &settling),
        4.. => old_arm(d, &settling),
    }
}

/// Until the Services have followed, the candidate is judged as in the watch: what speaks against it there ends this too. An
/// expedited release is not judged.
fn stands(d: &mut Draft<'_>) -> bool {
    let expedited = d.status.candidate.as_ref().is_some_and(|c| c.kind == ReleaseKind::Expedited);
    let Some(settling) = d.status.settling.clone().filter(|s| s.step <= 1 && !expedited) else { return true };
    evidence::remember_pods(d);
    evidence::remember_exits(d);
    let judged = evidence::judge(d, Stage::Watch);
    let per_stable = provider::per_stable(d, None);
    // Who ended the watch as verified has been told of what only holds; a breach counts all the same.
    let ends = |s: &evidence::Signal| s.then == RollbackOrHold::Rollback || s.reason == "MetricBreach";
    let Some(signal) = evidence::signals(d, &judged, per_stable).into_iter().find(ends) else { return true };
    match signal.then {
        RollbackOrHold::Rollback => {
            rollback::begin(d, Cause::reject(signal.reason, signal.message, signal.at));
        }
        RollbackOrHold::Hold => {
            back_to_watching(d, &settling, signal.reason, &signal.message);
            d.hold(signal.reason, signal.message);
        }
    }
    false
}

/// The selectors go back; the route has not been touched.
fn back_to_watching(d: &mut Draft<'_>, settling: &Settling, reason: &str, message: &str) {
    d.status.settling = None;
    d.transition(Phase::Watching, "Watching", reason, message);
    selectors::point_all(d, settling.old_slot, "back to the old version");
}

/// After the turn a selector that somebody reset is corrected at once. An old arm that it led to drains anew, but not for
/// ever: a sync may come more often than an arm drains.
fn pointed(d: &mut Draft<'_>, settling: &Settling) -> bool {
    let active = world::active_slot(&d.status);
    let again = leads_to(d, settling.old_slot) && !long_since_turned(d, settling);
    let before = d.actions.len();
    if selectors::point_all(d, active, "select the new version") {
        return true;
    }
    d.urgent();
    if d.actions.len() > before {
        let message = format!("a Service's selector goes back to the active slot {active}");
        d.event(true, "SelectorCorrected", message);
    }
    d.wait("every Service to select the new version");
    if again {
        next(d, settling.step);
    }
    false
}

/// Whether a following Service selects that slot.
fn leads_to(d: &Draft<'_>, slot: Slot) -> bool {
    let following = d.status.adoption.iter().flat_map(|a| &a.services);
    following.filter_map(|s| d.obs.service(&s.name)).any(|s| world::selects(s, &d.status) == Some(slot))
}

/// The Services followed so long ago that the old arm has drained three times over.
fn long_since_turned(d: &Draft<'_>, settling: &Settling) -> bool {
    let turned = d.status.history.last().map_or(settling.since, |h| h.at);
    d.now() - turned >= drain(d, settling.old_slot) * 3
}

fn next(d: &mut Draft<'_>, step: i32) {
    let now = d.now();
    if let Some(s) = &mut d.status.settling {
        s.step = step;
        s.since = now;
    }
}

/// Step 1: every following Service selects the new slot, and its endpoints are the new slot's.
fn follow(d: &mut Draft<'_>, settling: &Settling) {
    let Some(c) = d.status.candidate.clone() else { return resting::arrive(d) };
    capacity::hold_stable(d);
    capacity::raise(d, c.slot, d.status.capacity);
    // What cannot follow holds up the old arm, not this.
    let _ = adoption::extend(d);
    // The route still names it.
    selectors::candidate_service(d, c.slot);
    if world::ready_pods(d.obs, c.slot, Some(&c.template_hash)) == 0 {
        return stuck(d, settling, "no pod of the new version is ready any more");
    }
    let pointed = selectors::point_all(d, c.slot, "select the new version");
    if !(pointed && selectors::endpoints_follow(d, c.slot)) {
        if d.now() - settling.since >= FOLLOW_WITHIN {
            let within = FOLLOW_WITHIN.num_seconds();
            return stuck(
                d,
                settling,
                &format!("the endpoints did not follow the selectors within {within} s"),
            );
        }
        d.wait("the Services' endpoints to be the new version's");
        d.wake_at(settling.since + FOLLOW_WITHIN);
        return;
    }
    let now = d.now();
    d.status.active = Some(ActiveVersion {
        version: c.version.clone(),
        bundle_digest: c.bundle_digest.clone(),
        slot: c.slot,
        template_hash: c.template_hash.clone(),
        since: now,
    });
    next(d, 2);
    d.transition(Phase::Settling, "Settling(route)", "ServicesFollow", "every Service selects it");
    the_route(d);
}

/// Back to Watching: the selectors go back, the route has not been touched.
fn stuck(d: &mut Draft<'_>, settling: &Settling, why: &str) {
    let message = format!("{why}; the selectors go back, the route is as it was");
    let now = d.now();
    let expedited = d.status.candidate.as_ref().is_some_and(|c| c.kind == ReleaseKind::Expedited);
    if expedited {
        d.status.settling = None;
        selectors::point_all(d, settling.old_slot, "back to the old version");
        return rollback::begin(d, Cause::leave("SettlingStuck", message, now));
    }
    back_to_watching(d, settling, "SettlingStuck", &message);
    d.status.pause =
        Some(Pause { by: "understudy".into(), since: now, reason: format!("SettlingStuck: {message}") });
    d.hold("SettlingStuck", message);
}

/// Step 2: the route as the user wrote it. Both Services select the new slot or nothing that matters any more.
fn the_route(d: &mut Draft<'_>) {
    if !route::restore(d) {
        d.wait("the route to be as the user wrote it");
        return;
    }
    next(d, 3);
    let Some(settling) = d.status.settling.clone() else { return };
    companions(d, &settling);
}

/// Step 3: after the drain our Service selects the idle slot and the warm route goes. Not before: data planes take
/// endpoints sooner than routes, so for a moment they still send requests to our Service (seen: 503 for 80 ms).
fn companions(d: &mut Draft<'_>, settling: &Settling) {
    if !route::restore(d) {
        return;
    }
    let until = settling.since + drain(d, settling.old_slot);
    if d.now() < until {
        d.wait("the last requests to the old version to end");
        d.wake_at(until);
        return;
    }
    let active = world::active_slot(&d.status);
    let pointed = selectors::candidate_service(d, active.next());
    if !(pointed && route::remove_warm(d)) {
        d.wait("our own route to go");
        return;
    }
    if settling.reverse {
        return turn_back(d, settling);
    }
    next(d, 4);
    let Some(settling) = d.status.settling.clone() else { return };
    old_arm(d, &settling);
}

/// Step 4: the old arm to 0. Nothing is scaled to 0 while a Service selects it.
fn old_arm(d: &mut Draft<'_>, settling: &Settling) {
    if settling.reverse {
        return turn_back(d, settling);
    }
    route::restore(d);
    let active = world::active_slot(&d.status);
    let refused = adoption::extend(d);
    if let Some(service) = left_behind(d, settling.old_slot) {
        selectors::guard(d);
        if let Err((reason, message)) = refused {
            return d.hold(reason, format!("Service {service} still selects the old version: {message}"));
        }
        d.wait(format!("Service {service} to select the new version"));
        return;
    }
    if settling.old_slot == active {
        d.wait("no Service to select the old version");
        return;
    }
    let warm = settling.old_slot == Slot::Origin && world::replicas(d.obs.origin.as_deref()) > 0;
    if let Some(message) = guard::contested(d).filter(|_| warm) {
        if d.obs.rollout.metadata.deletion_timestamp.is_none() {
            if settling.step > 4 {
                next(d, 4);
            }
            return d.hold("SelectorContested", format!("the origin is kept warm: {message}"));
        }
        // Nobody will correct a selector any more: the next sync finds pods.
        return finish(d);
    }
    if settling.step == 4 {
        // What held it until now is not time in which the old arm was being scaled.
        next(d, 5);
    }
    let since = d.status.settling.as_ref().map_or(settling.since, |s| s.since);
    // Active only when it is seen to be so: at rest nobody would scale it any more. Somebody who keeps scaling it up again
    // does not hold this up for long; at rest that is a warning.
    if world::replicas(d.obs.deployment(settling.old_slot)) > 0 && d.now() - since < FOLLOW_WITHIN {
        let deployment = settling.old_slot.deployment(&d.spec().workload.deployment);
        d.act(Action::Scale { deployment, replicas: 0 });
        d.wait("the old version to be scaled to 0");
        d.wake_at(since + FOLLOW_WITHIN);
        return;
    }
    finish(d);
}

/// A Service of the namespace, whoever it belongs to, that selects the old arm and not the new one.
fn left_behind(d: &Draft<'_>, old: Slot) -> Option<String> {
    let labels = |slot| d.obs.deployment(slot).map(pod_template_labels).unwrap_or_default();
    let (old, new) = (labels(old), labels(world::active_slot(&d.status)));
    let ours = world::candidate_service(d.obs);
    let behind = |s: &&Arc<Service>| {
        s.metadata.name.as_ref() != Some(&ours) && services::selects(s, &old) && !services::selects(s, &new)
    };
    d.obs.services.iter().find(behind).and_then(|s| s.metadata.name.clone())
}

fn finish(d: &mut Draft<'_>) {
    let version = d.status.active.as_ref().map_or_else(String::new, |a| a.version.clone());
    d.transition(
        Phase::Active,
        "Active",
        "Verified",
        format!("{version} is active; no pod was restarted for it"),
    );
    resting::forget_candidate(d);
    resting::run(d);
}

/// The reverse rollout on the old arm: it is warm, nothing is judged.
fn turn_back(d: &mut Draft<'_>, settling: &Settling) {
    let Some(left) = d.status.active.clone() else { return };
    let version = match settling.old_slot {
        Slot::Origin => target::running_in_origin(d.obs).map(|a| a.version),
        slot @ (Slot::A | Slot::B) => d.obs.deployment(slot).map(|x| world::slot_version(x).to_owned()),
    };
    let Some(version) = version else { return finish(d) };
    let to = match target::of_version(d.obs, &version) {
        Ok(to) => to,
        Err((reason, message)) => {
            d.event(true, reason, format!("the reverse rollout is not possible: {message}"));
            return finish(d);
        }
    };
    crate::rollout::rejected::add(
        d,
        crate::api::Rejected {
            version: left.version.clone(),
            bundle_digest: left.bundle_digest.clone(),
            template_hash: None,
            reason: "RolledBackByDecision".into(),
            message: "rolled back while it was being settled".into(),
            at: d.obs.now,
            retry: d.spec().retry,
            attempt: d.status.candidate.as_ref().map_or(1, |c| c.attempt),
            retried: false,
        },
    );
    let why = format!("the way back to {version}, whose pods are warm");
    pending::start_in(d, &to, ReleaseKind::Expedited, settling.old_slot, &why);
    super::preparing::run(d);
}
