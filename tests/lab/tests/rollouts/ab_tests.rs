//! A/B tests: a number of sessions, a winner, and each session with one version.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::net;
use serde_json::{Value, json};
use understudy::api::{AbWinner, ModelRollout};

use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, World};

const SESSION: &str = "x-session-id";

/// Sessions are feedback here, and what they bring is whether the prediction was right. A version that is wrong more often loses
/// by the rule; one that is right more often wins, and while that is tested each session stays with one version.
pub async fn a_worse_version_loses_its_ab_test_and_a_better_one_wins(world: &World) -> Result<()> {
    let space = Space::new(world, "ab").await?;
    let mut rollout = manifests::rollout("ab");
    let shown = json!({"name": "right", "observeOnly": true,
        "mean": {"sum": "feedback_correct_total", "count": "feedback_total", "passFail": true}});
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors(), shown]);
    rollout["spec"]["strategy"]["canary"]["steps"] = steps(json!({"metric": "right", "sessions": 500}));
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(100.0).await?;

    space.release("1.2.0").await?;
    space.wait_rejected("1.2.0").await?;
    let last = space.status().last_rollback.context("no rollback in status")?;
    ensure!(last.reason == "ABTestLost", "taken back for {}", last.reason);
    let lost = space.status().ab_test.and_then(|test| test.result).context("no result of the A/B test")?;
    ensure!(lost.winner == AbWinner::Stable && lost.high.starts_with('-'), "{lost:?}");
    space.note(&lost.message);

    let sticky = json!({"metric": "right", "sessions": 500, "sticky": {"header": SESSION}});
    space.edit(json!({"spec": {"strategy": {"canary": {"steps": steps(sticky)}}}})).await?;
    space.release("1.1.0").await?;
    let weighed = |rollout: &ModelRollout| {
        rollout.status.as_ref()?.weights.filter(|weights| weights.candidate == 50).map(|_| ())
    };
    space.rollout.wait("50 % to the candidate", RELEASE, weighed).await?;
    let (sessions, moved) = sessions(&space).await?;
    space.wait_active("1.1.0").await?;
    let won = space
        .status()
        .history
        .iter()
        .rev()
        .find(|e| e.message.contains("A/B test"))
        .map(|e| e.message.clone());
    space.note(&won.context("no word of the A/B test in the history")?);
    space.note(&format!(
        "sessions by version: {sessions:?}; {moved} answers from another version than the session's first"
    ));
    ensure!(moved == 0, "{moved} answers came from another version than the session's first");
    // 40 of 80 expected; outside of 4.5 standard deviations once in 100,000 runs.
    ensure!(sessions.values().all(|n| (20..=60).contains(n)) && sessions.len() == 2, "{sessions:?}");
    space.ensure_no_failures(load, &["1.2.0"]).await?;
    space.ensure_route_untouched().await?;
    space.done().await
}

fn steps(test: Value) -> Value {
    json!([{"weight": 50, "hold": "3s", "abTest": test}])
}

/// Eighty sessions of six requests each: how many each version has, and how many answers came from another version than the first.
async fn sessions(space: &Space<'_>) -> Result<(BTreeMap<String, u32>, u32)> {
    // The gateway's proxy takes the route over a moment after its controller says so.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ids: Vec<String> = (0..80).map(|_| format!("{:032x}", rand::random::<u128>())).collect();
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    let mut moved = 0;
    for _ in 0..6 {
        for id in &ids {
            let version = version(space, id).await?;
            match first.get(id.as_str()) {
                None => drop(first.insert(id, version)),
                Some(known) => moved += u32::from(*known != version),
            }
        }
    }
    let mut count = BTreeMap::new();
    first.into_values().for_each(|version| *count.entry(version).or_default() += 1);
    Ok((count, moved))
}

/// The version that answers a session.
async fn version(space: &Space<'_>, session: &str) -> Result<String> {
    let headers =
        [("host".to_owned(), manifests::host(&space.namespace)), (SESSION.to_owned(), session.to_owned())];
    let answer =
        lab::http::get(&format!("{}/metrics", net::GATEWAY), &headers, Duration::from_secs(10)).await?;
    let info = answer.body.lines().find(|line| line.starts_with("model_info{")).context("no model_info")?;
    let version = info.split("version=\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(version.context("no version in model_info")?.to_owned())
}
