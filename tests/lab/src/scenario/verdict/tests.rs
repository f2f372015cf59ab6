//! The table tells what happened, and refuses to call it good when it was not.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::*;
use crate::scenario::observe::Share;

fn at(seconds: f64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1_800_000_000_000 + (seconds * 1000.0) as i64)
}

fn route(seconds: f64, candidate: u32, spec: &str) -> Seen<RouteVersion> {
    let body = Body::of(&json!({"metadata": {}, "spec": spec}));
    let share = Share { candidate, mirrored: false };
    Seen {
        at: at(seconds),
        deleted: false,
        object: RouteVersion { resource_version: "1".into(), share, body },
    }
}

fn rollout(seconds: f64, status: Value) -> Seen<ModelRollout> {
    let object = serde_json::from_value(json!({
        "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout", "metadata": {"name": "digits"},
        "spec": {"model": "digits", "version": "1.2.0", "workload": {"deployment": "digits"}, "traffic": {"service": "digits"}},
        "status": status}))
    .expect("a rollout");
    Seen { at: at(seconds), deleted: false, object }
}

fn rolled_back() -> Value {
    json!({"phase": "RolledBack", "message": "1.1.0 serves",
        "active": {"version": "1.1.0", "slot": "a", "templateHash": "h", "since": at(0.0)},
        "rejected": [{"version": "1.2.0", "reason": "MetricBreach", "at": at(20.0)}],
        "lastRollback": {"version": "1.2.0", "reason": "MetricBreach", "breachAt": at(19.0), "decidedAt": at(20.0),
                         "routeWrittenAt": at(20.04)},
        "history": [{"id": "x", "at": at(20.0), "from": "Canary(0)", "to": "RollingBack", "version": "1.2.0",
                     "reason": "MetricBreach", "message": "accuracy: candidate 0.8 of 400 requests"}]})
}

/// A release that was taken back as it should be.
struct Told {
    releases: Vec<Release>,
    user_route: Body,
    route: Vec<Seen<RouteVersion>>,
    rollout: Vec<Seen<ModelRollout>>,
    pods: Vec<PodRecord>,
    writes: Vec<Write>,
    report: Report,
}

impl Told {
    fn good() -> Self {
        let by = vec!["accuracy".to_owned()];
        let (version, what) = ("1.2.0".to_owned(), "less accurate".to_owned());
        let expect = Expect::RolledBack { by };
        let report = json!({"startedAt": at(0.0), "seconds": 60.0, "worstLagMillis": 1.0, "byAccessLog": true, "requests": 9000,
            "failures": 7, "outside": 0, "outsideSamples": [], "mismatched": 0, "notInLog": 0, "targets": {},
            "versions": {"1.2.0": {"requests": 150, "served": seen(150), "failed": seen(7), "errors": {}, "correct": 120,
                "wrong": seen(23), "slow": seen(0), "bad": seen(30), "pods": {}}}});
        let pod = PodRecord {
            uid: "u".into(),
            name: "digits-a-1".into(),
            version: "1.1.0".into(),
            seen: at(1.0),
            ready: Some(at(2.0)),
            deleting: None,
            restarts: Vec::new(),
        };
        let write = |seconds: f64| Write {
            user: "op".into(),
            verb: "patch".into(),
            received: at(seconds),
            answered: at(seconds + 0.01),
        };
        Self {
            releases: vec![Release { version, what, expect, began: at(10.0), ended: at(30.0), outside: 0 }],
            user_route: Body::of(&json!({"metadata": {}, "spec": "user's"})),
            route: vec![route(0.0, 0, "user's"), route(12.0, 5, "split"), route(20.05, 0, "user's")],
            rollout: vec![rollout(11.0, json!({"phase": "Canary"})), rollout(29.0, rolled_back())],
            pods: vec![pod],
            writes: vec![write(12.0), write(20.02)],
            report: serde_json::from_value(report).expect("a report"),
        }
    }

    fn table(&self) -> Table {
        let Self { releases, user_route, route, rollout, pods, writes, report } = self;
        judge(&Facts { releases, user_route, route, rollout, pods, writes, report })
    }

    fn wrong(&self) -> String {
        self.table().wrong.join("\n")
    }
}

fn seen(count: u64) -> Value {
    json!({"count": count, "first": at(13.0), "last": at(21.5)})
}

#[test]
fn a_good_rollback_is_told_with_its_numbers() {
    let table = Told::good().table();
    assert_eq!(table.wrong, [] as [String; 0]);
    let row = &table.rows[0];
    assert_eq!((row.outcome.as_str(), row.caught_by.as_deref()), ("rolled back", Some("accuracy")));
    assert_eq!((row.served, row.bad, row.bad_seconds), (150, 30, Some(8.5)));
    let restored = row.restored.expect("times");
    let times = [restored.by_status, restored.by_audit, restored.by_watch].map(|ms| ms.map(f64::round));
    assert_eq!(times, [Some(40.0), Some(30.0), Some(50.0)]);
    let text = table.to_string();
    assert!(text.contains("Everything as promised") && text.contains("accuracy"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn whatever_is_not_as_promised_is_named() {
    let mut told = Told::good();
    told.report.outside = 2;
    assert!(told.wrong().contains("2 requests failed that no bad version caused"));

    let mut told = Told::good();
    told.route.push(route(29.5, 0, "operator's"));
    assert!(
        told.wrong().contains("1.2.0: the route at rest is not the user's: spec differ"),
        "{}",
        told.wrong()
    );

    let mut told = Told::good();
    told.route[2].at = at(21.2);
    assert!(told.wrong().contains("restored after 1200 ms by a watch"), "{}", told.wrong());

    let mut told = Told::good();
    told.writes.truncate(1);
    assert!(told.wrong().contains("the audit log has no restored route"), "{}", told.wrong());

    let mut told = Told::good();
    told.pods[0].restarts.push(at(15.0));
    assert!(told.wrong().contains("1 pods of the version that serves"), "{}", told.wrong());

    let mut told = Told::good();
    told.releases[0].expect = Expect::RolledBack { by: vec!["CandidateSilent".into()] };
    assert!(
        told.wrong().contains("caught by accuracy, not by its own fault (CandidateSilent)"),
        "{}",
        told.wrong()
    );

    let mut told = Told::good();
    told.rollout.truncate(1);
    assert!(told.wrong().contains("it is unfinished, not rolled back"), "{}", told.wrong());
}

#[test]
fn a_pod_that_goes_after_the_promotion_is_a_restart() {
    let active = json!({"phase": "Active", "active": {"version": "1.1.0", "slot": "a", "templateHash": "h", "since": at(20.0)}});
    let mut told = Told::good();
    told.releases[0].version = "1.1.0".into();
    told.releases[0].expect = Expect::Promoted;
    told.rollout = vec![rollout(15.0, json!({"phase": "Watching"})), rollout(29.0, active)];
    assert_eq!(told.table().rows[0].outcome, "promoted");
    assert_eq!(told.wrong(), "");
    told.pods[0].deleting = Some(at(18.0));
    assert!(told.wrong().contains("1 pods of the version that serves"), "{}", told.wrong());
}
