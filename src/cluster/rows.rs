//! What is kept of objects that we only read: the few facts that a rollout looks at, so that a large cluster fits in a
//! small memory and a heartbeat that changes nothing wakes nobody.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Namespace, PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::PartialObjectMeta;

use crate::api::{Slot, keys, time};
use crate::rollout::observed::{ContainerExit, Endpoint, PodFacts};

/// Of a ReplicaSet: the Deployment that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaSetRow {
    /// Name of the owning Deployment.
    pub deployment: Option<String>,
    /// Its labels, which are as a rule those of its pods, where no Deployment has made it.
    pub other_labels: Option<BTreeMap<String, String>>,
}

/// Of a pod: whose it is, and its facts.
#[derive(Clone, Debug, PartialEq)]
pub struct PodRow {
    /// Name of the owning ReplicaSet.
    pub replica_set: Option<String>,
    /// For a slot's pod, by our labels: the origin's name and the slot.
    pub workload: Option<(String, Slot)>,
    /// Labels of a pod that neither a ReplicaSet nor a slot of ours has made: no Deployment tells them.
    pub other_labels: Option<BTreeMap<String, String>>,
    /// The facts; slot and template hash are right for a slot's pod, and for any other the origin is assumed.
    pub facts: PodFacts,
}

/// Of an EndpointSlice: its Service and endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceRow {
    /// Name of the Service.
    pub service: String,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// Of a persistent volume claim: its access modes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRow {
    /// Access modes.
    pub modes: Vec<String>,
}

/// Of a namespace: whether it is going.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceRow {
    /// It is being deleted.
    pub terminating: bool,
}

fn owner(meta: &ObjectMeta, kind: &str) -> Option<String> {
    let controls = |o: &&OwnerReference| o.controller == Some(true) && o.kind == kind;
    meta.owner_references.iter().flatten().find(controls).map(|o| o.name.clone())
}

impl From<PartialObjectMeta<ReplicaSet>> for ReplicaSetRow {
    fn from(set: PartialObjectMeta<ReplicaSet>) -> Self {
        let deployment = owner(&set.metadata, "Deployment");
        let other_labels = set.metadata.labels.filter(|_| deployment.is_none());
        Self { deployment, other_labels }
    }
}

impl From<PartialObjectMeta<Namespace>> for NamespaceRow {
    fn from(namespace: PartialObjectMeta<Namespace>) -> Self {
        Self { terminating: namespace.metadata.deletion_timestamp.is_some() }
    }
}

impl From<PersistentVolumeClaim> for ClaimRow {
    fn from(claim: PersistentVolumeClaim) -> Self {
        Self { modes: claim.spec.and_then(|s| s.access_modes).unwrap_or_default() }
    }
}

impl From<EndpointSlice> for SliceRow {
    fn from(slice: EndpointSlice) -> Self {
        let service = slice.metadata.labels.as_ref().and_then(|l| l.get("kubernetes.io/service-name"));
        let endpoints = slice.endpoints.iter().flatten().map(|e| Endpoint {
            pod: e.target_ref.as_ref().and_then(|t| t.name.clone()).unwrap_or_default(),
            // The API says that a missing `ready` is to be read as ready.
            ready: e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true),
        });
        Self { service: service.cloned().unwrap_or_default(), endpoints: endpoints.collect() }
    }
}

impl From<Pod> for PodRow {
    fn from(pod: Pod) -> Self {
        let none = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        let slot = labels
            .get(keys::SLOT)
            .and_then(|s| Slot::OURS.into_iter().find(|slot| slot.as_str() == s.as_str()));
        let workload = labels.get(keys::WORKLOAD).cloned().zip(slot);
        let hash = if workload.is_some() { keys::TEMPLATE_HASH } else { "pod-template-hash" };
        let status = pod.status.as_ref();
        let containers: Vec<&ContainerStatus> =
            status.iter().flat_map(|s| s.container_statuses.iter().flatten()).collect();
        let condition = |name: &str| {
            let all = status.iter().flat_map(|s| s.conditions.iter().flatten());
            all.into_iter().any(|c| c.type_ == name && c.status == "True")
        };
        let spec_grace = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds);
        let facts = PodFacts {
            name: pod.metadata.name.clone().unwrap_or_default(),
            slot: slot.unwrap_or(Slot::Origin),
            template_hash: labels.get(hash).cloned().unwrap_or_default(),
            ready: condition("Ready"),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            ended: status
                .and_then(|s| s.phase.as_deref())
                .is_some_and(|p| matches!(p, "Failed" | "Succeeded")),
            started: containers.iter().filter_map(|c| first_start(c)).min(),
            grace_seconds: spec_grace.unwrap_or(30),
            exits: containers.iter().flat_map(|c| exits(c)).collect(),
            waiting: containers.iter().find_map(|c| waiting(c)),
            disrupted: condition("DisruptionTarget")
                || status.and_then(|s| s.reason.as_deref()).is_some_and(is_disruption),
        };
        let replica_set = owner(&pod.metadata, "ReplicaSet");
        let told = replica_set.is_some() || workload.is_some() || facts.ended;
        let other_labels = pod.metadata.labels.filter(|_| !told);
        Self { replica_set, workload, other_labels, facts }
    }
}

fn is_disruption(reason: &str) -> bool {
    matches!(reason, "Evicted" | "NodeLost" | "Preempting" | "NodeShutdown" | "Shutdown" | "Terminated")
}

fn first_start(c: &ContainerStatus) -> Option<chrono::DateTime<chrono::Utc>> {
    let state = c.state.as_ref();
    let running = state.and_then(|s| s.running.as_ref()).and_then(|r| r.started_at.as_ref());
    let ended = state.and_then(|s| s.terminated.as_ref()).and_then(|t| t.started_at.as_ref());
    let before =
        c.last_state.as_ref().and_then(|s| s.terminated.as_ref()).and_then(|t| t.started_at.as_ref());
    [running, ended, before].into_iter().flatten().map(time::from_api).min()
}

fn exits(c: &ContainerStatus) -> Vec<ContainerExit> {
    let states = [c.last_state.as_ref(), c.state.as_ref()];
    let ended = states.into_iter().flatten().filter_map(|s| s.terminated.as_ref());
    ended
        .filter_map(|t| {
            Some(ContainerExit {
                at: time::from_api(t.finished_at.as_ref()?),
                code: t.exit_code,
                reason: t.reason.clone().unwrap_or_default(),
                container: c.name.clone(),
            })
        })
        .collect()
}

/// Why a container waits, unless it is only being made.
fn waiting(c: &ContainerStatus) -> Option<String> {
    let waiting = c.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if matches!(reason, "ContainerCreating" | "PodInitializing") {
        return None;
    }
    match waiting.message.as_deref() {
        Some(message) if !message.is_empty() => Some(format!("{reason}: {message}")),
        Some(_) | None => Some(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_crashing_pod_of_a_slot_is_read_with_its_exits() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "m-a-1", "labels": {
                "understudy.dev/workload": "m", "understudy.dev/slot": "a", "understudy.dev/template-hash": "abc",
                "pod-template-hash": "xyz"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "m-a-rs", "controller": true, "apiVersion": "apps/v1", "uid": "1"}]},
            "spec": {"containers": [], "terminationGracePeriodSeconds": 7},
            "status": {"containerStatuses": [{
                "name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                    "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:05Z"}},
            }]},
        }))
        .unwrap();
        let row = PodRow::from(pod);
        assert_eq!(row.workload, Some(("m".to_owned(), Slot::A)));
        assert_eq!(row.replica_set.as_deref(), Some("m-a-rs"));
        assert_eq!((row.facts.template_hash.as_str(), row.facts.grace_seconds), ("abc", 7));
        let [exit] = &row.facts.exits[..] else { panic!("{:?}", row.facts.exits) };
        assert_eq!((exit.code, exit.reason.as_str(), exit.container.as_str()), (137, "OOMKilled", "server"));
        assert_eq!(row.facts.waiting.as_deref(), Some("CrashLoopBackOff: back-off 20s"));
        assert!(!row.facts.disrupted && !row.facts.ready && !row.facts.ended);
    }

    #[test]
    fn an_evicted_pod_has_ended() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "m-a-1"}, "status": {"phase": "Failed", "reason": "Evicted"},
        }))
        .unwrap();
        let facts = PodRow::from(pod).facts;
        assert!(facts.ended && facts.disrupted && !facts.ready);
    }

    #[test]
    fn an_endpoint_without_a_condition_is_ready() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p"}},
                          {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}],
        }))
        .unwrap();
        let row = SliceRow::from(slice);
        assert_eq!(row.service, "s");
        assert_eq!(row.endpoints.iter().map(|e| e.ready).collect::<Vec<_>>(), [true, false]);
    }
}
