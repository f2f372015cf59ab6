//! Where a version stands, as it follows from what the controller writes into a rollout.

use super::*;
use understudy::api::{ModelVersion, Stage};
use understudy::registry::model_version;

fn uses(play: &Play, version: &str) -> (Option<Stage>, Vec<(Stage, chrono::DateTime<Utc>)>) {
    let version: ModelVersion = play.read(&format!("{OURS}/modelversions/m-{version}"));
    let status = model_version::status(&version, &[play.rollout()], Utc::now());
    (status.stage, status.used_by.iter().map(|u| (u.stage, u.since)).collect())
}

#[tokio::test]
async fn a_version_is_in_its_stage_since_the_controller_entered_it() {
    let play = Play::new();
    play.until(Phase::Active).await;
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| r["spec"]["version"] = json!("1.1.0"));
    play.until(Phase::Canary).await;
    let status = play.rollout().status.unwrap();
    let entered = status.history.last().unwrap();
    assert_eq!(entered.to, "Canary(0)");
    assert!(entered.at > status.candidate.unwrap().since, "its pods were started before");
    assert_eq!(uses(&play, "1.1.0"), (Some(Stage::Canary), vec![(Stage::Canary, entered.at)]));
    assert_eq!(uses(&play, "1.0.0").0, Some(Stage::Active));

    play.decide("Abort", None);
    play.until(Phase::RolledBack).await;
    assert_eq!(uses(&play, "1.1.0"), (Some(Stage::Rejected), vec![]));
}

#[tokio::test]
async fn a_version_that_was_left_is_deprecated_and_rejected_when_a_person_turned_it_down() {
    let play = Play::new();
    play.until(Phase::Active).await;
    play.decide("Rollback", Some("1.1.0"));
    play.until(Phase::RolledBack).await;
    let verified = play.rollout().status.unwrap().active.unwrap();
    assert_eq!(uses(&play, "1.1.0"), (Some(Stage::Active), vec![(Stage::Active, verified.since)]));
    assert_eq!(uses(&play, "1.0.0"), (Some(Stage::Rejected), vec![]));
    play.edit(&format!("{OURS}/modelrollouts/m"), |r| r["status"]["rejected"] = json!([]));
    assert_eq!(uses(&play, "1.0.0"), (Some(Stage::Deprecated), vec![]), "history tells that it was active");
}
