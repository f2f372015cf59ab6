//! The comparison as it stood at the last look, and the state of its tests.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::packed::Packed;

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
    /// How long these take at the candidate's present traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_needed: Option<String>,
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
    /// The tests with all that is needed to go on with them, or to recompute them: JSON, gzip, base64, to be read with
    /// `base64 -d | gunzip`. What a person wants to know of them stands in `status.analysis`.
    #[serde(default = "Packed::missing")]
    #[schemars(schema_with = "super::packed::schema")]
    pub tests: Packed,
    /// The last interval with fresh samples of both arms ended here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<DateTime<Utc>>,
    /// The scrape interval in milliseconds, as measured from the samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_ms: Option<i64>,
    /// When Prometheus was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<DateTime<Utc>>,
    /// Prometheus has been seen to scrape the candidate's pods.
    #[serde(default)]
    pub candidate_scraped: bool,
    /// Twice stable's p99 in milliseconds: a warm-up is never shorter.
    #[serde(default)]
    pub tail_ms: i64,
    /// Requests of the stable version per day, by the hour before the attempt and as the gateway counts them where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<i64>,
    /// What today's traffic can show, as reckoned before any of it moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// Port of the Service, where a metric's gateway label has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub port: String,
}

/// The tests of an attempt, and what they rest on beside the samples. As one text in status: they are for programs, and
/// take a fifth of the room.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Tests {
    /// What is asked for, limits, logarithms and sums, by metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricEvidence>,
    /// Times whose intervals are dropped: warm-ups, changes of the weight, foreign edits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<Discarded>,
    /// Pods of the two arms since the attempt began.
    #[serde(default)]
    pub pods: ArmPods,
    /// What moved the tests beside the samples, in order: with it and the raw samples the state can be recomputed
    /// (`understudy audit-evidence`). At most 100; an attempt with more of them cannot be audited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// The tests of an attempt that has ended.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastEvidence {
    /// The version that was on trial.
    pub version: String,
    /// Hash of its plan.
    pub plan_hash: String,
    /// How they stood.
    pub evidence: Evidence,
}

/// Something beside the samples that moves the tests.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// What it is.
    pub what: MarkKind,
    /// The last look before it: it counts for the intervals that end later.
    pub after: DateTime<Utc>,
    /// Its time. For `Planned`: where the past ends from which limits were chosen.
    pub at: DateTime<Utc>,
    /// For `WarmUp`: its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
}

/// What can move the tests beside the samples.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum MarkKind {
    /// Limits and bounds were chosen, for an attempt that begins with the shadow stage.
    PlannedShadow,
    /// Limits and bounds were chosen, for an attempt that begins with the canary.
    PlannedCanary,
    /// The canary began, with new ledgers.
    Canary,
    /// The watch began, with new ledgers.
    Watch,
    /// The watch began again, because what it compares with has changed.
    WatchAgain,
    /// A step began: samples of the step start again.
    Step,
    /// A step began that is an A/B test: samples of the step and sessions start again.
    AbTest,
    /// A time is dropped: the share or the pods changed.
    WarmUp,
    /// Somebody else's edit of the share was seen: what overlaps it is dropped.
    ForeignBegins,
    /// It has gone.
    ForeignEnds,
    /// The mirror was switched off for the sake of the budget: until it is on again, or the canary begins, nothing is judged.
    MirrorOff,
    /// It is on again.
    MirrorOn,
}

/// What today's traffic can show, and when. Times are those of the typical run: single runs take half or twice as long.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Every metric that decides can be proven, and every step gets its samples, before its deadline.
    pub in_time: bool,
    /// The same in words; when it is too slow, with what would do.
    pub message: String,
    /// One entry for each metric of which something can be reckoned.
    #[serde(default)]
    pub metrics: Vec<MetricForecast>,
}

/// What can be expected of one metric.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricForecast {
    /// Name of the metric.
    pub metric: String,
    /// Requests or scores per second of the stable version in the hour before.
    pub per_second: String,
    /// Seconds from the first share on until a version like stable is proven to be good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_seconds: Option<i64>,
    /// The regression that the next field is about: the metric's `detect`.
    pub detect: String,
    /// Seconds from the first share on until such a version is rolled back; left out when that never happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_seconds: Option<i64>,
    /// The candidate's requests until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_requests: Option<i64>,
    /// Looks until a version that fails nine of ten requests of the first step is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outright_looks: Option<i64>,
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
    /// A foreign edit: nothing reads such intervals. Otherwise a warm-up, which the coarse guard reads all the same.
    #[serde(default)]
    pub foreign: bool,
    /// The mirror was off: the candidate got nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirror_off: bool,
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
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct MetricEvidence {
    /// Name of the metric.
    pub name: String,
    /// What is asked for and how the arms are told apart, as fixed at the start of the attempt: what the spec says of the
    /// metric later counts for the next attempt. Its limits are in the plan.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub asked: Map<String, Value>,
    /// Limits, shares of alpha and horizons as fixed at the start of the attempt.
    pub plan: Map<String, Value>,
    /// Logarithms and sums of the tests.
    pub state: Map<String, Value>,
}
