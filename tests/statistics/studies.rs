//! Studies: whole rollouts against synthetic arms. Seeded, so they fail only when something has changed.

use chrono::Duration;
use serde_json::{Value, json};
use understudy::synthetic::{Arm, By, End, Report, Run, Study, Traffic};

fn study(strategy: Value, analysis: Value, traffic: Traffic) -> Study {
    let spec = json!({
        "model": "m", "version": "2.0.0", "workload": {"deployment": "m"},
        "traffic": {"service": "m", "gatewayAPI": {"httpRoute": "m"}},
        "strategy": strategy, "analysis": analysis,
    });
    Study::new(serde_json::from_value(spec).unwrap(), traffic, 1).unwrap()
}

fn errors(worse: Value) -> Value {
    json!({"name": "errors", "ratio": {"bad": "b", "total": "t"}, "worse": worse})
}

/// One step of so many looks without a warm-up and without a margin: what the limit's test alone does.
fn strict(weight: i32, looks: u32, candidate: f64, requests_per_second: f64) -> Study {
    let strategy = json!({
        "canary": {"steps": [{"weight": weight, "hold": format!("{looks}s")}]},
        "watch": {"duration": "0s"}, "deadlines": {"evidence": "1s"},
    });
    let metric = errors(json!({"ratio": 1, "plus": 0}));
    let analysis = json!({"interval": "1s", "warmUp": "0s", "metrics": [metric]});
    let candidate = Arm { error: candidate, ..Arm::default() };
    study(strategy, analysis, Traffic { requests_per_second, candidate, ..Traffic::default() })
}

fn runs(study: &Study, count: u64) -> Vec<Run> {
    (0..count).map(|number| study.run(number)).collect()
}

#[test]
fn a_run_depends_on_the_seed_and_its_number_only() {
    let study = strict(5, 300, 0.02, 400.0);
    let all = runs(&study, 6);
    assert_eq!(all[5], study.run(5));
    assert_ne!(all[0], all[1]);
}

#[test]
fn an_equal_candidate_is_rolled_back_less_often_than_the_rate_allows_without_any_margin() {
    let all = runs(&strict(20, 200, 0.01, 500.0), 120);
    let report = Report::of(&all);
    // One of a hundred is 1.2 of 120; five or more would happen by chance in 0.8 % of such studies.
    assert!(report.rolled_back < 5, "{report:?}");
    assert!(all.iter().all(|run| run.looks >= 200 || run.detection.is_some()));
}

#[test]
fn a_regression_is_found_after_as_many_requests_as_the_tables_say() {
    // Looks of one candidate request in the mean, so that the length of a look hides nothing.
    for (times, low, high) in [(5.0, 140.0, 205.0), (10.0, 45.0, 72.0)] {
        let report = Report::of(&runs(&strict(5, 1500, 0.01 * times, 20.0), 60));
        assert_eq!(report.rolled_back, 60, "{times}");
        let median = report.detection.unwrap().median.judged;
        assert!((low..high).contains(&median), "{times} times: {median}");
    }
}

/// The whole of a rollout, with steps, warm-ups, proof and watch.
fn whole(traffic: Traffic, metrics: Value) -> Study {
    let strategy = json!({
        "canary": {"steps": [{"weight": 5, "hold": "10m"}, {"weight": 50, "hold": "10m"}]},
        "watch": {"duration": "10m", "controlWeight": 5}, "deadlines": {"evidence": "1h"},
    });
    study(strategy, json!({"metrics": metrics}), traffic)
}

#[test]
fn a_good_candidate_is_promoted_as_soon_as_holds_and_warm_ups_are_over() {
    let metrics = json!([errors(json!({})), {"name": "latency", "latency": {"histogram": "h"}},
        {"name": "score", "mean": {"histogram": "s"}}]);
    let report =
        Report::of(&runs(&whole(Traffic { requests_per_second: 500.0, ..Traffic::default() }, metrics), 8));
    assert_eq!((report.promoted, report.active), (8, 8), "{report:?}");
    // Two holds. What is served in a warm-up counts towards a hold too; a scrape later the step ends.
    let promotion = report.promotion.unwrap().median.time;
    assert!(promotion >= Duration::minutes(20) && promotion < Duration::minutes(40), "{promotion}");
}

#[test]
fn a_candidate_that_turns_bad_later_is_taken_back_then_and_not_before() {
    let traffic = Traffic {
        candidate: Arm { error: 0.1, ..Arm::default() },
        onset: Duration::minutes(5),
        ..Traffic::default()
    };
    for run in runs(&whole(traffic, json!([errors(json!({}))])), 8) {
        let clock = run.detection.unwrap();
        assert!(!run.too_early && clock.time < Duration::minutes(5), "{clock:?}");
        assert!(clock.requests > clock.judged, "samples are late");
    }
}

#[test]
fn an_outright_failure_is_the_coarse_guards_within_the_warm_up() {
    let traffic = Traffic { candidate: Arm { error: 0.9, ..Arm::default() }, ..Traffic::default() };
    for run in runs(&whole(traffic, json!([errors(json!({}))])), 8) {
        assert!(matches!(run.end, End::RolledBack { by: By::CoarseGuard, .. }), "{run:?}");
        assert!(run.looks <= 4, "two looks and a scrape: {run:?}");
    }
}

#[test]
fn what_both_arms_do_is_nobodys_fault() {
    let traffic = Traffic { drift: 5.0, drift_period: Duration::minutes(10), ..Traffic::default() };
    let report = Report::of(&runs(&whole(traffic, json!([errors(json!({}))])), 10));
    assert_eq!(report.rolled_back, 0, "{report:?}");
}

#[test]
fn a_manifest_that_decides_nothing_is_refused() {
    let spec = json!({
        "model": "m", "version": "2.0.0", "workload": {"deployment": "m"},
        "traffic": {"service": "m", "gatewayAPI": {"httpRoute": "m"}},
    });
    let refused = Study::new(serde_json::from_value(spec).unwrap(), Traffic::default(), 1);
    assert!(refused.unwrap_err().to_string().contains("no metric that decides"));
}
