//! What Prometheus knows.

use crate::support::{SOON, Space, get, names};
use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::net::GATEWAY;
use lab::wait::wait_for;
use serde_json::json;
use std::time::Instant;

pub async fn prometheus_sees_the_gateway_and_the_pods(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "metrics").await?;
    space.echo("m", "one", 1).await?;
    let ready = Instant::now();
    space
        .apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "m"},
            "spec": {"parentRefs": [{"name": "lab", "namespace": "lab-system"}], "hostnames": ["metrics.example"],
                     "rules": [{"backendRefs": [{"name": "m", "port": 80}]}]},
        }))
        .await?;
    let prometheus = lab.prometheus()?;
    let pod = names(&space.pods_of("m").await?).into_iter().next().context("no pod")?;
    let of_pod = format!("echo_requests_total{{job=\"pods\",namespace=\"metrics\",pod={pod:?},app=\"m\"}}");
    wait_for("the pod's metrics", SOON, async || match prometheus.query(&of_pod).await {
        Ok(series) if series.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    println!("scraped {:?} after the Deployment was ready", ready.elapsed());
    let mut answered = 0.0;
    for _ in 0..50 {
        if get(GATEWAY, &[("Host", "metrics.example")]).await?.status == 200 {
            answered += 1.0;
        }
    }
    ensure!(answered > 0.0, "the gateway does not serve the route");
    let of_gateway = "envoy_cluster_upstream_rq_xx{job=\"envoy\",envoy_cluster_name=\"metrics_m_80\",\
                      envoy_response_code_class=\"2\"}";
    for query in [of_pod.as_str(), of_gateway] {
        wait_for(&format!("{answered} requests in {query}"), SOON, async || {
            let series = prometheus.query(query).await.map_err(|error| error.to_string())?;
            let values: Vec<f64> = series.iter().map(lab::prometheus::Series::value).collect();
            if values == [answered] { Ok(()) } else { Err(format!("{values:?}")) }
        })
        .await?;
    }
    space.done().await
}

pub async fn prometheus_is_stopped_and_started(lab: &Lab) -> Result<()> {
    let prometheus = lab.prometheus()?;
    let before = prometheus.query("up{job=\"envoy\"}").await?;
    ensure!(before.len() == 1, "{before:?}");
    prometheus.stop();
    ensure!(prometheus.query("up").await.is_err(), "a stopped Prometheus answers");
    prometheus.start().await?;
    wait_for("the first scrape", SOON, async || match prometheus.query("up{job=\"envoy\"}").await {
        Ok(series) if series.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}
