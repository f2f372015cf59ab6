//! How traffic reaches the workload.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;
use super::rules::{self, model_rollout};

/// The workload that serves the model.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// The user's own Deployment: it serves on day one and is the template for every version. Its template is never patched.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::label("workload.deployment"))]
    #[x_kube(validation = rules::room_for_suffix("workload.deployment"))]
    #[x_kube(validation = rules::immutable("workload.deployment"))]
    pub deployment: String,
    /// Keep the stable version's autoscaler floor at its capacity until the watch has ended.
    #[serde(default = "yes")]
    pub hold_capacity: bool,
    /// Scale of the active version at rest, where no autoscaler sets it. Left out: what the user set on the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub replicas: Option<i32>,
}

/// How traffic reaches the workload.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = model_rollout::one_provider())]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The user's Service: it always selects the active version.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::label("traffic.service"))]
    #[x_kube(validation = rules::room_for_suffix("traffic.service"))]
    #[x_kube(validation = rules::immutable("traffic.service"))]
    pub service: String,
    /// Traffic is split by an HTTPRoute of the Gateway API.
    #[serde(default, rename = "gatewayAPI", skip_serializing_if = "Option::is_none")]
    pub gateway_api: Option<GatewayApi>,
    /// There is no gateway: the candidate's share is its part of the pods behind the Service. Shares are coarse, nothing can be
    /// mirrored, and the watch has no control share to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// How long an arm that no longer gets traffic is kept, so that its requests can end; at least the pods' grace period is waited.
    #[serde(default = "drain")]
    pub drain: Span,
}

/// The HTTPRoute through which the traffic comes.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApi {
    /// Name of the user's HTTPRoute. Its rules that name the Service are split while a rollout runs, and are as written at rest.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::subdomain("gatewayAPI.httpRoute"))]
    pub http_route: String,
    /// Whether the gateway can mirror requests: found out from it, or said by the user.
    #[serde(default)]
    pub mirror: Mirror,
    /// Parents (Gateways) whose acceptance counts, by name. Left out: all of the route's parents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub parents: Vec<String>,
}

/// Traffic is split by the counts of pods behind the Service. There is nothing to set.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {}

/// Whether the gateway can mirror requests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Mirror {
    /// Found out from the GatewayClass, else from the controllers that are known to.
    #[default]
    Auto,
    /// It can, the user says.
    Supported,
    /// It cannot, the user says.
    Unsupported,
}

fn yes() -> bool {
    true
}
fn drain() -> Span {
    "30s".into()
}
