//! What is studied: a rollout's settings and the traffic that they meet.

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Kind, MetricPlan};
use crate::api::{Metric, ModelRolloutSpec};
use crate::{course, presets, rollout};

use super::arms::Arm;
use super::attempt::Attempt;
use super::draw::{Draw, Laws};
use super::law::{BUCKETS, Law};
use super::outcome::Run;

/// Into how many parts a period of the drift is cut.
const PHASES: usize = 48;

/// Both arms and what reaches them.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Requests of both arms together, in the mean of a Poisson law.
    pub requests_per_second: f64,
    /// What stable is like.
    pub stable: Arm,
    /// What the candidate is like.
    pub candidate: Arm,
    /// Time from its first request until it is so; before, it is as stable.
    pub onset: Duration,
    /// At the peak of each period failures and latencies of both arms are so many times their own; 1: they stay.
    pub drift: f64,
    /// Length of a period.
    pub drift_period: Duration,
    /// Bounds of latency buckets, in seconds, rising.
    pub buckets: Vec<f64>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests_per_second: 100.0,
            stable: Arm::default(),
            candidate: Arm::default(),
            onset: Duration::zero(),
            drift: 1.0,
            drift_period: Duration::hours(1),
            buckets: BUCKETS.to_vec(),
        }
    }
}

impl Traffic {
    /// The candidate is as good as stable, and whatever takes it back is wrong.
    pub fn equal(&self) -> bool {
        self.stable == self.candidate
    }
}

/// Why a rollout cannot be studied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StudyError {
    /// The rollout.
    #[error(transparent)]
    Rollout(#[from] course::Unusable),
    /// A number out of range.
    #[error("{0}")]
    Range(String),
}

/// A rollout and the traffic that it meets.
#[derive(Clone, Debug)]
pub struct Study {
    pub(super) spec: ModelRolloutSpec,
    pub(super) traffic: Traffic,
    pub(super) seed: u64,
    pub(super) interval: Duration,
    pub(super) laws: Vec<Laws>,
    kinds: Vec<Kind>,
    left_out: Vec<String>,
}

impl Study {
    /// A study whose runs depend on `seed` and on their numbers only.
    ///
    /// # Errors
    /// When nothing could be decided, or a number is out of range.
    pub fn new(mut spec: ModelRolloutSpec, traffic: Traffic, seed: u64) -> Result<Self, StudyError> {
        presets::write_out(&mut spec);
        let (values, metrics) = spec.analysis.metrics.into_iter().partition(|m| m.value.is_some());
        spec.analysis.metrics = metrics;
        let left_out = |values: Vec<Metric>| values.into_iter().map(|m| m.name).collect();
        check(&spec, &traffic)?;
        let interval = Duration::milliseconds(spec.analysis.interval.get().num_milliseconds().max(1000));
        let plans = rollout::metric_plans(&spec, &spec.version, interval, origin(), &Default::default());
        let laws =
            plans.iter().zip(&spec.analysis.metrics).map(|((plan, _), m)| laws(plan, m, &traffic)).collect();
        let kinds = plans.iter().map(|(plan, _)| plan.kind).collect();
        Ok(Self { spec, traffic, seed, interval, laws, kinds, left_out: left_out(values) })
    }

    /// One attempt from its first request to its end.
    pub fn run(&self, number: u64) -> Run {
        Attempt::new(self, Draw::new(self.seed, number)).run()
    }

    /// The rollout's settings.
    pub fn spec(&self) -> &ModelRolloutSpec {
        &self.spec
    }

    /// Both arms.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How often is looked.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Metrics of kind `value`: what an expression gives cannot be drawn, so they are not studied.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The candidate is as stable in everything that a metric of the rollout sees.
    pub fn equal(&self) -> bool {
        self.laws.iter().all(|laws| laws.stable == laws.candidate)
    }

    /// What the metrics see of an arm, for people.
    pub fn arm_text(&self, arm: &Arm) -> String {
        arm.text(&self.kinds)
    }

    /// The longest that an attempt is followed: all holds and deadlines in full.
    pub fn longest(&self) -> Duration {
        let strategy = &self.spec.strategy;
        let evidence = strategy.deadlines.evidence.get();
        let warm_up = self.spec.analysis.warm_up.get();
        let shadow =
            strategy.shadow.as_ref().map_or(Duration::zero(), |s| s.duration.get() + evidence + warm_up);
        let steps = strategy.canary.steps.iter().map(|s| s.hold.get() + evidence + warm_up);
        let watch = strategy.watch.duration.get() + evidence + warm_up;
        // One look of lag in each stage.
        let lag = self.interval * i32::try_from(strategy.canary.steps.len() + 3).unwrap_or(i32::MAX);
        steps.fold(shadow + watch + lag, |a, b| a + b)
    }
}

/// Any moment: nothing depends on which.
pub(super) fn origin() -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH
}

fn laws(plan: &MetricPlan, metric: &Metric, traffic: &Traffic) -> Laws {
    let unit = metric.slo.as_ref().map_or(1.0, |slo| slo.unit.milliseconds() / 1000.0);
    let drifts: Vec<f64> = if traffic.drift == 1.0 {
        vec![1.0]
    } else {
        let angle = |i: usize| i as f64 / PHASES as f64 * std::f64::consts::TAU;
        (0..PHASES).map(|i| traffic.drift.powf(0.5 - 0.5 * angle(i).cos())).collect()
    };
    let of = |arm: &Arm| -> Vec<Law> {
        drifts.iter().map(|drift| Law::new(plan, arm, &traffic.buckets, unit, *drift)).collect()
    };
    Laws { stable: of(&traffic.stable), candidate: of(&traffic.candidate) }
}

fn check(spec: &ModelRolloutSpec, traffic: &Traffic) -> Result<(), StudyError> {
    course::usable(spec)?;
    let range = |ok: bool, text: &str| if ok { Ok(()) } else { Err(StudyError::Range(text.to_owned())) };
    let rate = traffic.requests_per_second;
    range(rate > 0.0 && rate <= 1e6, "requests per second must be above 0 and at most 1,000,000")?;
    range((0.01..=100.0).contains(&traffic.drift), "the drift must be between 0.01 and 100; 1 is none")?;
    range(traffic.drift_period > Duration::zero(), "the period of the drift must be above 0")?;
    let rising = traffic.buckets.windows(2).all(|pair| pair[0] < pair[1]);
    let positive = traffic.buckets.iter().all(|b| *b > 0.0 && b.is_finite());
    range(
        rising && positive && !traffic.buckets.is_empty(),
        "bucket bounds must be seconds above 0, in rising order",
    )
}
