//! From a change to the objects that look at what changed, and to no others.

use std::collections::HashSet;

use serde_json::Value;

use super::queue::Job;
use crate::api::{ModelRollout, Slot};
use crate::cluster::Stores;
use crate::cluster::shelf::Key;
use crate::cluster::topics::Topic;
use crate::traffic::guard::guard_name;

/// The objects that a change concerns.
pub fn concerned(stores: &Stores, topic: &Topic) -> Vec<Job> {
    match topic {
        Topic::Rollout(key) | Topic::Decision(key) => vec![Job::Rollout(key.clone())],
        Topic::Version(key) => vec![Job::Version(key.clone())],
        Topic::Model(key) => rollouts(stores, &key.namespace, |r| r.spec.model == key.name),
        Topic::Claims(namespace)
        | Topic::PodLabels(namespace)
        | Topic::Services(namespace)
        | Topic::Claim(namespace)
        | Topic::Budgets(namespace)
        | Topic::Namespace(namespace) => rollouts(stores, namespace, |_| true),
        Topic::Deployment(key) | Topic::Workload(key) => workload(stores, key),
        Topic::ReplicaSet(key) => {
            let owner = stores.replica_sets.get(key).and_then(|r| r.deployment.clone());
            owner.map_or_else(Vec::new, |name| workload(stores, &Key::new(key.namespace.clone(), name)))
        }
        Topic::Endpoints(key) => rollouts(stores, &key.namespace, |r| follows(r, &key.name)),
        Topic::Route(key) => {
            rollouts(stores, &key.namespace, |r| routes(r).iter().flatten().any(|n| *n == key.name))
        }
        Topic::Guard(key) => {
            rollouts(stores, &key.namespace, |r| guard_name(&r.spec.traffic.service) == key.name)
        }
        Topic::Policy => everywhere(stores, |_, _| true),
        Topic::Gateway(key) => everywhere(stores, |k, r| has_parent(stores, k, r, key)),
        Topic::GatewayClass => everywhere(stores, |_, r| r.spec.traffic.gateway_api.is_some()),
    }
}

/// Everything there is: when this process has begun to lead.
pub fn everything(stores: &Stores) -> HashSet<Job> {
    let versions = stores.versions.all().into_iter().map(|(key, _)| Job::Version(key));
    stores.rollouts.all().into_iter().map(|(key, _)| Job::Rollout(key)).chain(versions).collect()
}

fn rollouts(stores: &Stores, namespace: &str, looks: impl Fn(&ModelRollout) -> bool) -> Vec<Job> {
    let all = stores.rollouts.list(namespace).into_iter().filter(|r| looks(r));
    all.map(|r| Job::Rollout(Key::of(&r.metadata))).collect()
}

fn everywhere(stores: &Stores, looks: impl Fn(&Key, &ModelRollout) -> bool) -> Vec<Job> {
    let all = stores.rollouts.all().into_iter().filter(|(key, r)| looks(key, r));
    all.map(|(key, _)| Job::Rollout(key)).collect()
}

fn workload(stores: &Stores, key: &Key) -> Vec<Job> {
    rollouts(stores, &key.namespace, |r| {
        let origin = &r.spec.workload.deployment;
        [Slot::Origin, Slot::A, Slot::B].iter().any(|slot| slot.deployment(origin) == key.name)
    })
}

/// The Service is one of the rollout's: named in it, ours, or following.
fn follows(rollout: &ModelRollout, service: &str) -> bool {
    let own = &rollout.spec.traffic.service;
    let following = rollout.status.iter().flat_map(|s| s.services.iter()).any(|s| s.name == service);
    following || service == own || service == super::gather::candidate_service(own)
}

fn routes(rollout: &ModelRollout) -> [Option<String>; 3] {
    let owned = |name: Option<&str>| name.map(str::to_owned);
    let warm = super::gather::warm_route(&rollout.spec.traffic.service);
    [owned(rollout.route_name()), owned(rollout.spec.route_name()), Some(warm)]
}

fn has_parent(stores: &Stores, key: &Key, rollout: &ModelRollout, gateway: &Key) -> bool {
    let Some(name) = rollout.route_name() else { return false };
    let route = stores.routes.get(&Key::new(key.namespace.clone(), name.to_owned()));
    route.is_some_and(|route| parents(&route.value, &key.namespace).contains(gateway))
}

/// The Gateways that a route names as its parents.
pub fn parents(route: &Value, namespace: &str) -> Vec<Key> {
    let refs = route["spec"]["parentRefs"].as_array().into_iter().flatten();
    refs.filter(|p| p["kind"].as_str().unwrap_or("Gateway") == "Gateway")
        .map(|p| {
            Key::new(p["namespace"].as_str().unwrap_or(namespace), p["name"].as_str().unwrap_or_default())
        })
        .collect()
}
