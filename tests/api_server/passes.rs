//! Whole ways, write by write: a rollback, and the settling.

use super::*;

/// A release of 1.1.0 that has begun its first canary step.
async fn canary() -> Play {
    let play = Play::new();
    play.until(Phase::Active).await;
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| r["spec"]["version"] = json!("1.1.0"));
    play.until(Phase::Canary).await;
    while !matches!(play.pass().await, Next::Wait { wrote: false, .. }) {}
    play.requests();
    play
}

#[tokio::test]
async fn a_rollback_writes_intent_then_route_then_field_owners_and_after_the_drain_the_capacity() {
    let play = canary().await;
    let before = play.api.get(&format!("{ROUTES}/m")).unwrap();
    assert_eq!(before["spec"]["rules"][0]["backendRefs"].as_array().unwrap().len(), 2, "{before}");
    play.decide("Abort", None);

    play.pass().await;
    assert_eq!(play.phase(), Some(Phase::RollingBack));
    let requests = play.requests();
    assert_eq!(requests[..2], ["patch modelrollouts/m/status", "patch httproutes/m"], "{requests:?}");
    let route = play.api.get(&format!("{ROUTES}/m")).unwrap();
    assert_eq!(route["spec"]["rules"][0]["backendRefs"], json!([{"name": "m", "port": 80}]));
    assert!(
        !requests.iter().any(|r| r.contains("scale")),
        "the candidate keeps its capacity while requests drain"
    );

    play.until(Phase::RolledBack).await;
    let requests = play.requests();
    let at = |what: &str| position(&requests, what);
    assert!(
        at("patch httproutes/m") < at("patch deployments/m-a/scale"),
        "field owners come back before: {requests:#?}"
    );
    let route = play.api.get(&format!("{ROUTES}/m")).unwrap();
    assert_eq!(route["metadata"]["managedFields"][0]["manager"], "user");
    assert!(at("patch deployments/m-a/scale") < at("delete httproutes/m-understudy"), "{requests:#?}");
    assert_eq!(play.api.get(&format!("{APPS}/m-a")).unwrap()["spec"]["replicas"], 0);
}

#[tokio::test]
async fn a_rollback_that_is_cut_off_after_any_write_ends_the_same() {
    for broken in [
        "patch modelrollouts/m/status",
        "patch httproutes/m",
        "patch deployments/m-a/scale",
        "delete httproutes/m-understudy",
    ] {
        let play = canary().await;
        play.decide("Abort", None);
        play.api.fail(broken, 500);
        for _ in 0..5 {
            let _ =
                understudy::controller::reconcile(&play.ctx, &Key::new("shop", "m"), &Notify::new()).await;
            play.settle_in();
        }
        play.api.heal();
        play.until(Phase::RolledBack).await;
        let route = play.api.get(&format!("{ROUTES}/m")).unwrap();
        assert_eq!(route["spec"]["rules"][0]["backendRefs"], json!([{"name": "m", "port": 80}]), "{broken}");
        assert_eq!(play.api.get(&format!("{APPS}/m-a")).unwrap()["spec"]["replicas"], 0, "{broken}");
        assert!(play.api.get(&format!("{ROUTES}/m-understudy")).is_none(), "{broken}");
        let counted = r#"understudy_rollbacks_total{namespace="shop",reason="Aborted",rollout="m"} 1"#;
        let text = play.ctx.metrics.text().unwrap();
        assert!(text.lines().any(|l| l == counted), "one rollback, not one for each write; {broken}: {text}");
    }
}

#[tokio::test]
async fn settling_moves_the_services_then_lets_the_old_arm_go_after_the_drain() {
    let play = Play::new();
    play.until(Phase::Active).await;
    play.requests();
    // Straight to another version, nothing judged: Preparing, then Settling. What it leaves is turned down.
    play.decide("Rollback", Some("1.1.0"));
    play.until(Phase::Settling).await;
    let began = Instant::now();
    play.until(Phase::RolledBack).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "the old arm's requests may end first");
    let requests = play.requests();
    let at = |what: &str| position(&requests, what);
    assert!(at("post deployments") < at("patch deployments/m-a/scale"), "{requests:#?}");
    assert!(at("patch deployments/m-a/scale") < at("patch services/m"), "{requests:#?}");
    assert!(at("patch services/m") < at("patch services/m-candidate"), "{requests:#?}");
    assert!(at("patch services/m-candidate") < at("patch deployments/m/scale"), "{requests:#?}");
    assert!(
        !requests.iter().any(|r| r.starts_with("patch httproutes")),
        "the user's route is as they wrote it"
    );
    assert_eq!(play.api.get(&format!("{APPS}/m")).unwrap()["spec"]["replicas"], 0);
    assert_eq!(play.rollout().status.unwrap().active.unwrap().version, "1.1.0");
}

fn position(requests: &[String], what: &str) -> usize {
    requests.iter().position(|r| r == what).unwrap_or_else(|| panic!("no {what}: {requests:#?}"))
}

#[tokio::test]
async fn at_rest_a_pass_asks_and_writes_nothing() {
    let play = Play::new();
    play.until(Phase::Active).await;
    while !matches!(play.pass().await, Next::Wait { wrote: false, .. }) {}
    play.requests();
    let next = play.pass().await;
    assert_eq!(next, Next::Wait { until: None, wrote: false }, "and no timer");
    assert_eq!(play.requests(), Vec::<String>::new());
}
