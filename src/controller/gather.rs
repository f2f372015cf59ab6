//! The world of one rollout as one value, read from memory.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;

use super::context::Context;
use super::wake::parents;
use crate::api::{ModelRollout, Slot};
use crate::cluster::Stores;
use crate::cluster::shelf::Key;
use crate::presets;
use crate::rollout::observed::{Endpoint, PodFacts, WatchFailing};
use crate::rollout::questions::Answers;
use crate::rollout::{Observed, claims};
use crate::traffic::guard::guard_name;
use crate::traffic::mirror::GatewayFacts;
use crate::workload::companions::{self, autoscaler};

/// Name of the candidate's Service.
pub fn candidate_service(service: &str) -> String {
    format!("{service}-candidate")
}

/// Name of our own route.
pub fn warm_route(service: &str) -> String {
    format!("{service}-understudy")
}

/// What is known of a rollout's world; `None` when there is no such rollout.
pub fn gather(ctx: &Context, key: &Key, now: DateTime<Utc>) -> Option<Observed> {
    let stores = &*ctx.stores;
    let mut rollout = ModelRollout::clone(&*stores.rollouts.get(key)?);
    let namespace = key.namespace.as_str();
    presets::write_out(&mut rollout.spec);
    let beside = |name: String| Key::new(namespace, name);
    let origin_name = rollout.spec.workload.deployment.clone();
    let deployment = |slot: Slot| stores.deployments.get(&beside(slot.deployment(&origin_name)));
    let route_name = rollout.route_name().map(str::to_owned);
    let route = route_name.and_then(|name| stores.routes.get(&beside(name))).map(|r| r.value.clone());
    let warm = stores.routes.get(&beside(warm_route(&rollout.spec.traffic.service)));
    let namespaces = stores.namespaces.get(&Key::new("", namespace));
    let remembered = ctx.memory.of(key);
    let rollouts = stores.rollouts.list(namespace);
    let older = claims::older(&rollout, rollouts.iter().map(AsRef::as_ref));
    Some(Observed {
        now,
        namespace_terminating: namespaces.is_some_and(|n| n.terminating),
        rival: claims::rival(&rollout, &older),
        older_services: claims::services(&older),
        rollout_uids: rollouts.iter().filter_map(|r| r.metadata.uid.clone()).collect(),
        versions: stores
            .versions
            .list(namespace)
            .iter()
            .filter(|v| v.spec.model == rollout.spec.model)
            .cloned()
            .collect(),
        decisions: stores
            .decisions
            .list(namespace)
            .iter()
            .filter(|d| d.spec.rollout == key.name && d.status.as_ref().is_none_or(|s| s.outcome.is_none()))
            .map(|d| (**d).clone())
            .collect(),
        origin: deployment(Slot::Origin),
        slots: Slot::OURS.into_iter().filter_map(|s| Some((s, deployment(s)?))).collect(),
        services: stores.services.list(namespace),
        other_pod_labels: other_pod_labels(stores, namespace, &origin_name),
        covering: None,
        claims: claims(stores, namespace),
        endpoints: endpoints(stores, namespace),
        pods: pods(stores, namespace, &origin_name),
        guard: stores.guards.get(&beside(guard_name(&rollout.spec.traffic.service))).map(|g| (*g).clone()),
        selector_policy: stores.policies.in_force(),
        no_gateway_api: stores.routes.progress.is_absent(),
        gateways: route.as_ref().map(|r| gateways(stores, r, namespace)).unwrap_or_default(),
        route,
        warm_route: warm.map(|r| r.value.clone()),
        route_written_at: remembered.route_written_at,
        own_writes: remembered.own_writes,
        failed_write: remembered.failed_write,
        watch_failing: watch_failing(stores, namespace, now),
        autoscalers: autoscalers(stores, namespace, &origin_name),
        budgets: stores.budgets.list(namespace).iter().map(|b| b.value.clone()).collect(),
        unread: stores.unread(Some(namespace)),
        answers: Answers::default(),
        rollout,
    })
}

fn other_pod_labels(stores: &Stores, namespace: &str, origin: &str) -> Vec<BTreeMap<String, String>> {
    let ours = [Slot::Origin, Slot::A, Slot::B].map(|s| s.deployment(origin));
    let labels = |d: &Deployment| d.spec.as_ref()?.template.metadata.as_ref()?.labels.clone();
    let all = stores.deployments.list(namespace);
    let others = all.iter().filter(|d| d.metadata.name.as_ref().is_none_or(|n| !ours.contains(n)));
    let (pods, sets) = (stores.pods.list(namespace), stores.replica_sets.list(namespace));
    let pods = pods.iter().filter_map(|p| p.other_labels.clone());
    let sets = sets.iter().filter_map(|s| s.other_labels.clone());
    others.filter_map(|d| labels(d)).chain(pods).chain(sets).collect()
}

fn claims(stores: &Stores, namespace: &str) -> BTreeMap<String, Vec<String>> {
    let all = stores.claims.all();
    let here = all.into_iter().filter(|(key, _)| key.namespace == namespace);
    here.map(|(key, row)| (key.name, row.modes.clone())).collect()
}

fn endpoints(stores: &Stores, namespace: &str) -> BTreeMap<String, Vec<Endpoint>> {
    let mut by_service: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for slice in stores.slices.list(namespace) {
        by_service.entry(slice.service.clone()).or_default().extend(slice.endpoints.iter().cloned());
    }
    by_service
}

/// The autoscalers that scale the origin or a slot, and whatever has the name of a slot.
fn autoscalers(stores: &Stores, namespace: &str, origin: &str) -> Vec<Value> {
    let names = [Slot::Origin, Slot::A, Slot::B].map(|s| s.deployment(origin));
    let all = stores.autoscalers.list(namespace);
    let concerned = all.iter().map(|hpa| &hpa.value).filter(|hpa| {
        names.iter().any(|name| autoscaler::scales(hpa, name) || companions::name(hpa) == name)
    });
    concerned.cloned().collect()
}

/// A watch that this namespace depends on and that has failed for long.
fn watch_failing(stores: &Stores, namespace: &str, now: DateTime<Utc>) -> Option<WatchFailing> {
    let first = stores.failing(Some(namespace)).into_iter().next()?;
    let since = now - Duration::from_std(first.lasted).unwrap_or_default();
    Some(WatchFailing { kind: first.kind.to_owned(), why: first.why, since })
}

/// The pods of the origin (by their ReplicaSet's owner) and of the slots (by our labels).
fn pods(stores: &Stores, namespace: &str, origin: &str) -> Vec<PodFacts> {
    let of_origin = |set: &str| {
        let row = stores.replica_sets.get(&Key::new(namespace, set));
        row.is_some_and(|r| r.deployment.as_deref() == Some(origin))
    };
    let all = stores.pods.list(namespace);
    let ours = all.iter().filter(|pod| match (&pod.workload, &pod.replica_set) {
        (Some((workload, _)), _) => workload == origin,
        (None, Some(set)) => of_origin(set),
        (None, None) => false,
    });
    ours.map(|pod| pod.facts.clone()).collect()
}

/// The Gateways that a route names, with what their classes say they support.
fn gateways(stores: &Stores, route: &Value, namespace: &str) -> Vec<GatewayFacts> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let facts = |key: Key| {
        let class =
            stores.gateways.get(&key).map(|g| text(&g.value["spec"]["gatewayClassName"])).unwrap_or_default();
        let found = stores.gateway_classes.get(&Key::new("", class.clone()));
        let controller = found.as_ref().map(|c| text(&c.value["spec"]["controllerName"]));
        let features =
            found.as_ref().and_then(|c| c.value["status"]["supportedFeatures"].as_array().cloned());
        GatewayFacts {
            gateway: key.name,
            class,
            controller_name: controller.unwrap_or_default(),
            supported_features: features.map(|all| all.iter().map(feature).collect()),
        }
    };
    parents(route, namespace).into_iter().map(facts).collect()
}

/// A feature is an object with a name; early classes list plain names.
fn feature(value: &Value) -> String {
    value["name"].as_str().or(value.as_str()).unwrap_or_default().to_owned()
}
