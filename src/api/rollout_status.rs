//! What the operator says about a rollout. Everything that a restarted controller must know stands here.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

use super::DecisionOutcome;

/// What the operator says about a rollout.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelRolloutStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the rollout stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The same in one sentence.
    pub message: String,
    /// What would end the present wait, and when, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The last verified version: the one that a rollback goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveVersion>,
    /// The version that is being brought on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The present canary step, or the shadow stage or the watch as a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepStatus>,
    /// Shares of the traffic in percent, as read back from the route and the selectors together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<ArmWeights>,
    /// The Deployments that can serve, and what is in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotStatus>,
    /// The Services that follow the active version, and the slot that each selects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<FollowingService>,
    /// How the slots' pods are told from the origin's; chosen once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// Largest number of ready pods of the stable version since the attempt began.
    #[serde(skip_serializing_if = "is_zero")]
    pub capacity: i32,
    /// The comparison as it stood at the last look, one entry for each metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analysis: Vec<MetricStatus>,
    /// The state of the tests; with the raw samples it can be recomputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The rollback under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackIntent>,
    /// The settling under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settling: Option<Settling>,
    /// A person's pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// A foreign edit of the route that took traffic from the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Overridden>,
    /// Foreign edits of the route that gave the candidate more, corrected by us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<RouteConflict>,
    /// What was turned down, the last 20. It is refused until retried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// Times of the last rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rollback: Option<LastRollback>,
    /// Decisions that have been taken up and whose outcome may still have to be written on them, the last 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionRecord>,
    /// What happened, the last 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// Conditions: Ready, Reconciling, Stalled, CandidateReady, RouteProgrammed, EvidenceAvailable and others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::api::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a rollout stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A version is to be brought on; what it needs is being checked.
    Pending,
    /// The candidate's pods are started, and the gateway is made to know them.
    Preparing,
    /// The candidate gets a mirrored copy.
    Shadow,
    /// The candidate gets a rising share.
    Canary,
    /// The candidate gets nearly all; the version before is warm and keeps a share to compare with.
    Watching,
    /// The candidate is verified; Services and route are put to rest.
    Settling,
    /// The version in the spec serves; nothing moves.
    Active,
    /// Traffic is brought back.
    RollingBack,
    /// The candidate was turned down; the version before serves; nothing moves.
    RolledBack,
    /// The ModelRollout is being deleted; traffic is left on the active version.
    Deleting,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A Deployment that can serve.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

/// A step: a share that is held for a time.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Number of the canary step, from 0; 0 in shadow and watch.
    pub index: i32,
    /// Percent of the traffic that the candidate is to get.
    pub weight: i32,
    /// When the step was decided.
    pub started_at: DateTime<Utc>,
    /// Milliseconds that counted towards the hold: at the planned weight, with fresh evidence of both arms.
    #[serde(default)]
    pub held_ms: i64,
    /// Up to when the clock has been counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_to: Option<DateTime<Utc>>,
    /// Milliseconds waited for evidence since the hold was over.
    #[serde(default)]
    pub evidence_ms: i64,
    /// A Promote decision ended the hold.
    #[serde(default)]
    pub promoted: bool,
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

/// Role of a Deployment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// One metric as it stood at the last look.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
    /// Name of the metric.
    pub metric: String,
    /// Pass, Breach, Inconclusive, WarmUp or Unavailable.
    pub verdict: String,
    /// Stable's samples and value.
    #[serde(default)]
    pub stable: ArmNumbers,
    /// The candidate's samples and value.
    #[serde(default)]
    pub candidate: ArmNumbers,
    /// Candidate's value over stable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<String>,
    /// The value beyond which the candidate is too bad, at stable's present value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Evidence that the candidate is worse than the limit, as odds, and the odds at which traffic is brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_worse: Option<String>,
    /// Evidence that the candidate is good enough for promotion, as odds, and the odds that are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_good: Option<String>,
    /// Candidate samples still needed for a verdict, to one digit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_needed: Option<i64>,
    /// The verdict in one sentence, with its numbers.
    #[serde(default)]
    pub message: String,
}

/// Numbers of one arm.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ArmNumbers {
    /// Samples.
    pub n: i64,
    /// Value: a share or a mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The state of the tests of one attempt.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Start of the grid of looks.
    pub t0: DateTime<Utc>,
    /// Length of an interval in milliseconds.
    pub interval_ms: i64,
    /// The last look: end of the last interval that has been judged.
    pub t_k: DateTime<Utc>,
    /// The last interval with fresh samples of both arms ended here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<DateTime<Utc>>,
    /// Times whose intervals are dropped: warm-ups, changes of the weight, foreign edits.
    #[serde(default)]
    pub discarded: Vec<Discarded>,
    /// Pods of the two arms since the attempt began.
    #[serde(default)]
    pub pods: ArmPods,
    /// Test states by metric.
    #[serde(default)]
    pub metrics: Vec<MetricEvidence>,
    /// Looks in a row, and predicted requests in them, at which the candidate was silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub silence: Option<Map<String, Value>>,
}

/// A time whose intervals are dropped.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Discarded {
    /// From here.
    pub from: DateTime<Utc>,
    /// To here; open while nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
}

/// Pods of the two arms.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ArmPods {
    /// Stable's.
    pub stable: Vec<SeenPod>,
    /// The candidate's.
    pub candidate: Vec<SeenPod>,
}

/// A pod that was seen.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SeenPod {
    /// Name of the pod.
    pub name: String,
    /// When its process started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<DateTime<Utc>>,
}

/// Test state of one metric.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricEvidence {
    /// Name of the metric.
    pub name: String,
    /// Limits, shares of alpha and horizons as fixed at the start of the attempt.
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub plan: Map<String, Value>,
    /// Logarithms and sums of the tests.
    #[schemars(schema_with = "crate::api::schema::any_object")]
    pub state: Map<String, Value>,
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
    /// Step, 1 to 4: Services, route, candidate Service, drain.
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

/// What was turned down.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The version.
    pub version: String,
    /// Its bundle; for a change of the template only, empty.
    #[serde(default)]
    pub bundle_digest: String,
    /// For a change of the template only: the template's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// Reason in CamelCase.
    pub reason: String,
    /// The numbers, in a sentence.
    #[serde(default)]
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
    /// `spec.retry` at that time; a higher one tries again.
    #[serde(default)]
    pub retry: i32,
    /// Which try it was.
    #[serde(default)]
    pub attempt: i32,
    /// A Retry decision or a raised `spec.retry` lets it be tried again.
    #[serde(default)]
    pub retried: bool,
}

/// Times of the last rollback.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastRollback {
    /// The version that was taken back.
    pub version: String,
    /// Why, in CamelCase.
    pub reason: String,
    /// End of the interval that showed the breach, or when the decision was made.
    pub breach_at: DateTime<Utc>,
    /// When the operator decided.
    pub decided_at: DateTime<Utc>,
    /// When the API server had the route at stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_written_at: Option<DateTime<Utc>>,
    /// When the gateway had taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_accepted_at: Option<DateTime<Utc>>,
}

/// A decision that has been taken up.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// UID of the RolloutDecision.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub outcome: DecisionOutcome,
    /// Why.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The plan that was in force.
    #[serde(default)]
    pub plan_hash: String,
}

/// Something that happened.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Deterministic id: plan, attempt, transition.
    pub id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// The version that it is about.
    pub version: String,
    /// Digest of that version's bundle.
    #[serde(default)]
    pub bundle_digest: String,
    /// Reason in CamelCase.
    pub reason: String,
    /// On which numbers, or by whom.
    #[serde(default)]
    pub message: String,
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}
