//! Pods that do not do what they should, and a node agent that dies.

use crate::support::{Space, address, get, pod};
use anyhow::{Result, ensure};
use lab::Lab;
use lab::images::Image;
use serde_json::json;
use std::time::Duration;

pub async fn a_crashing_container_backs_off(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "crashes").await?;
    let annotations = json!({"lab.understudy.dev/crash-backoff": "300ms"});
    space.apply(pod("p", annotations, json!({"command": ["sh", "-c", "exit 7"]}))).await?;
    let restarts = space
        .container("p", "a crash loop", |status| {
            let waits = status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
            let code = status["lastState"]["terminated"]["exitCode"] == 7;
            (waits && code).then(|| status["restartCount"].as_i64()).flatten().filter(|count| *count >= 2)
        })
        .await?;
    let status = space.pods().get("p").await?.status.unwrap_or_default();
    ensure!(status.phase.as_deref() == Some("Running"), "after {restarts} restarts: {:?}", status.phase);
    space.done().await
}

pub async fn an_image_that_does_not_resolve_is_reported_and_heals(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "images").await?;
    space.apply(pod("p", json!({}), json!({"image": "lab/late@sha256:00"}))).await?;
    for reason in ["ErrImagePull", "ImagePullBackOff"] {
        space
            .container("p", reason, |status| (status["state"]["waiting"]["reason"] == reason).then_some(()))
            .await?;
    }
    let phase = space.pods().get("p").await?.status.and_then(|status| status.phase);
    ensure!(phase.as_deref() == Some("Pending"), "a pod without its image is {phase:?}");
    let image = Image { command: vec!["sleep".into(), "600".into()], ..Image::default() };
    lab.register_image("lab/late", &image)?;
    space
        .container("p", "a running container", |status| status["ready"].as_bool().filter(|ready| *ready))
        .await?;
    space.done().await
}

pub async fn a_container_out_of_memory_is_reported_so(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "memory").await?;
    let annotations = json!({"lab.understudy.dev/oom-after": "300ms"});
    space.apply(pod("p", annotations, json!({"command": ["sleep", "600"]}))).await?;
    let code = space
        .container("p", "OOMKilled", |status| {
            let ended = &status["lastState"]["terminated"];
            (ended["reason"] == "OOMKilled").then(|| ended["exitCode"].as_i64()).flatten()
        })
        .await?;
    ensure!(code == 137, "exit code {code}");
    space.done().await
}

pub async fn a_hanging_container_is_restarted_by_its_liveness_probe(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "liveness").await?;
    let probe =
        json!({"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1, "failureThreshold": 2});
    let container = json!({"image": "lab/echo", "livenessProbe": probe, "readinessProbe": probe});
    space.apply(pod("p", json!({}), container)).await?;
    let ready = |count: i64| {
        move |status: &serde_json::Value| {
            (status["ready"] == true && status["restartCount"] == count).then_some(())
        }
    };
    space.container("p", "readiness", ready(0)).await?;
    let address = address(&space, "p").await?;
    get(&format!("http://{address}:8080/hang-from-now-on"), &[]).await?;
    space.container("p", "readiness after a restart", ready(1)).await?;
    space.done().await
}

pub async fn a_new_node_agent_takes_over(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "agent").await?;
    space.apply(pod("p", json!({}), json!({"image": "lab/echo"}))).await?;
    space.container("p", "readiness", |status| status["ready"].as_bool().filter(|ready| *ready)).await?;
    let before = address(&space, "p").await?;
    // Killed, not told: its pods' processes stay behind, and keep their address.
    lab.component("node")?.process.restart()?;
    space
        .container("p", "readiness after a restart", |status| {
            (status["ready"] == true && status["restartCount"] == 1).then_some(())
        })
        .await?;
    ensure!(address(&space, "p").await? == before, "the pod has another address");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = get(&format!("http://{before}:8080/"), &[]).await?;
    ensure!(answer.body == " p", "{:?}", answer.body);
    space.done().await
}
