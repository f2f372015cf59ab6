//! The labels by which one Service selects both versions.

use std::collections::BTreeMap;

use crate::rollout::{Draft, world};
use crate::workload::both;
use crate::workload::labels::pod_template_labels;

/// The selector that leads to both arms; nothing where they have no label of their own in common.
pub fn selector_of_both(d: &Draft<'_>) -> Option<BTreeMap<String, String>> {
    let adoption = d.status.adoption.as_ref()?;
    let workload = &d.spec().workload.deployment;
    let original = adoption.services.iter().find(|s| s.name == d.spec().traffic.service)?;
    let labels = d.obs.origin.as_deref().map(pod_template_labels).unwrap_or_default();
    both::selector(adoption, &original.selector, world::active_slot(&d.status), &labels, workload)
}

/// Why no selector leads to both arms and to nothing else; nothing when there is one.
pub fn not_shared(d: &Draft<'_>) -> Option<String> {
    let planned = d.status.candidate.as_ref().map(|c| c.both.clone());
    let Some(both) = planned.unwrap_or_else(|| selector_of_both(d)) else { return Some(hint(d)) };
    let like =
        |labels: &&BTreeMap<String, String>| both.iter().all(|(key, value)| labels.get(key) == Some(value));
    let other = d.obs.other_pod_labels.iter().find(like)?;
    let other: Vec<String> = other.iter().map(|(k, v)| format!("{k}={v}")).collect();
    Some(format!("{} (those with {} have all of them)", hint(d), other.join(",")))
}

fn hint(d: &Draft<'_>) -> String {
    let service = &d.spec().traffic.service;
    let deployment = &d.spec().workload.deployment;
    let keys: Vec<&str> =
        d.status.adoption.iter().flat_map(|a| a.labels.keys()).map(String::as_str).collect();
    format!(
        "Service {service} has to select both versions at once, so the pods of Deployment {deployment} need a label beside {} that no \
         other pods of the namespace have; add one to its pod template, such as serving: {deployment}",
        keys.join(" and ")
    )
}
