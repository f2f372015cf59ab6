//! How long each stage takes at least.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::analysis::MetricPlan;
use crate::analysis::ab_test::{Sessions, half_width};
use crate::api::{AbTest, ModelRolloutSpec};
use crate::backtest::Refused;
use crate::rollout::{self, Past, cost};

/// Which stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Mirrored traffic.
    Shadow,
    /// A canary step, counted from 1.
    Step(usize),
    /// After the promotion.
    Watch,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Shadow => f.write_str("shadow"),
            Place::Step(n) => write!(f, "step {n}"),
            Place::Watch => f.write_str("watch"),
        }
    }
}

/// A stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Which.
    pub place: Place,
    /// The candidate's share in percent; in the shadow stage of mirrored requests.
    pub weight: i32,
    /// Its hold or duration in the manifest, in seconds.
    pub hold: f64,
    /// Seconds that it takes at least: longer than the hold where requests or sessions are asked for.
    pub seconds: f64,
    /// Its A/B test.
    pub ab_test: Option<AbTestTime>,
}

/// How long an A/B test takes.
#[derive(Clone, Debug, PartialEq)]
pub struct AbTestTime {
    /// Whose sessions.
    pub metric: String,
    /// Sessions of each version.
    pub sessions: i64,
    /// Sessions of both versions in a second.
    pub per_second: f64,
    /// Seconds until the version with fewer of them has them, its warm-up included.
    pub seconds: f64,
    /// Percent.
    pub confidence: i32,
    /// How far the interval will reach to each side, if the candidate scatters as stable does.
    pub half_width: Option<f64>,
}

/// All stages. `a_day`: stable's requests per day; `tests`: the A/B tests by step.
pub fn of(
    spec: &ModelRolloutSpec,
    a_day: Option<i64>,
    warm_up: Duration,
    mut tests: BTreeMap<usize, AbTestTime>,
) -> Vec<Stage> {
    let strategy = &spec.strategy;
    let shadow = strategy.shadow.as_ref().map(|shadow| {
        let hold = in_seconds(shadow.duration.get());
        let planned = a_day.map(|a_day| cost::planned(shadow, a_day, warm_up)).filter(|p| p.per_second > 0.0);
        let requests = planned.map_or(0.0, |p| p.requests() / (p.per_second * p.share));
        let (place, weight) = (Place::Shadow, shadow.percent);
        Stage { place, weight, hold, seconds: hold.max(requests), ab_test: None }
    });
    let steps = strategy.canary.steps.iter().enumerate().map(|(i, step)| {
        let (hold, ab_test) = (in_seconds(step.hold.get()), tests.remove(&i));
        let seconds = hold.max(ab_test.as_ref().map_or(0.0, |test| test.seconds));
        Stage { place: Place::Step(i + 1), weight: step.weight, hold, seconds, ab_test }
    });
    let hold = in_seconds(strategy.watch.duration.get());
    let weight = 100 - strategy.watch.control_weight;
    let watch = Stage { place: Place::Watch, weight, hold, seconds: hold, ab_test: None };
    shadow.into_iter().chain(steps).chain([watch]).collect()
}

/// The time of the A/B tests, by the index of their step. What does not come goes to `slow`, what cannot be compared to `refused`.
pub fn ab_tests(
    spec: &ModelRolloutSpec,
    plans: &[&MetricPlan],
    pasts: &BTreeMap<String, Past>,
    warm_up: Duration,
    (slow, refused): (&mut Vec<String>, &mut Vec<Refused>),
) -> BTreeMap<usize, AbTestTime> {
    let mut found = BTreeMap::new();
    for (i, step) in spec.strategy.canary.steps.iter().enumerate() {
        let Some(test) = &step.ab_test else { continue };
        let plan = plans.iter().find(|plan| plan.name == test.metric);
        let Some((plan, sessions)) = plan.and_then(|plan| Some((plan, Sessions::of(plan)?))) else {
            let (reason, message) =
                ("ABTestMetricMissing".to_owned(), rollout::ab_test::missing(&test.metric));
            refused.push(Refused { reason, message });
            continue;
        };
        // A metric that is refused has no past, and is told of by its refusal.
        let Some(past) = pasts.get(&test.metric) else { continue };
        match time(test, step.weight, plan, sessions, past) {
            Some(test) => {
                let seconds = test.seconds + in_seconds(warm_up);
                found.insert(i, AbTestTime { seconds, ..test });
            }
            None => slow.push(format!(
                "{}: stable {}, and without them the A/B test of step {} does not end",
                test.metric,
                if step.weight < 100 {
                    "had no sessions in this hour (--at chooses another)"
                } else {
                    "has no sessions at a weight of 100 %"
                },
                i + 1
            )),
        }
    }
    found
}

fn time(
    test: &AbTest,
    weight: i32,
    plan: &MetricPlan,
    mut sessions: Sessions,
    past: &Past,
) -> Option<AbTestTime> {
    let per_second = past.per_second().filter(|n| *n > 0.0)?;
    let fewer = f64::from(weight.min(100 - weight)) / 100.0;
    sessions.look(plan, &past.hour, &past.hour);
    let confidence = f64::from(test.confidence) / 100.0;
    let seconds = test.sessions as f64 / (per_second * fewer);
    seconds.is_finite().then(|| AbTestTime {
        metric: test.metric.clone(),
        sessions: test.sessions,
        per_second,
        seconds,
        confidence: test.confidence,
        half_width: half_width(plan, &sessions, confidence, test.sessions as f64),
    })
}

/// Seconds of the stages that are asked for.
pub fn seconds(stages: &[Stage], which: impl Fn(Place) -> bool) -> f64 {
    stages.iter().filter(|stage| which(stage.place)).map(|stage| stage.seconds).sum()
}

fn in_seconds(span: Duration) -> f64 {
    span.num_milliseconds() as f64 / 1000.0
}
