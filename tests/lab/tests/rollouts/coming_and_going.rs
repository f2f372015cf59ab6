//! Adoption touches nothing; deletion leaves what serves; whoever comes next takes over.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use lab::wait::wait_for;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use understudy::api::Phase;

use crate::manifests;
use crate::space::Space;
use crate::world::{SOON, World};

/// The user's objects and pods before and after are the same.
pub async fn adoption_touches_nothing(world: &World) -> Result<()> {
    let space = Space::new(world, "adopts").await?;
    let before = everything(&space).await?;
    space.adopt(&manifests::rollout("adopts")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    same(&before, &everything(&space).await?)?;
    space.done().await
}

/// Deleted in mid-canary: traffic is back, what was ours is gone, the namespace is as it was before.
pub async fn deletion_in_mid_canary_leaves_the_namespace_as_it_was(world: &World) -> Result<()> {
    let space = Space::new(world, "leaves").await?;
    let before = everything(&space).await?;
    space.adopt(&manifests::rollout("leaves")).await?;
    let load = space.load(60.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let look = |rollout: &understudy::api::ModelRollout| {
        rollout.status.as_ref()?.weights.filter(|weights| weights.candidate > 0).map(|_| ())
    };
    space.rollout.wait("traffic on the candidate", SOON, look).await?;
    delete(&space).await?;
    // The candidate's pods have their grace period.
    wait_for("the namespace to be as before", SOON, async || {
        let now = everything(&space).await.map_err(|error| format!("{error:#}"))?;
        same(&before, &now).map_err(|error| error.to_string())
    })
    .await?;
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    space.note(&format!("{} requests, {} failed", report.requests, report.failures));
    space.done().await
}

/// Deleted at rest with an active slot: it serves on. A rollout of another name takes it over as it is.
pub async fn what_serves_outlives_its_rollout_and_is_taken_over(world: &World) -> Result<()> {
    let space = Space::adopted(world, "outlives").await?;
    let load = space.load(60.0).await?;
    space.promote("1.1.0").await?;
    space.wait_ready("digits", 0).await?;
    let serving = pods(&space).await?;
    delete(&space).await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    ensure!(
        pods(&space).await? == serving,
        "pods changed: {serving:?} before, {:?} now",
        pods(&space).await?
    );
    let mut next = manifests::rollout("outlives");
    next["metadata"]["name"] = json!("digits-two");
    next["spec"]["version"] = json!("1.1.0");
    space.apply(&next).await?;
    let rollouts = space.rollouts();
    wait_for("1.1.0 to be taken over", SOON, async || {
        let found = rollouts.get("digits-two").await.map_err(|error| error.to_string())?;
        manifests::active(&found, "1.1.0").ok_or_else(|| format!("{:?}", found.status.map(|s| s.message)))
    })
    .await?;
    ensure!(pods(&space).await? == serving, "the pods changed when it was taken over");
    let status = rollouts.get("digits-two").await?.status.context("no status")?;
    let active = status.active.context("nothing is active")?;
    ensure!(active.slot == understudy::api::Slot::A, "active in {}", active.slot);
    space.ensure_route_untouched().await?;
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// Two rollouts of one Deployment: the second waits for a person and names the first.
pub async fn the_second_claim_is_stalled(world: &World) -> Result<()> {
    let space = Space::adopted(world, "claims").await?;
    // Creation times have whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut second = manifests::rollout("claims");
    second["metadata"]["name"] = json!("aaa-second");
    second["spec"]["version"] = json!("1.1.0");
    space.apply(&second).await?;
    let rollouts = space.rollouts();
    let stalled = wait_for("the second to be stalled", SOON, async || {
        let status = rollouts.get("aaa-second").await.map_err(|e| e.to_string())?.status.unwrap_or_default();
        let stalled = status.conditions.iter().find(|one| one.type_ == "Stalled" && one.status == "True");
        stalled.cloned().ok_or_else(|| format!("{:?}", status.conditions))
    })
    .await?;
    ensure!(stalled.reason == "Claimed", "the reason is {}", stalled.reason);
    ensure!(stalled.message.contains("digits"), "the first is not named: {}", stalled.message);
    ensure!(space.deployments().get_opt("digits-a").await?.is_none(), "the second has made a slot");
    // The first one gone, the second has it, without a restart.
    delete(&space).await?;
    wait_for("the second to go on", SOON, async || {
        let status = rollouts.get("aaa-second").await.map_err(|e| e.to_string())?.status.unwrap_or_default();
        match status.phase {
            Some(Phase::Preparing | Phase::Canary) => Ok(()),
            phase => Err(format!("{phase:?}: {}", status.message)),
        }
    })
    .await?;
    space.done().await
}

pub async fn delete(space: &Space<'_>) -> Result<()> {
    let rollouts = space.rollouts();
    rollouts.delete("digits", &DeleteParams::default()).await?;
    wait_for("the rollout to be gone", SOON, async || {
        match rollouts.get_opt("digits").await.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(left) => Err(left.status.map(|status| status.message).unwrap_or_default()),
        }
    })
    .await
}

/// Names and UIDs of the pods that are not being deleted.
async fn pods(space: &Space<'_>) -> Result<BTreeMap<String, String>> {
    let pods: Api<Pod> = Api::namespaced(space.client(), &space.namespace);
    let all = pods.list(&ListParams::default()).await?;
    let staying = all.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(staying.map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect())
}

/// Every Deployment, Service, HTTPRoute and pod, without status and the server's counters.
pub async fn everything(space: &Space<'_>) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    let list = ListParams::default();
    for one in space.deployments().list(&list).await? {
        all.insert(format!("Deployment {}", one.name_any()), bare(serde_json::to_value(&one)?));
    }
    for one in space.services().list(&list).await? {
        all.insert(format!("Service {}", one.name_any()), bare(serde_json::to_value(&one)?));
    }
    for one in space.routes().list(&list).await? {
        all.insert(format!("HTTPRoute {}", one.name_any()), bare(serde_json::to_value(&one)?));
    }
    let pods: Api<Pod> = Api::namespaced(space.client(), &space.namespace);
    for one in pods.list(&list).await? {
        all.insert(format!("Pod {}", one.name_any()), json!(one.uid()));
    }
    Ok(all)
}

fn bare(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let metadata = &mut object["metadata"];
    if let Some(owners) = metadata["managedFields"].as_array_mut() {
        owners.retain(|entry| entry["subresource"] != "status");
    }
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("resourceVersion");
        fields.remove("generation");
    }
    object
}

pub fn same(before: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Result<()> {
    let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
    ensure!(names(before) == names(now), "there was {:?}, there is {:?}", names(before), names(now));
    for (name, was) in before {
        ensure!(was == &now[name], "{name} was {was}, is {}", now[name]);
    }
    Ok(())
}
