//! The route of our own that keeps both clusters known to the data plane.
//!
//! Naming a Service that the data plane did not have just before gives errors for some milliseconds, because routes and
//! clusters reach it separately. So this route names both before the user's route does, and stays until the end.

use serde_json::{Value, json};

use super::http_route::{Originals, Whose, header_match, list, rules};
use super::{Draft, Edit, Names, Split, meta};
use crate::api::keys;
use crate::traffic::backends::{Arm, arm};
use crate::workload::slot::Mark;

/// The header on which the route matches. Its value is random, so no client gets there.
const HEADER: &str = "x-understudy-warm";
/// Pairs of backends that one rule can hold.
const PAIRS: usize = 8;

/// Name of the route for a Service.
pub fn warm_name(service: &str) -> String {
    format!("{service}-understudy")
}

/// The warm route: parents and hostnames of the user's route, one match on a header with the value passed in, and both
/// Services on every port that the user's route names. It carries `originals` in an annotation.
///
/// `coming` is a split with sessions that stick: each match then has one more header match, of the kind that the split will
/// need, so that a gateway that takes none refuses this route and no rule of it is left that it could take.
pub fn warm_route(
    route: &Value,
    names: &Names,
    mark: &Mark,
    secret_header_value: &str,
    originals: &Originals,
    coming: Option<&Split<'_>>,
) -> Value {
    let secret = json!({ "type": "Exact", "name": HEADER, "value": secret_header_value });
    let session =
        coming.and_then(|split| Some(header_match(names, split.sticky?, split.candidate, Whose::Candidate)));
    let headers: Vec<Value> = [secret].into_iter().chain(session).collect();
    let matches = json!([{ "path": { "type": "PathPrefix", "value": "/" }, "headers": headers }]);
    let backend = |name: &str, port: &Option<Value>| {
        // Defaults are written out, so that what is read back is what was written.
        let mut out = json!({ "group": "", "kind": "Service", "name": name, "weight": 1 });
        if let Some(port) = port {
            out["port"] = port.clone();
        }
        out
    };
    let rules: Vec<Value> = ports(route, names, originals)
        .chunks(PAIRS)
        .map(|ports| {
            let pair = |p| [backend(names.service, p), backend(names.candidate, p)];
            let backends: Vec<Value> = ports.iter().flat_map(pair).collect();
            json!({ "matches": matches, "backendRefs": backends })
        })
        .collect();
    let mut spec = json!({ "rules": rules });
    for key in ["parentRefs", "hostnames"] {
        if let Some(value) = route.pointer(&format!("/spec/{key}")) {
            spec[key] = value.clone();
        }
    }
    // An Originals is maps, lists and texts, which are always JSON.
    let annotation = serde_json::to_string(originals).unwrap_or_default();
    json!({
        "apiVersion": route.get("apiVersion").cloned().unwrap_or_else(|| "gateway.networking.k8s.io/v1".into()),
        "kind": "HTTPRoute",
        "metadata": {
            "name": warm_name(names.service),
            "namespace": names.namespace,
            "labels": mark.labels(),
            "annotations": { keys::ORIGINAL: annotation },
        },
        "spec": spec,
    })
}

/// Ports on which the route leads, or as the user wrote it led, to the Service.
fn ports(route: &Value, names: &Names, originals: &Originals) -> Vec<Option<Value>> {
    let mut out: Vec<Option<Value>> = Vec::new();
    let stored = originals.backends();
    for backend in rules(route).iter().flat_map(|r| list(r, "backendRefs")).chain(stored) {
        let port = backend.get("port").cloned();
        if arm(backend, names) != Arm::Other && !out.contains(&port) {
            out.push(port);
        }
    }
    out
}

/// What the annotation of a warm route says.
pub fn originals_of(warm: &Value) -> Option<Originals> {
    serde_json::from_str(warm.get("metadata")?.get("annotations")?.get(keys::ORIGINAL)?.as_str()?).ok()
}

/// The random header value of a warm route, so that a renewed one keeps it.
pub fn secret_of(warm: &Value) -> Option<&str> {
    let headers = warm.pointer("/spec/rules/0/matches/0/headers")?.as_array()?;
    headers.iter().find(|h| h.get("name").is_some_and(|n| n == HEADER))?.get("value")?.as_str()
}

/// Whether a warm route asks for what sessions that stick need.
pub fn asks_for_sessions(warm: &Value) -> bool {
    let headers = warm.pointer("/spec/rules/0/matches/0/headers").and_then(Value::as_array);
    headers.into_iter().flatten().any(|h| h.get("type").is_some_and(|t| t == "RegularExpression"))
}

/// The write that makes a present warm route of ours as wanted; nothing when it is.
pub fn renew(present: &Value, wanted: &Value) -> Option<Edit> {
    if is_current(present, wanted) {
        return None;
    }
    let mut draft = Draft::new(present);
    draft.set(&[], "spec", wanted.get("spec").cloned());
    for kind in ["labels", "annotations"] {
        let pointer = format!("/metadata/{kind}");
        let mut merged = present.pointer(&pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        merged.extend(wanted.pointer(&pointer).and_then(Value::as_object).cloned().unwrap_or_default());
        draft.set(&["metadata"], kind, Some(Value::Object(merged)));
    }
    draft.done()
}

/// Whether a warm route in the cluster is already as wanted: spec, labels and our annotation.
pub fn is_current(present: &Value, wanted: &Value) -> bool {
    let labels_there = wanted.pointer("/metadata/labels").and_then(Value::as_object).is_none_or(|l| {
        l.iter().all(|(k, v)| present.pointer("/metadata/labels").and_then(|p| p.get(k)) == Some(v))
    });
    labels_there
        && meta(present, "name") == meta(wanted, "name")
        && present.get("spec") == wanted.get("spec")
        && originals_of(present) == originals_of(wanted)
}

#[cfg(test)]
mod tests;
