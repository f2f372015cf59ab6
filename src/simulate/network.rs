//! Endpoints from selectors, and the gateway: what it has taken, and which Services its data plane knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::rollout::observed::Endpoint;
use crate::workload::services;

use super::sessions;
use super::world::World;

/// One second of endpoints and gateway.
pub fn step(world: &mut World) {
    endpoints(world);
    gateway(world);
}

fn endpoints(world: &mut World) {
    let wanted: Vec<(String, Vec<Endpoint>)> = world
        .objects
        .services
        .iter()
        .map(|(name, service)| {
            let pods = world.objects.pods.values().filter(|p| services::selects(service, &p.labels));
            (name.clone(), pods.map(|p| Endpoint { pod: p.name.clone(), ready: p.ready }).collect())
        })
        .collect();
    let gone: Vec<String> = world
        .objects
        .endpoints
        .keys()
        .filter(|n| !world.objects.services.contains_key(*n))
        .cloned()
        .collect();
    for name in gone {
        world.next_version();
        world.objects.endpoints.remove(&name);
    }
    for (name, list) in wanted {
        if world.objects.endpoints.get(&name).is_none_or(|old| **old != list) {
            world.next_version();
            world.objects.endpoints.insert(name, Arc::new(list));
        }
    }
}

/// The data plane knows what routes have named for a second; the routes' status says so.
fn gateway(world: &mut World) {
    let named: BTreeSet<String> = world.objects.routes.values().flat_map(|r| backends(r)).collect();
    world.gateway.known = named;
    if world.gateway.mute {
        return;
    }
    let routes: Vec<Arc<Value>> = world.objects.routes.values().cloned().collect();
    for route in routes {
        let generation = route["metadata"]["generation"].clone();
        let copies = || route["spec"]["rules"].as_array().into_iter().flatten().any(sessions::is_copy);
        let refusal = match (world.gateway.refuses, world.gateway.plain && copies()) {
            (true, _) => Some(("NoMatchingListener", "no listener allows this route")),
            (false, true) => Some(("UnsupportedValue", "headers are matched exactly only")),
            (false, false) => None,
        };
        let status = if refusal.is_some() { "False" } else { "True" };
        let condition = |kind: &str| {
            let (reason, message) = refusal.unwrap_or((kind, ""));
            json!({ "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation })
        };
        let parents: Vec<Value> = route["spec"]["parentRefs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| {
                let conditions = [condition("Accepted"), condition("ResolvedRefs")];
                json!({ "parentRef": p, "controllerName": "projectcontour.io/gateway-controller", "conditions": conditions })
            })
            .collect();
        let wanted = json!({ "parents": parents });
        if route["status"] != wanted {
            let mut new = route.as_ref().clone();
            new["status"] = wanted;
            world.put_route(new);
        }
    }
}

/// Services that a route names as backends or mirrors.
pub fn backends(route: &Value) -> Vec<String> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let named = rules.flat_map(|rule| {
        let backends = rule["backendRefs"].as_array().into_iter().flatten();
        let filters = rule["filters"].as_array().into_iter().flatten();
        let mirrors = filters.filter_map(|f| f.pointer("/requestMirror/backendRef"));
        backends.chain(mirrors)
    });
    named.filter_map(|b| b["name"].as_str().map(str::to_owned)).collect()
}

/// Names of ready pods behind a Service.
pub fn ready(world: &World, service: &str) -> Vec<String> {
    let list = world.objects.endpoints.get(service);
    // A pod that went within this second takes nothing, whatever its endpoint says.
    let alive = |e: &&Endpoint| e.ready && world.objects.pods.get(&e.pod).is_some_and(|p| p.ready);
    list.into_iter().flat_map(|l| l.iter()).filter(alive).map(|e| e.pod.clone()).collect()
}
