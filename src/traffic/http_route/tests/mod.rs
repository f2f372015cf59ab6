//! Every write is proven by applying its patch to the object that it was made for.

mod foreign;
mod generated;
mod owners;
mod patterns;
mod splitting;
mod status;
mod sticky;

use serde_json::{Value, json};

use super::*;

pub(super) const NAMES: Names = Names { namespace: "ml", service: "m", candidate: "m-candidate" };

/// A route with these rules.
pub(super) fn route(rules: Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": "ml", "resourceVersion": "1", "generation": 3},
        "spec": {"parentRefs": [{"name": "gw"}], "hostnames": ["m.example"], "rules": rules, "ofTheFuture": {"x": 1}},
    })
}

/// A route with one rule and these backends.
pub(super) fn one_rule(backends: Value) -> Value {
    route(json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends}]))
}

pub(super) fn backends_of(route: &Value, rule: usize) -> &Value {
    &route["spec"]["rules"][rule]["backendRefs"]
}

/// Applies an edit as the API server does, checks that it says what it does, and gives the object a new version.
pub(super) fn applied(route: &Value, edit: &Edit) -> Value {
    let first = serde_json::to_value(&edit.patch.0[0]).unwrap();
    let version = &route["metadata"]["resourceVersion"];
    assert_eq!(first, json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    let mut out = route.clone();
    json_patch::patch(&mut out, &edit.patch).unwrap();
    assert_eq!(out, edit.object, "the patch does not lead to the object");
    out["metadata"]["resourceVersion"] = format!("{}x", version.as_str().unwrap()).into();
    out
}

/// Remembers, splits and applies.
pub(super) fn after(route: &Value, originals: &mut Originals, to: Split<'_>) -> Value {
    *originals = remember(route, &NAMES, Some(originals));
    match split(route, &NAMES, &to, originals).unwrap() {
        Some(edit) => applied(route, &edit),
        None => route.clone(),
    }
}

pub(super) fn undone(route: &Value, originals: &Originals) -> Value {
    match undo(route, &NAMES, originals).unwrap() {
        Some(edit) => applied(route, &edit),
        None => route.clone(),
    }
}

/// Two objects without what only the API server sets.
pub(super) fn assert_same(a: &Value, b: &Value) {
    let bare = |v: &Value| {
        let mut v = v.clone();
        v["metadata"]["resourceVersion"] = Value::Null;
        v
    };
    assert_eq!(bare(a), bare(b));
}

pub(super) fn canary(percent: i32) -> Split<'static> {
    Split { candidate: percent, mirror: None, sticky: None }
}

pub(super) fn shadow(percent: i32) -> Split<'static> {
    Split { candidate: 0, mirror: Some(percent), sticky: None }
}
