//! What people and their tools do to the user's route.

use serde_json::{Value, json};

use super::fields::{self, RULES};
use super::script::Command;
use super::sessions;
use super::setup;
use super::world::{NAME, NAMESPACE, World};

/// Does one thing to the route; anything else is not for here.
pub fn perform(world: &mut World, command: &Command) {
    match command {
        Command::RouteCandidate(n, path, who) => route_candidate(world, *n, path.as_deref(), who),
        Command::RouteMirror(n, who) => route_mirror(world, *n, who),
        Command::RouteSessions(whose, who) => route_sessions(world, whose, who),
        Command::RouteReapply(who) => reapply(world, who),
        Command::RouteRule(path, who) => route_rule(world, path, who),
        Command::RouteCopy(name) => route_copy(world, name),
        Command::Route(there) => route_exists(world, *there),
        _ => {}
    }
}

/// The percent of every mirror that is there.
fn route_mirror(world: &mut World, percent: i64, who: &str) {
    let Some(route) = world.route() else { return };
    let mut new = route.as_ref().clone();
    let rules = new["spec"]["rules"].as_array_mut().into_iter().flatten();
    for filter in rules.filter_map(|rule| rule.get_mut("filters")?.as_array_mut()).flatten() {
        if let Some(mirror) = filter.get_mut("requestMirror") {
            mirror["percent"] = percent.into();
        }
    }
    world.meant.owners = None;
    write_route(world, new, who, false);
}

/// Somebody takes rules for sessions away.
fn route_sessions(world: &mut World, whose: &str, who: &str) {
    let Some(route) = world.route() else { return };
    let mut new = route.as_ref().clone();
    let candidate = format!("{NAME}-candidate");
    let meant = |rule: &Value| {
        let mut backends = rule["backendRefs"].as_array().into_iter().flatten();
        whose == "all" || backends.any(|b| is_backend(b, &candidate)) == (whose == "candidate")
    };
    if let Some(rules) = new["spec"]["rules"].as_array_mut() {
        rules.retain(|r| !sessions::is_copy(r) || !meant(r));
    }
    world.meant.owners = None;
    write_route(world, new, who, false);
}

/// Stores the user's route as changed by somebody.
fn write_route(world: &mut World, mut new: Value, who: &str, whole: bool) {
    let operation = if whole { "Apply" } else { "Update" };
    let stamp = world.stamp();
    let changed = world.route().is_none_or(|old| old["spec"] != new["spec"]);
    if changed {
        fields::taken(&mut new, who, operation, RULES, &stamp);
        new["metadata"]["generation"] = json!(new["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
    }
    world.put_route(new);
}

fn is_backend(backend: &Value, name: &str) -> bool {
    backend["name"] == name
}

/// Somebody divides the pair by hand, in every rule or in that of a path.
fn route_candidate(world: &mut World, percent: i64, path: Option<&str>, who: &str) {
    let Some(route) = world.route() else { return };
    let mut new = route.as_ref().clone();
    let candidate = format!("{NAME}-candidate");
    let meant = |rule: &&mut Value| path.is_none_or(|p| rule["matches"][0]["path"]["value"] == p);
    for rule in new["spec"]["rules"].as_array_mut().into_iter().flatten().filter(meant) {
        let Some(list) = rule["backendRefs"].as_array_mut() else { continue };
        let Some(first) = list.iter().find(|b| is_backend(b, NAME) || is_backend(b, &candidate)).cloned()
        else {
            continue;
        };
        list.clear();
        for (name, weight) in [(NAME, 100 - percent), (candidate.as_str(), percent)] {
            let mut one = first.clone();
            one["name"] = name.into();
            one["weight"] = weight.into();
            list.push(one);
        }
    }
    // What a person wrote by hand is theirs as long as it stands.
    world.meant.owners = None;
    write_route(world, new, who, false);
}

fn reapply(world: &mut World, who: &str) {
    let (Some(route), Some(spec)) = (world.route(), world.meant.route.clone()) else { return };
    let mut new = route.as_ref().clone();
    new["spec"] = spec;
    world.meant.owners = None;
    write_route(world, new, who, true);
}

fn route_rule(world: &mut World, path: &str, who: &str) {
    let Some(route) = world.route() else { return };
    let rule = setup::rule(path, NAME);
    let mut new = route.as_ref().clone();
    new["spec"]["rules"].as_array_mut().into_iter().for_each(|r| r.push(rule.clone()));
    if let Some(rules) = world.meant.route.as_mut().and_then(|s| s["rules"].as_array_mut()) {
        rules.push(rule);
    }
    world.meant.owners = None;
    write_route(world, new, who, false);
}

fn route_copy(world: &mut World, name: &str) {
    let (Some(route), Some(spec)) = (world.route(), world.meant.route.clone()) else { return };
    let mut new = route.as_ref().clone();
    new["spec"] = spec;
    new["metadata"]["name"] = name.into();
    new["metadata"]["uid"] = format!("uid-route-{name}").into();
    world.put_route(new);
}

fn route_exists(world: &mut World, there: bool) {
    if !there {
        world.next_version();
        world.objects.routes.remove(NAME);
        return;
    }
    let Some(spec) = world.meant.route.clone() else { return };
    let stamp = world.stamp();
    let owner = fields::entry(setup::USER, "Update", &[RULES, ["f:spec", "f:parentRefs"]], &stamp);
    world.meant.owners = Some(json!([owner]));
    let uid = format!("uid-route-{}", world.next_serial());
    let made = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "uid": uid, "generation": 1, "creationTimestamp": stamp,
            "managedFields": [owner],
        },
        "spec": spec,
    });
    world.put_route(made);
}
