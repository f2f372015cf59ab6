//! Prometheus: Envoy, and every pod that asks for it, once per second.

use super::Site;
use crate::net;
use crate::process::Spec;
use anyhow::Result;
use serde_json::{Value, json};

/// Its readiness page.
pub const HEALTH: &str = "http://10.0.0.10:9090/-/ready";

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let config = site.config("prometheus.json", &configuration(site))?;
    let data = site.run.data().join("prometheus");
    Ok(Spec::new("prometheus", &site.artifacts.prometheus, site.run.log("prometheus")).args([
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--web.listen-address={}:9090", net::HOST_IP),
        "--web.enable-lifecycle".into(),
        "--log.level=warn".into(),
    ]))
}

fn configuration(site: &Site) -> Value {
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [format!("{}:8002", net::HOST_IP)]}],
            },
            {
                "job_name": "pods",
                // Written by the node agent, with the labels of Kubernetes discovery.
                "file_sd_configs": [{"files": [site.run.targets()], "refresh_interval": "5s"}],
                "relabel_configs": pod_rules(),
            },
        ],
    })
}

/// The conventions of most clusters: annotations `prometheus.io/{scrape,port,path}`, all pod labels kept.
fn pod_rules() -> Value {
    let annotation = |name: &str| format!("__meta_kubernetes_pod_annotation_prometheus_io_{name}");
    json!([
        {"action": "keep", "source_labels": [annotation("scrape")], "regex": "true"},
        {"action": "replace", "source_labels": ["__meta_kubernetes_pod_ip", annotation("port")],
         "regex": r"(.+);(\d+)", "replacement": "$1:$2", "target_label": "__address__"},
        {"action": "replace", "source_labels": [annotation("path")], "regex": "(.+)", "target_label": "__metrics_path__"},
        {"action": "labelmap", "regex": "__meta_kubernetes_pod_label_(.+)"},
        {"action": "replace", "source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"action": "replace", "source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ])
}
