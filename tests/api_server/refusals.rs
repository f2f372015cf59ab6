//! Writes that the API server refuses: said in the conditions, tried again, and forgotten when they go through.

use super::*;
use understudy::api::condition::{self, ConditionType};

/// A pass that may fail, and what the cluster makes of it.
async fn attempt(play: &Play) -> Result<Next, Error> {
    let next = understudy::controller::reconcile(&play.ctx, &Key::new("shop", "m"), &Notify::new()).await;
    play.settle_in();
    next
}

fn stalled(play: &Play) -> Option<(String, String)> {
    let status = play.rollout().status.unwrap_or_default();
    let found = condition::get(&status.conditions, ConditionType::Stalled)?;
    Some((found.reason.clone(), found.message.clone()))
}

#[tokio::test]
async fn a_refused_write_is_a_condition_until_it_goes_through() {
    let play = Play::new();
    play.until(Phase::Active).await;
    play.api.fail("post services", 403);
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| r["spec"]["version"] = json!("1.1.0"));
    for _ in 0..6 {
        let _ = attempt(&play).await;
    }
    let (reason, message) = stalled(&play).expect("a condition says so");
    assert_eq!(reason, "WriteRefused");
    assert!(
        message.contains("refuses to create services shop/m-candidate: the server was told to"),
        "{message}"
    );
    assert!(message.contains("let the operator's service account do it"), "{message}");

    play.requests();
    let error = attempt(&play).await.unwrap_err();
    assert_eq!(error.class(), Class::RetryLater);
    assert_eq!(play.requests(), ["post services"], "what has been said is not written again");

    play.api.heal();
    attempt(&play).await.unwrap();
    let next = attempt(&play).await.unwrap();
    assert_eq!(stalled(&play), None, "{next:?}");
    play.until(Phase::Canary).await;
}

#[tokio::test]
async fn a_conflict_is_looked_at_again_and_is_no_condition() {
    let play = Play::new();
    play.until(Phase::Active).await;
    play.api.fail("post services", 409);
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| r["spec"]["version"] = json!("1.1.0"));
    for _ in 0..6 {
        let _ = attempt(&play).await;
    }
    assert_eq!(stalled(&play), None);
    play.api.heal();
    play.until(Phase::Canary).await;
}

#[tokio::test]
async fn a_write_that_stays_refused_costs_no_look_though_the_metric_source_is_slow() {
    let mut play = Play::new();
    play.until(Phase::Active).await;
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| {
        r["spec"]["version"] = json!("1.1.0");
        r["spec"]["analysis"]["interval"] = json!("1s");
    });
    play.until(Phase::Canary).await;
    while !matches!(play.pass().await, Next::Wait { wrote: false, .. }) {}
    play.ctx.sources = Sources::default().with("default", Arc::new(Slow(Duration::from_millis(600))));
    play.api.fail("patch rolloutdecisions/pause/status", 403);
    play.decide("Pause", None);
    let asked = |play: &Play| play.rollout().status.and_then(|s| s.evidence).and_then(|e| e.asked_at);
    let one = async |play: &Play| {
        let _ = understudy::controller::reconcile(&play.ctx, &Key::new("shop", "m"), &Notify::new()).await;
        play.settle_in();
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    one(&play).await;
    let before = asked(&play);
    let began = Instant::now();
    while asked(&play) == before {
        assert!(began.elapsed() < Duration::from_secs(10), "no look, for ten intervals");
        one(&play).await;
    }
    assert!(play.requests().contains(&"patch rolloutdecisions/pause/status".to_owned()), "it is still tried");
}

#[tokio::test]
async fn of_a_past_that_is_too_large_for_one_answer_the_latest_part_is_read() {
    let mut play = Play::new();
    play.ctx.sources = Sources::default().with("default", Arc::new(Narrow));
    play.until(Phase::Active).await;
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| r["spec"]["version"] = json!("1.1.0"));
    play.until(Phase::Canary).await;
}
