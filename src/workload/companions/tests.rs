use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{For, autoscaler, budget, is_copy, labels_to_set};
use crate::api::Slot;
use crate::workload::slot::Mark;

fn hpa(name: &str, target: &str, min: i32, max: i32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name, "namespace": "shop", "uid": "u1", "resourceVersion": "7",
            "labels": {"argocd.argoproj.io/instance": "shop"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "ownerReferences": [{"kind": "ScaledObject", "name": "s", "uid": "x", "apiVersion": "keda.sh/v1alpha1"}],
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": min, "maxReplicas": max, "behavior": {"scaleDown": {"newField": 3}},
            "metrics": [{"type": "ContainerResource", "containerResource": {
                "name": "cpu", "container": "server", "target": {"type": "Utilization", "averageUtilization": 60}}}],
        },
        "status": {"currentReplicas": 3},
    })
}

fn slot(slot: Slot) -> For<'static> {
    For { workload: "m", slot, mark: Mark { rollout: "r", rollout_uid: "uid-r" } }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_copy_scales_the_slot_as_the_users_does_and_takes_no_metadata_along() {
    let copy = autoscaler::copy(&hpa("m", "m", 2, 9), &slot(Slot::A), 4);
    assert_eq!(copy["metadata"]["name"], "m-a");
    assert_eq!(copy["spec"]["scaleTargetRef"]["name"], "m-a");
    assert_eq!(
        (copy["spec"]["minReplicas"].as_i64(), copy["spec"]["maxReplicas"].as_i64()),
        (Some(4), Some(9))
    );
    assert_eq!(copy["spec"]["metrics"][0]["containerResource"]["container"], "server");
    assert_eq!(copy["spec"]["behavior"]["scaleDown"]["newField"], 3, "a field that nobody here knows");
    let keys: Vec<&String> = copy["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["labels", "name", "namespace"]);
    assert_eq!(copy["metadata"]["labels"]["understudy.dev/rollout-uid"], "uid-r");
    assert!(copy["metadata"]["labels"].get("argocd.argoproj.io/instance").is_none() && is_copy(&copy));
    assert!(copy.get("status").is_none());
}

#[test]
fn the_users_own_limits_are_kept_unless_traffic_needs_more() {
    let bounds = |min, max, floor| {
        let spec = autoscaler::copy(&hpa("m", "m", min, max), &slot(Slot::B), floor)["spec"].clone();
        (spec["minReplicas"].as_i64().unwrap(), spec["maxReplicas"].as_i64().unwrap())
    };
    assert_eq!(bounds(5, 9, 2), (5, 9), "a minimum above the need is kept");
    assert_eq!(bounds(1, 3, 4), (4, 4));
    assert_eq!(bounds(0, 3, 0), (0, 3));
    let mut without = hpa("m", "m", 1, 3);
    without["spec"].as_object_mut().unwrap().remove("minReplicas");
    assert_eq!(autoscaler::floor(&without), 1);
}

#[test]
fn the_users_autoscaler_is_found_by_its_target() {
    let ours = autoscaler::copy(&hpa("m", "m", 1, 3), &slot(Slot::A), 1);
    let mut rollout = hpa("z", "m", 1, 3);
    rollout["spec"]["scaleTargetRef"]["apiVersion"] = "argoproj.io/v1alpha1".into();
    let all = [ours, rollout, hpa("x", "other", 1, 3), hpa("second", "m", 1, 3), hpa("first", "m", 1, 3)];
    assert_eq!(autoscaler::of("m", &all).unwrap()["metadata"]["name"], "first");
    assert_eq!(autoscaler::of("m-a", &all), None, "a copy of ours is nobody's original");
}

#[test]
fn a_budget_is_found_by_its_selector_and_copied_with_the_slots_own() {
    let pdb = |name: &str, selector: Value| {
        json!({"metadata": {"name": name, "namespace": "shop"},
            "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}})
    };
    let origin = labels(&[("app", "m"), ("team", "fraud")]);
    let slots = labels(&[("app", "m-a"), ("team", "fraud")]);
    let own = pdb("own", json!({"matchLabels": {"app": "m"}}));
    assert!(budget::counts(&own, &origin) && !budget::counts(&own, &slots));
    for broad in [
        json!({}),
        json!({"matchLabels": {"team": "fraud"}}),
        json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["m", "m-a"]}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}, {"key": "y", "operator": "DoesNotExist"}]}),
    ] {
        let broad = pdb("broad", broad);
        assert!(budget::counts(&broad, &origin) && budget::counts(&broad, &slots), "{broad}");
    }
    assert!(!budget::counts(&pdb("none", Value::Null), &origin), "no selector selects nothing");
    let copy = budget::copy(&own, &slot(Slot::A));
    assert_eq!(
        copy["spec"]["selector"],
        json!({"matchLabels": {
        "understudy.dev/workload": "m", "understudy.dev/slot": "a"}})
    );
    assert_eq!(copy["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert_eq!(budget::of(&origin, &[copy, own]).unwrap()["metadata"]["name"], "own");
}

#[test]
fn labels_of_others_on_a_copy_stay() {
    let wanted = autoscaler::copy(&hpa("m", "m", 1, 3), &slot(Slot::A), 1);
    assert_eq!(labels_to_set(&wanted, &wanted), None);
    let mut present = wanted.clone();
    present["metadata"]["labels"]["theirs"] = "x".into();
    assert_eq!(labels_to_set(&present, &wanted), None);
    present["metadata"]["labels"]["understudy.dev/rollout-uid"] = "gone".into();
    let set = labels_to_set(&present, &wanted).unwrap();
    assert_eq!(
        (set["theirs"].as_str(), set["understudy.dev/rollout-uid"].as_str()),
        (Some("x"), Some("uid-r"))
    );
}
