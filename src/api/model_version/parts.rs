//! What describes a version beside its bundle: interface, serving, provenance, card, dependencies, evaluations.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::rules;
use crate::api::time::Moment;

/// What callers rely on.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// JSON Schema of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub input: Option<Map<String, Value>>,
    /// JSON Schema of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub output: Option<Map<String, Value>>,
}

/// How a version appears in the pod template.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Name of the container in the origin's template that serves the model.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("container"))]
    pub container: String,
    /// Image of that container, pinned by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::image())]
    pub image: Option<String>,
    /// Arguments of that container; they replace the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[schemars(inner(length(max = 4096)))]
    pub args: Option<Vec<String>>,
    /// Environment variables of that container; one of the same name is replaced in place, new ones come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

/// One environment variable with a plain value.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::env_name())]
    pub name: String,
    /// Value; `$(NAME)` expands as in any container.
    #[serde(default)]
    #[schemars(length(max = 8192))]
    pub value: String,
}

/// Where a version comes from.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// Git commit of the training code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub git_commit: Option<String>,
    /// Digest of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub dataset_digest: Option<String>,
    /// Identifier of the training run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub training_run: Option<String>,
    /// Hyperparameters of the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub hyperparameters: Option<Map<String, Value>>,
    /// Who or what built the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub builder: Option<String>,
}

/// The model card.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// Who answers for this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub owner: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub intended_use: Option<String>,
    /// What it must not be used for, and where it is known to be weak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub limitations: Option<String>,
    /// Licence of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub license: Option<String>,
}

/// Another model that this version needs.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Logical name of the other model.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("dependencies[].model"))]
    pub model: String,
    /// Range of versions, such as `>=2.1, <3`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rules::range())]
    pub version: String,
}

/// One result of an offline evaluation.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// Name of the evaluation suite, such as `holdout-2026-10`.
    #[schemars(length(min = 1, max = 63))]
    pub suite: String,
    /// Identifier of the run that produced it.
    #[serde(rename = "runID")]
    #[schemars(length(min = 1, max = 128))]
    pub run_id: String,
    /// When it was produced.
    pub at: Moment,
    /// Measured values by name, such as `f1`.
    #[serde(default)]
    #[schemars(schema_with = "crate::api::schema::measured")]
    pub metrics: BTreeMap<String, f64>,
    /// The same for parts of the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub slices: Vec<Slice>,
}

/// Measured values of one part of the data.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// Name of the part, such as `new-customers`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Measured values by name.
    #[serde(default)]
    #[schemars(schema_with = "crate::api::schema::measured")]
    pub metrics: BTreeMap<String, f64>,
}
