//! What is worse, and when: both versions at once, or the new one long after it was promoted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use crate::manifests;
use crate::nonsense::{Nonsense, refused};
use crate::space::Space;
use crate::world::{RELEASE, World};

/// A third of the requests fail in both versions for a while, as when what both depend on is away: nobody is turned down,
/// status says that the baseline moved too, and the release goes through.
pub async fn both_versions_failing_together_is_no_verdict(world: &World) -> Result<()> {
    let space = Space::new(world, "outage").await?;
    let mut rollout = manifests::rollout("outage");
    rollout["spec"]["analysis"]["metrics"] = json!([refused(), manifests::errors()]);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 30, "hold": "20s"}]);
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(60.0).await?;
    space.release("1.1.0").await?;
    let weighed = |rollout: &ModelRollout| {
        rollout.status.as_ref()?.weights.filter(|weights| weights.candidate == 30).map(|_| ())
    };
    space.rollout.wait("30 % to the candidate", RELEASE, weighed).await?;
    let both = [Nonsense::start(&space, "1.0.0", 21)?, Nonsense::start(&space, "1.1.0", 9)?];
    let moved = |rollout: &ModelRollout| {
        let metric = rollout.status.as_ref()?.analysis.iter().find(|m| m.metric == "refused")?;
        metric.message.contains("baseline moved too").then(|| metric.message.clone())
    };
    let said = space.rollout.wait("the word that the baseline moved too", RELEASE, moved).await?;
    space.note(&said);
    tokio::time::sleep(Duration::from_secs(6)).await;
    drop(both);
    space.wait_active("1.1.0").await?;
    ensure!(space.status().rejected.is_empty(), "what fails both says nothing about the candidate");
    space.report(load, &[]).await?;
    space.done().await
}

/// The promoted version turns three times worse in mid-watch: it is taken back within what the simulation of the same manifest
/// says, from pods that never stopped.
pub async fn a_late_regression_in_the_watch_is_taken_back(world: &World) -> Result<()> {
    let space = Space::new(world, "late").await?;
    let mut rollout = manifests::rollout("late");
    rollout["spec"]["analysis"]["metrics"] = json!([refused()]);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 50, "hold": "5s"}]);
    rollout["spec"]["strategy"]["watch"] = json!({"duration": "240s", "controlWeight": 20});
    let expected = simulated(world, &rollout).await?;
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(120.0).await?;
    // 6 % of each version's requests fail: the baseline is not clean.
    let stable = Nonsense::start(&space, "1.0.0", 7)?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let candidate = Nonsense::start(&space, "1.1.0", 4)?;
    stable.set(4);
    space.wait_phase(Phase::Watching).await?;
    stable.set(2);
    candidate.set(6);
    tokio::time::sleep(Duration::from_secs(15)).await;
    ensure!(space.status().phase == Some(Phase::Watching), "taken back before it turned bad");
    let (turned, ready) = (Utc::now(), space.endpoints("digits").await?);
    candidate.set(21);
    space.wait_phase(Phase::RollingBack).await?;
    let took = Utc::now() - turned;
    let back = space.endpoints("digits").await?;
    drop((stable, candidate));
    space.wait_rejected("1.1.0").await?;
    let last = space.status().last_rollback.context("no rollback in status")?;
    ensure!(last.reason == "MetricBreach", "taken back for {}", last.reason);
    space.note(&format!("simulated {expected:.0} s in 9 of 10 runs, took {:.0} s", took.as_seconds_f64()));
    let longest = TimeDelta::milliseconds((expected * 3000.0) as i64);
    ensure!(took <= longest, "it took {took}, the simulation says {expected} s");
    ensure!(back.iter().all(|pod| ready.contains(pod)), "pods were started for it: {back:?} after {ready:?}");
    space.report(load, &[]).await?;
    space.done().await
}

/// Seconds within which nine of ten simulated runs of the manifest are rolled back.
async fn simulated(world: &World, rollout: &Value) -> Result<f64> {
    let file = world.cluster().files().config().join("late.json");
    std::fs::write(&file, rollout.to_string())?;
    let ran = tokio::process::Command::new(lab::scenario::programs::operator()?)
        .args(["simulate", "--runs", "100", "--requests-per-second", "128", "--output", "json"])
        .args(["--stable", "error=0.06", "--candidate", "error=3x,from=25s"])
        .arg(&file)
        .output()
        .await?;
    let found: Value = serde_json::from_slice(&ran.stdout)
        .with_context(|| format!("it said {}", String::from_utf8_lossy(&ran.stderr)))?;
    found["detection"]["p90"]["seconds"].as_f64().context("no time to the rollback")
}
