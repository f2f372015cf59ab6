//! What is tested: a metric with its bounds and its share of the error budget. Fixed for an attempt.

use serde::{Deserialize, Serialize};

use super::budget::MetricBudget;
use super::ledger::Side;
use super::value::Range;

/// The stages of an attempt. Each has its own ledgers; all canary steps share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Mirrored traffic only.
    Shadow,
    /// A rising share of real traffic.
    Canary,
    /// After promotion: nearly all traffic, the old version keeps a control share.
    Watch,
}

/// How a metric is measured, which decides the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Failed and all requests, two counters: count engine, with the coarse guard.
    Ratio,
    /// A latency histogram: count engine on "slower than stable's own quantiles".
    Latency,
    /// A latency histogram and a bound of the user's, in [`MetricPlan::bound`]: count engine on "slower than the bound".
    Slo,
    /// A histogram of scores from 0 to 1 with its sum: bounded-mean engine.
    MeanHistogram,
    /// Sum, sum of squares and count of scores from 0 to 1: bounded-mean engine.
    MeanSumSquares,
    /// Sum and count of pass/fail results, each 0 or 1 (a square is the value): bounded-mean engine.
    MeanPassFail,
    /// Sum and count of scores: paired t engine, pooled to 30 scores per arm.
    MeanSumCount,
    /// Sum and count of scores from 0 to 1, with the guarantee of a count: count engine on what they lack of 1.
    MeanCounted,
    /// The value of an expression, shown or held against [`MetricPlan::range`]: no statistics.
    Value,
}

/// A bound relative to stable: "at most `ratio` times as bad, plus `plus`". For the mean kinds `ratio` is 1 minus
/// the relative margin (normally 1) and `plus` is the drop that is allowed, in units of the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// rho; the factor m = 1 - margin for means.
    #[serde(with = "super::text::float")]
    pub ratio: f64,
    /// eps; the slack for means.
    #[serde(with = "super::text::float")]
    pub plus: f64,
}

impl Limit {
    /// `ratio` times as bad, plus `plus`.
    pub const fn ratio(ratio: f64, plus: f64) -> Self {
        Self { ratio, plus }
    }

    /// A drop of at most `by`, for the mean kinds.
    pub const fn by(by: f64) -> Self {
        Self { ratio: 1.0, plus: by }
    }

    /// What it allows where stable has `share`.
    pub fn of(self, share: f64) -> f64 {
        self.ratio * share + self.plus
    }

    /// This limit of a mean as one on what the scores lack of 1. With b = 1 - mu, `m mu_b - mu_c <= slack` says the same as
    /// `b_c <= m b_b + (1 - m) + slack`.
    #[must_use]
    pub fn on_what_is_lacking(self) -> Self {
        Self { ratio: self.ratio, plus: 1.0 - self.ratio + self.plus }
    }

    /// This limit, nowhere narrower than another.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self { ratio: self.ratio.max(other.ratio), plus: self.plus.max(other.plus) }
    }
}

/// Which way of a score is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Better {
    /// Accuracy and the like.
    #[default]
    Higher,
    /// Tested as 1 - x.
    Lower,
}

/// One metric of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricPlan {
    /// Name in the spec.
    pub name: String,
    /// Version on trial, for the sentence people read.
    pub version: String,
    /// How it is measured.
    pub kind: Kind,
    /// Rollback bound.
    pub worse: Limit,
    /// Promotion bound, at least as wide as `worse`.
    pub proof: Limit,
    /// Direction of a score; ignored by `Ratio`, `Latency` and `Slo`, where less is better.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub better: Better,
    /// Requests or scores per arm before a Pass, and per step before it advances.
    pub min_samples: u32,
    /// The metric is reported and never decides.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub observe_only: bool,
    /// It can prove that a candidate is good enough. Means of values without bounds cannot: their tails are too heavy.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub provable: bool,
    /// alpha of the promotion test.
    #[serde(with = "super::text::float", default = "five_percent", skip_serializing_if = "is_five_percent")]
    pub alpha_promote: f64,
    /// Looks with data in a row before a breach.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub confirm: u32,
    /// Looks without new requests in an arm before the metric is Unavailable.
    #[serde(default = "four", skip_serializing_if = "is_four")]
    pub stale: u32,
    /// Burst factor phi, at least 1.
    #[serde(with = "super::text::float", default = "one", skip_serializing_if = "is_one")]
    pub phi: f64,
    /// Quantiles of stable's own latency; other kinds have none.
    #[serde(with = "super::text::floats", default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<f64>,
    /// The bound of an `Slo`: the edge of a bucket, in the histogram's own unit.
    #[serde(with = "super::text::float", default, skip_serializing_if = "super::text::is_default")]
    pub bound: f64,
    /// The limits of a `Value`.
    #[serde(default, skip_serializing_if = "Range::is_open")]
    pub range: Range,
    /// eps of the guard without a baseline: 3 x stable's failure share in the hour before the attempt + 0.10.
    #[serde(with = "super::text::float")]
    pub absolute_eps: f64,
    /// False in a watch without a control arm: only the absolute guard judges there.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub paired_watch: bool,
    /// This metric's part of alpha, and the horizons.
    pub budget: MetricBudget,
}

fn yes() -> bool {
    true
}

fn is_yes(mark: &bool) -> bool {
    *mark
}

fn five_percent() -> f64 {
    0.05
}

fn is_five_percent(alpha: &f64) -> bool {
    *alpha == five_percent()
}

fn one() -> f64 {
    1.0
}

fn is_one(phi: &f64) -> bool {
    *phi == one()
}

fn two() -> u32 {
    2
}

fn is_two(looks: &u32) -> bool {
    *looks == two()
}

fn four() -> u32 {
    4
}

fn is_four(looks: &u32) -> bool {
    *looks == four()
}

impl MetricPlan {
    /// A metric with the defaults of its kind. `budget` comes from [`super::budget::split`].
    pub fn new(name: &str, version: &str, kind: Kind, budget: MetricBudget) -> Self {
        let (worse, proof) = match kind {
            Kind::Ratio => (Limit::ratio(1.25, 0.0005), Limit::ratio(1.5, 0.001)),
            Kind::Latency | Kind::Slo => (Limit::ratio(1.25, 0.002), Limit::ratio(2.0, 0.005)),
            Kind::MeanHistogram
            | Kind::MeanSumSquares
            | Kind::MeanPassFail
            | Kind::MeanSumCount
            | Kind::MeanCounted => (Limit::by(0.02), Limit::by(0.05)),
            Kind::Value => (Limit::by(0.0), Limit::by(0.0)),
        };
        Self {
            name: name.into(),
            version: version.into(),
            kind,
            worse,
            proof,
            better: Better::Higher,
            min_samples: 100,
            observe_only: false,
            provable: kind != Kind::Value,
            alpha_promote: five_percent(),
            confirm: two(),
            stale: four(),
            phi: one(),
            quantiles: if kind == Kind::Latency { vec![0.5, 0.9, 0.99, 0.999] } else { Vec::new() },
            bound: 0.0,
            range: Range::default(),
            absolute_eps: super::guard::absolute_eps(None),
            paired_watch: true,
            budget,
        }
    }

    /// The bound of a side as the count engine takes it: on the share of bad events.
    pub fn bound_on_bad(&self, side: Side) -> Limit {
        let limit = match side {
            Side::Bad => self.worse,
            Side::Ok => self.proof,
        };
        if self.kind == Kind::MeanCounted { limit.on_what_is_lacking() } else { limit }
    }

    /// Whether more of the score is better.
    pub fn higher_is_better(&self) -> bool {
        self.better == Better::Higher
    }
}
