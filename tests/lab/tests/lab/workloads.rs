//! Pods that do what they should.

use crate::support::{SOON, Space, address, deployment, get, names, pod};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use lab::Lab;
use lab::wait::wait_for;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub async fn a_deployment_gets_ready_is_scaled_rolled_and_deleted(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "workloads").await?;
    space.echo("m", "one", 2).await?;
    let deployments: Api<Deployment> = Api::namespaced(lab.admin(), &space.name);
    let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
    deployments.patch_scale("m", &PatchParams::default(), &scale).await?;
    space.ready("m", 4).await?;
    let old: BTreeSet<_> = names(&space.pods_of("m").await?).into_iter().collect();

    space.apply(deployment("m", "two", 4)).await?;
    space.ready("m", 4).await?;
    let new = wait_for("the old pods to be gone", SOON, async || {
        let pods = space.pods_of("m").await.map_err(|error| error.to_string())?;
        let present: BTreeSet<_> = names(&pods).into_iter().collect();
        if present.is_disjoint(&old) { Ok(pods) } else { Err(format!("{present:?}")) }
    })
    .await?;
    let mut addresses = BTreeSet::new();
    for pod in names(&new) {
        let address = address(&space, &pod).await?;
        let answer = get(&format!("http://{address}:8080/"), &[]).await?;
        ensure!(answer.body == format!("two {pod}"), "{pod} answered {:?}", answer.body);
        addresses.insert(address);
    }
    ensure!(addresses.len() == 4, "addresses are not unique: {addresses:?}");

    deployments.delete("m", &DeleteParams::background()).await?;
    wait_for("all pods to be gone", SOON, async || match space.pods_of("m").await {
        Ok(pods) if pods.is_empty() => Ok(()),
        other => Err(format!("{:?}", other.map(|pods| names(&pods)))),
    })
    .await?;
    for address in addresses {
        ensure!(get(&format!("http://{address}:8080/"), &[]).await.is_err(), "{address} still answers");
    }
    space.done().await
}

pub async fn a_pod_that_is_deleted_has_its_grace_period(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "grace").await?;
    let stops = |after: &str| {
        json!({
            "image": "lab/echo", "env": [{"name": "STOPS_AFTER", "value": after}],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo hook in $HOSTNAME"]}}},
        })
    };
    for (name, after, least, most) in [("polite", "1", 1, 5), ("stubborn", "60", 3, 8)] {
        let mut object = pod(name, json!({}), stops(after));
        object["spec"]["terminationGracePeriodSeconds"] = json!(3);
        space.apply(object).await?;
        space
            .container(name, "a running container", |status| status["ready"].as_bool().filter(|ready| *ready))
            .await?;
        let log = lab.directory().join(format!("logs/pods/grace_{name}/main.log"));
        // Ready without a probe means started, not yet listening for signals.
        wait_for("its first line", SOON, async || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.contains("serving") { Ok(()) } else { Err(text) }
        })
        .await?;
        let started = Instant::now();
        space.pods().delete(name, &DeleteParams::default()).await?;
        wait_for("the pod to be gone", SOON, async || match space.pods().get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        let took = started.elapsed();
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        ensure!(least <= took && took < most, "{name} was gone after {took:?}");
        let text = std::fs::read_to_string(&log)?;
        ensure!(text.contains(&format!("hook in {name}")), "the hook did not run: {text}");
        ensure!(text.contains("told to stop"), "SIGTERM did not arrive: {text}");
        ensure!(text.contains("stopped") == (name == "polite"), "{name}: {text}");
    }
    space.done().await
}

pub async fn environment_and_volumes_reach_the_process(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "environment").await?;
    space
        .apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                      "data": {"colour": "blue", "file.txt": "content"}}))
        .await?;
    let mut object = pod(
        "p",
        json!({}),
        json!({
            "image": "lab/echo",
            "env": [
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
                {"name": "WHOLE", "value": "$(NAME) is $(COLOUR) at $(POD_IP)"},
            ],
        }),
    );
    object["spec"]["volumes"] = json!([{"name": "my-files", "configMap": {"name": "settings"}}]);
    space.apply(object).await?;
    space
        .container("p", "a running container", |status| status["ready"].as_bool().filter(|ready| *ready))
        .await?;
    let address = address(&space, "p").await?;
    let answer = wait_for("its environment", SOON, async || {
        get(&format!("http://{address}:8080/env"), &[]).await.map_err(|error| error.to_string())
    })
    .await?;
    let line = format!("WHOLE=p is blue at {address}");
    ensure!(answer.body.lines().any(|one| one == line), "no line {line:?} in {}", answer.body);
    let directory = answer.body.lines().find_map(|line| line.strip_prefix("LAB_VOLUME_MY_FILES="));
    let file = format!("{}/file.txt", directory.context("no variable names the volume")?);
    ensure!(std::fs::read_to_string(&file)? == "content", "{file} has another content");
    space.done().await
}

pub async fn a_fake_pod_is_ready_without_a_process(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "fake").await?;
    let mut object = deployment("many", "one", 60);
    let annotations = &mut object["spec"]["template"]["metadata"]["annotations"];
    *annotations = json!({"lab.understudy.dev/fake": "ready"});
    let started = Instant::now();
    space.apply(object).await?;
    space.ready("many", 60).await?;
    println!("60 fake pods ready after {:?}", started.elapsed());
    let logs = lab.directory().join("logs/pods");
    let written = std::fs::read_dir(logs)?
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("fake_"));
    ensure!(!written, "a fake pod has written a log");
    space.done().await
}
