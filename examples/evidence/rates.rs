//! False rollbacks: whole rollouts whose candidate is no worse than allowed.

use serde_json::{Value, json};
use understudy::cli::simulate::runs;
use understudy::synthetic::{Arm, Report, Study, Traffic, share_interval};

const RUNS: u64 = 10_000;
const ALPHA: f64 = 0.01;

struct Case {
    what: &'static str,
    strategy: Value,
    worse: Value,
    stable: Arm,
    error: f64,
    drift: f64,
}

/// Looks every 15 s: 2,000 of them are 8 h 20 min.
fn cases() -> Vec<Case> {
    let one = || {
        json!({"canary": {"steps": [{"weight": 5, "hold": "30000s"}]}, "watch": {"duration": "0s"},
            "deadlines": {"evidence": "1s"}})
    };
    let whole = json!({"canary": {"steps": [{"weight": 5, "hold": "2h"}, {"weight": 25, "hold": "1h"},
        {"weight": 50, "hold": "1h"}]}, "watch": {"duration": "15600s", "controlWeight": 1}});
    let none = || json!({"ratio": 1, "plus": 0});
    let stable = Arm::default();
    let bursts = Arm { burst: 3.0, ..stable };
    let case =
        |what, strategy, worse, stable, error, drift| Case { what, strategy, worse, stable, error, drift };
    vec![
        case("as good as stable, no margin at all", one(), none(), stable, 0.01, 1.0),
        case("exactly on the default limit", one(), json!({}), stable, 0.013, 1.0),
        case("as good, no margin, failures of both triple each hour", one(), none(), stable, 0.01, 3.0),
        case("as good, no margin, failures in bursts of 3", one(), none(), bursts, 0.01, 1.0),
        case("three steps and a watch, as good, no margin", whole, none(), stable, 0.01, 1.0),
    ]
}

pub fn table() -> (String, Vec<String>) {
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for case in cases() {
        let spec = json!({
            "model": "m", "version": "2.0.0", "workload": {"deployment": "m"},
            "traffic": {"service": "m", "gatewayAPI": {"httpRoute": "m"}}, "strategy": case.strategy,
            "analysis": {"interval": "15s", "warmUp": "0s", "falseRollbackRate": ALPHA,
                "metrics": [{"name": "errors", "ratio": {"bad": "b", "total": "t"}, "worse": case.worse}]},
        });
        let traffic = Traffic {
            stable: case.stable,
            candidate: Arm { error: case.error, ..case.stable },
            drift: case.drift,
            ..Traffic::default()
        };
        let spec = serde_json::from_value(spec).expect("the kind's own fields");
        let study = Study::new(spec, traffic, 1).expect("one metric that decides");
        let report = Report::of(&runs(&study, RUNS));
        let (low, high) = share_interval(report.rolled_back, report.runs);
        let percent = |x: f64| format!("{:.2} %", 100.0 * x);
        rows.push(vec![
            case.what.to_owned(),
            (report.looks / RUNS).to_string(),
            percent(report.share(report.rolled_back)),
            format!("{} to {}", percent(low), percent(high)),
        ]);
        if report.share(report.rolled_back) > ALPHA {
            broken.push(format!("{}: {} of {RUNS} rolled back", case.what, report.rolled_back));
        }
    }
    (crate::markdown(&["candidate", "looks (mean)", "rolled back", "95 % interval"], &rows), broken)
}
