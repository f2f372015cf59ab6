//! Requests through Services and through the gateway.

use crate::support::{SOON, Space, address, get, names};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use lab::Lab;
use lab::net::GATEWAY;
use lab::wait::wait_for;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const REQUESTS: usize = 400;

pub async fn a_service_address_reaches_its_pods(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "service").await?;
    space.echo("m", "one", 2).await?;
    let services: Api<Service> = Api::namespaced(lab.admin(), "service");
    let ip = services.get("m").await?.spec.and_then(|spec| spec.cluster_ip).context("no address")?;
    let url = format!("http://{ip}/");
    let expected: BTreeSet<_> =
        names(&space.pods_of("m").await?).into_iter().map(|name| format!("one {name}")).collect();
    ensure!(expected.len() == 2, "{expected:?}");
    // kube-proxy hears of an endpoint after the Deployment counts it as ready.
    let mut answered = BTreeSet::new();
    wait_for("answers from both pods", SOON, async || {
        let answer = get(&url, &[]).await.map_err(|error| format!("{error:#}"))?;
        answered.insert(answer.body);
        if answered.len() == 2 { Ok(()) } else { Err(format!("{answered:?}")) }
    })
    .await?;
    ensure!(answered == expected, "{answered:?} answered, expected {expected:?}");
    space.done().await
}

pub async fn a_route_splits_by_weight_and_names_the_pod(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "weights").await?;
    space.echo("a", "one", 1).await?;
    space.echo("b", "two", 1).await?;
    let host = route(&space, json!([{"backendRefs": [backend("a", 90), backend("b", 10)]}])).await?;
    both_serve(&host).await?;
    let mut log = lab.access_log();
    log.read()?;
    let mut said = BTreeMap::new();
    for request in 0..REQUESTS {
        let id = format!("weights-{request}");
        let answer = get(GATEWAY, &[("Host", &host), ("x-request-id", &id)]).await?;
        ensure!(answer.status == 200, "request {request} was answered {}", answer.status);
        said.insert(id, answer.body);
    }
    let pods = lab.pods_by_ip("weights").await?;
    let mut entries = BTreeMap::new();
    wait_for("the access log", SOON, async || {
        entries.extend(log.read_by_request_id().map_err(|error| error.to_string())?);
        if said.keys().all(|id| entries.contains_key(id)) {
            Ok(())
        } else {
            Err(format!("{} entries", entries.len()))
        }
    })
    .await?;
    for (id, body) in &said {
        let entry = &entries[id];
        let pod = entry.upstream_ip().and_then(|ip| pods.get(ip)).with_context(|| format!("{entry:?}"))?;
        ensure!(body.ends_with(pod.as_str()), "{id}: the log says {pod}, the answer {body:?}");
        ensure!((entry.code, &entry.flags) == (200, &None), "{entry:?}");
    }
    let second = said.values().filter(|body| body.starts_with("two ")).count();
    // 40 expected; outside of 4.5 standard deviations once in 100,000 runs.
    ensure!((13..=67).contains(&second), "{second} of {REQUESTS} went to the arm with weight 10");
    space.done().await
}

pub async fn a_mirror_gets_a_copy_of_every_request(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "mirror").await?;
    space.echo("a", "one", 1).await?;
    space.echo("b", "two", 1).await?;
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 80}}});
    let host = route(&space, json!([{"filters": [mirror], "backendRefs": [backend("a", 1)]}])).await?;
    // The gateway hears of the mirror's endpoints after the route serves, and copies arrive after the answer.
    let mut before = 0;
    wait_for("the first copies", SOON, async || {
        get(GATEWAY, &[("Host", &host)]).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        before = counted(&space, "b").await.map_err(|error| error.to_string())?;
        if before > 0 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await?;
    for _ in 0..REQUESTS {
        let answer = get(GATEWAY, &[("Host", &host)]).await?;
        ensure!(answer.body.starts_with("one "), "a caller got the mirror's answer: {:?}", answer.body);
    }
    wait_for("the mirrored requests", SOON, async || {
        let mirrored = counted(&space, "b").await.map_err(|error| error.to_string())? - before;
        if mirrored == REQUESTS as u64 { Ok(()) } else { Err(mirrored.to_string()) }
    })
    .await?;
    space.done().await
}

pub async fn a_hanging_request_ends_at_the_route_s_timeout(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "timeout").await?;
    space.echo("a", "one", 1).await?;
    let host =
        route(&space, json!([{"timeouts": {"request": "700ms"}, "backendRefs": [backend("a", 1)]}])).await?;
    let started = Instant::now();
    let answer = get(&format!("{GATEWAY}/hang"), &[("Host", &host)]).await?;
    let took = started.elapsed();
    ensure!(answer.status == 504, "answered {}", answer.status);
    ensure!((Duration::from_millis(650)..Duration::from_secs(3)).contains(&took), "after {took:?}");
    space.done().await
}

/// Waits until both arms answer and no request fails: the gateway hears of a route, of its clusters and of their endpoints apart,
/// and until it has heard of all, some requests are answered 503.
async fn both_serve(host: &str) -> Result<()> {
    let mut answered = BTreeSet::new();
    wait_for("answers of both arms", SOON, async || {
        for _ in 0..40 {
            let answer = get(GATEWAY, &[("Host", host)]).await.map_err(|error| format!("{error:#}"))?;
            if answer.status != 200 {
                answered.clear();
                return Err(answer.status.to_string());
            }
            answered.extend(answer.body.split(' ').next().map(str::to_owned));
        }
        if answered.len() == 2 { Ok(()) } else { Err(format!("{answered:?}")) }
    })
    .await
}

fn backend(service: &str, weight: u32) -> Value {
    json!({"name": service, "port": 80, "weight": weight})
}

/// A route for a host of its own, once the gateway serves it.
async fn route(space: &Space<'_>, rules: Value) -> Result<String> {
    let host = format!("{}.example", space.name);
    space
        .apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "m"},
            "spec": {"parentRefs": [{"name": "lab", "namespace": "lab-system"}], "hostnames": [host], "rules": rules},
        }))
        .await?;
    wait_for("the route", SOON, async || {
        let answer = get(GATEWAY, &[("Host", &host)]).await.map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.status.to_string()) }
    })
    .await?;
    Ok(host)
}

/// Requests that an app's only pod has counted.
async fn counted(space: &Space<'_>, app: &str) -> Result<u64> {
    let pods = names(&space.pods_of(app).await?);
    let address = address(space, pods.first().context("no pod")?).await?;
    let metrics = get(&format!("http://{address}:8080/metrics"), &[]).await?;
    let line = metrics.body.lines().find_map(|line| line.strip_prefix("echo_requests_total "));
    Ok(line.context("the pod does not count")?.parse()?)
}
