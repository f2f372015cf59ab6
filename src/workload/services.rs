//! Services: which of them follow the active slot, and the one that leads to the candidate.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use kube::api::ObjectMeta;
use serde_json::Value;

use super::labels::pod_template_labels;
use super::slot::Mark;
use crate::api::{FieldOwner, keys};

type Labels = BTreeMap<String, String>;

/// What a Service has to do with the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It selects exactly the origin's pods, so it follows the active slot.
    Follows,
    /// It would have to follow and cannot; the message says why and what to do.
    NotMovable(String),
    /// It does not lead to the origin's pods.
    Unrelated,
}

/// The selector by which a Service finds its pods. One of type `ExternalName` has none, whatever it says.
pub(super) fn follows_selector(service: &Service) -> Option<&Labels> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    spec.selector.as_ref().filter(|s| !s.is_empty())
}

/// Whether a Service leads to pods with these labels.
pub fn selects(service: &Service, pods: &Labels) -> bool {
    follows_selector(service).is_some_and(|s| s.iter().all(|(key, value)| pods.get(key) == Some(value)))
}

/// What a Service has to do with the origin. `other_workload_labels` are the pod template labels of the namespace's other
/// Deployments; ours are not among them.
pub fn relation(service: &Service, origin: &Deployment, other_workload_labels: &[Labels]) -> Relation {
    if !selects(service, &pod_template_labels(origin)) {
        return Relation::Unrelated;
    }
    match other_workload_labels.iter().find(|pods| selects(service, pods)) {
        None => Relation::Follows,
        Some(pods) => Relation::NotMovable(format!(
            "Service {:?} selects pods of another workload too (labels {}), so it cannot follow the active version; \
             add a label to its selector that only the pods of Deployment {:?} have",
            name(&service.metadata),
            pods.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","),
            name(&origin.metadata),
        )),
    }
}

/// The same for the Service that `traffic.service` names: it must lead to the origin.
pub fn relation_of_named(
    service: &Service,
    origin: &Deployment,
    other_workload_labels: &[Labels],
) -> Relation {
    let (own, deployment) = (name(&service.metadata), name(&origin.metadata));
    if service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("ExternalName") {
        return Relation::NotMovable(format!(
            "Service {own:?} is an ExternalName: it leads to a DNS name, not to pods; name a Service in \
             traffic.service that selects the pods of Deployment {deployment:?}"
        ));
    }
    if follows_selector(service).is_none() {
        return Relation::NotMovable(format!(
            "Service {own:?} has no selector, so its endpoints are kept by somebody else; give it one that matches \
             the pods of Deployment {deployment:?}, or name another Service in traffic.service"
        ));
    }
    match relation(service, origin, other_workload_labels) {
        Relation::Unrelated => Relation::NotMovable(format!(
            "Service {own:?} does not select the pods of Deployment {deployment:?}; make its selector match the labels \
             of the pod template"
        )),
        other @ (Relation::Follows | Relation::NotMovable(_)) => other,
    }
}

/// Name of the Service that leads to the candidate.
pub fn candidate_name(service: &str) -> String {
    format!("{service}-candidate")
}

/// The Service `<service>-candidate`: the same ports and policies, other pods. What is one Service's alone (addresses,
/// node ports, a load balancer) is not copied.
pub fn candidate_service(service: &Service, selector: Labels, mark: &Mark) -> Service {
    let annotations: Labels = service
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| !is_not_copied(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Service {
        metadata: ObjectMeta {
            name: Some(candidate_name(&name(&service.metadata))),
            namespace: service.metadata.namespace.clone(),
            labels: Some(mark.labels()),
            annotations: Some(annotations).filter(|a| !a.is_empty()),
            ..ObjectMeta::default()
        },
        spec: service.spec.as_ref().map(|spec| candidate_spec(spec, selector)),
        status: None,
    }
}

fn candidate_spec(spec: &ServiceSpec, selector: Labels) -> ServiceSpec {
    let mut ports = spec.ports.clone();
    for port in ports.iter_mut().flatten() {
        port.node_port = None;
    }
    ServiceSpec {
        ports,
        selector: Some(selector),
        type_: Some("ClusterIP".to_owned()),
        // A headless Service stays headless: its callers resolve pods, not an address.
        cluster_ip: spec.cluster_ip.clone().filter(|ip| ip == "None"),
        session_affinity: spec.session_affinity.clone(),
        session_affinity_config: spec.session_affinity_config.clone(),
        internal_traffic_policy: spec.internal_traffic_policy.clone(),
        ip_families: spec.ip_families.clone(),
        ip_family_policy: spec.ip_family_policy.clone(),
        publish_not_ready_addresses: spec.publish_not_ready_addresses,
        traffic_distribution: spec.traffic_distribution.clone(),
        ..ServiceSpec::default()
    }
}

/// Annotations by which deployment tools find what is theirs (they would prune a copy), and by which a public DNS name
/// would lead to the candidate beside the route.
fn is_not_copied(key: &str) -> bool {
    const DOMAINS: [&str; 11] = [
        "argocd.argoproj.io",
        "meta.helm.sh",
        "helm.sh",
        "kustomize.toolkit.fluxcd.io",
        "helm.toolkit.fluxcd.io",
        "config.k8s.io",
        "config.kubernetes.io",
        "internal.config.kubernetes.io",
        "kapp.k14s.io",
        "objectset.rio.cattle.io",
        "external-dns.alpha.kubernetes.io",
    ];
    key == LAST_APPLIED || key.split_once('/').is_some_and(|(domain, _)| DOMAINS.contains(&domain))
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whoever declares this Service's selector and would set it again: a manager from managedFields, one that owned it before
/// we turned it (`remembered`), or kubectl by its last-applied annotation. A person's single edit declares nothing.
pub fn selector_owner(service: &Service, remembered: &[FieldOwner]) -> Option<String> {
    let applied = service.metadata.annotations.as_ref().and_then(|a| a.get(LAST_APPLIED));
    let from_fields = service.metadata.managed_fields.iter().flatten().find_map(|entry| {
        let manager = entry.manager.as_deref().filter(|m| *m != keys::FIELD_MANAGER)?;
        if entry.subresource.as_deref().is_some_and(|s| !s.is_empty()) {
            return None;
        }
        let spec = entry.fields_v1.as_ref()?.0.get("f:spec")?;
        // An applier has lost the field to us as soon as we changed it, and sets it again all the same. Whether its manifest
        // names the field can no longer be seen then.
        let lost = remembered.is_empty() && entry.operation.as_deref() == Some("Apply");
        let declares = lost || (spec.get("f:selector").is_some() && !edits_by_hand(manager));
        declares.then(|| manager.to_owned())
    });
    let before = || remembered.iter().map(|o| &o.manager).find(|m| !edits_by_hand(m)).cloned();
    from_fields.or_else(before).or_else(|| {
        let text: Value = serde_json::from_str(applied?).ok()?;
        text.pointer("/spec/selector").map(|_| "kubectl apply".to_owned())
    })
}

/// Managers that write once, on a person's word, and never again by themselves.
fn edits_by_hand(manager: &str) -> bool {
    const BY_HAND: [&str; 7] = [
        "kubectl-create",
        "kubectl-edit",
        "kubectl-patch",
        "kubectl-replace",
        "kubectl-set",
        "kubectl-expose",
        "kubectl-run",
    ];
    BY_HAND.contains(&manager)
}

fn name(meta: &ObjectMeta) -> String {
    meta.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
