//! The `Node` object.

use super::NODE_NAME;
use crate::net;
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

/// Creates the node if it is not there, and makes it schedulable and Ready.
pub(super) async fn register(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": NODE_NAME, "labels": {
            "kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        }},
        "spec": {"podCIDR": net::POD_CIDR},
    }))?;
    match nodes.create(&PostParams::default(), &node).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(error).context("could not create the node"),
    }
    // Admission gives every new node the taint not-ready, which the node lifecycle controller would remove.
    let merge = PatchParams::default();
    nodes.patch(NODE_NAME, &merge, &Patch::Merge(json!({"spec": {"taints": null}}))).await?;
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let amounts = json!({"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "500Gi"});
    let status = json!({"status": {
        "capacity": amounts,
        "allocatable": amounts,
        "addresses": [{"type": "InternalIP", "address": net::HOST_IP}, {"type": "Hostname", "address": NODE_NAME}],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "LabNodeAgent", "message": "pods are processes",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
    }});
    nodes
        .patch_status(NODE_NAME, &merge, &Patch::Merge(status))
        .await
        .context("could not report the node")?;
    Ok(())
}
