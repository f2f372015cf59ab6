//! A worse version is taken back, for its own reason, before it has done much.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use lab::load::{Report, Running};
use serde_json::{Value, json};
use understudy::api::{HistoryEntry, LastRollback};

use crate::manifests;
use crate::space::Space;
use crate::world::World;

/// From the decision to the route at stable: the promise is 1 s, the machine may be busy with other things.
const RESTORED: TimeDelta = TimeDelta::milliseconds(3000);

/// Fast, HTTP 200, wrong more often.
pub async fn a_wrong_one_is_taken_back_for_its_accuracy(world: &World) -> Result<()> {
    let space = Space::new(world, "wrong").await?;
    space.adopt(&half(manifests::rollout("wrong"))).await?;
    let load = space.load(80.0).await?;
    taken_back(space, load, "1.2.0", &["accuracy"]).await
}

/// Accurate, slow at the tail.
pub async fn a_slow_one_is_taken_back_for_its_latency(world: &World) -> Result<()> {
    let space = Space::new(world, "slow").await?;
    let mut rollout = half(manifests::rollout("slow"));
    rollout["spec"]["analysis"]["metrics"] =
        json!([manifests::errors(), manifests::accuracy(), manifests::latency()]);
    space.adopt(&rollout).await?;
    let load = space.load(80.0).await?;
    taken_back(space, load, "1.3.0", &["latency"]).await
}

/// Fails 3 % of its requests.
pub async fn a_failing_one_is_taken_back_for_its_errors(world: &World) -> Result<()> {
    let space = Space::new(world, "failing").await?;
    space.adopt(&half(manifests::rollout("failing"))).await?;
    let load = space.load(80.0).await?;
    taken_back(space, load, "1.4.0", &["errors", "gateway"]).await
}

/// Accepts requests and never answers.
pub async fn a_silent_one_is_taken_back_for_its_silence(world: &World) -> Result<()> {
    let space = Space::new(world, "silent").await?;
    space.adopt(&manifests::rollout("silent")).await?;
    // Less than the drain of 3 s: whoever still waits when the pod ends was left waiting by the version, not by us.
    let load = space.load_with(80.0, Duration::from_secs(2)).await?;
    taken_back(space, load, "1.5.0", &["CandidateSilent"]).await
}

/// Fails outright, straight into a canary of 5 % at a rate that meets I4: 30 requests of it an interval.
pub async fn an_outright_failure_is_off_the_route_within_three_intervals(world: &World) -> Result<()> {
    let space = Space::new(world, "outright").await?;
    let mut rollout = manifests::rollout("outright");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 5, "hold": "20s"}]);
    rollout["spec"]["analysis"]["interval"] = json!("2s");
    rollout["spec"]["strategy"]["watch"]["duration"] = json!("6s");
    space.adopt(&rollout).await?;
    let load = space.load(330.0).await?;
    space.release("1.7.0").await?;
    space.wait_rejected("1.7.0").await?;
    let report = space.ensure_no_failures(load, &["1.7.0"]).await?;
    let (entry, last) = rolled_back(&space, "1.7.0")?;
    let failed = report.versions.get("1.7.0").context("1.7.0 got no request")?.failed;
    let first = failed.first.context("1.7.0 failed no request")?;
    let written = route_written(&space, &last)?;
    let off = (written - first).as_seconds_f64();
    space.note(&format!(
        "{}; off the route {off:.2} s after its first failure; route {} ms after the decision; {} failed",
        entry.reason,
        (written - last.decided_at).num_milliseconds(),
        failed.count,
    ));
    // A scrape each second, three intervals of 2 s and a second; three times that for a busy machine.
    ensure!(off < 3.0 * (1.0 + 7.0), "it was off the route only {off:.1} s after its first failure");
    space.done().await
}

/// One step of 50 %, so that evidence comes quickly at a moderate load.
fn half(mut rollout: Value) -> Value {
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 50, "hold": "40s"}]);
    rollout
}

/// Releases the version under load and makes sure that it is taken back, for one of these causes.
async fn taken_back(space: Space<'_>, load: Running, version: &str, causes: &[&str]) -> Result<()> {
    space.release(version).await?;
    space.wait_rejected(version).await?;
    let report = space.ensure_no_failures(load, &[version]).await?;
    let (entry, last) = rolled_back(&space, version)?;
    let cause = match entry.reason.as_str() {
        "MetricBreach" => entry.message.split([':', ' ']).next().unwrap_or_default(),
        reason => reason,
    };
    ensure!(causes.contains(&cause), "{version} was taken back by {cause}: {}", entry.message);
    let restored = route_written(&space, &last)? - last.decided_at;
    ensure!(
        restored < RESTORED,
        "the route was restored {} ms after the decision",
        restored.num_milliseconds()
    );
    let active = space.status().active.context("nothing is active")?;
    ensure!(active.version == "1.0.0", "{} is active", active.version);
    space.ensure_route_untouched().await?;
    space.note(&told(version, &entry, restored, &report));
    space.done().await
}

fn told(version: &str, entry: &HistoryEntry, restored: TimeDelta, report: &Report) -> String {
    let bad = report.versions.get(version).map(|version| version.bad);
    format!(
        "{version}: {} ({}); route restored in {} ms; {} bad answers over {:.1} s; {} requests, {} outside",
        entry.reason,
        entry.message,
        restored.num_milliseconds(),
        bad.map_or(0, |bad| bad.count),
        bad.and_then(|bad| bad.seconds()).unwrap_or_default(),
        report.requests,
        report.outside
    )
}

/// What the status has of the rollback.
fn rolled_back(space: &Space<'_>, version: &str) -> Result<(HistoryEntry, LastRollback)> {
    let status = space.status();
    let entry = status.history.iter().rev().find(|one| one.version == version && one.to == "RollingBack");
    let entry = entry.with_context(|| format!("no way back of {version} in {:?}", status.history))?;
    let last = status.last_rollback.clone().filter(|last| last.version == version);
    Ok((entry.clone(), last.context("no last rollback")?))
}

/// When the API server had the first write of the route after the decision.
fn route_written(space: &Space<'_>, last: &LastRollback) -> Result<chrono::DateTime<chrono::Utc>> {
    let from = last.decided_at - TimeDelta::milliseconds(1);
    let write = space.route_writes()?.into_iter().find(|write| write.answered >= from);
    Ok(write.context("the route was not written after the decision")?.answered)
}
