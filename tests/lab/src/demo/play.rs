//! The play: adopt, put load on, release version after version, and judge what was recorded.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use super::acts::{self, Script};
use super::snapshot::{ActState, Tone};
use super::stage::Stage;
use crate::load::{Outcome, Recording};
use crate::scenario::verdict::{Facts, Release, Table, judge};
use crate::scenario::{Cluster, LoadPlan};

/// A release that takes longer is given up on.
const PATIENCE: Duration = Duration::from_secs(150);
/// Traffic before the first release: the operator reads stable's latencies from it.
const BEFORE: Duration = Duration::from_secs(4);
/// Traffic after a release, so that the table sees what came after.
const AFTER: Duration = Duration::from_secs(1);

/// Plays all of it.
pub(super) async fn play(cluster: &Cluster, stage: &Stage, scripts: &[Script]) -> Result<Table> {
    let user_route = cluster.route_body().await?;
    let plan = LoadPlan::default();
    let load = cluster.start_load(&plan).await?;
    stage.load(load.reader());
    let rates = (plan.gateway, 2.0 * plan.service);
    stage.doing(&format!("load: {} requests/s through the gateway, {} to the Service", rates.0, rates.1));
    tokio::time::sleep(BEFORE).await;
    stage.doing("");
    let mut releases = Vec::new();
    let mut unfinished = None;
    for script in scripts {
        let (release, finished) = one(cluster, stage, script).await?;
        releases.push(release);
        if !finished {
            stage.tell(Tone::Bad, script.version, "given up on; the versions after it are not released");
            unfinished = Some(script.version);
            break;
        }
    }
    stage.doing("stopping the load and reading the gateway's log");
    load.stop();
    let recording = load.finished().await?;
    let mut table = judged(cluster, &user_route, releases, &recording, &acts::bad(scripts)).await?;
    if let Some(version) = unfinished {
        let text = format!(
            "{version}: not at rest after {} s; what came after it was not played",
            PATIENCE.as_secs()
        );
        table.wrong.insert(0, text);
    }
    stage.doing("");
    Ok(table)
}

/// One release: false when it did not come to rest in time.
async fn one(cluster: &Cluster, stage: &Stage, script: &Script) -> Result<(Release, bool)> {
    let version = script.version;
    stage.act(version, ActState::Playing);
    let began = Utc::now();
    let rested = if version == "1.0.0" {
        stage.tell(Tone::Plain, version, "a ModelRollout names what serves; nothing is touched");
        cluster.adopt().await
    } else {
        let note = if script.shadow { "" } else { ", without a shadow stage: clients meet it" };
        stage.tell(Tone::Plain, version, format!("spec.version: {version} ({}){note}", script.what));
        cluster.edit(change(script)).await?;
        cluster.rollout.wait(version, PATIENCE, |rollout| at_rest(rollout, version)).await
    };
    tokio::time::sleep(AFTER).await;
    let release = script.release(began, Utc::now());
    let state = match &rested {
        Ok(()) => ended(cluster, script),
        Err(error) => {
            stage.tell(Tone::Bad, version, format!("{error:#}"));
            ActState::Wrong("stuck".to_owned())
        }
    };
    stage.act(version, state);
    Ok((release, rested.is_ok()))
}

/// What is merged into the ModelRollout.
fn change(script: &Script) -> Value {
    if script.shadow {
        return json!({"spec": {"version": script.version}});
    }
    json!({"spec": {"version": script.version, "strategy": {"shadow": null}}})
}

/// The rollout moves no more: the version serves, or was turned down.
fn at_rest(rollout: &ModelRollout, version: &str) -> Option<()> {
    let status = rollout.status.as_ref()?;
    let active = status.active.as_ref()?.version == version && status.phase == Some(Phase::Active);
    let rejected = status.rejected.iter().any(|rejected| rejected.version == version && !rejected.retried);
    let rested = active || (rejected && status.phase == Some(Phase::RolledBack));
    (rested && status.candidate.is_none() && rollout.metadata.generation == status.observed_generation)
        .then_some(())
}

/// One word for the end of an act.
fn ended(cluster: &Cluster, script: &Script) -> ActState {
    let status = cluster.rollout.status().unwrap_or_default();
    let serves = status.active.is_some_and(|active| active.version == script.version);
    let right = serves == (script.word() != "back");
    match (right, serves) {
        (true, _) => ActState::Done(script.word().to_owned()),
        (false, true) => ActState::Wrong("active".to_owned()),
        (false, false) => ActState::Wrong("back".to_owned()),
    }
}

async fn judged(
    cluster: &Cluster,
    user_route: &crate::scenario::observe::Body,
    mut releases: Vec<Release>,
    recording: &Recording,
    bad: &[&str],
) -> Result<Table> {
    let log = cluster.access_log(recording).await?;
    let report = cluster.attributed(recording, &log, bad);
    let starts: Vec<DateTime<Utc>> = releases.iter().map(|release| release.began).collect();
    for (index, release) in releases.iter_mut().enumerate() {
        // Up to the next release, so that no failure falls between two.
        let from = if index == 0 { recording.started_at } else { release.began };
        let part = between(recording, from, starts.get(index + 1).copied());
        release.outside = cluster.attributed(&part, &log, bad).outside;
    }
    let writes = cluster.route_writes().context("the operator's writes cannot be counted")?;
    let facts = Facts {
        releases: &releases,
        user_route,
        route: &cluster.route.versions(),
        rollout: &cluster.rollout.versions(),
        pods: &cluster.pods.records(),
        writes: &writes,
        report: &report,
    };
    Ok(judge(&facts))
}

/// The recording with only the requests of a time having an outcome. The others keep their places, which are their ids.
fn between(recording: &Recording, from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> Recording {
    let mut part = recording.clone();
    for (record, original) in part.records.iter_mut().zip(&recording.records) {
        let sent = recording.sent_at(original);
        if sent < from || to.is_some_and(|to| sent >= to) {
            record.outcome = Outcome::Pending;
        }
    }
    part
}
