//! What the operator costs: nothing at rest, three writes a step, little memory.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use lab::net;
use lab::scenario::OPERATOR_USER;
use serde_json::{Value, json};
use understudy::api::ModelRollout;

use crate::manifests;
use crate::space::Space;
use crate::world::{SOON, World};

/// At rest: no request beyond lease and watches, no query.
pub async fn an_idle_rollout_costs_nothing(world: &World) -> Result<()> {
    world.clear().await?;
    let space = Space::adopted(world, "idle").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let queries = queries().await?;
    let requests = world
        .requests_during(async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok(())
        })
        .await?;
    let other: Vec<_> =
        requests.iter().filter(|one| one.resource != "leases" && one.verb != "watch").collect();
    ensure!(other.is_empty(), "requests of an idle operator: {other:?}");
    let asked = self::queries().await? - queries;
    ensure!(asked == 0.0, "{asked} queries while idle");
    space.note(&format!("{} requests in 20 s, all of lease and watches; no query", requests.len()));
    space.done().await
}

/// Queries that Prometheus has answered since it was started, by its own count.
pub async fn queries() -> Result<f64> {
    let url = format!("{}/metrics", net::PROMETHEUS);
    let answer = lab::http::get(&url, &[], Duration::from_secs(5)).await?;
    let lines = answer.body.lines().filter(|line| {
        line.starts_with("prometheus_http_requests_total") && line.contains("handler=\"/api/v1/")
    });
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// From one step to the next: intent, route, outcome, and no read.
pub async fn a_weight_step_costs_three_writes(world: &World) -> Result<()> {
    let space = Space::new(world, "steps").await?;
    let mut rollout = manifests::rollout("steps");
    rollout["spec"]["analysis"]["interval"] = json!("5s");
    rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"weight": 20, "hold": "11s"}, {"weight": 21, "hold": "11s"}]);
    rollout["spec"]["strategy"]["watch"]["duration"] = json!("11s");
    space.adopt(&rollout).await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    let changed = space
        .rollout
        .wait("the second step", crate::world::RELEASE, |rollout| {
            let step = rollout.status.as_ref()?.step.as_ref()?;
            (step.index == 1 && step.written).then_some(Utc::now())
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let route = space.route.versions();
    let at = route.iter().find(|seen| seen.object.share.candidate == 21).context("no step to 21 %")?.at;
    let (from, to) = (at - TimeDelta::milliseconds(1500), changed + TimeDelta::milliseconds(1500));
    let all = audited(&space, from, to)?;
    let writes: Vec<&String> = all.iter().filter(|one| !one.contains(" get ")).collect();
    let reads = all.len() - writes.len();
    space.note(&format!("a step: {writes:?}, {reads} reads"));
    ensure!(writes.len() <= 3, "a step costs {} writes: {writes:?}", writes.len());
    ensure!(writes.iter().any(|one| one.contains("httproutes")), "the route was not among {writes:?}");
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// Once the candidate's pods are ready and scraped there is nothing left to wait for.
pub async fn the_first_weight_comes_at_once(world: &World) -> Result<()> {
    let space = Space::adopted(world, "first").await?;
    let load = space.load(150.0).await?;
    space.release("1.1.0").await?;
    let look = |rollout: &ModelRollout| {
        rollout.status.as_ref()?.weights.filter(|weights| weights.candidate > 0).map(|_| ())
    };
    space.rollout.wait("traffic on the candidate", SOON, look).await?;
    let route = space.route.versions();
    let weighed = route.iter().find(|seen| seen.object.share.candidate > 0).context("no weight")?.at;
    let versions = space.rollout.versions();
    let is_ready = |rollout: &ModelRollout| {
        let conditions = rollout.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|one| one.type_ == "CandidateReady" && one.status == "True")
    };
    let ready = versions.iter().find(|seen| is_ready(&seen.object)).context("never ready")?.at;
    // The first sample of each of its pods; the last of them is what the gate waits for.
    let pods = format!("namespace=\"{}\",pod=~\"digits-a-.*\"", space.namespace);
    let query = format!("max(min_over_time(timestamp(http_requests_total{{{pods}}})[60s:50ms]))");
    let found = lab::prometheus::query_at(net::PROMETHEUS, &query).await?;
    let first = found.first().context("Prometheus has no sample of the candidate's pods")?.value();
    let scraped = DateTime::from_timestamp_millis((first * 1000.0) as i64).context("no time")?;
    let waited = (weighed - ready.max(scraped)).as_seconds_f64();
    space.note(&format!("first weight {:.0} ms after the candidate was ready and scraped", waited * 1000.0));
    // The promise is 0.5 s; the machine may be busy with other things.
    ensure!(waited < 1.5, "the first weight came only {waited:.2} s later");
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// The operator's requests in the namespace in a time, without Events, scales and watches: when, what, and the answer.
fn audited(space: &Space<'_>, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(space.world.cluster().files().audit_log())?;
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.contains(OPERATOR_USER) && line.contains(&space.namespace)) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let object = &line["objectRef"];
        let (resource, subresource) = (object["resource"].as_str(), object["subresource"].as_str());
        let at: DateTime<Utc> = serde_json::from_value(line["requestReceivedTimestamp"].clone())?;
        let counts = line["stage"] == "ResponseComplete"
            && object["namespace"] == space.namespace.as_str()
            && line["verb"] != "watch"
            && resource != Some("events")
            && subresource != Some("scale");
        if counts && at >= from && at <= to {
            let verb = line["verb"].as_str().unwrap_or_default();
            let name = object["name"].as_str().unwrap_or_default();
            let path = [resource.unwrap_or_default(), subresource.unwrap_or_default()].join("/");
            let code = &line["responseStatus"]["code"];
            found.push(format!(
                "{} {verb} {} {name} {code}",
                at.format("%S%.3f"),
                path.trim_end_matches('/')
            ));
        }
    }
    Ok(found)
}

/// Ten rollouts, one of them after a release: under 40 MB resident.
pub async fn ten_rollouts_fit_into_forty_megabytes(world: &World) -> Result<()> {
    world.clear().await?;
    let space = Space::adopted(world, "ten").await?;
    for number in 1..10 {
        small(&space, &format!("small-{number}")).await?;
    }
    let load = space.load(100.0).await?;
    space.promote("1.1.0").await?;
    space.ensure_no_failures(load, &[]).await?;
    let pid = world.operator()?.pid().context("the operator does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    let resident = kib("VmRSS:").context("no VmRSS")? / 1024.0;
    let own = kib("RssAnon:").context("no RssAnon")? / 1024.0;
    space.note(&format!(
        "ten rollouts: {resident:.1} MiB resident, {own:.1} MiB of it not the binary's own pages"
    ));
    ensure!(
        resident * 1.048_576 < 40.0,
        "{resident:.1} MiB resident (`make rollouts` measures the release build)"
    );
    space.done().await
}

/// A workload without a process, with its rollout, looked at; it never goes on.
async fn small(space: &Space<'_>, name: &str) -> Result<()> {
    let mut rollout = manifests::rollout(&space.namespace);
    rollout["spec"]["suspend"] = json!(true);
    workload(space.world, &space.namespace, name, &rollout).await?;
    let rollouts = space.rollouts();
    lab::wait::wait_for(&format!("{name} to be looked at"), SOON, async || {
        let found = rollouts.get(name).await.map_err(|error| error.to_string())?;
        found.status.and_then(|status| status.phase).ok_or("no phase".to_owned())
    })
    .await?;
    Ok(())
}

/// A workload whose pods are ready without a process, and its rollout.
pub async fn workload(world: &World, namespace: &str, name: &str, rollout: &Value) -> Result<()> {
    let labels = json!({"app": name});
    let metadata = json!({"name": name, "namespace": namespace});
    let objects = [
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
            "replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels, "annotations": {"lab.understudy.dev/fake": "ready"}},
                "spec": {"containers": [{"name": "server", "image": "lab/model-server"}]}}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": {
            "hostnames": [format!("{name}.lab")], "parentRefs": [{"name": "lab", "namespace": "lab-system"}],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}]}}),
        {
            let mut rollout = rollout.clone();
            rollout["metadata"]["name"] = json!(name);
            rollout["spec"]["workload"]["deployment"] = json!(name);
            rollout["spec"]["traffic"]["service"] = json!(name);
            rollout["spec"]["traffic"]["gatewayAPI"] = json!({"httpRoute": name});
            rollout
        },
    ];
    for object in &objects {
        world.applier.apply(&object.to_string(), "team").await?;
    }
    Ok(())
}
