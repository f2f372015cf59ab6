use serde_json::{Value, json};

use super::*;
use crate::workload::template;

const MARK: Mark = Mark { rollout: "r", rollout_uid: "u-1" };

fn origin() -> Deployment {
    let term = |value: &str| {
        json!({"topologyKey": "h", "labelSelector": {"matchLabels": {"app": value},
            "matchExpressions": [{"key": "app", "operator": "In", "values": [value, "z"]}]}})
    };
    serde_json::from_value(json!({
        "metadata": {"name": "m", "namespace": "ml", "uid": "o-1", "labels": {"argo": "x"},
            "annotations": {"argocd.argoproj.io/tracking-id": "x"}, "ownerReferences": [], "finalizers": ["f"]},
        "spec": {
            "replicas": 6, "paused": true, "minReadySeconds": 7, "revisionHistoryLimit": 3, "progressDeadlineSeconds": 60,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {"app": "m"}},
            "template": {
                "metadata": {"labels": {"app": "m", "team": "ml"}, "annotations": {"prometheus.io/scrape": "true"}},
                "spec": {
                    "containers": [{"name": "s", "image": "m:1"}],
                    "affinity": {
                        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("m"), term("other")],
                            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term("m")}]},
                        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("m")]},
                    },
                    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {"app": "m", "team": "ml"}}}],
                },
            },
        },
        "status": {"replicas": 6},
    }))
    .unwrap()
}

fn slot_a() -> Value {
    let origin = origin();
    let adoption =
        Adoption { labels: BTreeMap::from([("app".to_owned(), "m".to_owned())]), services: vec![] };
    let template = &origin.spec.as_ref().unwrap().template;
    let hash = template::hash(template);
    let spec = SlotSpec {
        origin: &origin,
        template,
        template_hash: &hash,
        version: "1.1.0",
        adoption: &adoption,
        slot: Slot::A,
        mark: MARK,
    };
    let made = deployment(&spec);
    assert_eq!(adoption_of(&made.metadata), Some(adoption.clone()));
    assert!(is_ours(&made.metadata, &MARK));
    serde_json::to_value(made).unwrap()
}

#[test]
fn a_slot_has_the_origins_spec_with_its_own_selector_and_no_pods() {
    let (slot, origin) = (slot_a(), serde_json::to_value(origin()).unwrap());
    let (own, theirs) = (&slot["spec"], &origin["spec"]);
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds", "strategy"] {
        assert_eq!(own[key], theirs[key], "{key}");
    }
    assert_eq!(own["replicas"], 0);
    assert!(own.get("paused").is_none(), "a paused slot would never get a pod");
    let selector = json!({"understudy.dev/workload": "m", "understudy.dev/slot": "a"});
    assert_eq!(own["selector"], json!({ "matchLabels": selector }));
    assert!(slot.get("status").is_none());
}

#[test]
fn no_metadata_of_the_user_is_copied() {
    let slot = slot_a();
    let meta = slot["metadata"].as_object().unwrap();
    let keys: Vec<_> = meta.keys().map(String::as_str).collect();
    assert_eq!(keys, ["annotations", "labels", "name", "namespace"]);
    assert_eq!(meta["name"], "m-a");
    assert_eq!(
        meta["labels"],
        json!({"understudy.dev/rollout": "r", "understudy.dev/rollout-uid": "u-1",
            "understudy.dev/workload": "m", "understudy.dev/slot": "a"})
    );
    let annotations: Vec<_> = meta["annotations"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        annotations,
        ["understudy.dev/adoption", "understudy.dev/template-hash", "understudy.dev/version"]
    );
}

#[test]
fn a_slots_pods_are_out_of_reach_of_the_origins_selectors() {
    let template = &slot_a()["spec"]["template"];
    let hash = template::hash(&origin().spec.unwrap().template);
    assert_eq!(
        template["metadata"]["labels"],
        json!({"app": "m-a", "team": "ml", "understudy.dev/workload": "m", "understudy.dev/slot": "a",
            "understudy.dev/template-hash": hash})
    );
    assert_eq!(template["metadata"]["annotations"], json!({"prometheus.io/scrape": "true"}));
}

#[test]
fn selectors_inside_the_template_follow_where_they_name_the_origins_pods() {
    let pod = &slot_a()["spec"]["template"]["spec"];
    let apart = &pod["affinity"]["podAntiAffinity"];
    let required = &apart["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(required[0]["labelSelector"]["matchLabels"]["app"], "m-a");
    assert_eq!(required[0]["labelSelector"]["matchExpressions"][0]["values"], json!(["m-a", "z"]));
    assert_eq!(required[1]["labelSelector"]["matchLabels"]["app"], "other", "another app's pods are meant");
    let preferred = &apart["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
    assert_eq!(preferred["labelSelector"]["matchLabels"]["app"], "m-a");
    let near = &pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(near["labelSelector"]["matchLabels"]["app"], "m-a");
    let spread = &pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
    assert_eq!(*spread, json!({"app": "m-a", "team": "ml"}));
}

#[test]
fn an_object_without_our_mark_or_with_anothers_is_not_ours() {
    assert_eq!(owner_uid(&origin().metadata), None);
    assert!(!is_ours(&origin().metadata, &MARK));
    let other = Mark { rollout: "r", rollout_uid: "u-2" };
    let meta = ObjectMeta { labels: Some(other.labels()), ..ObjectMeta::default() };
    assert!(!is_ours(&meta, &MARK));
    assert_eq!(owner_uid(&meta), Some("u-2"));
    let long = Mark { rollout: &format!("{}.x", "r".repeat(62)), rollout_uid: "u" }.labels();
    assert_eq!(long["understudy.dev/rollout"], "r".repeat(62), "a label value ends in a letter or digit");
}
