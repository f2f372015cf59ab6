//! `ModelVersion`: the registry entry of one version.

mod parts;
mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::rules;

pub use parts::*;
pub use status::*;

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
