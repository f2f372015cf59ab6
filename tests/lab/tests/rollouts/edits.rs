//! Somebody else writes the route: more for the candidate is taken back at once, less is kept, neither is progress.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use kube::api::{Patch, PatchParams};
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::Phase;

use crate::manifests;
use crate::space::Space;
use crate::world::{SOON, World};

/// A correction is promised within 2 s; the machine may be busy with other things.
const CORRECTED: Duration = Duration::from_secs(6);

/// 0/100 by hand: corrected, and not taken for progress.
pub async fn more_for_the_candidate_is_corrected(world: &World) -> Result<()> {
    let space = in_canary(world, "more").await?;
    let load = space.load(50.0).await?;
    let edited = give_candidate(&space, 100).await?;
    let corrected = wait_share(&space, 20, edited, CORRECTED).await?;
    let status = space.status();
    let step = status.step.clone().context("no step")?;
    ensure!(step.index == 0 && step.weight == 20, "it was read as progress: {step:?}");
    space.note(&format!("corrected after {} ms", (corrected - edited).num_milliseconds()));
    let again = give_candidate(&space, 70).await?;
    wait_share(&space, 20, again, CORRECTED).await?;
    space.wait_reason("RouteConflict").await.ok();
    let conflict = space.status().conflict.context("two raises and no conflict on record")?;
    ensure!(conflict.writer == "sre", "the writer is called {:?}", conflict.writer);
    space.decide("Abort").await?;
    space.wait_rejected("1.1.0").await?;
    space.ensure_route_spec_untouched().await?;
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// 100/0 by hand: kept, with the writer's name, until somebody says Resume.
pub async fn less_for_the_candidate_is_kept_until_resumed(world: &World) -> Result<()> {
    let space = in_canary(world, "less").await?;
    let load = space.load(50.0).await?;
    let edited = give_candidate(&space, 0).await?;
    let held = space.wait_reason("RouteOverridden").await?;
    ensure!(held.message.contains("sre"), "the writer is not named: {}", held.message);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let kept =
        space.route.versions().iter().filter(|seen| seen.at > edited).all(|s| s.object.share.candidate == 0);
    ensure!(kept, "the candidate got traffic back without a Resume");
    let resumed = Utc::now();
    space.decide("Resume").await?;
    wait_share(&space, 20, resumed, SOON).await?;
    space.decide("Abort").await?;
    space.wait_rejected("1.1.0").await?;
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// The route as it is in Git, applied again in each phase: no request fails, and a Resume goes on.
pub async fn the_route_applied_again_in_each_phase(world: &World) -> Result<()> {
    let space = Space::new(world, "gitagain").await?;
    let mut rollout = manifests::rollout("gitagain");
    rollout["spec"]["strategy"]["shadow"] = json!({"percent": 100, "duration": "5s", "minRequests": 100});
    space.adopt(&rollout).await?;
    let load = space.load(80.0).await?;
    space.apply_again("HTTPRoute").await?;
    space.ensure_route_untouched().await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Preparing).await?;
    space.apply_again("HTTPRoute").await?;
    for phase in [Phase::Shadow, Phase::Canary, Phase::Watching] {
        space.wait_phase(phase).await?;
        wait_written(&space).await?;
        space.apply_again("HTTPRoute").await?;
        let held = space.wait_reason("RouteOverridden").await.with_context(|| format!("in {phase}"))?;
        ensure!(held.message.contains("team"), "the writer is not named in {phase}: {}", held.message);
        space.decide("Resume").await?;
    }
    space.wait_phase(Phase::Settling).await?;
    space.apply_again("HTTPRoute").await?;
    space.wait_active("1.1.0").await?;
    space.apply_again("HTTPRoute").await?;
    // The time of the user's own entry is that of the last sync.
    let now = serde_json::to_value(space.route_now().await?)?;
    let then = serde_json::to_value(&space.user_route)?;
    ensure!(now["spec"] == then["spec"], "the route at rest is not the user's: {}", now["spec"]);
    let report = space.ensure_no_failures(load, &[]).await?;
    space.note(&format!("{} requests, {} failed", report.requests, report.failures));
    space.done().await
}

/// A workload whose candidate has 20 % and keeps it for as long as a test needs.
async fn in_canary<'a>(world: &'a World, namespace: &str) -> Result<Space<'a>> {
    let space = Space::new(world, namespace).await?;
    let mut rollout = manifests::rollout(namespace);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 20, "hold": "10m"}]);
    space.adopt(&rollout).await?;
    let warm = space.load(30.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    wait_written(&space).await?;
    space.ensure_no_failures(warm, &[]).await?;
    Ok(space)
}

/// Waits until the share that was decided has been read back.
async fn wait_written(space: &Space<'_>) -> Result<()> {
    let look = |rollout: &understudy::api::ModelRollout| {
        rollout.status.as_ref()?.step.as_ref().filter(|step| step.written).map(|_| ())
    };
    space.rollout.wait("the share to be read back", SOON, look).await
}

/// Sets the weights of the first rule by hand, as an SRE does.
async fn give_candidate(space: &Space<'_>, percent: u32) -> Result<DateTime<Utc>> {
    let routes = space.routes();
    let mut route = serde_json::to_value(routes.get("digits").await?)?;
    let rules = &mut route["spec"]["rules"];
    rules[0]["backendRefs"] = json!([backend("digits", 100 - percent), backend("digits-candidate", percent)]);
    let change: Value = json!({"spec": {"rules": rules}});
    let params = PatchParams { field_manager: Some("sre".to_owned()), ..PatchParams::default() };
    let before = Utc::now();
    routes.patch("digits", &params, &Patch::Merge(change)).await?;
    Ok(before)
}

fn backend(name: &str, weight: u32) -> Value {
    json!({"name": name, "port": 80, "weight": weight})
}

/// Waits until the route gives the candidate that share; when it did.
async fn wait_share(
    space: &Space<'_>,
    share: u32,
    after: DateTime<Utc>,
    within: Duration,
) -> Result<DateTime<Utc>> {
    wait_for(&format!("{share} % on the route"), within, async || {
        let seen = space.route.versions().into_iter().rev().take_while(|seen| seen.at > after);
        let seen: Vec<_> = seen.collect();
        match seen.first() {
            Some(last) if last.object.share.candidate == share => Ok(last.at),
            other => Err(other.map(|last| last.object.share)),
        }
    })
    .await
}
