use serde_json::json;

use super::*;
use crate::analysis::Counts;

fn rollout(strategy: serde_json::Value, metrics: serde_json::Value) -> ModelRollout {
    let spec = json!({
        "model": "m", "version": "2", "workload": {"deployment": "m"}, "traffic": {"service": "m"},
        "strategy": strategy, "analysis": {"interval": "10s", "warmUp": "0s", "metrics": metrics},
    });
    ModelRollout::new("m", serde_json::from_value(spec).unwrap())
}

/// So many requests in a second, 1 % of them bad, 5 % of the sums.
fn past(per_second: f64) -> Result<Past, Refused> {
    let n = per_second * 3600.0;
    let hour = Counts { n, bad: 0.01 * n, sum: 0.05 * n, ..Counts::default() };
    Ok(Past { hour, seconds: 3600.0, looks: Vec::new() })
}

fn preview(rollout: &ModelRollout, pasts: &[(&str, Result<Past, Refused>)]) -> (Preview, String) {
    let pasts = pasts.iter().map(|(name, past)| ((*name).to_owned(), past.clone())).collect();
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let setup = Setup { rollout, at, scrape: Some(Duration::seconds(10)), pasts: &pasts };
    let found = Preview::of(&setup);
    let text = text(&setup, &found, &[]);
    (found, text)
}

fn errors() -> serde_json::Value {
    json!({"name": "errors", "ratio": {"bad": "b", "total": "t"}})
}

fn orders(more: serde_json::Value) -> serde_json::Value {
    let mut mean = json!({"sum": "s", "count": "c"});
    mean.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "orders", "mean": mean, "observeOnly": true})
}

fn steps(last: serde_json::Value) -> serde_json::Value {
    json!({"canary": {"steps": [{"weight": 10, "hold": "10m"}, last]}, "watch": {"duration": "1h"}})
}

#[test]
fn it_is_the_forecast_that_the_operator_writes() {
    let rollout = rollout(steps(json!({"weight": 50, "hold": "30m"})), json!([errors()]));
    let (found, text) = preview(&rollout, &[("errors", past(100.0))]);
    let pasts = [("errors".to_owned(), past(100.0).unwrap())].into();
    let (spec, interval) = (&rollout.spec, Duration::seconds(10));
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let plans = rollout::metric_plans(spec, "2", interval, at, &pasts);
    let schedule = Schedule { spec, interval, warm_up: Duration::zero(), scrape_ms: Some(10_000) };
    let operators = rollout::forecast(&schedule, &plans, &pasts).unwrap();
    assert_eq!(found.metrics[0].forecast.as_ref().unwrap().0, operators.forecast.metrics[0]);
    assert!(found.in_time() && operators.forecast.in_time);
    // Proven and found within its holds, so these and the watch are the time of the rollout; each step drops a look.
    assert!((6000.0..=6020.0).contains(&found.seconds), "{text}");
    assert!(text.contains("takes at least 1") && !text.contains("Too slow"), "{text}");
}

#[test]
fn a_proof_that_takes_longer_than_the_holds_is_the_time_of_the_canary() {
    let rollout = rollout(steps(json!({"weight": 50, "hold": "1m"})), json!([errors()]));
    let (found, text) = preview(&rollout, &[("errors", past(5.0))]);
    let proof = found.metrics[0].forecast.as_ref().unwrap().0.proof_seconds.unwrap() as f64;
    assert!(proof > 660.0 && found.canary_seconds == proof && found.seconds == proof + 3600.0, "{text}");
    assert!(text.contains("which wait for the slowest proof"), "{text}");
}

#[test]
fn an_ab_test_takes_the_time_of_the_arm_with_fewer_sessions() {
    let step = |weight: i32, metric: &str| {
        steps(json!({"weight": weight, "hold": "1m", "abTest": {"metric": metric, "sessions": 1000}}))
    };
    let with = |strategy, more| rollout(strategy, json!([errors(), orders(more)]));
    let pasts = [("errors", past(100.0)), ("orders", past(2.0))];
    let (found, text) = preview(&with(step(80, "orders"), json!({"passFail": true})), &pasts);
    let test = found.stages[1].ab_test.as_ref().unwrap();
    assert!((test.seconds - 2500.0).abs() < 1e-6, "1000 at a fifth of 2 in a second: {text}");
    let width = 1.959_964 * (2.0 * 0.05 * 0.95 / 1000.0_f64).sqrt();
    assert!((test.half_width.unwrap() - width).abs() < 1e-4, "{test:?}");
    assert!(text.contains("A/B test in step 2: 1,000 sessions of orders for each version"), "{text}");
    assert!(found.in_time());

    let histogram = json!({"name": "errors", "latency": {"histogram": "h"}});
    let of = |metric| preview(&rollout(step(80, metric), json!([histogram])), &[("errors", past(100.0))]);
    for metric in ["errors", "nothing"] {
        let (found, text) = of(metric);
        assert_eq!(found.refused[0].reason, "ABTestMetricMissing", "{text}");
        assert!(!found.in_time() && text.contains("It would not begin (ABTestMetricMissing): abTest.metric"));
    }
    let idle = [("errors", past(100.0)), ("orders", past(0.0))];
    let (found, text) = preview(&with(step(80, "orders"), json!({"passFail": true})), &idle);
    assert!(!found.in_time() && text.contains("Too slow: orders: stable had no sessions"), "{text}");
}

#[test]
fn a_budget_without_a_metric_that_counts_requests_is_refused() {
    let budget = json!({"costPerThousandRequests": "1", "limit": "10"});
    let mut strategy = steps(json!({"weight": 50, "hold": "1m"}));
    strategy["shadow"] = json!({"duration": "10m", "minRequests": 100_000, "budget": budget});
    let scores = json!([{"name": "orders", "mean": {"sum": "s", "count": "c", "passFail": true}}]);
    let (found, _) = preview(&rollout(strategy.clone(), scores), &[("orders", past(2.0))]);
    assert_eq!(found.refused[0].reason, "ShadowNotCounted");
    let (found, text) = preview(&rollout(strategy, json!([errors()])), &[("errors", past(100.0))]);
    // 100,000 at 100 in a second take longer than ten minutes, and cost 100.
    assert!((999.0..1050.0).contains(&found.stages[0].seconds), "{text}");
    assert!(found.shadow.as_ref().unwrap().over && !found.in_time(), "{text}");
    assert!(text.contains("It would not begin (ShadowOverBudget)"), "{text}");
}

#[test]
fn a_refused_metric_is_said_and_the_others_are_reckoned() {
    let rollout = rollout(steps(json!({"weight": 50, "hold": "30m"})), json!([errors(), orders(json!({}))]));
    let refused = Refused { reason: "ScoreOutOfRange".into(), message: "metric orders: rescale".into() };
    let (found, text) = preview(&rollout, &[("errors", past(100.0)), ("orders", Err(refused))]);
    assert!(found.metrics[0].forecast.is_ok() && !found.in_time());
    assert!(text.contains("orders: refused, see below\n"), "{text}");
    assert!(text.contains("It would not begin (ScoreOutOfRange): metric orders: rescale\n"), "{text}");
}
