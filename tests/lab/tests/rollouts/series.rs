//! The gateway drops a version's series and makes them anew, as it does with a cluster that has gone for a while.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use kube::api::DeleteParams;
use lab::net;
use lab::prometheus::{Scrape, query_at};
use lab::wait::wait_for;
use serde_json::json;
use understudy::api::{ModelRollout, Phase};

use crate::audits;
use crate::manifests;
use crate::space::Space;
use crate::world::{SOON, World};

/// Between two scrapes of Envoy: a counter that begins again has time to pass the value that it had.
const SCRAPE: Duration = Duration::from_secs(4);
/// The version on trial, and what the route gives it.
const VERSION: &str = "1.1.0";
const SHARE: i32 = 50;
/// How far the evidence may be from what clients got. All load begins and ends between weights, so that nothing is dropped.
const OFF: f64 = 0.02;

/// The candidate's Service is deleted while the operator is away; Envoy drops the cluster and its series. The operator comes back,
/// takes the share away until the pods are reachable, and gives it again: the series begin anew, and are past their old value at the
/// first scrape. The evidence counts what clients got, before and after.
pub async fn dropped_and_made_again_each_request_counts_once(world: &World) -> Result<()> {
    let prometheus = world.cluster().lab().context("the lab is this process' own")?.prometheus()?;
    prometheus.scrape(Scrape { envoy: SCRAPE, ..Scrape::default() }).await?;
    let counted = counted(world).await;
    // Whatever was found: the tests after this one need it.
    prometheus.scrape(Scrape::default()).await?;
    counted
}

async fn counted(world: &World) -> Result<()> {
    let space = Space::new(world, "series").await?;
    let mut rollout = manifests::rollout("series");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": SHARE, "hold": "10m"}]);
    rollout["spec"]["analysis"]["warmUp"] = json!("0s");
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::gateway()]);
    space.adopt(&rollout).await?;
    space.release(VERSION).await?;
    space.wait_phase(Phase::Canary).await?;
    wait_share(&space).await?;
    wait_scraped("the candidate's cluster", HEALTHY, |found| found > 0).await?;
    let before = send(&space, 30.0, Duration::from_secs(6)).await?;
    next_scrape().await?;
    let old =
        query_at(net::PROMETHEUS, &of_candidate(REQUESTS)).await?.first().map_or(0.0, |one| one.value());

    drop_cluster(&space).await?;
    let dropped = Utc::now();
    world.restart_operator().await?;
    wait_share(&space).await?;
    wait_scraped("the candidate's cluster again", HEALTHY, |found| found > 0).await?;
    let after = send(&space, 120.0, Duration::from_secs(8)).await?;
    next_scrape().await?;
    let first =
        format!("min_over_time({}[{}s])", of_candidate(REQUESTS), (Utc::now() - dropped).num_seconds());
    let first = query_at(net::PROMETHEUS, &first).await?.first().context("no new series")?.value();
    ensure!(
        first > old,
        "the new series begins with {first}, which is not past {old}: a fall would tell of it"
    );

    let done = Utc::now();
    let caught_up =
        |rollout: &ModelRollout| rollout.status.as_ref()?.evidence.as_ref()?.t_k.gt(&done).then_some(());
    space.rollout.wait("a look at all of it", SOON, caught_up).await?;
    let status = space.status();
    ensure!(status.rejected.is_empty() && status.phase == Some(Phase::Canary), "{:?}", status.message);
    let judged = status.analysis.iter().find(|one| one.metric == "gateway").context("no verdict")?;
    let (seen, got) = (judged.candidate.n, before + after);
    space.note(&format!(
        "clients got {before} and then {after} answers from {VERSION}; Envoy counted {old}, dropped it and was at {first} when next \
         scraped; the evidence has {seen} of {got}"
    ));
    let off = (seen as f64 - got as f64) / got as f64;
    ensure!(off.abs() <= OFF, "the evidence has {seen} requests of the candidate, clients got {got} answers");
    space.note(&audits::recomputed(&space).await?);
    space.done().await
}

/// Pods that Envoy sends requests to.
const HEALTHY: &str = "envoy_cluster_membership_healthy";
/// Finished requests, as Envoy counts them.
const REQUESTS: &str = "envoy_cluster_upstream_rq_xx";

/// A metric of the candidate's cluster.
fn of_candidate(metric: &str) -> String {
    format!("{metric}{{envoy_cluster_name=\"series_digits-candidate_80\"}}")
}

/// With the operator away, so that nobody puts it back: the Service goes, and with it what Envoy has of it.
async fn drop_cluster(space: &Space<'_>) -> Result<()> {
    space.world.operator()?.kill9();
    space.services().delete("digits-candidate", &DeleteParams::default()).await?;
    wait_scraped("the series to go", REQUESTS, |found| found == 0).await?;
    // One scrape without it may have been lost; two say that it is gone.
    next_scrape().await?;
    wait_scraped("the series to stay away", REQUESTS, |found| found == 0).await
}

/// Sends for so long, from right after a scrape on; how many answers came from the candidate, by Envoy's log. None may fail.
async fn send(space: &Space<'_>, rate: f64, time: Duration) -> Result<u64> {
    next_scrape().await?;
    let load = space.load_at_gateway(rate).await?;
    tokio::time::sleep(time - Duration::from_secs(2)).await;
    let report = space.ensure_no_failures(load, &[]).await?;
    Ok(report.versions.get(VERSION).map_or(0, |version| version.requests))
}

/// Waits until the candidate has its whole share on the route.
async fn wait_share(space: &Space<'_>) -> Result<()> {
    let look = |rollout: &ModelRollout| {
        rollout.status.as_ref()?.step.as_ref().filter(|step| step.set == SHARE && step.written).map(|_| ())
    };
    space.rollout.wait("the share to be read back", SOON, look).await
}

/// Waits until Prometheus has as many series of the candidate's cluster as wanted; zeros do not count.
async fn wait_scraped(what: &str, metric: &str, wanted: impl Fn(usize) -> bool) -> Result<()> {
    wait_for(what, SOON, async || {
        let found = query_at(net::PROMETHEUS, &of_candidate(metric)).await;
        let found =
            found.map_err(|error| format!("{error:#}"))?.iter().filter(|one| one.value() > 0.0).count();
        if wanted(found) { Ok(()) } else { Err(format!("{found} series of {metric}")) }
    })
    .await
}

/// Waits until Envoy has been scraped once more.
async fn next_scrape() -> Result<()> {
    // Of a selector alone: the time of anything else is that of the question.
    let last = async || -> Result<f64> {
        let up = query_at(net::PROMETHEUS, "timestamp(up{job=\"envoy\"})").await?;
        Ok(up.first().context("Envoy is not scraped")?.value())
    };
    let before = last().await?;
    wait_for("the next scrape of Envoy", SOON, async || {
        let now = last().await.map_err(|error| format!("{error:#}"))?;
        if now > before { Ok(()) } else { Err(format!("{now}")) }
    })
    .await
}
