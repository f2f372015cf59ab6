//! Companions of a slot: its autoscaler and its disruption budget, made from the user's that belong to the origin.
//!
//! They are kept as plain JSON: a typed binding would drop the fields that it does not know, and the copy would then do
//! something else than the original.

pub mod autoscaler;
pub mod budget;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::labels::own_selector;
use super::slot::Mark;
use crate::api::Slot;

/// Kind of a companion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A HorizontalPodAutoscaler.
    Autoscaler,
    /// A PodDisruptionBudget.
    Budget,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Autoscaler, Self::Budget];

    /// The name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Autoscaler => "HorizontalPodAutoscaler",
            Self::Budget => "PodDisruptionBudget",
        }
    }

    /// The resource, as RBAC names it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Autoscaler => "horizontalpodautoscalers",
            Self::Budget => "poddisruptionbudgets",
        }
    }

    /// Group and version.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Autoscaler => "autoscaling/v2",
            Self::Budget => "policy/v1",
        }
    }
}

/// Which slot a companion is for, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct For<'a> {
    /// The origin's name.
    pub workload: &'a str,
    /// The slot; the origin has no companions of ours.
    pub slot: Slot,
    /// Whose.
    pub mark: Mark<'a>,
}

impl For<'_> {
    /// A copy with the given spec. No metadata of the user's object comes along, as with the slots themselves.
    fn copy(&self, kind: Kind, original: &Value, spec: Value) -> Value {
        let mut labels = self.mark.labels();
        labels.extend(own_selector(self.slot, self.workload));
        json!({
            "apiVersion": kind.api_version(), "kind": kind.as_str(),
            "metadata": {
                "name": self.slot.deployment(self.workload), "namespace": original["metadata"]["namespace"],
                "labels": labels,
            },
            "spec": spec,
        })
    }
}

/// Metadata of an object.
pub fn meta(object: &Value) -> ObjectMeta {
    serde_json::from_value(object["metadata"].clone()).unwrap_or_default()
}

/// Name of an object.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether an object is of a ModelRollout, this one or another.
pub fn is_copy(object: &Value) -> bool {
    super::slot::owner_uid(&meta(object)).is_some()
}

/// The labels that a present copy lacks, together with those it has; nothing when it has them all.
pub fn labels_to_set(present: &Value, wanted: &Value) -> Option<Value> {
    let labels = |object: &Value| -> Map<String, Value> {
        object["metadata"]["labels"].as_object().cloned().unwrap_or_default()
    };
    let (have, wanted) = (labels(present), labels(wanted));
    let lacks = wanted.iter().any(|(key, value)| have.get(key) != Some(value));
    lacks.then(|| Value::Object(have.into_iter().chain(wanted).collect()))
}

#[cfg(test)]
mod tests;
