//! The user's route: kept at what the operator decided, foreign edits judged by their direction, and put back to what
//! the user wrote.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use crate::api::{ArmWeights, Overridden, RouteConflict};
use crate::traffic::http_route::{self, Originals, Reading};
use crate::traffic::{Names, Split, warm_route};

use super::{Action, Draft, evidence, selectors, world};

/// Pause between two corrections of a foreign raise.
const CORRECT_EVERY: Duration = Duration::seconds(2);
/// The same, after five corrections within a minute.
const CORRECT_SLOWLY: Duration = Duration::seconds(10);
/// A raise that was decided longer ago and not carried out (the controller died in between) is looked at afresh.
const STALE_INTENT: Duration = Duration::seconds(5);

/// How often is looked whether the Gateway API has been installed.
const LOOK_FOR_GATEWAY_API: Duration = Duration::seconds(10);

/// How the route stands to what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As decided.
    AsDecided,
    /// A write is under way.
    Writing,
    /// Somebody took traffic from the candidate; it is left so.
    Overridden,
    /// Somebody gave the candidate more; it is being corrected.
    Conflict,
    /// There is no route.
    Missing,
}

/// Runs `f` with the names of the two Services.
fn with_names<T>(d: &Draft<'_>, f: impl FnOnce(&Names<'_>) -> T) -> T {
    let candidate = world::candidate_service(d.obs);
    f(&Names { namespace: d.obs.namespace(), service: &d.spec().traffic.service, candidate: &candidate })
}

/// What the user wrote, from the annotation of our own route.
pub fn originals(d: &Draft<'_>) -> Originals {
    d.obs.warm_route.as_ref().and_then(warm_route::originals_of).unwrap_or_default()
}

/// The route that is split and the one that the spec names now, when they differ.
pub fn renamed(d: &Draft<'_>) -> Option<(String, String)> {
    let (old, new) = (d.status.route.clone()?, d.spec().route_name()?);
    (old != new).then(|| (old, new.to_owned()))
}

/// Why there is no route that could be split: a reason, and what to do.
pub fn missing(d: &mut Draft<'_>) -> Option<(&'static str, String)> {
    let (route, service) = (world::route_name(d.obs), &d.spec().traffic.service);
    match world::reading(d.obs) {
        Some(reading) if reading.rules > 0 => None,
        Some(_) => {
            let message =
                format!("HTTPRoute {route} has no rule with a backendRef to Service {service}; add one");
            Some(("RouteMissing", message))
        }
        None if d.obs.no_gateway_api => {
            // A kind that appears brings no object with it, so nothing else would tell of it.
            d.wake_in(LOOK_FOR_GATEWAY_API);
            let message = format!(
                "the API server does not know HTTPRoutes (gateway.networking.k8s.io/v1), so HTTPRoute {route} cannot exist; \
                 install the Gateway API's CRDs (its standard channel) and a gateway that serves them"
            );
            Some(("GatewayAPIMissing", message))
        }
        None => {
            let message = format!(
                "HTTPRoute {route} does not exist; create it, or correct spec.traffic.gatewayAPI.httpRoute"
            );
            Some(("RouteMissing", message))
        }
    }
}

/// Keeps the route at the present step's decided share. `looked`: this pass brought new evidence.
pub fn keep(d: &mut Draft<'_>, mirror: Option<i32>, looked: bool) -> Kept {
    if let Some((reason, message)) = missing(d) {
        d.hold(reason, message);
        return Kept::Missing;
    }
    let Some(reading) = world::reading(d.obs) else { return Kept::Missing };
    let Some(step) = d.status.step.clone() else { return Kept::AsDecided };
    if !step.written {
        return write_decided(d, &reading, mirror, looked);
    }
    let more = reading.candidate > step.set || (reading.mirror.is_some() && mirror.is_none());
    match (more, less(d, &reading, mirror)) {
        (true, _) => correct(d, &reading, mirror),
        (false, Some(left)) => overridden(d, &reading, left, mirror),
        (false, None) => {
            settle(d);
            Kept::AsDecided
        }
    }
}

/// The percent that is left to the candidate where somebody took traffic from it: in the rule that has least, since a 0 in
/// one rule is an emergency as well. A rule that was added meanwhile took nothing.
pub fn less(d: &Draft<'_>, reading: &Reading, mirror: Option<i32>) -> Option<i32> {
    let set = d.status.step.as_ref().map_or(0, |s| s.set);
    let known = originals(d);
    let route = d.obs.route.as_ref();
    let lowest = route.and_then(|r| with_names(d, |names| http_route::lowest_known(r, names, &known)));
    let left = lowest.map_or(reading.candidate, |l| l.min(reading.candidate));
    (left < set || (mirror.is_some() && reading.mirror.is_none())).then_some(left)
}

/// Writes what was decided and has not been read back yet.
fn write_decided(d: &mut Draft<'_>, reading: &Reading, mirror: Option<i32>, looked: bool) -> Kept {
    let now = d.now();
    let Some(step) = d.status.step.clone() else { return Kept::AsDecided };
    let left = less(d, reading, mirror);
    if left.is_none() && reading.candidate == step.set && reading.mirror.is_some() == mirror.is_some() {
        let until = now + evidence::warm_up(d);
        evidence::discard(d, step.set_at, until);
        // Between the decision and the write the operator may have been away: the split is what it is from now on.
        evidence::share_changed(d);
        if let Some(s) = &mut d.status.step {
            s.written = true;
        }
        settle(d);
        return Kept::AsDecided;
    }
    let raises = step.set > left.unwrap_or(reading.candidate);
    if raises && now - step.set_at > STALE_INTENT && !looked {
        d.hold("EvaluatingFirst", "a raise was decided before an interruption; a fresh look comes first");
        return Kept::Writing;
    }
    if raises && d.obs.watch_failing.is_some() {
        // Which pods are ready is not known; the hold is said where it begins.
        return Kept::Writing;
    }
    if raises && evidence::candidate_endpoints(d) == 0 {
        d.hold("CandidateNotReady", "no pod of the candidate is ready; its share is not raised");
        return Kept::Writing;
    }
    write(d, mirror, "as decided");
    Kept::Writing
}

fn write(d: &mut Draft<'_>, mirror: Option<i32>, why: &str) {
    let (Some(route), Some(step)) = (d.obs.route.clone(), d.status.step.clone()) else { return };
    let known = with_names(d, |names| http_route::remember(&route, names, Some(&originals(d))));
    let split = Split { candidate: step.set, mirror };
    match with_names(d, |names| http_route::split(&route, names, &split, &known)) {
        Ok(None) => {}
        Ok(Some(edit)) => {
            // A rule that was added meanwhile is remembered before it is split.
            warm(d);
            let mirrored = mirror.map_or_else(String::new, |m| format!(", mirror {m} %"));
            let what = format!("candidate {} %{mirrored} ({why})", step.set);
            d.act(Action::PatchRoute { name: world::route_name(d.obs).to_owned(), patch: edit.patch, what });
        }
        Err(e) => d.hold("RouteRefused", e.to_string()),
    }
}

/// Less than decided: kept. Only a person's Resume goes up again.
fn overridden(d: &mut Draft<'_>, reading: &Reading, left: i32, mirror: Option<i32>) -> Kept {
    let now = d.now();
    if d.status.overridden.as_ref().is_some_and(|o| o.resumed) {
        evidence::foreign_end(d);
        d.status.overridden = None;
        if let Some(s) = &mut d.status.step {
            s.written = false;
            s.set_at = now;
        }
        evidence::share_changed(d);
        write(d, mirror, "resumed");
        return Kept::Writing;
    }
    let writer = d.obs.route.as_ref().map(http_route::last_writer).unwrap_or_default();
    if d.status.overridden.as_ref().is_none_or(|o| o.weight != left || o.writer != writer) {
        // Evidence goes on at the share that is left; only the clocks stop.
        evidence::foreign_move(d, reading.candidate > 0 || reading.mirror.is_some());
        let message = format!(
            "{writer} set the candidate to {left} % on the route where {} % was decided; it stays so until a Resume decision",
            d.status.step.as_ref().map_or(0, |s| s.set)
        );
        d.event(true, "RouteOverridden", message);
        let since = d.status.overridden.as_ref().map_or(now, |o| o.since);
        d.status.overridden =
            Some(Overridden { writer: writer.clone(), since, weight: left, resumed: false });
    }
    d.hold(
        "RouteOverridden",
        format!("{writer} took traffic from the candidate; create a Resume decision to go on"),
    );
    Kept::Overridden
}

/// More than decided: corrected every time, at most once in two seconds, and never read as progress.
fn correct(d: &mut Draft<'_>, reading: &Reading, mirror: Option<i32>) -> Kept {
    let now = d.now();
    let writer = d.obs.route.as_ref().map(http_route::last_writer).unwrap_or_default();
    evidence::foreign_begin(d);
    let mut conflict = d
        .status
        .conflict
        .clone()
        .unwrap_or(RouteConflict { writer: writer.clone(), corrections: Vec::new() });
    conflict.corrections.retain(|t| now - *t < Duration::minutes(1));
    let pause = if conflict.corrections.len() >= 5 { CORRECT_SLOWLY } else { CORRECT_EVERY };
    let due = conflict.corrections.last().map_or(now, |t| *t + pause);
    if now < due {
        d.wake_at(due);
    } else {
        d.event(
            true,
            "RouteCorrected",
            format!("{writer} set the candidate to {} % on the route; it is put back", reading.candidate),
        );
        conflict.corrections.push(now);
        write(d, mirror, "foreign raise corrected");
    }
    conflict.writer = writer.clone();
    d.status.conflict = Some(conflict);
    d.hold(
        "RouteConflict",
        format!("{writer} gives the candidate more than was decided; it is corrected each time"),
    );
    Kept::Conflict
}

/// The route is as decided: a foreign edit, if there was one, has gone.
fn settle(d: &mut Draft<'_>) {
    evidence::foreign_end(d);
    if d.status.overridden.take().is_some() {
        evidence::foreign_move(d, true);
    }
    let now = d.now();
    if let Some(c) = &mut d.status.conflict {
        c.corrections.retain(|t| now - *t < Duration::minutes(1));
        if c.corrections.is_empty() {
            d.status.conflict = None;
        }
    }
}

/// Two foreign raises within a minute: no advance while that lasts.
pub fn contested(d: &Draft<'_>) -> Option<DateTime<Utc>> {
    let c = d.status.conflict.as_ref().filter(|c| c.corrections.len() >= 2)?;
    c.corrections.last().map(|t| *t + Duration::minutes(1))
}

/// Puts the route back to what the user wrote: rules first, then who owns its fields. True when it is so, as observed,
/// or there is no route.
pub fn restore(d: &mut Draft<'_>) -> bool {
    let Some(route) = d.obs.route.clone() else { return true };
    let known = originals(d);
    let name = world::route_name(d.obs).to_owned();
    match with_names(d, |names| http_route::undo(&route, names, &known)) {
        Ok(Some(edit)) => {
            d.act_once(Action::PatchRoute {
                name,
                patch: edit.patch,
                what: "as the user wrote it".to_owned(),
            });
            false
        }
        Ok(None) => {
            if let Some(edit) = http_route::restore_managed_fields(&route, &known) {
                let what = "field owners as before".to_owned();
                d.act_once(Action::PatchRoute { name, patch: edit.patch, what });
            }
            true
        }
        Err(e) => {
            d.hold("RouteRefused", e.to_string());
            false
        }
    }
}

/// The warm route: it makes the data plane know both Services before the user's route names the second one, and keeps
/// what the user wrote. True when it is there as wanted, as observed.
pub fn warm(d: &mut Draft<'_>) -> bool {
    let Some(route) = d.obs.route.clone() else { return false };
    let name = world::warm_route(d.obs);
    let known = with_names(d, |names| http_route::remember(&route, names, Some(&originals(d))));
    let fresh = d.status.candidate.as_ref().map_or(String::new(), |c| c.plan_hash.replace("sha256:", ""));
    let secret = d.obs.warm_route.as_ref().and_then(warm_route::secret_of).map_or(fresh, str::to_owned);
    let wanted =
        with_names(d, |names| warm_route::warm_route(&route, names, &world::mark(d.obs), &secret, &known));
    match &d.obs.warm_route {
        None => {
            d.act(Action::CreateRoute(wanted));
            false
        }
        Some(existing) if !is_ours(d, existing) => {
            d.stall(
                "NameTaken",
                format!("HTTPRoute {name} exists and is somebody else's; rename or remove it"),
            );
            false
        }
        Some(existing) => match warm_route::renew(existing, &wanted) {
            None => true,
            Some(edit) => {
                let what = "remember what the user wrote".to_owned();
                d.act(Action::PatchRoute { name, patch: edit.patch, what });
                false
            }
        },
    }
}

fn is_ours(d: &Draft<'_>, route: &Value) -> bool {
    let meta = serde_json::from_value(route["metadata"].clone()).unwrap_or_default();
    selectors::owned_or_orphaned(d, &meta)
}

/// Removes the warm route, when it is ours. True when it is not there, as observed.
pub fn remove_warm(d: &mut Draft<'_>) -> bool {
    let Some(existing) = d.obs.warm_route.clone().filter(|r| is_ours(d, r)) else { return true };
    let uid = existing["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    if existing["metadata"]["deletionTimestamp"].is_null() {
        d.act(Action::DeleteRoute { name: world::warm_route(d.obs), uid });
    }
    false
}

/// The shares as read back from route and selectors together.
pub fn report(d: &mut Draft<'_>) {
    let mirror = world::reading(d.obs).and_then(|r| r.mirror).unwrap_or(0);
    let candidate = world::share(d.obs, &d.status);
    d.status.weights = Some(ArmWeights { stable: 100 - candidate, candidate, mirror });
}
