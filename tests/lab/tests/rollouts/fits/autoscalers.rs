//! The real autoscaler beside a rollout: it asks the lab's resource-metrics API what the pods use, scales the origin for the user
//! and the slots for us.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use lab::scenario::OPERATOR_USER;
use lab::scenario::observe::writes;
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

/// "At once" on a machine that does other things too.
const CORRECTED: Duration = Duration::from_secs(6);
const PART: &str = "Autoscalers and disruption budgets";

/// More load in mid-canary: both arms grow, each by its own autoscaler.
pub async fn load_moves_both_arms(world: &World) -> Result<()> {
    let space = adopted(world, "scaled", json!([{"weight": 50, "hold": "60s"}]), 2).await?;
    let load = space.load(60.0).await?;
    let used = used(&space, "app=digits").await?;
    space.note(&format!("two pods use {:.1} thousandths of a processor together", used * 1000.0));
    // The load as it is keeps two pods busy to three quarters.
    space.apply(&autoscaler("scaled", 2, 8, &thousandths(used / 1.5))).await?;
    space.release("1.1.0").await?;
    space.rollout.wait("the canary", RELEASE, |rollout| weight(rollout, 50)).await?;
    let floor = copy(&space, "digits-a").await?["spec"]["minReplicas"].clone();
    ensure!(floor == 2, "the floor is {floor}, the user's minimum is 2");
    let more = space.load(300.0).await?;
    let began = Utc::now();
    for deployment in ["digits", "digits-a"] {
        wait_for(&format!("more than two pods of {deployment}"), RELEASE, async || {
            let scale = scale(&space, deployment).await.map_err(|error| error.to_string())?;
            if scale > 2 {
                Ok(())
            } else {
                Err(format!(
                    "{scale}, {:?}",
                    copy(&space, deployment).await.ok().map(|c| c["status"].clone())
                ))
            }
        })
        .await?;
    }
    let grown = (Utc::now() - began).to_std().unwrap_or_default();
    let (stable, candidate) = (scale(&space, "digits").await?, scale(&space, "digits-a").await?);
    space.note(&format!("after {grown:?} of six times the load: {stable} and {candidate} pods"));
    let extra = space.ensure_no_failures(more, &[]).await?;
    space.decide("Abort").await?;
    space.wait_rejected("1.1.0").await?;
    // The status says what is done next: the autoscaler goes a moment later.
    wait_for("the idle slot's autoscaler to be gone", CORRECTED, async || {
        let found = found(&space, "digits-a").await.map_err(|error| error.to_string())?;
        if found.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await?;
    let end = format!("{stable} and {candidate} pods; after the abort the slot has no autoscaler");
    space.measured(PART, "six times the load in mid-canary", Some(&extra), Some(grown), &end)?;
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// From 5 to 25 %: the floor of the candidate's autoscaler rises first, its pods come, then the share.
pub async fn a_jump_waits_for_its_pods(world: &World) -> Result<()> {
    let steps = json!([{"weight": 5, "hold": "3s"}, {"weight": 25, "hold": "30s"}]);
    let space = adopted(world, "jump", steps, 8).await?;
    space.apply(&bounds_only("jump", 1, 8)).await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    let waits = |rollout: &ModelRollout| {
        let waiting = rollout.status.as_ref()?.waiting_for.clone()?;
        waiting.contains("2 pods for a share of 25 %").then_some(())
    };
    space.rollout.wait("the wait for pods", RELEASE, waits).await?;
    let waited = Utc::now();
    let share = space.status().weights.context("no weights")?.candidate;
    ensure!(share == 5, "the share went to {share} % before its pods were there");
    space.rollout.wait("25 %", RELEASE, |rollout| weight(rollout, 25)).await?;
    let came = (Utc::now() - waited).to_std().unwrap_or_default();
    ensure!(scale(&space, "digits-a").await? == 2, "the autoscaler did not follow its floor");
    let ready = space.endpoints("digits-candidate").await?.len();
    ensure!(ready == 2, "{ready} endpoints at 25 %");
    let log = world.cluster().files().audit_log();
    let made = writes(&log, "horizontalpodautoscalers", "jump", "digits-a")?;
    let ours: Vec<_> = made.iter().filter(|write| write.user == OPERATOR_USER).collect();
    ensure!(ours.len() <= 2, "one write makes it, one raises its floor: {ours:?}");
    space.decide("Abort").await?;
    space.wait_rejected("1.1.0").await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    space.measured(
        PART,
        "a jump from 5 to 25 %",
        Some(&report),
        Some(came),
        "25 % with its 2 pods, never before",
    )?;
    space.done().await
}

/// The origin's autoscaler follows the traffic away. Then the candidate is turned down: the origin's scale is raised in the same
/// pass, and no request fails.
pub async fn a_rollback_after_stable_has_shrunk(world: &World) -> Result<()> {
    let space = adopted(world, "shrunk", json!([{"weight": 80, "hold": "120s"}]), 3).await?;
    let load = space.load(200.0).await?;
    let used = used(&space, "app=digits").await?;
    // All of the load keeps three pods busy; a fifth of it, one.
    space.apply(&autoscaler("shrunk", 1, 6, &thousandths(used / 2.6))).await?;
    space.release("1.1.0").await?;
    space.rollout.wait("the canary", RELEASE, |rollout| weight(rollout, 80)).await?;
    let c = space.status().capacity;
    wait_for("the origin to shrink", RELEASE, async || {
        let scale = scale(&space, "digits").await.map_err(|error| error.to_string())?;
        if scale < c { Ok(()) } else { Err(format!("{scale} of {c}")) }
    })
    .await?;
    let said = space.wait_reason("CapacityNotHeld").await?;
    ensure!(said.message.contains("HorizontalPodAutoscaler digits"), "{}", said.message);
    let decided = Utc::now();
    space.decide("Abort").await?;
    wait_for("the origin's scale to be raised", SOON, async || {
        let scale = scale(&space, "digits").await.map_err(|error| error.to_string())?;
        if scale >= c { Ok(()) } else { Err(format!("{scale} of {c}")) }
    })
    .await?;
    let raised = (Utc::now() - decided).to_std().unwrap_or_default();
    space.wait_rejected("1.1.0").await?;
    ensure_users_own(&space).await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    space.measured(
        PART,
        "rollback after the origin had shrunk",
        Some(&report),
        Some(raised),
        "the origin has its pods again",
    )?;
    space.done().await
}

/// Copies that somebody edits or deletes are put back; at rest they cost no request.
pub async fn copies_are_put_back(world: &World) -> Result<()> {
    world.clear().await?;
    let space = adopted(world, "copies", json!([{"weight": 50, "hold": "3s"}]), 2).await?;
    space.apply(&autoscaler("copies", 2, 6, "10")).await?;
    space.apply(&budget("copies")).await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    space.rollout.wait("1.1.0 to be active", RELEASE, |rollout| manifests::active(rollout, "1.1.0")).await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    ensure!(space.status().phase == Some(Phase::Active), "not at rest");
    let wanted = copy(&space, "digits-a").await?["spec"].clone();
    ensure!(wanted["maxReplicas"] == 6 && wanted["minReplicas"] == 2, "{wanted}");
    let params = PatchParams { field_manager: Some("sre".to_owned()), ..PatchParams::default() };
    let mut longest = Duration::ZERO;

    let edit = json!({"spec": {"maxReplicas": 3, "minReplicas": 1}});
    autoscalers(&space).patch("digits-a", &params, &Patch::Merge(edit)).await?;
    longest = longest.max(back(&space, "digits-a", &wanted).await?);
    autoscalers(&space).delete("digits-a", &DeleteParams::default()).await?;
    longest = longest.max(back(&space, "digits-a", &wanted).await?);
    let budgets = of_kind(&space, "policy", "v1", "PodDisruptionBudget");
    budgets.delete("digits-a", &DeleteParams::default()).await?;
    let began = Utc::now();
    wait_for("the budget to be back", CORRECTED, async || {
        let found = budgets.get_opt("digits-a").await.map_err(|error| error.to_string())?;
        found.map(drop).ok_or_else(|| "it is gone".to_owned())
    })
    .await?;
    longest = longest.max((Utc::now() - began).to_std().unwrap_or_default());
    let guarded = serde_json::to_value(budgets.get("digits-a").await?)?;
    ensure!(guarded["spec"]["selector"]["matchLabels"]["understudy.dev/slot"] == "a", "{}", guarded["spec"]);

    space.measured(PART, "copies edited and deleted", Some(&report), Some(longest), "as the user's")?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let rest = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(())
    };
    let requests = world.requests_during(rest).await?;
    let other: Vec<_> =
        requests.iter().filter(|one| one.resource != "leases" && one.verb != "watch").collect();
    ensure!(other.is_empty(), "requests at rest, while the autoscaler works: {other:?}");
    space.done().await
}

/// A namespace with the usual rollout, with other steps, and with that many pods of 1.0.0.
async fn adopted<'a>(world: &'a World, namespace: &str, steps: Value, pods: i32) -> Result<Space<'a>> {
    let serving = manifests::serving(&world.cluster().models, namespace)?;
    let serving = serving.replace("  replicas: 2\n", &format!("  replicas: {pods}\n"));
    let space = Space::with_pods(world, namespace, serving, pods).await?;
    let mut rollout = manifests::rollout(namespace);
    rollout["spec"]["strategy"]["canary"]["steps"] = steps;
    space.adopt(&rollout).await?;
    Ok(space)
}

/// The user's autoscaler for the origin: that much processor time for each pod, followed without delay.
fn autoscaler(namespace: &str, min: i32, max: i32, each: &str) -> Value {
    let at_once = json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 8, "periodSeconds": 1}]});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits"},
            "minReplicas": min, "maxReplicas": max,
            "behavior": {"scaleDown": at_once, "scaleUp": at_once},
            "metrics": [{"type": "ContainerResource", "containerResource": {
                "name": "cpu", "container": "server", "target": {"type": "AverageValue", "averageValue": each}}}],
        },
    })
}

/// The same without a metric that it can read: it only keeps to its bounds, so that the counts are what we make them.
pub fn bounds_only(namespace: &str, min: i32, max: i32) -> Value {
    let mut hpa = autoscaler(namespace, min, max, "1");
    hpa["spec"]["metrics"] = json!([{"type": "External", "external": {
        "metric": {"name": "nobody-has-it"}, "target": {"type": "Value", "value": "1"}}}]);
    hpa
}

fn budget(namespace: &str) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "digits"}}},
    })
}

/// A share of a processor as Kubernetes writes it.
fn thousandths(processors: f64) -> String {
    format!("{}u", (processors * 1e6).max(1.0) as u64)
}

/// Processors that the pods of a selector use together, by the API that the autoscaler asks; over a few looks of it.
async fn used(space: &Space<'_>, selector: &str) -> Result<f64> {
    tokio::time::sleep(Duration::from_secs(7)).await;
    let selector = selector.replace('=', "%3D");
    let path =
        format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods?labelSelector={selector}", space.namespace);
    let answer: Value = space.client().request(http::Request::get(path).body(Vec::new())?).await?;
    let pods = answer["items"].as_array().context("no list")?;
    let each = |pod: &Value| {
        let text = pod["containers"][0]["usage"]["cpu"].as_str()?.strip_suffix('n')?;
        Some(text.parse::<f64>().ok()? / 1e9)
    };
    let all: Vec<f64> = pods.iter().filter_map(each).collect();
    ensure!(all.len() == pods.len() && !all.is_empty(), "not all pods are measured: {answer}");
    Ok(all.iter().sum())
}

pub fn of_kind(space: &Space<'_>, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(space.client(), &space.namespace, &kind)
}

pub fn autoscalers(space: &Space<'_>) -> Api<DynamicObject> {
    of_kind(space, "autoscaling", "v2", "HorizontalPodAutoscaler")
}

pub async fn found(space: &Space<'_>, name: &str) -> Result<Option<Value>> {
    let found = autoscalers(space).get_opt(name).await?;
    Ok(found.map(serde_json::to_value).transpose()?)
}

/// The user's autoscaler is there, and we have never written it.
pub async fn ensure_users_own(space: &Space<'_>) -> Result<()> {
    let users = found(space, "digits").await?.context("the user's autoscaler is gone")?;
    let writers: Vec<_> = users["metadata"]["managedFields"].as_array().into_iter().flatten().collect();
    ensure!(writers.iter().all(|one| one["manager"] != "understudy"), "we wrote the user's autoscaler");
    Ok(())
}

pub async fn copy(space: &Space<'_>, name: &str) -> Result<Value> {
    found(space, name).await?.with_context(|| format!("there is no autoscaler {name}"))
}

pub async fn scale(space: &Space<'_>, deployment: &str) -> Result<i32> {
    Ok(space.deployments().get(deployment).await?.spec.and_then(|spec| spec.replicas).unwrap_or(1))
}

/// Waits until the copy is as it was; how long that took.
async fn back(space: &Space<'_>, name: &str, wanted: &Value) -> Result<Duration> {
    let began = Utc::now();
    wait_for(&format!("autoscaler {name} to be put back"), CORRECTED, async || {
        let found = found(space, name).await.map_err(|error| error.to_string())?;
        match found {
            Some(found) if found["spec"] == *wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok((Utc::now() - began).to_std().unwrap_or_default())
}

fn weight(rollout: &ModelRollout, percent: i32) -> Option<()> {
    (rollout.status.as_ref()?.weights?.candidate == percent).then_some(())
}
