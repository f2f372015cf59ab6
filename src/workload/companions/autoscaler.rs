//! The HorizontalPodAutoscaler of a slot.

use serde_json::{Value, json};

use super::{For, Kind, is_copy, name};

/// The user's autoscaler of the Deployment: the first by name, should there be several, which Kubernetes itself refuses to
/// follow.
pub fn of<'a>(deployment: &str, all: &'a [Value]) -> Option<&'a Value> {
    all_of(deployment, all).into_iter().next()
}

/// The user's autoscalers of the Deployment, by name.
pub fn all_of<'a>(deployment: &str, all: &'a [Value]) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = all.iter().filter(|hpa| !is_copy(hpa) && scales(hpa, deployment)).collect();
    found.sort_by_key(|hpa| name(hpa));
    found
}

/// Whether it scales that Deployment.
pub fn scales(hpa: &Value, deployment: &str) -> bool {
    let target = &hpa["spec"]["scaleTargetRef"];
    let group = target["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    // A target without a group is one of a time before groups; the controller takes it for the same Deployment.
    target["kind"] == "Deployment"
        && target["name"] == deployment
        && matches!(group, "apps" | "extensions" | "")
}

/// The least that it goes down to.
pub fn floor(hpa: &Value) -> i32 {
    count(&hpa["spec"]["minReplicas"]).unwrap_or(1)
}

fn count(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|n| i32::try_from(n).ok())
}

/// The slot's, held at so many pods: neither more nor fewer, whatever the load.
pub fn pinned(user: &Value, of: &For<'_>, pods: i32) -> Value {
    let mut hpa = copy(user, of, pods);
    let pods = pods.max(1);
    hpa["spec"]["minReplicas"] = pods.into();
    hpa["spec"]["maxReplicas"] = pods.into();
    hpa
}

/// The slot's: as the user's, for the slot's Deployment, and never below `floor` pods. Where the user's maximum is below
/// that, the floor counts: it is what the traffic needs.
pub fn copy(user: &Value, of: &For<'_>, floor: i32) -> Value {
    let mut spec = user["spec"].clone();
    let least = self::floor(user).max(floor);
    let most = count(&spec["maxReplicas"]).unwrap_or(least).max(least);
    spec["scaleTargetRef"] =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": of.slot.deployment(of.workload)});
    spec["minReplicas"] = least.into();
    spec["maxReplicas"] = most.into();
    of.copy(Kind::Autoscaler, user, spec)
}
