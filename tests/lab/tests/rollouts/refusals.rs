//! What cannot work is said, with the reason and what to do, without a hot loop; and it goes on when it is put right.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use crate::manifests;
use crate::space::Space;
use crate::world::World;

/// The user's objects come one after the other; each that is missing is named.
pub async fn missing_objects_are_named_until_they_come(world: &World) -> Result<()> {
    let space = Space::new(world, "missing").await?;
    let (routes, services, deployments) = (space.routes(), space.services(), space.deployments());
    routes.delete("digits", &DeleteParams::default()).await?;
    services.delete("digits", &DeleteParams::default()).await?;
    deployments.delete("digits", &DeleteParams::background()).await?;
    space.apply(&manifests::rollout("missing")).await?;
    told(&space, "OriginMissing", "digits").await?;
    space.apply_again("Deployment").await?;
    space.wait_ready("digits", 2).await?;
    space.release("1.1.0").await?;
    told(&space, "ServiceMissing", "digits").await?;
    space.apply_again("Service").await?;
    told(&space, "RouteMissing", "digits").await?;
    space.apply_again("HTTPRoute").await?;
    // Without a request the gateway has no numbers of stable, and nothing moves.
    let load = space.load(30.0).await?;
    space.wait_phase(Phase::Canary).await?;
    load.stop();
    space.done().await
}

/// Versions that do not exist, do not fit or do not start.
pub async fn unfit_versions_are_refused_and_put_right(world: &World) -> Result<()> {
    let space = Space::adopted(world, "unfit").await?;
    space.release("9.9.9").await?;
    told(&space, "VersionNotFound", "9.9.9").await?;
    space.apply(&space.like("1.1.0", "9.9.9", "no-such-container")?).await?;
    let refused = told(&space, "ServingRefused", "no-such-container").await?;
    ensure!(refused.message.contains("server"), "the containers there are not listed: {}", refused.message);
    space.apply(&space.like("1.1.0", "9.9.10", "server")?).await?;
    space.release("9.9.10").await?;
    space.wait_phase(Phase::Preparing).await?;
    space.release("1.0.0").await?;
    space.wait_active("1.0.0").await?;
    // 1.8.0: its file is not what its digest says, so its pods end at once.
    space.release("1.8.0").await?;
    space.wait_rejected("1.8.0").await?;
    let rejected = space.status().rejected;
    let rejected = rejected.iter().find(|one| one.version == "1.8.0").context("it was not rejected")?;
    let reasons = ["PodsCrashing", "NotReady"];
    ensure!(reasons.contains(&rejected.reason.as_str()), "1.8.0: {} {}", rejected.reason, rejected.message);
    space.note(&format!("1.8.0: {} ({})", rejected.reason, rejected.message));
    space.ensure_route_untouched().await?;
    space.done().await
}

/// A template that cannot run twice, and a slot's name that somebody else has.
pub async fn what_cannot_be_copied_is_refused_and_put_right(world: &World) -> Result<()> {
    let space = Space::adopted(world, "copies").await?;
    let foreign = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "digits-a", "namespace": "copies"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "other"}}, "template": {
            "metadata": {"labels": {"app": "other"}},
            "spec": {"containers": [{"name": "other", "image": "lab/process"}]}}}});
    space.apply(&foreign).await?;
    space.release("1.1.0").await?;
    told(&space, "NameTaken", "digits-a").await?;
    let kept = space.deployments().get("digits-a").await?;
    ensure!(kept.spec.and_then(|spec| spec.replicas) == Some(0), "somebody else's object was changed");
    space.deployments().delete("digits-a", &DeleteParams::background()).await?;
    space.wait_phase(Phase::Canary).await?;
    space.release("1.0.0").await?;
    space.wait_active("1.0.0").await?;
    space.done().await
}

/// The Service selects the pods of another Deployment too: it cannot follow the active version alone.
pub async fn a_service_that_cannot_follow_is_named(world: &World) -> Result<()> {
    let space = Space::new(world, "follow").await?;
    let labels = json!({"app": "digits", "part": "report"});
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "digits-report", "namespace": "follow"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"part": "report"}}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "other", "image": "lab/process"}]}}}});
    space.apply(&other).await?;
    let mut rollout = manifests::rollout("follow");
    rollout["spec"]["version"] = json!("1.1.0");
    space.apply(&rollout).await?;
    told(&space, "ServiceNotMovable", "part=report").await?;
    space.deployments().delete("digits-report", &DeleteParams::background()).await?;
    space.wait_phase(Phase::Canary).await?;
    space.done().await
}

/// A host port: only one pod of it can run on a node.
pub async fn a_template_that_cannot_run_twice_is_refused_and_put_right(world: &World) -> Result<()> {
    let serving = manifests::serving(&world.cluster().models, "twice")?;
    let with_port = serving.replace("containerPort: 8080}", "containerPort: 8080, hostPort: 18080}");
    let with_port = with_port.replace("replicas: 2", "replicas: 1");
    ensure!(with_port.contains("hostPort"), "the template has no port to change");
    let space = Space::with_pods(world, "twice", with_port, 1).await?;
    let mut rollout = manifests::rollout("twice");
    rollout["spec"]["version"] = json!("1.1.0");
    space.apply(&rollout).await?;
    told(&space, "NotCopyable", "18080").await?;
    let change = json!([{"op": "remove", "path": "/spec/template/spec/containers/0/ports/0/hostPort"}]);
    let patch: Patch<Value> = Patch::Json(serde_json::from_value(change)?);
    space.deployments().patch("digits", &PatchParams::default(), &patch).await?;
    space.wait_phase(Phase::Canary).await?;
    space.done().await
}

/// Queries that Prometheus cannot answer hold before any traffic moves.
pub async fn bad_queries_hold_before_any_traffic_moves(world: &World) -> Result<()> {
    let space = Space::new(world, "queries").await?;
    let mut rollout = manifests::rollout("queries");
    let ratio = |bad: &str, total: &str| {
        let mut metric = manifests::errors();
        metric["ratio"] = json!({"bad": bad, "total": total});
        json!({"spec": {"analysis": {"metrics": [metric]}}})
    };
    rollout["spec"]["analysis"]["metrics"] =
        ratio("http_requests_total{code=~\"5..\"", "http_requests_total")["spec"]["analysis"]["metrics"]
            .clone();
    space.adopt(&rollout).await?;
    let load = space.load(100.0).await?;
    space.release("1.1.0").await?;
    told(&space, "QueryRefused", "").await?;
    space.edit(ratio("no_such_metric_total", "no_such_metric_total")).await?;
    told(&space, "NoDataOnStable", "no_such_metric_total").await?;
    let moved = space.route.versions().iter().any(|seen| seen.object.share.candidate > 0);
    ensure!(!moved, "traffic moved without evidence");
    space.edit(ratio("http_requests_total{code=~\"5..\"}", "http_requests_total")).await?;
    space.wait_active("1.1.0").await?;
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// A route whose gateway does not exist is accepted by nobody.
pub async fn a_route_that_nobody_accepts_holds_before_any_traffic_moves(world: &World) -> Result<()> {
    let space = Space::adopted(world, "nobody").await?;
    let parents = |name: &str| json!({"spec": {"parentRefs": [{"name": name, "namespace": "lab-system"}]}});
    let routes = space.routes();
    routes.patch("digits", &PatchParams::default(), &Patch::Merge(parents("no-such-gateway"))).await?;
    space.release("1.1.0").await?;
    told(&space, "RouteNotAccepted", "").await?;
    let moved = space.route.versions().iter().any(|seen| seen.object.share.candidate > 0);
    ensure!(!moved, "traffic moved on a route that nobody accepts");
    routes.patch("digits", &PatchParams::default(), &Patch::Merge(parents("lab"))).await?;
    // The gateway forgot the route meanwhile, and with it its numbers of stable.
    let load = space.load(30.0).await?;
    space.wait_phase(Phase::Canary).await?;
    load.stop();
    space.done().await
}

/// Waits for the reason, whose message has to name `what`; nothing is asked in a hot loop meanwhile.
async fn told(space: &Space<'_>, reason: &str, what: &str) -> Result<Condition> {
    let condition = space.wait_reason(reason).await?;
    ensure!(condition.message.contains(what), "{reason} does not name {what}: {}", condition.message);
    let requests = space
        .world
        .requests_during(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(())
        })
        .await?;
    let ours = requests.iter().filter(|one| one.namespace == space.namespace && one.verb != "watch");
    let count = ours.clone().count();
    ensure!(count <= 12, "{reason}: {count} requests in 3 s: {:?}", ours.collect::<Vec<_>>());
    space.note(&format!("{reason}: {} ({count} requests in 3 s)", condition.message));
    let still = |rollout: &ModelRollout| {
        rollout.status.as_ref()?.conditions.iter().any(|one| one.reason == reason).then_some(())
    };
    space.rollout.wait(&format!("{reason} to last"), Duration::from_secs(5), still).await?;
    Ok(condition)
}
