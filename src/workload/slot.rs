//! The Deployment of a slot, and how objects of ours are known.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PodAffinityTerm, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;

use super::labels::{own_selector, pod_labels, value_for};
use crate::api::{Adoption, Slot, keys};

/// Whose an object is: written on every object of ours instead of an ownerReference.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// Name of the ModelRollout, for people.
    pub rollout: &'a str,
    /// Its UID, which decides.
    pub rollout_uid: &'a str,
}

impl Mark<'_> {
    /// The labels that carry the mark.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (keys::ROLLOUT.to_owned(), label_value(self.rollout)),
            (keys::ROLLOUT_UID.to_owned(), self.rollout_uid.to_owned()),
        ])
    }
}

/// A name as a label value: names may be longer than a label value and are cut, which only people see.
fn label_value(name: &str) -> String {
    let mut value: String = name.chars().take(63).collect();
    while value.ends_with(['.', '-', '_']) {
        value.pop();
    }
    value
}

/// What a slot's Deployment is made of.
#[derive(Clone, Copy, Debug)]
pub struct SlotSpec<'a> {
    /// The user's Deployment.
    pub origin: &'a Deployment,
    /// The origin's template with the version's `serving` put in.
    pub template: &'a PodTemplateSpec,
    /// Hash of that template.
    pub template_hash: &'a str,
    /// The version in it.
    pub version: &'a str,
    /// How the slot's pods are told from the origin's.
    pub adoption: &'a Adoption,
    /// Which slot it is.
    pub slot: Slot,
    /// Whose it is.
    pub mark: Mark<'a>,
}

/// The Deployment of a slot, with no pods yet: its scale is written through the scale subresource only.
///
/// The origin's spec is copied except replicas, selector and `paused` (a paused slot would never get a pod). Nothing of
/// the origin's metadata is copied: tools that track it would take the slot for theirs and remove it.
pub fn deployment(spec: &SlotSpec) -> Deployment {
    let origin = spec.origin.metadata.name.as_deref().unwrap_or_default();
    let mut body = spec.origin.spec.clone().unwrap_or_default();
    body.replicas = Some(0);
    body.paused = None;
    body.selector =
        LabelSelector { match_labels: Some(own_selector(spec.slot, origin)), match_expressions: None };
    body.template = template(spec, origin);
    let mut labels = spec.mark.labels();
    labels.extend(own_selector(spec.slot, origin));
    Deployment {
        metadata: ObjectMeta {
            name: Some(spec.slot.deployment(origin)),
            namespace: spec.origin.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations(spec.adoption, spec.version, spec.template_hash)),
            ..ObjectMeta::default()
        },
        spec: Some(body),
        status: None,
    }
}

/// What is written on a slot's Deployment: the version in it, the hash of its template, and how its pods are told from the
/// origin's.
pub fn annotations(adoption: &Adoption, version: &str, template_hash: &str) -> BTreeMap<String, String> {
    // Maps of strings are always JSON; an empty record would be read as none.
    let adoption = serde_json::to_string(adoption).unwrap_or_default();
    BTreeMap::from([
        (keys::ADOPTION.to_owned(), adoption),
        (keys::SLOT_VERSION.to_owned(), version.to_owned()),
        (keys::TEMPLATE_HASH.to_owned(), template_hash.to_owned()),
    ])
}

/// The adoption record of a slot, from its annotation.
pub fn adoption_of(meta: &ObjectMeta) -> Option<Adoption> {
    serde_json::from_str(meta.annotations.as_ref()?.get(keys::ADOPTION)?).ok()
}

fn template(spec: &SlotSpec, origin: &str) -> PodTemplateSpec {
    let mut out = spec.template.clone();
    let meta = out.metadata.get_or_insert_default();
    let mut labels = pod_labels(spec.adoption, &meta.labels.take().unwrap_or_default(), spec.slot, origin);
    // The rollout's UID is not among a pod's labels: taking a slot over must not restart its pods.
    labels.insert(keys::TEMPLATE_HASH.to_owned(), spec.template_hash.to_owned());
    meta.labels = Some(labels);
    if let Some(pod) = out.spec.as_mut() {
        follow(pod, spec.adoption, spec.slot);
    }
    out
}

/// Lets the selectors inside a template that name the origin's pods name the slot's.
fn follow(pod: &mut PodSpec, adoption: &Adoption, slot: Slot) {
    let mut selectors: Vec<&mut LabelSelector> = Vec::new();
    if let Some(affinity) = pod.affinity.as_mut() {
        if let Some(near) = affinity.pod_affinity.as_mut() {
            selectors.extend(terms(
                &mut near.required_during_scheduling_ignored_during_execution,
                &mut near.preferred_during_scheduling_ignored_during_execution,
            ));
        }
        if let Some(apart) = affinity.pod_anti_affinity.as_mut() {
            selectors.extend(terms(
                &mut apart.required_during_scheduling_ignored_during_execution,
                &mut apart.preferred_during_scheduling_ignored_during_execution,
            ));
        }
    }
    let spread = pod.topology_spread_constraints.iter_mut().flatten();
    selectors.extend(spread.filter_map(|c| c.label_selector.as_mut()));
    for selector in selectors {
        follow_selector(selector, adoption, slot);
    }
}

fn terms<'a>(
    required: &'a mut Option<Vec<PodAffinityTerm>>,
    preferred: &'a mut Option<Vec<k8s_openapi::api::core::v1::WeightedPodAffinityTerm>>,
) -> impl Iterator<Item = &'a mut LabelSelector> {
    let preferred = preferred.iter_mut().flatten().map(|w| &mut w.pod_affinity_term);
    required.iter_mut().flatten().chain(preferred).filter_map(|t| t.label_selector.as_mut())
}

fn follow_selector(selector: &mut LabelSelector, adoption: &Adoption, slot: Slot) {
    for (key, original) in &adoption.labels {
        let named = selector.match_labels.as_mut().and_then(|m| m.get_mut(key)).filter(|v| *v == original);
        if let Some(value) = named {
            *value = value_for(original, slot);
        }
        for expression in selector.match_expressions.iter_mut().flatten().filter(|e| e.key == *key) {
            for value in expression.values.iter_mut().flatten().filter(|v| *v == original) {
                *value = value_for(original, slot);
            }
        }
    }
}

/// Whether an object belongs to this ModelRollout.
pub fn is_ours(meta: &ObjectMeta, mark: &Mark) -> bool {
    owner_uid(meta) == Some(mark.rollout_uid)
}

/// UID of the ModelRollout that an object belongs to; nothing for somebody else's object.
pub fn owner_uid(meta: &ObjectMeta) -> Option<&str> {
    meta.labels.as_ref()?.get(keys::ROLLOUT_UID).map(String::as_str)
}

#[cfg(test)]
mod tests;
