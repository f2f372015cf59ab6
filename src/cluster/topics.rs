//! What a change is about, as far as it tells which rollouts look at it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::raw::Raw;
use super::rows::{ClaimRow, NamespaceRow, PodRow, ReplicaSetRow, SliceRow};
use super::shelf::{Change, Key};
use crate::api::{ModelRollout, ModelVersion, RolloutDecision};
use crate::registry::lifecycle::RolloutView;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A rollout: spec, status, metadata.
    Rollout(Key),
    /// A rollout of this namespace came, went, or claims something else: the others may be concerned.
    Claims(String),
    /// A registered version.
    Version(Key),
    /// Some version of this model, in this namespace.
    Model(Key),
    /// A decision about the rollout of that key.
    Decision(Key),
    /// A Deployment.
    Deployment(Key),
    /// Pod labels of some Deployment of the namespace.
    PodLabels(String),
    /// A ReplicaSet or a pod of that Deployment.
    Workload(Key),
    /// A pod of that ReplicaSet.
    ReplicaSet(Key),
    /// Some Service of the namespace.
    Services(String),
    /// Endpoints of that Service.
    Endpoints(Key),
    /// Volume claims of the namespace.
    Claim(String),
    /// A route.
    Route(Key),
    /// A Gateway.
    Gateway(Key),
    /// A GatewayClass.
    GatewayClass,
    /// Disruption budgets of the namespace.
    Budgets(String),
    /// The ConfigMap of a selector guard.
    Guard(Key),
    /// A policy that guards selectors.
    Policy,
    /// The namespace itself.
    Namespace(String),
}

/// Topics of an object before and after.
fn both<T>((key, old, new): &Change<T>, topic: impl Fn(&Key, &T) -> Option<Topic>) -> Vec<Topic> {
    let mut all: Vec<Topic> = [old, new].into_iter().flatten().filter_map(|o| topic(key, o)).collect();
    all.dedup();
    all
}

/// The same for what we keep only facts of: one that reads as before concerns nobody.
fn facts<T: PartialEq>(change: &Change<T>, topic: impl Fn(&Key, &T) -> Option<Topic>) -> Vec<Topic> {
    if change.1 == change.2 { Vec::new() } else { both(change, topic) }
}

fn beside(key: &Key, name: &str) -> Key {
    Key::new(key.namespace.clone(), name)
}

/// Of a rollout.
pub fn rollout(change: &Change<ModelRollout>) -> Vec<Topic> {
    let (key, old, new) = change;
    let claim = |r: &ModelRollout| {
        (r.metadata.uid.clone(), r.metadata.generation, r.metadata.deletion_timestamp.is_some())
    };
    let mut topics = vec![Topic::Rollout(key.clone())];
    if old.as_deref().map(claim) != new.as_deref().map(claim) {
        topics.push(Topic::Claims(key.namespace.clone()));
    }
    // A look changes numbers only, and they concern no version.
    let views = [old, new].map(|rollout| rollout.as_deref().and_then(RolloutView::of));
    if let [Some(old), Some(new)] = &views
        && old.agrees_with(new)
    {
        return topics;
    }
    for rollout in [old, new].into_iter().flatten() {
        for version in versions_named(rollout) {
            let topic = Topic::Version(beside(key, &format!("{}-{version}", rollout.spec.model)));
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
    }
    topics
}

/// The versions that a rollout has brought somewhere; their status says where.
fn versions_named(rollout: &ModelRollout) -> Vec<&str> {
    let status = rollout.status.as_ref();
    let active = status.and_then(|s| s.active.as_ref()).map(|a| a.version.as_str());
    let candidate = status.and_then(|s| s.candidate.as_ref()).map(|c| c.version.as_str());
    let rejected = status.iter().flat_map(|s| s.rejected.iter()).map(|r| r.version.as_str());
    let history = status.iter().flat_map(|s| s.history.last()).map(|h| h.version.as_str());
    let spec = rollout.spec.version.as_str();
    [active, candidate, Some(spec)].into_iter().flatten().chain(rejected).chain(history).collect()
}

/// Of a registered version.
pub fn version(change: &Change<ModelVersion>) -> Vec<Topic> {
    let mut topics = both(change, |k, v| Some(Topic::Model(beside(k, &v.spec.model))));
    topics.push(Topic::Version(change.0.clone()));
    topics
}

/// Of a decision.
pub fn decision(change: &Change<RolloutDecision>) -> Vec<Topic> {
    both(change, |k, d| Some(Topic::Decision(beside(k, &d.spec.rollout))))
}

/// Of a Deployment.
pub fn deployment((key, old, new): &Change<Deployment>) -> Vec<Topic> {
    let labels = |d: &Deployment| {
        let metadata = d.spec.as_ref().and_then(|s| s.template.metadata.as_ref());
        metadata.and_then(|m| m.labels.clone())
    };
    let mut topics = vec![Topic::Deployment(key.clone())];
    if old.as_deref().map(labels) != new.as_deref().map(labels) {
        topics.push(Topic::PodLabels(key.namespace.clone()));
    }
    topics
}

/// Of a ReplicaSet.
pub fn replica_set(change: &Change<ReplicaSetRow>) -> Vec<Topic> {
    facts(change, |k, r| Some(Topic::Workload(beside(k, r.deployment.as_deref()?))))
}

/// Of a pod.
pub fn pod(change: &Change<PodRow>) -> Vec<Topic> {
    facts(change, |k, p| match &p.workload {
        Some((workload, slot)) => Some(Topic::Workload(beside(k, &slot.deployment(workload)))),
        None => p.replica_set.as_deref().map(|r| Topic::ReplicaSet(beside(k, r))),
    })
}

/// Of a Service.
pub fn service(change: &Change<Service>) -> Vec<Topic> {
    both(change, |k, _| Some(Topic::Services(k.namespace.clone())))
}

/// Of an EndpointSlice.
pub fn slice(change: &Change<SliceRow>) -> Vec<Topic> {
    facts(change, |k, s| Some(Topic::Endpoints(beside(k, &s.service))))
}

/// Of a volume claim.
pub fn claim(change: &Change<ClaimRow>) -> Vec<Topic> {
    facts(change, |k, _| Some(Topic::Claim(k.namespace.clone())))
}

/// Of a route.
pub fn route(change: &Change<Raw>) -> Vec<Topic> {
    both(change, |k, _| Some(Topic::Route(k.clone())))
}

/// Of a Gateway.
pub fn gateway(change: &Change<Raw>) -> Vec<Topic> {
    both(change, |k, _| Some(Topic::Gateway(k.clone())))
}

/// Of a GatewayClass.
pub fn gateway_class(change: &Change<Raw>) -> Vec<Topic> {
    both(change, |_, _| Some(Topic::GatewayClass))
}

/// What a companion says, apart from its status, which changes with every look of its controller.
fn says(object: &Raw) -> (&ObjectMeta, &Value) {
    (&object.metadata, &object.value["spec"])
}

fn says_the_same((_, old, new): &Change<Raw>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    let ((a, spec), (b, new_spec)) = (says(old), says(new));
    let same = (&a.uid, &a.labels, &a.deletion_timestamp) == (&b.uid, &b.labels, &b.deletion_timestamp);
    same && spec == new_spec
}

/// Of an autoscaler: the Deployment that it scales, and the slot whose name it has.
pub fn autoscaler(change: &Change<Raw>) -> Vec<Topic> {
    if says_the_same(change) {
        return Vec::new();
    }
    let target = |r: &Raw| r.value["spec"]["scaleTargetRef"]["name"].as_str().map(str::to_owned);
    let mut topics = both(change, |k, r| Some(Topic::Deployment(beside(k, &target(r)?))));
    let own = Topic::Deployment(change.0.clone());
    if !topics.contains(&own) {
        topics.push(own);
    }
    topics
}

/// Of a disruption budget.
pub fn budget(change: &Change<Raw>) -> Vec<Topic> {
    if says_the_same(change) {
        return Vec::new();
    }
    both(change, |k, _| Some(Topic::Budgets(k.namespace.clone())))
}

/// Of a selector guard's ConfigMap.
pub fn guard(change: &Change<ConfigMap>) -> Vec<Topic> {
    both(change, |k, _| Some(Topic::Guard(k.clone())))
}

/// Of a policy that guards selectors, or of its binding.
pub fn policy(change: &Change<Raw>) -> Vec<Topic> {
    both(change, |_, _| Some(Topic::Policy))
}

/// Of a namespace.
pub fn namespace(change: &Change<NamespaceRow>) -> Vec<Topic> {
    facts(change, |k, _| Some(Topic::Namespace(k.name.clone())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    /// What a stage is derived from, one after the other changed.
    #[test]
    fn a_look_concerns_no_version_and_what_says_where_one_stands_does() {
        let candidate = json!({"version": "2.0.0", "bundleDigest": "", "slot": "a", "templateHash": "", "planHash": "",
            "attempt": 1, "since": "2026-11-01T00:00:00Z"});
        let before = json!({"metadata": {"name": "r", "namespace": "shop", "generation": 1},
            "spec": {"model": "m", "version": "2.0.0", "workload": {"deployment": "d"}, "traffic": {"service": "s"}},
            "status": {"phase": "Canary", "candidate": candidate, "weights": {"stable": 90, "candidate": 10},
                "analysis": [{"metric": "e", "verdict": "Pass", "stable": {"n": 1}}]}});
        let read =
            |object: &Value| Some(Arc::new(serde_json::from_value::<ModelRollout>(object.clone()).unwrap()));
        let key = Key::new("shop", "r");
        let named = Topic::Version(Key::new("shop", "m-2.0.0"));
        let rings = |old: Option<_>, new: Option<_>| {
            let topics = super::rollout(&(key.clone(), old, new));
            assert_eq!(topics[0], Topic::Rollout(key.clone()));
            topics.contains(&named)
        };
        let at = "2026-11-01T00:00:00Z";
        let entry = json!({"id": "p#1", "at": at, "from": "", "to": "Active", "version": "2.0.0", "bundleDigest": "", "reason": "", "message": ""});
        let rejected = json!({"version": "2.0.0", "bundleDigest": "", "planHash": "", "reason": "", "message": "", "at": at});
        for (path, value, concerns) in [
            ("/status/analysis/0/stable/n", json!(2), false),
            ("/status/weights/candidate", json!(20), false),
            ("/status/weights/candidate", json!(0), true),
            ("/status/phase", json!("Watching"), true),
            ("/status/candidate/since", json!("2026-11-02T00:00:00Z"), true),
            (
                "/status/active",
                json!({"version": "2.0.0", "bundleDigest": "", "slot": "a", "templateHash": "", "since": at}),
                true,
            ),
            ("/status/history", json!([entry]), true),
            ("/status/rejected", json!([rejected]), true),
            ("/spec/environment", json!("staging"), true),
        ] {
            let mut after = before.clone();
            let (parent, name) = path.rsplit_once('/').unwrap();
            after.pointer_mut(parent).unwrap()[name] = value;
            assert_eq!(rings(read(&before), read(&after)), concerns, "{path}");
        }
        assert!(rings(None, read(&before)) && rings(read(&before), None));
    }
}
