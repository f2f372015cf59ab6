//! Deployments that can serve, the versions in them, and how the user's objects were adopted.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Deployment that can serve.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(transform = crate::api::schema::words)]
pub enum Slot {
    /// The user's own Deployment.
    #[serde(rename = "origin")]
    Origin,
    /// Our Deployment `<origin>-a`.
    #[serde(rename = "a")]
    A,
    /// Our Deployment `<origin>-b`.
    #[serde(rename = "b")]
    B,
}

impl Slot {
    /// The slots of ours.
    pub const OURS: [Self; 2] = [Self::A, Self::B];

    /// Name of the slot's Deployment.
    pub fn deployment(self, origin: &str) -> String {
        match self {
            Self::Origin => origin.to_owned(),
            Self::A => format!("{origin}-a"),
            Self::B => format!("{origin}-b"),
        }
    }

    /// The slot that the next candidate goes to while this one is active.
    pub fn next(self) -> Self {
        match self {
            Self::Origin | Self::B => Self::A,
            Self::A => Self::B,
        }
    }

    /// `origin`, `a` or `b`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version that serves and was verified.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ActiveVersion {
    /// The version, or `unregistered-<hash>` for a template that no registered version matches.
    pub version: String,
    /// Digest of its bundle; empty when unregistered.
    #[serde(default)]
    pub bundle_digest: String,
    /// Where it runs.
    pub slot: Slot,
    /// Hash of the pod template that runs.
    pub template_hash: String,
    /// Since when it is active.
    pub since: DateTime<Utc>,
}

/// What kind of release a candidate is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum ReleaseKind {
    /// Another version.
    #[default]
    Version,
    /// The same version with a changed pod template.
    Template,
    /// A person asked to go back to an earlier version: straight there, nothing judged.
    Expedited,
}

/// The version that is being brought on.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The version.
    pub version: String,
    /// Digest of its bundle.
    #[serde(default)]
    pub bundle_digest: String,
    /// Where it is brought on.
    pub slot: Slot,
    /// Hash of its pod template.
    pub template_hash: String,
    /// Hash of all that the evidence is bound to; a change of it before the promotion is a new plan.
    pub plan_hash: String,
    /// Which try of this bundle and template it is, from 1.
    pub attempt: i32,
    /// What kind of release it is.
    #[serde(default)]
    pub kind: ReleaseKind,
    /// Since when it is brought on.
    pub since: DateTime<Utc>,
    /// Pods that its autoscaler must not go below: the most that its shares have needed so far. 0 without an autoscaler.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub floor: i32,
    /// Without a gateway: the selector that leads to both versions. Chosen with the plan, because later it could not be found
    /// again in a template that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub both: Option<BTreeMap<String, String>>,
    /// Containers of both versions that ended badly in the last five minutes, at most ten of each version. A pod tells only
    /// of the last time, and two make a crash loop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<BadExit>,
}

/// A container that ended badly.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BadExit {
    /// Name of its pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Exit code.
    pub code: i32,
    /// It was killed for memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
    /// The pod was being deleted, evicted or had lost its node: that is not the version's fault.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explained: bool,
    /// It belongs to the stable version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stable: bool,
}

/// Whether a count is not worth a line.
fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// Role of a Deployment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Role {
    /// Serves the verified version.
    Active,
    /// Serves the candidate.
    Candidate,
    /// Serves nothing.
    Idle,
}

/// A Deployment that can serve.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// Name of the Deployment.
    pub deployment: String,
    /// What it does.
    pub role: Role,
    /// The version in it.
    #[serde(default)]
    pub version: String,
    /// Hash of its template.
    #[serde(default)]
    pub template_hash: String,
    /// Ready pods.
    pub ready: i32,
    /// Wanted pods.
    pub replicas: i32,
}

/// A Service that follows the active version.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FollowingService {
    /// Name of the Service.
    pub name: String,
    /// The slot that it selects; nothing when its selector is none that we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
}

/// How the slots' pods are told from the origin's. Chosen once, at adoption, because later nothing of it can be found
/// again in objects that we changed.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// Labels of the origin's pods whose value gets `-a` or `-b` on a slot's pods.
    pub labels: BTreeMap<String, String>,
    /// Services that follow, with the selector that the user wrote.
    pub services: Vec<OriginalSelector>,
}

/// A Service's selector as the user wrote it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OriginalSelector {
    /// Name of the Service.
    pub name: String,
    /// Its selector.
    pub selector: BTreeMap<String, String>,
    /// Who owned the selector before we wrote it: it is theirs again at hand-back, or their next server-side apply would
    /// fail with a conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<FieldOwner>,
}

/// An owner of a field, as `metadata.managedFields` names it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FieldOwner {
    /// The field manager.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// Version of the API that it wrote through.
    pub api_version: String,
    /// When it wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<DateTime<Utc>>,
}

/// Which admission policy of ours keeps the selectors of the Services while a slot is active.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum SelectorGuard {
    /// Whoever writes a selector, it stays as it must be.
    Mutating,
    /// A foreign change of a selector is refused.
    Validating,
    /// Neither: a selector that somebody changes is corrected after the fact, while the operator lives.
    None,
}
