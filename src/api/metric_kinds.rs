//! Kinds of metrics beside ratio, latency and mean, and the parts of the error budget.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;
use super::rules::metric;

/// Share of the requests that are slower than a bound of your own: your service level objective.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// Histogram by its base name, without `_bucket`, matchers allowed.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = metric::no_summary())]
    pub histogram: String,
    /// It is a native histogram: its bounds are the powers of 2 and one between each two, as far as its schema has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
    /// The bound, which must be the edge of one of the histogram's buckets: `500ms`. What is slower counts as bad.
    pub bound: Span,
    /// What the histogram is counted in.
    #[serde(default)]
    pub unit: Unit,
}

impl Slo {
    /// The bound as the histogram has it in its label `le`.
    pub fn edge(&self) -> f64 {
        self.bound.get().num_milliseconds() as f64 / self.unit.milliseconds()
    }
}

/// The value of a PromQL expression, for each arm: shown, or held against fixed limits. It has no statistical guarantee, takes
/// no part of the error budget and never proves anything.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = metric::min_below_max())]
#[serde(rename_all = "camelCase")]
pub struct Value {
    /// An expression with one number as its result, such as `avg(model_drift)`. The operator adds the arm's matchers to each
    /// selector in it, and refuses what it cannot scope.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// Above it, at two looks in a row, the candidate is too bad, unless stable is above it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Below it, at two looks in a row, the candidate is too bad, unless stable is below it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
}

/// A gateway or model server whose metrics are known.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Preset {
    /// Envoy as a gateway, with Contour's names of its clusters: failures and latency by the two Services.
    Envoy,
    /// Istio's standard metrics, as the callers' side counts them: failures and latency by the two Services.
    Istio,
    /// KServe's Python model server: the time of a prediction; it counts no failures.
    KServe,
    /// SGLang: the time to the first token; it counts no failures.
    SGLang,
    /// Text Generation Inference: failures and queueing time.
    TGI,
    /// Triton Inference Server: failures.
    Triton,
    /// vLLM's OpenAI server: failures of its API and the time to the first token.
    VLLM,
}

/// What a histogram of times is counted in.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Unit {
    /// Seconds, as Prometheus advises.
    #[default]
    Seconds,
    /// Milliseconds, as some proxies count.
    Milliseconds,
}

impl Unit {
    /// The default, which is not written out.
    pub fn is_seconds(&self) -> bool {
        *self == Unit::Seconds
    }

    /// Milliseconds in one of it.
    pub fn milliseconds(self) -> f64 {
        match self {
            Unit::Seconds => 1000.0,
            Unit::Milliseconds => 1.0,
        }
    }
}

/// How far the test of scores can be trusted of which only sum and count are known.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = crate::api::schema::words)]
pub enum Guarantee {
    /// A test that is right for many scores and needs no more of them than their spread asks for.
    #[default]
    Asymptotic,
    /// What the scores lack of 1 is counted, which is right for any number of scores between 0 and 1. It needs more of them, the
    /// more the less they are spread.
    Exact,
}

impl Guarantee {
    /// The default, which is not written out.
    pub fn is_asymptotic(&self) -> bool {
        *self == Guarantee::Asymptotic
    }
}

/// How `falseRollbackRate` is shared out, once, at the start of an attempt. The parts add up to 1. A stage that is not
/// configured, and a guard without a `ratio` metric, give their part to the canary.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Copy, Debug, PartialEq)]
#[x_kube(validation = metric::budget_adds_up())]
#[serde(rename_all = "camelCase")]
pub struct ErrorBudget {
    /// The coarse guards of the `ratio` metrics, against stable and, in the watch, without a baseline: half each.
    #[serde(default = "guard")]
    #[x_kube(validation = metric::part())]
    pub guard: f64,
    /// Mirrored traffic.
    #[serde(default = "shadow")]
    #[x_kube(validation = metric::part())]
    pub shadow: f64,
    /// All canary steps together.
    #[serde(default = "canary")]
    #[x_kube(validation = metric::canary_part())]
    pub canary: f64,
    /// After the promotion.
    #[serde(default = "watch")]
    #[x_kube(validation = metric::part())]
    pub watch: f64,
}

impl Default for ErrorBudget {
    fn default() -> Self {
        Self { guard: guard(), shadow: shadow(), canary: canary(), watch: watch() }
    }
}

fn guard() -> f64 {
    0.1
}
fn shadow() -> f64 {
    0.18
}
fn canary() -> f64 {
    0.45
}
fn watch() -> f64 {
    0.27
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_compared_in_the_unit_of_the_histogram() {
        let slo = |bound: &str, unit| Slo { histogram: "h".into(), native: false, bound: bound.into(), unit };
        assert_eq!(slo("25ms", Unit::Seconds).edge(), 0.025);
        assert_eq!(slo("2s500ms", Unit::Seconds).edge(), 2.5);
        assert_eq!(slo("500ms", Unit::Milliseconds).edge(), 500.0);
    }
}
