//! What a rollout can find out at stable's traffic, and how long it takes at least: before anything is moved, without a
//! cluster. Pure.
//!
//! Plans, limits, budgets, refusals, the forecast and the cost of the shadow stage are the controller's. What only the cluster
//! knows is left out: the time until pods are ready, and whether the gateway can mirror.

mod json;
mod stages;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Kind, MetricPlan};
use crate::api::{MetricForecast, ModelRollout};
use crate::backtest::{Refused, interval};
use crate::rollout::cost::{self, Reckoned};
use crate::rollout::questions::HISTORY;
use crate::rollout::{self, Detail, Past, Schedule};

pub use json::json;
pub use stages::{AbTestTime, Place, Stage};
pub use text::text;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The manifest, its presets written out.
    pub rollout: &'a ModelRollout,
    /// The end of the hour.
    pub at: DateTime<Utc>,
    /// The scrape interval, where it shows in the samples.
    pub scrape: Option<Duration>,
    /// Stable's past in each metric, or why the controller would not begin with it.
    pub pasts: &'a BTreeMap<String, Result<Past, Refused>>,
}

/// One metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// It decides nothing.
    pub observe_only: bool,
    /// Requests or scores of stable in a second.
    pub per_second: Option<f64>,
    /// What can be expected of it; else why nothing can.
    pub forecast: Result<(MetricForecast, Detail), String>,
}

/// What a rollout can find out.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// In the order of the manifest.
    pub metrics: Vec<Row>,
    /// In order of time.
    pub stages: Vec<Stage>,
    /// What the shadow stage costs, where it has a budget.
    pub shadow: Option<Reckoned>,
    /// What does not come in time, each with what would do.
    pub slow: Vec<String>,
    /// Why the controller would not begin.
    pub refused: Vec<Refused>,
    /// Seconds of the canary steps: their holds and A/B tests, or until all is proven where that takes longer.
    pub canary_seconds: f64,
    /// Seconds of the whole rollout at least.
    pub seconds: f64,
    /// What is odd about the hour.
    pub notes: Vec<String>,
}

impl Preview {
    /// Of a rollout.
    pub fn of(setup: &Setup<'_>) -> Self {
        let (spec, interval) = (&setup.rollout.spec, interval(setup.rollout));
        let known =
            |(name, past): (&String, &Result<Past, Refused>)| Some((name.clone(), past.clone().ok()?));
        let pasts: BTreeMap<String, Past> = setup.pasts.iter().filter_map(known).collect();
        let metrics = &spec.analysis.metrics;
        let planned = rollout::metric_plans(spec, &spec.version, interval, setup.at, &pasts);
        let warm_up = rollout::warm_up_of(spec, rollout::tail_ms(metrics, &pasts));
        let scrape_ms = setup.scrape.map(|s| s.num_milliseconds());
        let schedule = Schedule { spec, interval, warm_up, scrape_ms };
        let foreseen = rollout::forecast(&schedule, &planned, &pasts);
        let (mut slow, forecasts) = foreseen.map_or_else(Default::default, |found| {
            (found.slow, found.forecast.metrics.into_iter().zip(found.details).collect::<Vec<_>>())
        });
        let mut refused: Vec<Refused> =
            metrics.iter().filter_map(|m| setup.pasts.get(&m.name)?.as_ref().err().cloned()).collect();
        let rows: Vec<Row> =
            planned.iter().map(|(plan, _)| row(plan, setup, &forecasts, &mut slow)).collect();
        let plans: Vec<&MetricPlan> = planned.iter().map(|(plan, _)| plan).collect();
        let a_day = cost::measured(metrics, &pasts);
        let tests = stages::ab_tests(spec, &plans, &pasts, warm_up, (&mut slow, &mut refused));
        let stages = stages::of(spec, a_day, warm_up, tests);
        let shadow = shadow(setup, a_day, warm_up, &plans, &mut refused);
        let proofs = rows.iter().filter(|row| !row.observe_only).filter_map(|row| row.forecast.as_ref().ok());
        let proven = proofs.filter_map(|(f, _)| f.proof_seconds).max().unwrap_or(0) as f64;
        let canary_seconds = stages::seconds(&stages, |place| matches!(place, Place::Step(_))).max(proven);
        let around = stages::seconds(&stages, |place| !matches!(place, Place::Step(_)));
        let notes = short(&pasts).into_iter().collect();
        let seconds = around + canary_seconds;
        Self { metrics: rows, stages, shadow, slow, refused, canary_seconds, seconds, notes }
    }

    /// The rollout would begin, and everything comes before its deadline.
    pub fn in_time(&self) -> bool {
        self.slow.is_empty() && self.refused.is_empty() && !self.shadow.as_ref().is_some_and(|s| s.over)
    }
}

fn row(
    plan: &MetricPlan,
    setup: &Setup<'_>,
    forecasts: &[(MetricForecast, Detail)],
    slow: &mut Vec<String>,
) -> Row {
    let past = setup.pasts.get(&plan.name).and_then(|past| past.as_ref().ok());
    let per_second = past.and_then(Past::per_second).filter(|_| plan.kind != Kind::Value);
    let forecast = match forecasts.iter().find(|(f, _)| f.metric == plan.name) {
        Some(found) => Ok(found.clone()),
        None if past.is_none() => Err("refused, see below".to_owned()),
        None if plan.kind == Kind::Value => {
            Err("an expression is held against its limits at every look; it proves nothing".to_owned())
        }
        None if per_second.is_none_or(|n| n <= 0.0) => {
            if !plan.observe_only {
                slow.push(format!(
                    "{}: stable had nothing to count in this hour, and without traffic its {} samples do not come; look at an \
                     hour with traffic (--at), or say observeOnly: true",
                    plan.name, plan.min_samples
                ));
            }
            Err("stable had nothing to count in this hour".to_owned())
        }
        None => Err("only sums are known, and nothing of how single values scatter".to_owned()),
    };
    Row { name: plan.name.clone(), observe_only: plan.observe_only, per_second, forecast }
}

fn shadow(
    setup: &Setup<'_>,
    a_day: Option<i64>,
    warm_up: Duration,
    plans: &[&MetricPlan],
    refused: &mut Vec<Refused>,
) -> Option<Reckoned> {
    let shadow = setup.rollout.spec.strategy.shadow.as_ref()?;
    let budget = shadow.budget.as_ref()?;
    if !plans.iter().any(|plan| cost::counts(plan)) {
        let (reason, message) = ("ShadowNotCounted".to_owned(), cost::NOT_COUNTED.to_owned());
        refused.push(Refused { reason, message });
        return None;
    }
    // Whoever mirrors a part can mirror less; of others nothing is known here.
    Some(cost::reckon(shadow, budget, a_day, warm_up, |_| shadow.percent < 100))
}

/// Less than the hour that the controller reads.
fn short(pasts: &BTreeMap<String, Past>) -> Option<String> {
    let shortest = pasts.values().map(|past| past.seconds).filter(|s| *s > 0.0).reduce(f64::min)?;
    (shortest < 0.9 * HISTORY.num_seconds() as f64).then(|| {
        format!(
            "only {} of stable are known in this hour: what is reckoned from it is less sure",
            rollout::about(shortest)
        )
    })
}
