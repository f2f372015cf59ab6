//! Contour: watches Gateway API objects and tells Envoy.

use super::Site;
use crate::net;
use crate::process::Spec;
use anyhow::Result;
use serde_json::json;

/// Its health page.
pub const HEALTH: &str = "http://127.0.0.1:8100/healthz";
/// Where Envoy asks it for configuration.
pub const XDS_PORT: u16 = 8101;

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let config = site.config("contour.json", &configuration())?;
    let access_log = site.run.access_log();
    Ok(Spec::new("contour", &site.artifacts.contour, site.run.log("contour")).args([
        "serve".into(),
        format!("--config-path={}", config.display()),
        format!("--kubeconfig={}", site.run.kubeconfig("lab:contour").display()),
        "--insecure".into(),
        "--disable-leader-election".into(),
        "--xds-address=127.0.0.1".into(),
        format!("--xds-port={XDS_PORT}"),
        "--health-address=127.0.0.1".into(),
        "--health-port=8100".into(),
        "--http-address=127.0.0.1".into(),
        "--http-port=8100".into(),
        "--debug-http-address=127.0.0.1".into(),
        "--debug-http-port=8102".into(),
        // Not on all addresses: pods have the same ports on theirs.
        format!("--envoy-service-http-address={}", net::HOST_IP),
        format!("--envoy-service-https-address={}", net::HOST_IP),
        format!("--stats-address={}", net::HOST_IP),
        "--stats-port=8002".into(),
        "--kubernetes-client-qps=200".into(),
        "--kubernetes-client-burst=400".into(),
        format!("--envoy-http-access-log={}", access_log.display()),
        format!("--envoy-https-access-log={}", access_log.display()),
    ]))
}

fn configuration() -> serde_json::Value {
    let wide = 65_536;
    json!({
        "gateway": {"gatewayRef": {"namespace": "lab-system", "name": "lab"}},
        "ingress-status-address": net::HOST_IP,
        "accesslog-format": "json",
        "json-fields": [
            "@timestamp=%START_TIME(%s.%6f)%",
            "x_request_id=%REQ(X-REQUEST-ID)%",
            "method",
            "path=%REQ(:PATH)%",
            "response_code",
            "response_flags",
            "duration",
            "upstream_host",
            "upstream_cluster",
            "route_name=%ROUTE_NAME%",
        ],
        // No request is refused by a limit of ours: a version that hangs collects many.
        "cluster": {"circuit-breakers": {
            "max-connections": wide, "max-pending-requests": wide, "max-requests": wide, "max-retries": wide,
        }},
        // No timeout of our own: an HTTPRoute's `timeouts.request` is the only one (without it, Envoy's 15 s).
        "timeouts": {"request-timeout": "infinity", "stream-idle-timeout": "infinity", "connect-timeout": "2s"},
    })
}
