//! kube-scheduler.

use super::Site;
use crate::process::Spec;
use anyhow::Result;
use serde_json::json;

/// Its health page.
pub const HEALTH: &str = "https://127.0.0.1:10259/healthz";

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let kubeconfig = site.run.kubeconfig("system:kube-scheduler");
    let config = site.config(
        "scheduler.json",
        &json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": false},
            "clientConnection": {"kubeconfig": kubeconfig, "qps": 300.0, "burst": 600},
        }),
    )?;
    Ok(site.kube("kube-scheduler").args([
        format!("--config={}", config.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--authorization-kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".into(),
    ]))
}
