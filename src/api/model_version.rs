//! `ModelVersion`: the registry entry of one version.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules;
use super::time::Moment;

/// One registered version of a model: a bundle of weights, prompt, tools and parameters with its provenance and
/// evaluations. The spec never changes, except that evaluations may be appended. Registering a version deploys nothing.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "understudy.dev",
    version = "v1alpha1",
    kind = "ModelVersion",
    namespaced,
    status = "ModelVersionStatus",
    derive = "PartialEq",
    shortname = "mv",
    category = "models",
    selectable = ".spec.model",
    selectable = ".spec.version",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.bundleDigest", priority = 1),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name == self.spec.model + '-' + self.spec.version")
        .message("metadata.name must be <model>-<version>, such as fraud-scorer-1.4.0: it makes a version unique"),
    doc = "One registered, immutable version of a model: weights or a pinned provider model, prompt, tools, parameters, provenance and evaluations."
)]
#[x_kube(validation = rules::model_version::unchanged())]
#[x_kube(validation = rules::model_version::evaluations_appended())]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionSpec {
    /// Logical name of the model, the same for all its versions.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("model"))]
    pub model: String,
    /// SemVer 2.0 version without build metadata, lower case, such as `1.4.0` or `2.0.0-rc.1`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::semver())]
    pub version: String,
    /// The weights: exactly one of `artifact` and `provider`.
    pub weights: Weights,
    /// The prompt that belongs to this version, by reference and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PinnedRef>,
    /// The tools (function definitions) of this version, by reference and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<PinnedRef>,
    /// Sampling and other parameters of this version, such as `temperature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub parameters: Option<Map<String, Value>>,
    /// What callers rely on: the shape of requests and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// How this version appears in the pod template. What is left out stays as the origin's template has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// Where this version comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The model card: who answers for this version and what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// Other models that this version needs, with the versions it works with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub dependencies: Vec<Dependency>,
    /// Versions of the same class answer the same requests and may stand in for each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("equivalenceClass"))]
    pub equivalence_class: Option<String>,
    /// Results of offline evaluations. Append-only: an entry never changes once written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub evaluations: Vec<Evaluation>,
}

/// Weights of a version: an artifact of one's own or a provider's pinned model.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("has(self.artifact) != has(self.provider)")
        .message("weights must have exactly one of artifact (weights of your own) and provider (a provider's dated model)")
)]
#[serde(rename_all = "camelCase")]
pub struct Weights {
    /// Weights that are kept as an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// A provider's model, pinned by its dated name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderModel>,
}

/// Weights kept as an artifact.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Where the artifact is, pinned: an OCI reference by digest, or a file or object address.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::has_scheme())]
    #[x_kube(validation = rules::pinned())]
    #[x_kube(validation = rules::oci_by_digest())]
    pub uri: String,
    /// SHA-256 of the artifact, `sha256:` and 64 hexadecimal digits.
    #[schemars(length(max = 71))]
    #[x_kube(validation = rules::digest())]
    pub digest: String,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000000000000000i64))]
    pub size_bytes: Option<i64>,
    /// Format of the file, such as `safetensors`, `gguf` or `onnx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub format: Option<String>,
}

/// A provider's model.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderModel {
    /// The provider, such as `openai`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The dated model name, such as `gpt-4o-2024-08-06`. Floating names are refused.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::dated_model())]
    pub model: String,
}

/// Something outside the cluster, pinned by its digest.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PinnedRef {
    /// Where it is.
    #[serde(rename = "ref")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::has_scheme())]
    #[x_kube(validation = rules::pinned())]
    #[x_kube(validation = rules::oci_by_digest())]
    pub reference: String,
    /// SHA-256 of its content, `sha256:` and 64 hexadecimal digits.
    #[schemars(length(max = 71))]
    #[x_kube(validation = rules::digest())]
    pub digest: String,
}

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
    #[schemars(length(min = 1, max = 128))]
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

/// Where a version stands, derived from the rollouts that name it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transform = crate::api::schema::words)]
pub enum Stage {
    /// Registered and used nowhere.
    Staging,
    /// Turned down by every rollout that tried it and used nowhere.
    Rejected,
    /// Was active once and is used nowhere.
    Deprecated,
    /// Gets a mirrored copy of traffic.
    Shadow,
    /// Gets a share of traffic.
    Canary,
    /// Gets almost all traffic and is still watched.
    Watching,
    /// Serves.
    Active,
}

/// What the operator knows of a version.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionStatus {
    /// SHA-256 over the canonical JSON of weights, prompt, tools and parameters: the identity of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_digest: Option<String>,
    /// Where the version stands: the furthest of all rollouts that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Rollouts that use the version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<UsedBy>,
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::api::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// One use of a version.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    /// Name of the ModelRollout.
    pub rollout: String,
    /// Its environment.
    #[serde(default)]
    pub environment: String,
    /// Where the version stands there.
    pub stage: Stage,
    /// Since when.
    pub since: DateTime<Utc>,
}
