//! The user's route: kept at what the operator decided, foreign edits judged by their direction, and put back to what
//! the user wrote.

use chrono::Duration;
use serde_json::Value;

use crate::api::{Phase, Step, Sticky};
use crate::traffic::http_route::{self, Originals, Programmed, Reading, Sessions};
use crate::traffic::mirror::{MirrorSupport, mirror_support};
use crate::traffic::{self, Names, Split, warm_route};

use super::foreign::{self, Edit, Kept, On};
use super::{Action, Draft, claims, selectors, world};

/// How often is looked whether the Gateway API has been installed.
const LOOK_FOR_GATEWAY_API: Duration = Duration::seconds(10);

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

/// What a release needs of the route and of the gateway.
pub fn requirements(d: &mut Draft<'_>) -> Result<(), (&'static str, String)> {
    if let Some(missing) = missing(d) {
        return Err(missing);
    }
    if let Some(shared) = claims::shared_rule(d) {
        return Err(shared);
    }
    fits_sessions(d).map_err(|why| ("RouteRefused", why))?;
    let shadow = d.spec().strategy.shadow.as_ref();
    shadow.map_or(Ok(()), |shadow| mirrors(d, shadow.percent)).map_err(|why| ("MirrorUnsupported", why))
}

/// Whether the route's gateways can mirror so many percent; if not, why and what to do.
pub fn mirrors(d: &Draft<'_>, percent: i32) -> Result<(), String> {
    let asked = d.spec().traffic.gateway_api.as_ref().map(|g| g.mirror).unwrap_or_default();
    match mirror_support(asked, percent, &d.obs.gateways) {
        MirrorSupport::Yes { .. } => Ok(()),
        MirrorSupport::No(message) => Err(message),
    }
}

/// A step's weight, and where the sessions are found that stick to their version in it.
fn sticking(step: &Step) -> Option<(i32, &Sticky)> {
    Some((step.weight, step.ab_test.as_ref()?.sticky.as_ref()?))
}

/// The present step's, while the candidate gets anything.
fn sticky<'a>(d: &Draft<'a>) -> Option<&'a Sticky> {
    let (obs, step) = (d.obs, d.status.step.as_ref()?);
    let index = usize::try_from(step.index).ok()?;
    let planned = obs.rollout.spec.strategy.canary.steps.get(index)?;
    (d.status.phase == Some(Phase::Canary) && step.set > 0)
        .then(|| sticking(planned))
        .flatten()
        .map(|(_, at)| at)
}

/// Whether the rules for the sessions of each step that has some would fit into the route; if not, why and what to do.
fn fits_sessions(d: &Draft<'_>) -> Result<(), String> {
    let Some(route) = &d.obs.route else { return Ok(()) };
    let known = with_names(d, |names| http_route::remember(route, names, Some(&originals(d))));
    for (candidate, sticky) in d.spec().strategy.canary.steps.iter().filter_map(sticking) {
        let split = Split { candidate, mirror: None, sticky: Some(sticky) };
        with_names(d, |names| http_route::split(route, names, &split, &known)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// What the gateways must be able to do for the steps whose sessions stick; empty when there are none.
pub fn needs_of_sessions(d: &Draft<'_>) -> &'static str {
    match d.spec().strategy.canary.steps.iter().find_map(sticking) {
        Some(_) => {
            "; abTest.sticky needs a gateway that matches headers by RegularExpression, which our route asks of it: leave it \
             out where the gateway has none"
        }
        None => "",
    }
}

/// What is decided for the route. The rules for sessions wait for the gateway.
fn decided<'a>(d: &Draft<'a>, mirror: Option<i32>) -> Split<'a> {
    let sticky = sticky(d).filter(|_| expressions(d) == Programmed::Yes);
    Split { candidate: d.status.step.as_ref().map_or(0, |s| s.set), mirror, sticky }
}

/// Whether the gateways take header matches by regular expression, which our own route has asked of them. Before they do,
/// none is written to the user's route, which they might drop for it. What is there stays, and so does an override.
fn expressions(d: &Draft<'_>) -> Programmed {
    if d.status.overridden.is_some() || world::reading(d.obs).is_some_and(|r| r.sticky.is_some()) {
        return Programmed::Yes;
    }
    let parents = d.spec().traffic.gateway_api.as_ref().map_or(&[][..], |g| &g.parents);
    let asking = d.obs.warm_route.as_ref().filter(|warm| warm_route::asks_for_sessions(warm));
    asking.map_or(Programmed::Unknown, |warm| http_route::programmed(warm, parents))
}

/// Says that the sessions of the step cannot stick yet. A spec that asks for it only now finds a warm route that does not.
fn await_expressions(d: &mut Draft<'_>) {
    let why = match sticky(d).map(|_| expressions(d)) {
        Some(Programmed::No(why)) => why,
        Some(Programmed::Unknown) => "no gateway has reported on it yet".to_owned(),
        Some(Programmed::Yes) | None => return,
    };
    warm(d);
    let route = world::warm_route(d.obs);
    d.hold("RouteNotAccepted", format!("HTTPRoute {route}: {why}{}", needs_of_sessions(d)));
}

/// How the route's rules for sessions stand to what is decided.
fn sessions(d: &Draft<'_>, mirror: Option<i32>) -> Sessions {
    let Some(route) = &d.obs.route else { return Sessions::AsWanted };
    let known = originals(d);
    with_names(d, |names| http_route::sessions(route, names, &decided(d, mirror), &known))
}

/// Keeps the route at the present step's decided share. `looked`: this pass brought new evidence.
pub fn keep(d: &mut Draft<'_>, mirror: Option<i32>, looked: bool) -> Kept {
    if let Some((reason, message)) = missing(d) {
        if world::reading(d.obs).is_some_and(|r| r.sticky.is_some()) {
            // The user took the rule away whose sessions ours still serve.
            restore(d);
        }
        d.hold(reason, message);
        return Kept::Missing;
    }
    let Some(reading) = world::reading(d.obs) else { return Kept::Missing };
    let Some(step) = d.status.step.clone() else { return Kept::AsDecided };
    await_expressions(d);
    if !step.written {
        return write_decided(d, &reading, mirror, looked);
    }
    let more = reading.candidate > step.set || reading.mirror.unwrap_or(0) > mirror.unwrap_or(0);
    match (more, less(d, &reading, mirror)) {
        (true, _) => correct(d, &reading, mirror),
        (false, Some(left)) => overridden(d, &reading, left, mirror),
        (false, None) if sessions(d, mirror) != Sessions::AsWanted => {
            write(d, mirror, "sessions as the rules are now");
            Kept::Writing
        }
        (false, None) => {
            foreign::gone(d);
            Kept::AsDecided
        }
    }
}

/// The percent that is left to the candidate where somebody took traffic from it: in the rule that has least, since a 0 in
/// one rule is an emergency as well. A rule that was added meanwhile took nothing. Whoever took rules for sessions out has
/// left the share as it is, but the sessions of the test no longer stick: that is kept as well.
pub fn less(d: &Draft<'_>, reading: &Reading, mirror: Option<i32>) -> Option<i32> {
    let set = d.status.step.as_ref().map_or(0, |s| s.set);
    let known = originals(d);
    let route = d.obs.route.as_ref();
    let lowest = route.and_then(|r| with_names(d, |names| http_route::lowest_known(r, names, &known)));
    let left = lowest.map_or(reading.candidate, |l| l.min(reading.candidate));
    let taken = left < set || reading.mirror.unwrap_or(0) < mirror.unwrap_or(0);
    (taken || unstuck(d, mirror)).then_some(left)
}

/// Somebody took rules for sessions out. When nobody has written the route since the step was decided, the spec was changed.
fn unstuck(d: &Draft<'_>, mirror: Option<i32>) -> bool {
    let (Some(route), Some(step)) = (&d.obs.route, &d.status.step) else { return false };
    sessions(d, mirror) == Sessions::Fewer && traffic::foreign_writer(route, step.set_at).is_some()
}

/// Writes what was decided and has not been read back yet.
fn write_decided(d: &mut Draft<'_>, reading: &Reading, mirror: Option<i32>, looked: bool) -> Kept {
    let Some(step) = d.status.step.clone() else { return Kept::AsDecided };
    let left = less(d, reading, mirror);
    let sticks = sessions(d, mirror) == Sessions::AsWanted;
    let as_decided = left.is_none() && reading.candidate == step.set && sticks;
    if as_decided && reading.mirror == mirror && !foreign::may_be_older(d) {
        foreign::arrived(d);
        return Kept::AsDecided;
    }
    let raises = step.set > left.unwrap_or(reading.candidate);
    if raises && !foreign::may_raise(d, looked) {
        return Kept::Writing;
    }
    write(d, mirror, "as decided");
    Kept::Writing
}

fn write(d: &mut Draft<'_>, mirror: Option<i32>, why: &str) {
    let (Some(route), Some(step)) = (d.obs.route.clone(), d.status.step.clone()) else { return };
    let known = with_names(d, |names| http_route::remember(&route, names, Some(&originals(d))));
    let split = decided(d, mirror);
    match with_names(d, |names| http_route::split(&route, names, &split, &known)) {
        Ok(None) => {}
        Ok(Some(edit)) => {
            // A rule that was added meanwhile is remembered before it is split.
            warm(d);
            let mirrored = mirror.map_or_else(String::new, |m| format!(", mirror {m} %"));
            let stuck = if split.sticky.is_some() { ", sessions stick" } else { "" };
            let what = format!("candidate {} %{mirrored}{stuck} ({why})", step.set);
            d.act(Action::PatchRoute { name: world::route_name(d.obs).to_owned(), patch: edit.patch, what });
        }
        Err(e) => d.hold("RouteRefused", e.to_string()),
    }
}

/// Less than decided: kept. Only a person's Resume goes up again.
fn overridden(d: &mut Draft<'_>, reading: &Reading, left: i32, mirror: Option<i32>) -> Kept {
    let gets_any = reading.candidate > 0 || reading.mirror.is_some();
    let edit = edit(d, left, reading, mirror);
    foreign::less(d, &edit, gets_any, |d| write(d, mirror, "resumed"))
}

/// More than decided: corrected.
fn correct(d: &mut Draft<'_>, reading: &Reading, mirror: Option<i32>) -> Kept {
    let edit = edit(d, reading.candidate, reading, mirror);
    foreign::more(d, &edit, |d| write(d, mirror, "foreign raise corrected"))
}

/// The present foreign edit of the route.
fn edit(d: &Draft<'_>, percent: i32, reading: &Reading, mirror: Option<i32>) -> Edit {
    let writer = d.obs.route.as_ref().map(http_route::last_writer).unwrap_or_default();
    let as_decided = d.status.step.as_ref().is_some_and(|step| step.set == percent);
    let (found, decided) = (reading.mirror.unwrap_or(0), mirror.unwrap_or(0));
    let unstuck = as_decided && unstuck(d, mirror);
    let mirror = (as_decided && found != decided).then_some((found, decided));
    Edit { writer, percent, mirror, unstuck, on: On::Route }
}

/// Somebody has taken traffic from the candidate. An operator that was away may see that only together with its look, whose
/// silence then says nothing about the candidate.
pub fn taken_away(d: &Draft<'_>, mirror: Option<i32>) -> bool {
    let given = world::reading(d.obs).filter(|r| r.rules > 0);
    let written = d.status.step.as_ref().is_some_and(|s| s.written);
    written && given.is_some_and(|r| less(d, &r, mirror).is_some())
}

/// The candidate's requests for each request of stable that the route gives now. 0, which says nothing, when somebody has
/// just moved the share: an operator that was away may see that only together with the look.
pub fn per_stable(d: &Draft<'_>, mirror: Option<i32>) -> f64 {
    let Some(step) = d.status.step.as_ref().filter(|s| s.written) else { return 0.0 };
    let Some(given) = world::reading(d.obs).filter(|r| r.rules > 0) else { return 0.0 };
    let share = match (less(d, &given, mirror), &d.status.overridden) {
        (None, None) => step.set,
        (Some(left), Some(o)) if o.weight == left && !o.resumed => left,
        (Some(_), _) | (None, Some(_)) => return 0.0,
    };
    match mirror {
        // What is mirrored, which may be less than was decided.
        Some(_) => f64::from(given.mirror.unwrap_or(0)) / 100.0,
        None if share >= 100 => 0.0,
        None => f64::from(share) / f64::from(100 - share),
    }
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
    let steps = &d.obs.rollout.spec.strategy.canary.steps;
    let coming = steps.iter().find_map(sticking).map(|(candidate, sticky)| Split {
        candidate,
        mirror: None,
        sticky: Some(sticky),
    });
    let wanted = with_names(d, |names| {
        warm_route::warm_route(&route, names, &world::mark(d.obs), &secret, &known, coming.as_ref())
    });
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
