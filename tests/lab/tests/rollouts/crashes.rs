//! What happens to a candidate's pods: a drain is nobody's fault, crashes are the version's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{EvictParams, ListParams};
use lab::process::signal;
use lab::wait::wait_for;
use rustix::process::Signal;
use serde_json::json;
use understudy::api::Phase;

use crate::manifests;
use crate::space::Space;
use crate::world::{SOON, World};

/// The candidate's pods are evicted, as a drained node does it, and come back: no verdict. Then its container is killed twice, and
/// that is one.
pub async fn a_drain_is_no_rejection_and_two_crashes_are(world: &World) -> Result<()> {
    let space = Space::new(world, "drained").await?;
    let mut rollout = manifests::rollout("drained");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 20, "hold": "90s"}]);
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors()]);
    space.adopt(&rollout).await?;
    // Callers of a pod that is killed lose their requests, which is not what this is about.
    let load = space.load_at_gateway(40.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let drained = candidates(&space).await?;
    let pods: Api<Pod> = Api::namespaced(space.client(), &space.namespace);
    for pod in &drained {
        pods.evict(&name(pod), &EvictParams::default()).await?;
    }
    let others = wait_for("other pods of the candidate", SOON, async || {
        let found = candidates(&space).await.map_err(|error| format!("{error:#}"))?;
        let fresh = found.iter().all(|pod| !drained.iter().any(|old| name(old) == name(pod)));
        if !found.is_empty() && fresh { Ok(found) } else { Err(format!("{} pods", found.len())) }
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let status = space.status();
    ensure!(status.rejected.is_empty() && status.phase == Some(Phase::Canary), "{:?}", status.message);
    let victim = others.first().context("the candidate has no pod")?;
    for crash in 0..2 {
        kill(&space, victim).await?;
        if crash == 0 {
            wait_for("the container to be started again", SOON, async || {
                let pod = pods.get(&name(victim)).await.map_err(|error| error.to_string())?;
                if restarts(&pod) >= 1 && ready(&pod) {
                    Ok(())
                } else {
                    Err(format!("{} restarts", restarts(&pod)))
                }
            })
            .await?;
        }
    }
    space.wait_rejected("1.1.0").await?;
    let reason = space.status().last_rollback.map(|last| last.reason);
    ensure!(reason.as_deref() == Some("PodsCrashing"), "turned down for {reason:?}");
    load.stop();
    load.finished().await?;
    space.done().await
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// Ready pods of slot a.
async fn candidates(space: &Space<'_>) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(space.client(), &space.namespace);
    let all = pods.list(&ListParams::default()).await?.items;
    let of_slot = |pod: &Pod| name(pod).starts_with("digits-a-") && pod.metadata.deletion_timestamp.is_none();
    Ok(all.into_iter().filter(|pod| of_slot(pod) && ready(pod)).collect())
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
    statuses.unwrap_or_default().iter().map(|one| one.restart_count).sum()
}

/// Kills the processes of a pod's containers, as the kernel or a fault of their own would.
async fn kill(space: &Space<'_>, pod: &Pod) -> Result<()> {
    let uid = pod.metadata.uid.clone().context("a pod without a uid")?;
    let folder = space.world.cluster().files().pods().join(uid);
    let mut killed = 0;
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "process") {
            let text = std::fs::read_to_string(&path)?;
            let pid = text.split_whitespace().next().context("a record without a process")?.parse()?;
            signal(pid, Signal::KILL);
            killed += 1;
        }
    }
    ensure!(killed > 0, "no process of {} is on record", name(pod));
    Ok(())
}
