//! The namespace before Understudy: a Deployment that serves version 1.0.0, two Services, a route, five registered versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Service;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::SelectorGuard;
use crate::rollout::observed::SelectorPolicy;

use super::fields::{self, RULES, SELECTOR};
use super::objects::Objects;
use super::prometheus::Prometheus;
use super::traffic::{Ledger, Shares};
use super::world::{Gateway, Meant, NAME, NAMESPACE, World};

/// Who wrote the user's objects.
pub const USER: &str = "kubectl-create";

/// Versions that are registered; the first runs.
const VERSIONS: [&str; 5] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"];

/// A typed object from JSON that is written here in the source.
pub fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the JSON of the fake world is of its kind")
}

/// An object as JSON.
pub fn json_of(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// The world at the start.
pub fn world() -> World {
    let begin = DateTime::from_timestamp(1_767_261_600, 0).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let mut world = World {
        now: begin,
        begin,
        objects: Objects::default(),
        writes: 100,
        tally: BTreeMap::new(),
        serial: 0,
        behaviours: BTreeMap::new(),
        gateway: Gateway::default(),
        ledger: Ledger::default(),
        shares: Shares::default(),
        prometheus: Prometheus::default(),
        watch_failing: None,
        load: None,
        unread: Vec::new(),
        selector_policy: SelectorPolicy::InForce(SelectorGuard::None),
        templates: BTreeMap::new(),
        meant: Meant::default(),
        follows: false,
        away: false,
        status_refused: false,
        refused_writes: BTreeSet::new(),
        past: Vec::new(),
        keeps_past: false,
    };
    let stamp = world.stamp();
    let objects = &mut world.objects;
    objects.deployments.insert(NAME.to_owned(), Arc::new(typed(deployment(&stamp))));
    for (name, selector, port) in
        [(NAME, "scorer", 80), ("scorer-grpc", "scorer", 9000), ("other", "other", 80)]
    {
        objects.services.insert(name.to_owned(), Arc::new(service(name, selector, port, &stamp)));
    }
    objects.routes.insert(NAME.to_owned(), Arc::new(route(&stamp)));
    for version in VERSIONS {
        let made = typed(model_version(version, version, &stamp));
        objects.versions.insert(format!("{NAME}-{version}"), Arc::new(made));
    }
    objects.rollouts.insert(NAME.to_owned(), Arc::new(typed(rollout(NAME, &stamp))));
    world.meant = meant(&world);
    world
}

/// What is to be there at rest, from what is there now.
fn meant(world: &World) -> Meant {
    let route = world.route().map(|r| r.as_ref().clone()).unwrap_or_default();
    let origin = world.objects.deployments.get(NAME).map(|d| json_of(d.as_ref())).unwrap_or_default();
    let mut others = BTreeMap::new();
    others.insert(
        "Service other".to_owned(),
        world.objects.services.get("other").map(|s| json_of(s.as_ref())).unwrap_or_default(),
    );
    Meant {
        route: Some(route["spec"].clone()),
        owners: Some(route["metadata"]["managedFields"].clone()),
        template: Some(origin["spec"]["template"].clone()),
        others,
        scaled: Default::default(),
    }
}

fn deployment(stamp: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "uid": "uid-origin", "resourceVersion": "1", "generation": 1,
            "creationTimestamp": stamp, "labels": { "app": "scorer", "team": "fraud" },
        },
        "spec": {
            "replicas": 4,
            "selector": { "matchLabels": { "app": "scorer" } },
            "template": {
                "metadata": { "labels": { "app": "scorer", "team": "fraud" } },
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{
                        "name": "server", "image": "scorer@sha256:0000", "args": ["--port", "80"],
                        "env": [{ "name": "MODEL_VERSION", "value": "1.0.0" }, { "name": "LOG", "value": "info" }],
                        "resources": { "requests": { "cpu": "1" } },
                    }],
                },
            },
        },
    })
}

/// A Service of the user.
pub fn service(name: &str, app: &str, port: i32, stamp: &str) -> Service {
    typed(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("uid-service-{name}"), "resourceVersion": "1",
            "creationTimestamp": stamp, "annotations": { "team": "fraud" },
            "managedFields": [fields::entry(USER, "Update", &[SELECTOR, ["f:spec", "f:ports"]], stamp)],
        },
        "spec": { "type": "ClusterIP", "selector": { "app": app }, "ports": [{ "port": port, "targetPort": 80 }] },
    }))
}

fn backend(name: &str) -> Value {
    json!({ "group": "", "kind": "Service", "name": name, "port": 80, "weight": 1 })
}

/// A rule of the user for a path.
pub fn rule(path: &str, service: &str) -> Value {
    json!({ "matches": [{ "path": { "type": "PathPrefix", "value": path } }], "backendRefs": [backend(service)] })
}

fn route(stamp: &str) -> Value {
    let mut explain = rule("/explain", NAME);
    explain["filters"] = json!([{
        "type": "RequestHeaderModifier", "requestHeaderModifier": { "add": [{ "name": "x-path", "value": "explain" }] },
    }]);
    let mut predict = rule("/predict", NAME);
    predict["timeouts"] = json!({ "request": "10s" });
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "uid": "uid-route", "resourceVersion": "1", "generation": 1,
            "creationTimestamp": stamp, "annotations": { "team": "fraud" },
            "managedFields": [fields::entry(USER, "Update", &[RULES, ["f:spec", "f:parentRefs"]], stamp)],
        },
        "spec": {
            "parentRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge" }],
            "hostnames": ["scorer.example"],
            "rules": [predict, explain, rule("/static", "other")],
        },
    })
}

/// A registered version; `content` stands for its weights.
pub fn model_version(version: &str, content: &str, stamp: &str) -> Value {
    // Content `like-1.0.0` is served as that version is.
    let runs = content.strip_prefix("like-").unwrap_or(version);
    json!({
        "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {
            "name": format!("{NAME}-{version}"), "namespace": NAMESPACE, "uid": format!("uid-version-{version}-{content}"),
            "resourceVersion": "1", "generation": 1, "creationTimestamp": stamp,
        },
        "spec": {
            "model": NAME, "version": version,
            "weights": { "artifact": { "uri": format!("s3://models/{content}"), "digest": format!("sha256:{content}") } },
            "serving": { "container": "server", "env": [{ "name": "MODEL_VERSION", "value": runs }] },
        },
    })
}

/// The rollout: short times, one metric.
pub fn rollout(name: &str, stamp: &str) -> Value {
    json!({
        "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("uid-rollout-{name}"), "resourceVersion": "1", "generation": 1,
            "creationTimestamp": stamp,
        },
        "spec": {
            "model": NAME, "version": "1.0.0", "environment": "production",
            "workload": { "deployment": NAME },
            "traffic": { "service": NAME, "gatewayAPI": { "httpRoute": NAME }, "drain": "4s" },
            "strategy": {
                "canary": { "steps": [{ "weight": 10, "hold": "12s" }, { "weight": 50, "hold": "12s" }] },
                "watch": { "duration": "20s", "controlWeight": 10 },
                "deadlines": { "ready": "60s", "evidence": "120s" },
            },
            "analysis": {
                "interval": "2s", "warmUp": "4s", "noData": { "after": "40s" },
                "metrics": [metric("errors")],
            },
        },
    })
}

/// A metric of the rollout: `errors` as the gateway counts them, `pod-errors` and `errors-apart` (two counters), `latency`, `accuracy` (sum and count) and
/// `accuracy-squares` (a sum of squares too), `accuracy-exact` (with the guarantee of a count), `generation` (`latency`, ten times as long), `quality` (histogram) and `slo` as the pods do, `orders` (pass/fail, only shown), `share` and `share-shown` are values, `typo` matches nothing.
pub fn metric(name: &str) -> Value {
    let ratio = |family: &str| json!({ "bad": format!("{family}{{code=~\"5..\"}}"), "total": family });
    let mut out = match name {
        "errors" => json!({
            "ratio": ratio("gateway_requests_total"),
            "arms": { "gateway": { "label": "envoy_cluster_name", "value": "$(NAMESPACE)_$(SERVICE)_$(PORT)" } },
        }),
        "errors-apart" => json!({ "ratio": { "bad": "bad_requests_total", "good": "good_requests_total" } }),
        "pod-errors" => json!({ "ratio": ratio("http_requests_total") }),
        "latency" => json!({ "latency": { "histogram": "http_request_duration_seconds" } }),
        "generation" => json!({ "latency": { "histogram": "generation_seconds" } }),
        "accuracy-exact" => json!({ "mean": {
            "sum": "feedback_correct_total", "count": "feedback_total", "guarantee": "Exact",
        } }),
        "accuracy" => json!({ "mean": { "sum": "feedback_correct_total", "count": "feedback_total" } }),
        "quality" => json!({ "mean": { "histogram": "quality" } }),
        "accuracy-squares" => json!({ "mean": {
            "sum": "feedback_correct_total", "count": "feedback_total", "sumOfSquares": "feedback_squares_total",
        } }),
        "orders" => json!({
            "mean": { "sum": "feedback_correct_total", "count": "feedback_total", "passFail": true }, "observeOnly": true,
        }),
        "slo" => json!({ "slo": { "histogram": "http_request_duration_seconds", "bound": "500ms" } }),
        "share" => json!({ "value": { "query": "error_share", "max": 0.2 } }),
        "share-shown" => json!({ "value": { "query": "error_share" } }),
        _ => json!({ "ratio": ratio("no_such_total") }),
    };
    if out.get("ratio").is_some() {
        out["worse"] = json!({ "ratio": 1.25, "plus": 0.005 });
        out["proof"] = json!({ "ratio": 2, "plus": 0.02 });
    }
    out["name"] = name.into();
    out["minSamples"] = 50.into();
    out
}
