//! I6: what is the user's stays the user's.

use std::sync::Arc;

use serde_json::Value;

use crate::api::{Phase, keys};
use crate::simulate::expect::status_of;
use crate::simulate::objects::Objects;
use crate::simulate::sessions;
use crate::simulate::setup::json_of;
use crate::simulate::world::{NAME, World};

use super::{Before, Checks};

/// Whether a write touched anything that is looked at here.
pub fn touched(before: &Before, world: &World) -> bool {
    let (old, new) = (&before.objects, &world.objects);
    let same = |a: Option<*const ()>, b: Option<*const ()>| a == b;
    let service = |o: &Objects, n: &str| o.services.get(n).map(|s| Arc::as_ptr(s).cast());
    let origin = |o: &Objects| o.deployments.get(NAME).map(|d| Arc::as_ptr(d).cast());
    let route = |o: &Objects| o.routes.get(NAME).map(|r| Arc::as_ptr(r).cast());
    !(same(origin(old), origin(new))
        && same(route(old), route(new))
        && [NAME, "scorer-grpc", "other"].iter().all(|n| same(service(old, n), service(new, n))))
}

/// After every write: the origin's template and the user's other objects, byte for byte.
pub fn kept(checks: &mut Checks, world: &World) {
    if let (Some(origin), Some(meant)) = (world.objects.deployments.get(NAME), &world.meant.template) {
        let now = json_of(origin.as_ref())["spec"]["template"].clone();
        if now != *meant {
            checks.broken("I6", "the template of the origin was changed");
        }
    }
    for (what, meant) in &world.meant.others {
        let name = what.split_once(' ').map_or("", |(_, name)| name);
        let now = world
            .objects
            .services
            .get(name)
            .map(|s| without_selector(&json_of(s.as_ref())))
            .unwrap_or_default();
        if now != without_selector(meant) {
            checks.broken("I6", format!("{what} was changed beside its selector"));
        }
    }
    if let (Some(now), Some(meant)) = (world.route(), &world.meant.route) {
        foreign_fields(checks, &now["spec"], meant);
    }
}

fn without_selector(service: &Value) -> Value {
    let mut out = service.clone();
    out["spec"]["selector"] = Value::Null;
    out["metadata"]["resourceVersion"] = Value::Null;
    out["metadata"]["managedFields"] = Value::Null;
    out
}

/// Everything of the route but backends, our filter and the rules for sessions, which say what one of the others says.
fn foreign_fields(checks: &mut Checks, now: &Value, meant: &Value) {
    let bare = |spec: &Value| {
        let mut out = spec.clone();
        if let Some(rules) = out["rules"].as_array_mut() {
            rules.retain(|r| !sessions::is_copy(r));
        }
        for rule in out["rules"].as_array_mut().into_iter().flatten() {
            if let Some(rule) = rule.as_object_mut() {
                rule.remove("backendRefs");
                let ours =
                    |f: &Value| f["requestMirror"]["backendRef"]["name"] == format!("{NAME}-candidate");
                if let Some(filters) = rule.get_mut("filters").and_then(Value::as_array_mut) {
                    filters.retain(|f| !ours(f));
                }
                if rule.get("filters").is_some_and(|f| f.as_array().is_some_and(Vec::is_empty)) {
                    rule.remove("filters");
                }
            }
        }
        out
    };
    if bare(now) != bare(meant) {
        checks.broken("I6", "the route was changed beside its backends");
    }
    let rules = || now["rules"].as_array().into_iter().flatten();
    let said = |rule: &Value| {
        (sessions::bare_matches(rule), rule.get("filters").cloned(), rule.get("timeouts").cloned())
    };
    for copy in rules().filter(|r| sessions::is_copy(r)) {
        if rules().filter(|r| !sessions::is_copy(r)).all(|r| said(r) != said(copy)) {
            checks.broken("I6", format!("a rule for sessions follows none of the user's: {copy}"));
        }
    }
    let unrelated = |spec: &Value| -> Vec<Value> {
        let backends = spec["rules"].as_array().into_iter().flatten().map(|r| r["backendRefs"].clone());
        backends.filter(|b| b.to_string().contains("\"other\"")).collect()
    };
    if unrelated(now) != unrelated(meant) {
        checks.broken("I6", "a rule that is not the rollout's was changed");
    }
}

/// At the end: a selector that leads to the origin belongs to whoever wrote it.
pub fn handed_back(checks: &mut Checks, world: &World) {
    for (name, service) in &world.objects.services {
        let service = json_of(service.as_ref());
        let owners = service["metadata"]["managedFields"].as_array().into_iter().flatten();
        let ours = owners.filter(|e| e["manager"] == keys::FIELD_MANAGER).count();
        if ours > 0 && service["spec"]["selector"]["app"] == NAME {
            checks.broken("I6", format!("at rest the selector of Service {name} is not the user's"));
        }
    }
}

/// At rest: the route as the user wrote it, and theirs.
pub fn restored(checks: &mut Checks, world: &World) {
    let resting = world.objects.rollouts.values().all(|r| {
        matches!(status_of(r).phase, Some(Phase::Active | Phase::RolledBack | Phase::Pending) | None)
    });
    let Some(route) = world.route().filter(|_| resting) else { return };
    if world.meant.route.as_ref() != Some(&route["spec"]) {
        checks.broken("I6", format!("at rest the route is not as the user wrote it: {}", route["spec"]));
    }
    if let Some(owners) = &world.meant.owners
        && route["metadata"]["managedFields"] != *owners
    {
        checks.broken(
            "I6",
            format!("at rest the route's fields are not the user's: {}", route["metadata"]["managedFields"]),
        );
    }
}
