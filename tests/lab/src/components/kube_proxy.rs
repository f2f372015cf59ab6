//! kube-proxy in nftables mode: Service addresses work inside the lab's network.

use super::Site;
use crate::net;
use crate::node::NODE_NAME;
use crate::process::Spec;
use anyhow::Result;
use serde_json::json;

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let config = site.config(
        "kube-proxy.json",
        &json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": NODE_NAME,
            "bindAddress": net::HOST_IP,
            "healthzBindAddress": "",
            "metricsBindAddress": "",
            // The limits belong to the machine, not to a lab's namespace.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "nftables": {"syncPeriod": "1s", "minSyncPeriod": "0s"},
            "clientConnection": {"kubeconfig": site.run.kubeconfig("system:kube-proxy")},
        }),
    )?;
    Ok(site.kube("kube-proxy").args([format!("--config={}", config.display())]))
}
