//! The operator is killed outright. Whoever comes after it reaches the same end, and looks before it raises anything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::scenario::STANDBY_ADDRESS;
use lab::wait::wait_for;
use serde_json::json;
use understudy::api::Phase;

use crate::manifests;
use crate::nonsense::{nonsense, refused};
use crate::space::Space;
use crate::world::{SOON, World};

/// Killed once in every phase of one promotion: it is promoted, and no request fails.
pub async fn killed_in_every_phase_of_a_promotion(world: &World) -> Result<()> {
    let space = Space::new(world, "killed").await?;
    let mut rollout = manifests::rollout("killed");
    rollout["spec"]["strategy"]["shadow"] = json!({"percent": 100, "duration": "3s", "minRequests": 100});
    space.adopt(&rollout).await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    for phase in [Phase::Preparing, Phase::Shadow, Phase::Canary, Phase::Watching, Phase::Settling] {
        space.wait_phase(phase).await?;
        world.operator()?.kill9();
        world.restart_operator().await?;
    }
    space.wait_active("1.1.0").await?;
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let phases: Vec<String> = space.status().history.iter().map(|entry| entry.to.clone()).collect();
    let mut once = phases.clone();
    once.dedup();
    ensure!(phases == once, "a transition is recorded twice: {phases:?}");
    space.note(&format!(
        "killed 5 times: {} requests, {} failed; {phases:?}",
        report.requests, report.failures
    ));
    space.done().await
}

/// Killed on the way back: the version is turned down all the same.
pub async fn killed_while_rolling_back(world: &World) -> Result<()> {
    let space = Space::adopted(world, "killedback").await?;
    let load = space.load(120.0).await?;
    space.release("1.7.0").await?;
    space.wait_phase(Phase::RollingBack).await?;
    world.operator()?.kill9();
    world.restart_operator().await?;
    space.wait_rejected("1.7.0").await?;
    space.ensure_route_untouched().await?;
    space.ensure_no_failures(load, &["1.7.0"]).await?;
    let rollbacks = space.status().history.iter().filter(|entry| entry.to == "RollingBack").count();
    ensure!(rollbacks == 1, "the way back is recorded {rollbacks} times");
    space.done().await
}

/// The candidate turns bad and the hold runs out while no operator is there: the share never rises again.
pub async fn a_restarted_operator_looks_before_it_advances(world: &World) -> Result<()> {
    let space = Space::new(world, "lookfirst").await?;
    let mut rollout = manifests::rollout("lookfirst");
    rollout["spec"]["analysis"]["metrics"] = json!([refused(), manifests::errors()]);
    rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"weight": 10, "hold": "6s"}, {"weight": 50, "hold": "6s"}]);
    space.adopt(&rollout).await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    let weighed = |rollout: &understudy::api::ModelRollout| {
        rollout.status.as_ref()?.weights.filter(|weights| weights.candidate == 10).map(|_| ())
    };
    space.rollout.wait("10 % to the candidate", crate::world::RELEASE, weighed).await?;
    world.operator()?.kill9();
    let dead = chrono::Utc::now();
    // Requests that the pods refuse, straight to the candidate's pods, for longer than the hold.
    let pods = space.pods.serving().into_iter().filter(|pod| pod.version == "1.1.0");
    let addresses: Vec<_> = pods.map(|pod| pod.address).collect();
    ensure!(!addresses.is_empty(), "the candidate has no pods");
    let mut refused = 0;
    for _ in 0..80 {
        for address in &addresses {
            refused += usize::from(nonsense(*address).await? / 100 == 4);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(refused >= 80, "only {refused} requests were refused");
    world.restart_operator().await?;
    space.wait_rejected("1.1.0").await?;
    let route = space.route.versions();
    let highest = route.iter().filter(|seen| seen.at > dead).map(|seen| seen.object.share.candidate).max();
    ensure!(highest.is_none_or(|share| share <= 10), "the share rose to {highest:?} after the restart");
    let entry = space.status().history.iter().rev().find(|e| e.to == "RollingBack").cloned();
    let entry = entry.context("no way back in the history")?;
    ensure!(entry.message.starts_with("refused"), "it was taken back for another reason: {}", entry.message);
    space.ensure_no_failures(load, &[]).await?;
    space.note(&format!("share never above 10 % after the restart; {}", entry.message));
    space.done().await
}

/// Two operators: the second waits and writes nothing. The first one freezes in mid-canary: the second finishes. Thawed,
/// the first one has lost the lease, writes nothing and ends.
pub async fn a_second_operator_waits_and_takes_over_from_a_frozen_one(world: &World) -> Result<()> {
    let space = Space::adopted(world, "second").await?;
    let standby = world.cluster().start_standby().await?;
    wait_answer(STANDBY_ADDRESS, "ok, following").await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let waiting = metrics(STANDBY_ADDRESS).await?;
    let wrote = ["POST", "PUT", "PATCH", "DELETE"].iter().any(|verb| {
        let of_verb = |line: &&str| line.contains(verb) && !line.contains("leases");
        waiting.lines().filter(|line| line.starts_with("understudy_api_requests_total")).any(|l| of_verb(&l))
    });
    ensure!(!wrote, "the one that waits has written:\n{waiting}");
    let first = world.operator()?;
    first.freeze();
    wait_answer(STANDBY_ADDRESS, "ok, leading").await?;
    first.thaw();
    wait_for("the first to end", SOON, async || first.exited().ok_or("it runs")).await?;
    space.wait_active("1.1.0").await?;
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let phases: Vec<String> = space.status().history.iter().map(|entry| entry.to.clone()).collect();
    space.note(&format!("{} requests, {} failed; {phases:?}", report.requests, report.failures));
    ensure!(standby.terminate(SOON), "the second did not stop when it was told to");
    world.restart_operator().await?;
    space.done().await
}

/// Waits until `/readyz` there answers with that.
async fn wait_answer(address: &str, wanted: &str) -> Result<()> {
    wait_for(&format!("{address} to say {wanted:?}"), SOON, async || {
        let answer = lab::http::get(&format!("http://{address}/readyz"), &[], Duration::from_secs(2)).await;
        let body = answer.map_err(|error| format!("{error:#}"))?.body;
        if body.starts_with(wanted) { Ok(()) } else { Err(body) }
    })
    .await
}

async fn metrics(address: &str) -> Result<String> {
    let answer = lab::http::get(&format!("http://{address}/metrics"), &[], Duration::from_secs(5)).await?;
    Ok(answer.body)
}
