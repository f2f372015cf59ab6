//! Statuses as the operator writes them, made up for the tests of the view.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use understudy::api::{ModelRollout, ModelRolloutStatus};

use super::snapshot::{Act, ActState, Line, Share, Snapshot, Tone};
use crate::load::{Counts, Live};

/// A moment, so many seconds after the demo began.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::seconds(1_800_000_000 + seconds)
}

/// In the second of three canary steps, with one metric near its limit.
pub fn canary() -> ModelRolloutStatus {
    let metric = |name: &str, verdict: &str, stable: &str, candidate: &str, worse: &str| {
        json!({"metric": name, "verdict": verdict, "stable": {"n": 12345, "value": stable},
               "candidate": {"n": 812, "value": candidate}, "ratio": "1.00", "limit": "0.0020",
               "evidenceWorse": worse, "evidenceGood": "3.0 : 1 of 20 : 1", "message": "m"})
    };
    serde_json::from_value(json!({
        "phase": "Canary",
        "message": "step 2 of 3",
        "waitingFor": "step 2 of 3: 4 s of its hold of 8 s",
        "active": {"version": "1.1.0", "bundleDigest": "sha256:aa", "slot": "a", "templateHash": "h1", "since": at(0)},
        "candidate": {"version": "1.2.0", "bundleDigest": "sha256:bb", "slot": "b", "templateHash": "h2",
                      "planHash": "p", "attempt": 1, "since": at(60)},
        "step": {"index": 1, "weight": 25, "set": 25, "setAt": at(70), "startedAt": at(70), "heldMs": 4000},
        "weights": {"stable": 75, "candidate": 25},
        "analysis": [
            metric("errors", "Inconclusive", "0.0004", "0.0012", "12 : 1 of 143 : 1"),
            metric("latency", "Pass", "0.0010", "0.0010", "1 : 3.0 of 143 : 1"),
            metric("accuracy", "Breach", "0.9300", "0.7412", "1,204 : 1 of 143 : 1"),
            metric("gateway", "WarmUp", "0.0000", "0.0000", "1.0 : 1 of 143 : 1"),
        ],
        "history": [{"id": "i1", "at": at(70), "from": "Canary(0)", "to": "Canary(1)", "version": "1.2.0",
                     "reason": "StepStarted", "message": "share 25 %"}],
    }))
    .expect("a status")
}

/// The whole picture around a status.
pub fn snapshot(status: ModelRolloutStatus) -> Snapshot {
    let mut rollout: ModelRollout = serde_json::from_value(json!({
        "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout", "metadata": {"name": "digits", "namespace": "demo"},
        "spec": {"model": "digits", "version": "1.2.0", "workload": {"deployment": "digits"},
                 "traffic": {"service": "digits", "gatewayAPI": {"httpRoute": "digits"}},
                 "strategy": {"canary": {"steps": [{"weight": 5, "hold": "8s"}, {"weight": 25, "hold": "8s"},
                                                   {"weight": 50, "hold": "8s"}]}},
                 "analysis": {"metrics": [
                     {"name": "errors", "ratio": {"bad": "a", "total": "b"}}, {"name": "latency", "latency": {"histogram": "h"}},
                     {"name": "accuracy", "mean": {"sum": "s", "count": "c"}}, {"name": "gateway", "ratio": {"bad": "a", "total": "b"}}]}},
    }))
    .expect("a rollout");
    rollout.status = Some(status);
    let act = |version: &str, what: &str, state| Act { version: version.into(), what: what.into(), state };
    let counts = |requests, failed| Counts {
        requests,
        failed,
        correct: 90,
        wrong: 10,
        sum_millis: 300.0,
        max_millis: 9.0,
    };
    Snapshot {
        now: at(83),
        began: at(0),
        acts: vec![
            act("1.0.0", "good", ActState::Done("adopted".into())),
            act("1.1.0", "better", ActState::Done("active".into())),
            act("1.2.0", "less accurate", ActState::Playing),
            act("1.3.0", "slow at the tail", ActState::Waiting),
        ],
        rollout: Some(rollout),
        route: Some(Share { candidate: 25, mirrored: false }),
        load: Some(Live {
            seconds: 83.0,
            sent: 33_120,
            rate: 399.6,
            total: counts(33_100, 3),
            versions: [("1.1.0".to_owned(), counts(33_000, 0)), ("1.2.0".to_owned(), counts(100, 3))].into(),
            recent: [("1.1.0".to_owned(), counts(1500, 0)), ("1.2.0".to_owned(), counts(100, 3))].into(),
        }),
        lines: (0..40)
            .map(|n| {
                Line::new(at(n), if n == 39 { Tone::Bad } else { Tone::Plain }, "1.2.0", format!("event {n}"))
            })
            .collect(),
        keep: false,
        doing: None,
    }
}
