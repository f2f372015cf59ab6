//! How a slot's pods are told from the origin's, and which selector leads to which slot.
//!
//! The choice is made once, at adoption. Afterwards everything is computed from the record of it, because the objects
//! themselves have been changed by us.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use thiserror::Error;

use super::services::{follows_selector, selects};
use super::template::short_hash;
use crate::api::{Adoption, OriginalSelector, Slot, keys};

type Labels = BTreeMap<String, String>;

/// Longest value that a label may have.
const VALUE_LIMIT: usize = 63;

/// Why no label can tell a slot's pods from the origin's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdoptionError {
    /// No label with one value stands in the Deployment's selector.
    #[error(
        "the selector of Deployment {deployment:?} names no label with a single value, so pods of a slot cannot be kept \
         out of it; create the Deployment again with a selector in matchLabels"
    )]
    NoSelector {
        /// The origin.
        deployment: String,
    },
    /// No Service leads to the Deployment.
    #[error(
        "none of the Services {services:?} selects the pods of Deployment {deployment:?}; make the selector of the \
         Service in traffic.service match the labels of its pod template"
    )]
    NoService {
        /// The origin.
        deployment: String,
        /// Services that were looked at.
        services: Vec<String>,
    },
}

/// Chooses the labels in which a slot's pods differ from the origin's: the first by name that stands in the origin's
/// selector and in the selector of every Service that selects the origin; none in common: the first of each.
///
/// Services that do not select the origin's pods are left out of account.
pub fn choose(origin: &Deployment, services: &[&Service]) -> Result<Adoption, AdoptionError> {
    let deployment = origin.metadata.name.clone().unwrap_or_default();
    let selector = single_values(origin);
    if selector.is_empty() {
        return Err(AdoptionError::NoSelector { deployment });
    }
    let pods = pod_template_labels(origin);
    let name = |s: &Service| s.metadata.name.clone().unwrap_or_default();
    let mut following: Vec<OriginalSelector> = services
        .iter()
        .filter(|s| selects(s, &pods))
        .filter_map(|s| {
            let selector = follows_selector(s)?.clone();
            Some(OriginalSelector { name: name(s), selector, owners: Vec::new() })
        })
        .collect();
    following.sort_by(|a, b| a.name.cmp(&b.name));
    if following.is_empty() {
        let services = services.iter().map(|s| name(s)).collect();
        return Err(AdoptionError::NoService { deployment, services });
    }
    let common = selector.iter().find(|(key, _)| following.iter().all(|s| s.selector.contains_key(*key)));
    let mut labels = Labels::new();
    match common {
        Some((key, value)) => drop(labels.insert(key.clone(), value.clone())),
        None => {
            for one in std::iter::once(&selector).chain(following.iter().map(|s| &s.selector)) {
                if let Some((key, value)) = one.iter().next()
                    && !one.keys().any(|k| labels.contains_key(k))
                {
                    labels.insert(key.clone(), value.clone());
                }
            }
        }
    }
    Ok(Adoption { labels, services: following })
}

/// Labels of a Deployment's pod template.
pub fn pod_template_labels(deployment: &Deployment) -> Labels {
    let template = deployment.spec.as_ref().and_then(|s| s.template.metadata.as_ref());
    template.and_then(|m| m.labels.clone()).unwrap_or_default()
}

/// Labels for which the Deployment's selector admits exactly one value.
fn single_values(deployment: &Deployment) -> Labels {
    let Some(selector) = deployment.spec.as_ref().map(|s| &s.selector) else { return Labels::new() };
    let mut out = selector.match_labels.clone().unwrap_or_default();
    for expression in selector.match_expressions.iter().flatten() {
        if let ("In", Some([value])) = (expression.operator.as_str(), expression.values.as_deref()) {
            out.insert(expression.key.clone(), value.clone());
        }
    }
    out
}

/// Labels of a slot's pods: the template's, the changed labels with the slot's suffix, and the two of ours that are the
/// slot Deployment's own selector. The origin's pods keep the template's labels.
pub fn pod_labels(adoption: &Adoption, template_labels: &Labels, slot: Slot, workload: &str) -> Labels {
    let mut out = template_labels.clone();
    if slot == Slot::Origin {
        return out;
    }
    for (key, value) in &adoption.labels {
        out.insert(key.clone(), value_for(value, slot));
    }
    out.extend(own_selector(slot, workload));
    out
}

/// The slot Deployment's own selector.
pub fn own_selector(slot: Slot, workload: &str) -> Labels {
    Labels::from([
        (keys::WORKLOAD.to_owned(), workload.to_owned()),
        (keys::SLOT.to_owned(), slot.as_str().to_owned()),
    ])
}

/// A Service's selector so that it leads to the slot; the origin's is the one that the user wrote.
pub fn selector_for(adoption: &Adoption, original: &Labels, slot: Slot) -> Labels {
    let mut out = original.clone();
    if slot == Slot::Origin {
        return out;
    }
    for (key, value) in &adoption.labels {
        if out.contains_key(key) {
            out.insert(key.clone(), value_for(value, slot));
        }
    }
    if out == *original {
        // A Service that came after the adoption and selects by other labels only: tell the slots apart by our own.
        out.insert(keys::SLOT.to_owned(), slot.as_str().to_owned());
    }
    out
}

/// The slot that a Service selects, or nothing when its selector is none that we would write.
pub fn selected_slot(adoption: &Adoption, original: &Labels, selector: &Labels) -> Option<Slot> {
    [Slot::Origin, Slot::A, Slot::B]
        .into_iter()
        .find(|slot| selector_for(adoption, original, *slot) == *selector)
}

/// A changed label's value on a slot's pods: with `-a` or `-b`, within what a label value may hold.
pub(super) fn value_for(value: &str, slot: Slot) -> String {
    let suffix = match slot {
        Slot::Origin => return value.to_owned(),
        Slot::A | Slot::B => slot.as_str(),
    };
    if value.is_empty() {
        return suffix.to_owned();
    }
    if value.len() + 1 + suffix.len() <= VALUE_LIMIT {
        return format!("{value}-{suffix}");
    }
    // Too long: keep the start for people, and a hash so that two long values stay two.
    let hash = short_hash(&value);
    let keep = VALUE_LIMIT - hash.len() - suffix.len() - 2;
    let start: String = value.chars().take(keep).collect();
    format!("{start}-{hash}-{suffix}")
}

#[cfg(test)]
mod tests;
