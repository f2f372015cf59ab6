//! Where a rollout stands on its way, and what holds it or turns it back.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Slot;
use super::is_zero;

/// A step: a share that is held for a time.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Number of the canary step, from 0; 0 in shadow and watch.
    pub index: i32,
    /// Percent of the traffic that the candidate is to get in this step.
    pub weight: i32,
    /// Percent that the operator has decided to set now: the step's, or less while pods are missing.
    #[serde(default)]
    pub set: i32,
    /// When it was decided to set that.
    pub set_at: DateTime<Utc>,
    /// What was set has been read back from the route; from then on less on the route is somebody else's edit.
    #[serde(default)]
    pub written: bool,
    /// Since when pods that the step needs are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_since: Option<DateTime<Utc>>,
    /// Pods that the next share needs and that are still missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<AwaitedPods>,
    /// Without a gateway: the counts of pods that make the step's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<StepCounts>,
    /// When the step was decided.
    pub started_at: DateTime<Utc>,
    /// Milliseconds that counted towards the hold: at the planned weight, with fresh evidence of both arms.
    #[serde(default)]
    pub held_ms: i64,
    /// Milliseconds waited for evidence since the hold was over.
    #[serde(default)]
    pub evidence_ms: i64,
    /// A Promote decision ended the hold.
    #[serde(default)]
    pub promoted: bool,
}

/// Counts of pods that make a share.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StepCounts {
    /// Pods of the candidate.
    pub candidate: i32,
    /// Pods of the stable version beside them.
    pub stable: i32,
}

/// Pods that are waited for.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AwaitedPods {
    /// So many have to be ready.
    pub pods: i32,
    /// Since when fewer are.
    pub since: DateTime<Utc>,
}

/// Shares of the traffic in percent.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArmWeights {
    /// Percent that reaches the stable version.
    pub stable: i32,
    /// Percent that reaches the candidate.
    pub candidate: i32,
    /// Percent that is mirrored to the candidate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mirror: i32,
}

/// A rollback under way.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RollbackIntent {
    /// Reason in CamelCase.
    pub reason: String,
    /// The numbers, in a sentence.
    pub message: String,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// The candidate is turned down; false when the version was set back or a newer one took its place.
    pub reject: bool,
    /// When the route was seen at stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_clean_at: Option<DateTime<Utc>>,
}

/// A settling under way.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Settling {
    /// Step, 1 to 5: Services, route, candidate Service, what may still hold, the old version's scale.
    pub step: i32,
    /// When the step began.
    pub since: DateTime<Utc>,
    /// The slot that the old version is in.
    pub old_slot: Slot,
    /// A Rollback decision that waits for the route to be settled: the old arm is kept warm and gets the traffic back.
    #[serde(default)]
    pub reverse: bool,
}

/// A person's pause.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Who paused, as claimed.
    pub by: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// A foreign edit that took traffic from the candidate. It is kept until a person resumes.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Overridden {
    /// Who wrote it, from the route's managedFields.
    pub writer: String,
    /// Since when it was seen.
    pub since: DateTime<Utc>,
    /// The candidate's percent as found.
    pub weight: i32,
    /// A person resumed; the planned weight is to be written again.
    #[serde(default)]
    pub resumed: bool,
}

/// Foreign edits that gave the candidate more. They are corrected.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RouteConflict {
    /// Who wrote the last one.
    pub writer: String,
    /// Times of our corrections within the last minute.
    pub corrections: Vec<DateTime<Utc>>,
}
