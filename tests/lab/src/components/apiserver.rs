//! kube-apiserver with RBAC, service accounts as in any cluster, and an audit log of every request.

use super::Site;
use crate::net;
use crate::process::Spec;
use anyhow::Result;
use serde_json::json;

/// Its readiness page.
pub const HEALTH: &str = "https://10.0.0.10:6443/readyz";

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let policy = site.config("audit.json", &audit_policy())?;
    let pki = &site.pki;
    Ok(site.kube("kube-apiserver").args([
        "--etcd-servers=http://127.0.0.1:2379".into(),
        format!("--bind-address={}", net::HOST_IP),
        format!("--advertise-address={}", net::HOST_IP),
        "--secure-port=6443".into(),
        format!("--tls-cert-file={}", pki.server_certificate().display()),
        format!("--tls-private-key-file={}", pki.server_key().display()),
        format!("--client-ca-file={}", pki.ca().display()),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-signing-key-file={}", pki.token_key().display()),
        format!("--service-account-key-file={}", pki.token_public_key().display()),
        format!("--token-auth-file={}", pki.users().display()),
        "--authorization-mode=RBAC".into(),
        format!("--service-cluster-ip-range={}", net::SERVICE_CIDR),
        "--allow-privileged=true".into(),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", site.run.audit_log().display()),
        "--audit-log-maxsize=0".into(),
        // There is nobody in the lab whose requests must be kept apart from others'.
        "--enable-priority-and-fairness=false".into(),
        "--max-requests-inflight=2000".into(),
        "--max-mutating-requests-inflight=1000".into(),
    ]))
}

/// Who asked for what, once per request; watches when they begin and when they end.
fn audit_policy() -> serde_json::Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
            {"level": "Metadata"},
        ],
    })
}
