//! kube-controller-manager: Deployments, ReplicaSets, EndpointSlices, service accounts, garbage collection.

use super::Site;
use crate::process::Spec;

/// Its health page.
pub const HEALTH: &str = "https://127.0.0.1:10257/healthz";

/// How it is started. Without the controllers that would judge or number the node: there is no kubelet.
pub fn spec(site: &Site) -> Spec {
    let config = site.run.kubeconfig("system:kube-controller-manager");
    site.kube("kube-controller-manager").args([
        format!("--kubeconfig={}", config.display()),
        format!("--authentication-kubeconfig={}", config.display()),
        format!("--authorization-kubeconfig={}", config.display()),
        "--bind-address=127.0.0.1".into(),
        format!("--service-account-private-key-file={}", site.pki.token_key().display()),
        format!("--root-ca-file={}", site.pki.ca().display()),
        "--leader-elect=false".into(),
        "--controllers=*,-node-ipam-controller,-node-lifecycle-controller".into(),
        // The defaults (15 s, 5 min, 30 s) would make every test of an autoscaler wait.
        "--horizontal-pod-autoscaler-sync-period=1s".into(),
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s".into(),
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s".into(),
        // The defaults (20 and 30) would make many labs' worth of objects wait.
        "--kube-api-qps=300".into(),
        "--kube-api-burst=600".into(),
    ])
}
