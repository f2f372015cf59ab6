//! BackendTLSPolicies and DestinationRules: how a Service is spoken to, by its name.

use serde_json::{Value, json};

use super::{Cover, Served};

/// A BackendTLSPolicy of the user's Service, where none names the candidate's.
pub(super) fn targets<'a>(
    cover: &Cover,
    mut others: impl Iterator<Item = &'a Cover>,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    let names = |one: &Cover, service: &str| {
        let refs = one.spec()["targetRefs"].as_array().cloned().unwrap_or_default();
        one.namespace() == served.namespace && refs.iter().any(|target| is_service(target, service))
    };
    if !names(cover, served.service) || others.any(|one| names(one, &served.candidate)) {
        return None;
    }
    let mut spec = cover.spec().clone();
    let refs = spec["targetRefs"].as_array().cloned().unwrap_or_default();
    let refs = refs.into_iter().filter(|target| is_service(target, served.service)).map(|mut target| {
        target["name"] = json!(served.candidate);
        target
    });
    spec["targetRefs"] = Value::Array(refs.collect());
    Some((format!("the gateway would speak to Service {} without its TLS", served.candidate), spec))
}

fn is_service(target: &Value, name: &str) -> bool {
    target["name"] == name && target["kind"] == "Service"
}

/// A DestinationRule of the user's Service, where none is the candidate's.
pub(super) fn host<'a>(
    cover: &Cover,
    mut others: impl Iterator<Item = &'a Cover>,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    let names = |one: &Cover, service: &str| is_host(one, service, served.namespace);
    if !names(cover, served.service) || others.any(|one| names(one, &served.candidate)) {
        return None;
    }
    let mut spec = cover.spec().clone();
    spec["host"] = json!(format!("{}.{}.svc.cluster.local", served.candidate, served.namespace));
    Some((format!("the mesh would speak to Service {} by its defaults", served.candidate), spec))
}

/// A short name is one of the rule's own namespace.
fn is_host(rule: &Cover, service: &str, namespace: &str) -> bool {
    let host = rule.spec()["host"].as_str().unwrap_or_default();
    let mut parts = host.splitn(3, '.');
    let named = parts.next() == Some(service);
    let within = parts.next().unwrap_or(rule.namespace()) == namespace;
    named && within && parts.next().is_none_or(|rest| rest == "svc" || rest.starts_with("svc."))
}
