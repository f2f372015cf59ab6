//! Prometheus: Envoy, and every pod that asks for it, once per second unless told otherwise.

use super::Site;
use crate::net;
use crate::process::Spec;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Its readiness page.
pub const HEALTH: &str = "http://10.0.0.10:9090/-/ready";

/// How often it scrapes, in whole seconds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Envoy's statistics, which are many where there are many clusters.
    pub envoy: Duration,
    /// The pods.
    pub pods: Duration,
}

impl Default for Scrape {
    fn default() -> Self {
        Self { envoy: Duration::from_secs(1), pods: Duration::from_secs(1) }
    }
}

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let config = configure(site, Scrape::default())?;
    let data = site.run.data().join("prometheus");
    Ok(Spec::new("prometheus", &site.artifacts.prometheus, site.run.log("prometheus")).args([
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--web.listen-address={}:9090", net::HOST_IP),
        "--web.enable-lifecycle".into(),
        "--log.level=warn".into(),
    ]))
}

/// Writes its configuration; a running one has to be told by [`reload`].
///
/// # Errors
/// When the file cannot be written.
pub fn configure(site: &Site, scrape: Scrape) -> Result<PathBuf> {
    site.config("prometheus.json", &configuration(site, scrape))
}

/// Lets it read its configuration again. When this returns, it goes by it.
///
/// # Errors
/// When it does not answer or refuses the configuration.
pub async fn reload() -> Result<()> {
    let url = format!("{}/-/reload", net::PROMETHEUS);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let answer = client.post(&url).send().await.context("Prometheus cannot be told of its configuration")?;
    ensure!(answer.status().is_success(), "{url} answered {}", answer.status());
    Ok(())
}

fn configuration(site: &Site, scrape: Scrape) -> Value {
    // As long as an answer may take by default, and never longer than until the next.
    let times = |every: Duration| (format!("{}s", every.as_secs()), format!("{}s", every.as_secs().min(10)));
    let ((envoy, envoy_timeout), (pods, pods_timeout)) = (times(scrape.envoy), times(scrape.pods));
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": "envoy",
                "scrape_interval": envoy,
                "scrape_timeout": envoy_timeout,
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [format!("{}:8002", net::HOST_IP)]}],
            },
            {
                "job_name": "pods",
                "scrape_interval": pods,
                "scrape_timeout": pods_timeout,
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
