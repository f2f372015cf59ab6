//! Analysis: what is compared between candidate and stable, and how strictly.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{self, metric};
use super::{ErrorBudget, Guarantee, HoldOrRollback, Preset, RollbackOrHold, Slo, Span, Unit, Value};

/// What is compared between candidate and stable.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = metric::interval_from_a_second())]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Name of a Prometheus server in the operator's own configuration; never an address.
    #[serde(default = "default_server")]
    #[schemars(length(min = 1, max = 63))]
    pub prometheus: String,
    /// How often is looked, at least the scrape interval, which is measured and checked.
    #[serde(default = "interval")]
    pub interval: Span,
    /// Chance that the metrics ever roll back a version that is not worse, over the whole rollout and all metrics.
    #[serde(default = "false_rollback_rate")]
    #[x_kube(validation = metric::rate_in_range())]
    pub false_rollback_rate: f64,
    /// How that chance is shared out over the guards and the stages. What is left out is as in the defaults.
    #[serde(default)]
    pub error_budget: ErrorBudget,
    /// Evidence that is dropped after the start and after each change of the weight: this or twice stable's p99, the longer.
    #[serde(default = "warm_up")]
    pub warm_up: Span,
    /// The metrics, at most 12.
    #[serde(default)]
    #[schemars(length(max = 12))]
    #[x_kube(validation = metric::unique_names())]
    #[x_kube(validation = metric::values_are_not_alone())]
    pub metrics: Vec<Metric>,
    /// What happens when no evidence comes for long. It never promotes.
    #[serde(default)]
    pub no_data: NoData,
    /// What happens when the candidate gets traffic and finishes none of it.
    #[serde(default)]
    pub silent: RollbackOrHold,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            prometheus: default_server(),
            interval: interval(),
            false_rollback_rate: false_rollback_rate(),
            error_budget: ErrorBudget::default(),
            warm_up: warm_up(),
            metrics: Vec::new(),
            no_data: NoData::default(),
            silent: RollbackOrHold::default(),
        }
    }
}

/// What happens when no evidence comes.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NoData {
    /// After how long.
    #[serde(default = "no_data_after")]
    pub after: Span,
    /// What then.
    #[serde(default)]
    pub then: HoldOrRollback,
}

impl Default for NoData {
    fn default() -> Self {
        Self { after: no_data_after(), then: HoldOrRollback::Hold }
    }
}

/// One metric: exactly one of `ratio`, `latency`, `slo`, `mean` and `value`; or a `preset` of several.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = metric::one_kind())]
#[x_kube(validation = metric::by_is_for_means())]
#[x_kube(validation = metric::ratio_is_for_shares())]
#[x_kube(validation = metric::proof_not_narrower())]
#[x_kube(validation = metric::proof_not_narrower_than_default())]
#[x_kube(validation = metric::by_is_within_scores())]
#[x_kube(validation = metric::values_have_fixed_limits())]
#[x_kube(validation = metric::presets_have_limits())]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Name of the metric, unique within the rollout.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::label("the name of a metric"))]
    pub name: String,
    /// The metrics of a well-known gateway or model server, by the names that it exports. Stands for several metrics, whose
    /// names begin with this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Share of bad events: two counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// Share of slow requests, by stable's own quantiles: a histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Share of requests slower than a bound of your own: a histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// Mean of a score in 0 to 1: a histogram, or a sum and a count, better with a sum of squares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Mean>,
    /// Value of a PromQL expression, without any statistical guarantee: shown, or held against fixed limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// How the two arms are told apart. Left out: by the pods' names in the label `pod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arms: Option<Arms>,
    /// How much worse than stable is too much: beyond it traffic is brought back. What is left out is {ratio: 1.25, plus:
    /// 0.0005}, for latency and slo {ratio: 1.25, plus: 0.002}, for a mean {by: 0.02}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse: Option<Limit>,
    /// How much worse than stable is still good enough for a promotion; not narrower than `worse`. What is left out is
    /// {ratio: 1.5, plus: 0.001}, for latency and slo {ratio: 2, plus: 0.005}, for a mean {by: 0.05}, or `worse` where that is wider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Limit>,
    /// The regression whose detection is forecast before traffic moves; it decides nothing. What is left out is {ratio: 2},
    /// for a mean {by: 0.1}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Limit>,
    /// Part of the error budget against the other metrics: with 2 a metric has twice the part of one with 1, and is
    /// decided a little sooner.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[x_kube(validation = metric::weight_in_range())]
    pub weight: f64,
    /// Samples that both arms need in a step before it can end.
    #[serde(default = "min_samples")]
    #[schemars(range(min = 0, max = 1000000000))]
    pub min_samples: i64,
    /// What a breach of this metric does.
    #[serde(default)]
    pub on_breach: RollbackOrHold,
    /// Only report, never decide.
    #[serde(default)]
    pub observe_only: bool,
}

impl Metric {
    /// Whether it counts requests: scores come when they come, and an expression counts nothing.
    pub fn counts_requests(&self) -> bool {
        self.ratio.is_some() || self.latency.is_some() || self.slo.is_some()
    }
}

/// Share of bad events: `bad` of `total`, or `bad` beside `good`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = metric::ratio_of_two())]
#[serde(rename_all = "camelCase")]
pub struct Ratio {
    /// Counter of bad events: a PromQL vector selector such as `http_requests_total{code=~"5.."}`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub bad: String,
    /// Counter of all events: a PromQL vector selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub total: Option<String>,
    /// Counter of the good events, for servers that count successes and failures apart: a PromQL vector selector. All events
    /// are then the bad and the good ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub good: Option<String>,
}

/// Share of slow requests.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Histogram by its base name, without `_bucket`, matchers allowed: `http_request_duration_seconds{path="/predict"}`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub histogram: String,
    /// It is a native histogram: its bounds are the powers of 2 and one between each two, as far as its schema has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
    /// What the histogram is counted in.
    #[serde(default, skip_serializing_if = "Unit::is_seconds")]
    pub unit: Unit,
}

/// Mean of a score between 0 and 1.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = metric::mean_source())]
#[x_kube(validation = metric::squares_go_with_sum())]
#[x_kube(validation = metric::unbounded_goes_with_sum())]
#[x_kube(validation = metric::guarantee_goes_with_sum_alone())]
#[serde(rename_all = "camelCase")]
pub struct Mean {
    /// Histogram of the score by its base name, without `_bucket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub histogram: Option<String>,
    /// Counter with the sum of the scores; goes with `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub sum: Option<String>,
    /// Counter with the number of scores; goes with `sum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub count: Option<String>,
    /// Counter with the sum of the squares of the scores: with `sum` and `count` it makes the test exact, and tells an A/B test the
    /// spread. Not with `passFail`, where a square is the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub sum_of_squares: Option<String>,
    /// Each score is 0 or 1, so that sum and count are enough for the exact test, which needs fewer samples.
    #[serde(default)]
    pub pass_fail: bool,
    /// The values are not limited to 0 to 1 (times, tokens, costs, revenue); with sum and count. Such a metric can bring traffic
    /// back and proves nothing, because its mean hangs on few large values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbounded: bool,
    /// How far the test of a `sum` and a `count` alone can be trusted.
    #[serde(default, skip_serializing_if = "Guarantee::is_asymptotic")]
    pub guarantee: Guarantee,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
}

/// Which way is better.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Better {
    /// Higher scores are better.
    #[default]
    Higher,
    /// Lower scores are better.
    Lower,
}

/// How the two arms are told apart in a metric: one of `podLabel`, `labels` and `gateway`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = metric::one_arm())]
#[serde(rename_all = "camelCase")]
pub struct Arms {
    /// Label that holds the pod's name; the exact names of each arm's pods are matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = metric::prometheus_label("arms.podLabel"))]
    pub pod_label: Option<String>,
    /// A gateway's metric: the label that names the Service, with its value for a Service. The operator puts in the
    /// active and the candidate Service, and follows them when roles swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayArm>,
}

/// Label of a gateway's metric that names the Service.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayArm {
    /// The label, such as `envoy_cluster_name`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = metric::prometheus_label("arms.gateway.label"))]
    pub label: String,
    /// Its value, with `$(NAMESPACE)`, `$(SERVICE)` and `$(PORT)`: Contour's is `$(NAMESPACE)_$(SERVICE)_$(PORT)`.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = metric::names_the_service())]
    pub value: String,
}

/// A limit relative to stable. For `ratio`, `latency` and `slo`: `ratio` times as bad, plus `plus`. For `mean`: lower by `by`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// At most so many times as bad as stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100.0))]
    #[x_kube(validation = metric::ratio_from_one())]
    pub ratio: Option<f64>,
    /// Plus so much, as a share: 0.0005 is 0.05 points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub plus: Option<f64>,
    /// For a mean: at most lower (or higher, when lower is better) by so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1000000000.0))]
    pub by: Option<f64>,
}

fn default_server() -> String {
    "default".to_owned()
}
fn interval() -> Span {
    "10s".into()
}
fn warm_up() -> Span {
    "60s".into()
}
fn no_data_after() -> Span {
    "15m".into()
}
fn false_rollback_rate() -> f64 {
    0.01
}
fn one() -> f64 {
    1.0
}
fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}
fn min_samples() -> i64 {
    100
}
