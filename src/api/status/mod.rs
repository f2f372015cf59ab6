//! What the operator says about a rollout. Everything that a restarted controller must know stands here.

mod ab_test;
mod evidence;
mod packed;
mod record;
mod shadow;
mod slot;
mod step;

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use ab_test::*;
pub use evidence::*;
pub use record::*;
pub use shadow::*;
pub use slot::*;
pub use step::*;

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
    /// What keeps the Services' selectors when the operator is away; nothing while that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector_guard: Option<SelectorGuard>,
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
    /// The shadow stage of this attempt: what it was reckoned to cost, and what was mirrored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
    /// The A/B test of this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ab_test: Option<AbTestStatus>,
    /// The tests of the last attempt as they ended, until the next one begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_evidence: Option<LastEvidence>,
    /// The HTTPRoute that the candidate's traffic comes through. When the spec names another one, this one is put back first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
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
#[schemars(transform = crate::api::schema::words)]
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

fn is_zero(n: &i32) -> bool {
    *n == 0
}
