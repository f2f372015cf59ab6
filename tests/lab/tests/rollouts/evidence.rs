//! What the operator says about its evidence is so.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use lab::components::{healthy, prometheus::HEALTH};
use lab::wait::wait_for;
use serde_json::json;
use understudy::api::{ModelRollout, Phase};

use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

/// Before any traffic moves it says how long a canary of 1 % takes to its proof; the canary then takes between half and twice
/// that.
pub async fn the_forecast_of_a_small_canary_is_right(world: &World) -> Result<()> {
    let space = Space::new(world, "forecast").await?;
    let mut rollout = manifests::rollout("forecast");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 1, "hold": "3s"}]);
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors()]);
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(40.0).await?;
    // Long enough a history that the seconds before it, without traffic, weigh little.
    tokio::time::sleep(Duration::from_secs(45)).await;
    space.release("1.1.0").await?;
    let forecast = |rollout: &ModelRollout| rollout.status.as_ref()?.evidence.as_ref()?.forecast.clone();
    let said = space.rollout.wait("a forecast", RELEASE, forecast).await?;
    space.note(&said.message);
    let moved = space.status().weights.is_some_and(|weights| weights.candidate > 0);
    ensure!(!moved, "it is said before any traffic moves");
    let seconds = said.metrics.iter().find_map(|one| one.proof_seconds).context("no time to the proof")?;
    space.wait_phase(Phase::Canary).await?;
    let began = entered(&space, "Canary(0)")?;
    space.wait_phase(Phase::Watching).await?;
    let took = (entered(&space, "Watching")? - began).num_milliseconds() as f64 / 1000.0;
    space.note(&format!("said {seconds} s, took {took:.0} s"));
    let ratio = took / seconds as f64;
    ensure!((0.5..=2.0).contains(&ratio), "the proof was said to take {seconds} s and took {took:.0} s");
    space.wait_active("1.1.0").await?;
    space.report(load, &[]).await?;
    space.done().await
}

/// The preset for Envoy finds both arms in what the real gateway exports. It only reports: how fast a busy machine answers is no
/// measure of a version.
pub async fn a_preset_reads_the_real_gateway(world: &World) -> Result<()> {
    let space = Space::new(world, "preset").await?;
    let mut rollout = manifests::rollout("preset");
    let preset = json!({"name": "edge", "preset": "Envoy", "observeOnly": true});
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors(), preset]);
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(60.0).await?;
    space.release("1.1.0").await?;
    let counted = |rollout: &ModelRollout| {
        let analysis = &rollout.status.as_ref()?.analysis;
        let of = |name: &str| analysis.iter().find(|one| one.metric == name).cloned();
        let both = [of("edge-errors")?, of("edge-latency")?];
        both.iter().all(|one| one.stable.n >= 30 && one.candidate.n >= 30).then_some(both)
    };
    let found = space.rollout.wait("numbers of both arms", RELEASE, counted).await?;
    for one in found {
        space.note(&format!("{}: stable {:?}, candidate {:?}", one.metric, one.stable, one.candidate));
        ensure!(one.candidate.value.is_some(), "{} has no value", one.metric);
    }
    space.wait_active("1.1.0").await?;
    space.report(load, &[]).await?;
    space.done().await
}

/// Prometheus is killed in mid-canary and stays away: the share is held, nobody is turned down, and it goes on by itself.
pub async fn prometheus_away_for_two_minutes_is_held(world: &World) -> Result<()> {
    let space = Space::new(world, "away").await?;
    let mut rollout = manifests::rollout("away");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 20, "hold": "15s"}]);
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors(), manifests::gateway()]);
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(60.0).await?;
    space.release("1.1.0").await?;
    let judged = |rollout: &ModelRollout| rollout.status.as_ref()?.evidence.as_ref()?.fresh_at;
    space.rollout.wait("the first evidence", RELEASE, judged).await?;
    let prometheus =
        world.cluster().lab().context("the lab is this process' own")?.component("prometheus")?;
    prometheus.process.kill9();
    let held = held(&space).await;
    // Whatever was found: the tests after this one need it.
    prometheus.process.restart()?;
    wait_for("Prometheus to be back", SOON, async || healthy(HEALTH).await).await?;
    held?;
    let back = Utc::now();
    space.wait_phase(Phase::Watching).await?;
    space.note(&format!(
        "went on {:.1} s after it was back",
        (Utc::now() - back).num_milliseconds() as f64 / 1000.0
    ));
    space.wait_active("1.1.0").await?;
    ensure!(space.status().rejected.is_empty(), "an outage of Prometheus is no verdict");
    space.report(load, &[]).await?;
    space.done().await
}

/// For two minutes the candidate keeps its share, and status says why nothing moves.
async fn held(space: &Space<'_>) -> Result<()> {
    let said = space.wait_reason_for("PrometheusUnavailable", SOON).await?;
    space.note(&said.message);
    let until = Utc::now() + TimeDelta::minutes(2);
    while Utc::now() < until {
        let status = space.status();
        let share = status.weights.as_ref().map(|weights| weights.candidate);
        ensure!(
            status.phase == Some(Phase::Canary) && share == Some(20),
            "{:?} at {share:?} %",
            status.phase
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// When history says that a step was entered.
fn entered(space: &Space<'_>, step: &str) -> Result<DateTime<Utc>> {
    let entry = space.status().history.into_iter().rev().find(|entry| entry.to == step);
    Ok(entry.with_context(|| format!("history has no {step}"))?.at)
}
