//! The start of an attempt: the grid of looks, then each metric's limits, budget and bounds from the hour before.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::budget::{Claim, MetricBudget, PlannedLooks, Shares, split_by};
use crate::analysis::value::Range;
use crate::analysis::verdict::Rounded;
use crate::analysis::{Better, Kind, Limit, MetricPlan, MetricState, Stage, dispersion, guard};
use crate::api::{self, Evidence, MarkKind, Metric, ModelRolloutSpec, Tests};

use crate::rollout::{Draft, cost, world};

use super::history::{self, Past};
use super::outlook::{Foreseen, Schedule};
use super::{journal, outlook, pack, refuse, warm_up};

/// The evidence of a new attempt: nothing counted, the grid starts now, before the candidate has a pod.
pub fn begin(d: &Draft<'_>) -> Evidence {
    Evidence {
        t0: d.now(),
        interval_ms: d.spec().analysis.interval.get().num_milliseconds().max(1000),
        t_k: d.now(),
        fresh_at: None,
        tests: Tests::default().into(),
        scrape_ms: None,
        asked_at: None,
        candidate_scraped: false,
        tail_ms: 0,
        requests_per_day: None,
        forecast: None,
        port: String::new(),
    }
}

/// Fixes every metric's plan and state from stable's history. An error names the query that has no data on stable and
/// what to do.
pub fn plan_metrics(d: &mut Draft<'_>, version: &str) -> Result<(), (&'static str, String)> {
    let Some(mut found) = d.status.evidence.clone() else { return Ok(()) };
    let metrics = &d.spec().analysis.metrics;
    let mut histories = BTreeMap::new();
    for metric in metrics {
        histories.insert(metric.name.clone(), history::of(d, &found, metric)?);
    }
    let interval = Duration::milliseconds(found.interval_ms);
    let planned = metric_plans(d.spec(), version, interval, found.t0, &histories);
    found
        .tests
        .metrics
        .extend(metrics.iter().zip(&planned).map(|(metric, (plan, state))| pack(metric, plan, state)));
    found.scrape_ms = d.obs.answers.scrape.map(|s| s.num_milliseconds()).or(found.scrape_ms);
    found.tail_ms = tail_ms(metrics, &histories);
    found.requests_per_day = cost::measured(metrics, &histories);
    found.port = world::service_port(d.obs);
    let shadow = d.spec().strategy.shadow.is_some();
    let planned_as = if shadow { MarkKind::PlannedShadow } else { MarkKind::PlannedCanary };
    journal::note(&mut found, planned_as, asked_until(d), None);
    let scrape = found.scrape_ms;
    d.status.evidence = Some(found);
    let schedule = Schedule { spec: d.spec(), interval, warm_up: warm_up(d), scrape_ms: scrape };
    if let Some(Foreseen { forecast, said, .. }) = outlook::forecast(&schedule, &planned, &histories) {
        let reason = if forecast.in_time { "Forecast" } else { "EvidenceTooSlow" };
        d.event(!forecast.in_time, reason, said);
        d.status.evidence.iter_mut().for_each(|found| found.forecast = Some(forecast.clone()));
    }
    Ok(())
}

/// Where the past ends that this pass has read.
fn asked_until(d: &Draft<'_>) -> DateTime<Utc> {
    let asked = d.obs.answers.given.iter().filter(|(q, _)| q.past);
    asked.map(|(q, _)| q.to).max().unwrap_or(d.now())
}

/// Each metric's plan and first state, in the order of the spec: limits, parts of the error budget, what is chosen from
/// stable's gains over the hour before (`histories`, by name). `t0`: the origin of the grid.
pub fn metric_plans(
    spec: &ModelRolloutSpec,
    version: &str,
    interval: Duration,
    t0: DateTime<Utc>,
    histories: &BTreeMap<String, Past>,
) -> Vec<(MetricPlan, MetricState)> {
    let metrics = &spec.analysis.metrics;
    let claims: Vec<Claim> = metrics.iter().map(claim).collect();
    let looks = planned_looks(spec, interval);
    let shares = shares(spec.analysis.error_budget);
    let budgets = split_by(spec.analysis.false_rollback_rate, shares, looks, &claims);
    let stage = if spec.strategy.shadow.is_some() { Stage::Shadow } else { Stage::Canary };
    let unknown = Past::default();
    let with = |(metric, budget): (&Metric, MetricBudget)| {
        let Past { hour: past, looks: before, .. } = histories.get(&metric.name).unwrap_or(&unknown);
        let mut plan = MetricPlan::new(&metric.name, version, kind(metric), budget);
        limits(&mut plan, metric);
        plan.paired_watch = looks.paired_watch;
        plan.absolute_eps = guard::absolute_eps((past.n > 0.0).then(|| past.bad / past.n));
        plan.phi = dispersion::phi(&plan, past, before);
        let state = MetricState::start(&plan, stage, t0, Some(past));
        (plan, state)
    };
    metrics.iter().zip(budgets).map(with).collect()
}

/// Twice stable's p99, the longest of the latency metrics, in milliseconds: a warm-up is at least this.
pub fn tail_ms(metrics: &[Metric], histories: &BTreeMap<String, Past>) -> i64 {
    let p99 = metrics.iter().filter_map(|m| refuse::p99_ms(m, &histories.get(&m.name)?.hour));
    (2.0 * p99.fold(0.0, f64::max)).min(3_600_000.0) as i64
}

/// Looks that the stages plan for: the horizons of their ledgers.
pub fn planned_looks(spec: &ModelRolloutSpec, interval: Duration) -> PlannedLooks {
    let looks = |span: Duration| {
        let n = span.num_milliseconds() / interval.num_milliseconds().max(1);
        u32::try_from(n.clamp(0, 1_000_000)).unwrap_or(1_000_000)
    };
    let strategy = &spec.strategy;
    let evidence = strategy.deadlines.evidence.get();
    let canary = strategy.canary.steps.iter().map(|s| s.hold.get() + evidence);
    PlannedLooks {
        shadow: strategy.shadow.as_ref().map_or(0, |s| looks(s.duration.get()).max(1)),
        canary: looks(canary.fold(Duration::zero(), |a, b| a + b)),
        watch: looks(strategy.watch.duration.get()),
        // By counts of pods the watch has no control share.
        paired_watch: strategy.watch.control_weight > 0 && spec.traffic.gateway_api.is_some(),
    }
}

fn claim(metric: &Metric) -> Claim {
    Claim {
        weight: metric.weight,
        ratio: metric.ratio.is_some(),
        observe_only: metric.observe_only || metric.value.is_some(),
    }
}

fn shares(of: api::ErrorBudget) -> Shares {
    Shares { guard: of.guard, shadow: of.shadow, canary: of.canary, watch: of.watch }
}

fn kind(metric: &Metric) -> Kind {
    if metric.value.is_some() {
        return Kind::Value;
    }
    match (&metric.ratio, &metric.latency, &metric.slo, &metric.mean) {
        (Some(_), ..) => Kind::Ratio,
        (None, Some(_), ..) => Kind::Latency,
        (None, None, Some(_), _) => Kind::Slo,
        (None, None, None, Some(mean)) if mean.histogram.is_some() => Kind::MeanHistogram,
        (None, None, None, Some(mean)) if mean.pass_fail => Kind::MeanPassFail,
        // The squares of values without bounds are for the A/B test; the exact tests are not for them.
        (None, None, None, Some(mean)) if mean.unbounded => Kind::MeanSumCount,
        (None, None, None, Some(mean)) if mean.sum_of_squares.is_some() => Kind::MeanSumSquares,
        (None, None, None, Some(mean)) if mean.guarantee == api::Guarantee::Exact => Kind::MeanCounted,
        (None, None, None, _) => Kind::MeanSumCount,
    }
}

fn range(of: &api::Value) -> Range {
    Range { min: of.min.map(Rounded), max: of.max.map(Rounded) }
}

/// What the user wrote of a limit, the rest from `default`.
pub(super) fn filled(default: Limit, user: Option<&api::Limit>) -> Limit {
    match user {
        None => default,
        Some(l) => {
            Limit { ratio: l.ratio.unwrap_or(default.ratio), plus: l.by.or(l.plus).unwrap_or(default.plus) }
        }
    }
}

fn limits(plan: &mut MetricPlan, metric: &Metric) {
    plan.worse = filled(plan.worse, metric.worse.as_ref());
    // What is left out of the proof is the default, or the rollback bound where that is wider: a candidate between the two
    // would be neither promoted nor rolled back.
    plan.proof = filled(plan.proof, metric.proof.as_ref()).at_least(plan.worse);
    plan.min_samples = u32::try_from(metric.min_samples).unwrap_or(u32::MAX);
    plan.range = metric.value.as_ref().map(range).unwrap_or_default();
    plan.observe_only = metric.observe_only || (metric.value.is_some() && plan.range.is_open());
    plan.provable &= !metric.mean.as_ref().is_some_and(|m| m.unbounded);
    plan.bound = metric.slo.as_ref().map_or(0.0, api::Slo::edge);
    plan.better = match metric.mean.as_ref().map(|m| m.better) {
        Some(api::Better::Lower) => Better::Lower,
        Some(api::Better::Higher) | None => Better::Higher,
    };
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::analysis::{Bound, Counter, Counts};
    use crate::rollout::warm_up_of;

    /// Errors finish early and successes late: until the long requests after a change of the share are through, failures are
    /// over-counted.
    #[test]
    fn long_requests_make_the_warm_up_twice_the_longest_p99_of_stable() {
        let hour = |p99: f64| {
            let mut hour = Counts::default();
            let buckets = [(p99, 995.0), (600.0, 1000.0), (f64::INFINITY, 1000.0)];
            for (bound, n) in buckets {
                hour.gain(Counter::Bucket(Bound(bound)), n);
            }
            hour.gain(Counter::Total, 1000.0);
            Past { hour, ..Past::default() }
        };
        let metrics: Vec<Metric> = serde_json::from_value(json!([
            {"name": "errors", "ratio": {"bad": "b", "total": "t"}},
            {"name": "first", "latency": {"histogram": "h"}},
            {"name": "all", "latency": {"histogram": "g"}},
        ]))
        .unwrap();
        let warm_up = |first: f64, all: f64| {
            let pasts = [("errors", hour(0.1)), ("first", hour(first)), ("all", hour(all))];
            let pasts = pasts.map(|(name, past)| (name.to_owned(), past)).into();
            let spec = serde_json::from_value(json!({
                "model": "m", "version": "1.0.0", "environment": "production", "workload": {"deployment": "d"},
                "traffic": {"service": "s", "gatewayAPI": {"httpRoute": "r"}},
                "strategy": {"canary": {"steps": [{"weight": 10, "hold": "1m"}]}}, "analysis": {"warmUp": "60s"},
            }))
            .unwrap();
            warm_up_of(&spec, tail_ms(&metrics, &pasts)).num_seconds()
        };
        assert_eq!(warm_up(2.0, 45.0), 90, "twice the longest");
        assert_eq!(warm_up(29.0, 0.5), 60, "warmUp where that is longer");
        assert_eq!(warm_up(2.0, 600.0), 1200);
    }

    fn bounds(limits_of: Value) -> (Limit, Limit) {
        let mut metric = json!({"name": "m"});
        metric.as_object_mut().unwrap().extend(limits_of.as_object().unwrap().clone());
        let metric: Metric = serde_json::from_value(metric).unwrap();
        let budget = split_by(0.01, Shares::default(), planned(), &[claim(&metric)]).remove(0);
        let mut plan = MetricPlan::new("m", "1.0.0", kind(&metric), budget);
        limits(&mut plan, &metric);
        (plan.worse, plan.proof)
    }

    fn planned() -> PlannedLooks {
        PlannedLooks { shadow: 0, canary: 10, watch: 10, paired_watch: true }
    }

    #[test]
    fn a_proof_that_is_left_out_is_the_default_and_never_narrower_than_the_rollback_bound() {
        let ratio = json!({"bad": "b", "total": "t"});
        let of = |worse: Value, proof: Value| bounds(json!({"ratio": ratio, "worse": worse, "proof": proof}));
        assert_eq!(bounds(json!({"ratio": ratio})), (Limit::ratio(1.25, 0.0005), Limit::ratio(1.5, 0.001)));
        assert_eq!(
            of(json!({"ratio": 2}), Value::Null),
            (Limit::ratio(2.0, 0.0005), Limit::ratio(2.0, 0.001))
        );
        assert_eq!(
            of(json!({"plus": 0.01}), json!({"ratio": 3})),
            (Limit::ratio(1.25, 0.01), Limit::ratio(3.0, 0.01))
        );
        assert_eq!(
            of(json!({"ratio": 1.1}), json!({"ratio": 1.2})).1,
            Limit::ratio(1.2, 0.001),
            "what is said counts"
        );
        let mean = |worse: f64| bounds(json!({"mean": {"histogram": "h"}, "worse": {"by": worse}})).1;
        assert_eq!((mean(0.01), mean(0.1)), (Limit::by(0.05), Limit::by(0.1)));
    }
}
