//! What many rollouts cost together: measured by `make scale`, no test of every day.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use lab::wait::wait_for;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use understudy::api::Phase;

use crate::costs;
use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

/// Rollouts at once.
const ROLLOUTS: usize = 100;
/// Requests per second of stable and of the candidate, each a pair of counters for three metrics.
const RATES: [f64; 2] = [50.0, 5.5];
/// Ticks of the kernel's clock in a second, in which it counts a process' time.
const TICKS: f64 = 100.0;

/// A hundred rollouts in mid-canary, each with three metrics and a look every 10 s: queries per second as Prometheus counts them,
/// and the operator's own time on a processor.
pub async fn a_hundred_rollouts_in_mid_canary(world: &World) -> Result<()> {
    world.clear().await?;
    let space = Space::new(world, "scale").await?;
    let counters = tokio::spawn(serve(exporter(&space).await?));
    for number in 0..ROLLOUTS {
        costs::workload(&space, &format!("m{number}"), &rollout(&space.namespace, number)).await?;
    }
    wait_for_all(&space, "to be adopted", |phase, _| phase == Phase::Active).await?;
    for number in 0..ROLLOUTS {
        let change = json!({"spec": {"version": "1.1.0"}});
        space.edit_of(&format!("m{number}"), change).await?;
    }
    wait_for_all(&space, "to have a tenth of the traffic", |phase, weight| {
        phase == Phase::Canary && weight == 10
    })
    .await?;
    // All have looked a few times.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let pid = world.operator()?.pid().context("the operator does not run")?;
    let (began, queries, ticks) = (Instant::now(), costs::queries().await?, ticks(pid)?);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let seconds = began.elapsed().as_secs_f64();
    let asked = (costs::queries().await? - queries) / seconds;
    let busy = (self::ticks(pid)? - ticks) / TICKS / seconds;
    let judged = space.rollouts().get("m0").await?.status.map(|status| status.analysis).unwrap_or_default();
    let counted: Vec<String> = judged.iter().map(|m| format!("{} {}", m.metric, m.candidate.n)).collect();
    space.note(&format!(
        "{ROLLOUTS} rollouts: {asked:.1} queries a second, {:.1} % of a core; the first has counted {}",
        busy * 100.0,
        counted.join(", ")
    ));
    counters.abort();
    ensure!(
        judged.len() == 3 && judged.iter().all(|m| m.candidate.n > 0),
        "not every metric was judged: {counted:?}"
    );
    ensure!(asked <= 30.0, "{asked:.1} queries a second");
    ensure!(busy <= 0.10, "{:.1} % of a core (`make scale` measures the release build)", busy * 100.0);
    space.done().await
}

/// Each metric is told apart by the two Services, as a gateway counts.
fn rollout(namespace: &str, number: usize) -> Value {
    let arms = json!({"gateway": {"label": "service", "value": "$(NAMESPACE)_$(SERVICE)_$(PORT)"}});
    let metrics = json!([
        {"name": "errors", "arms": arms, "ratio": {"bad": "scale_bad_total", "total": "scale_all_total"},
         "worse": {"ratio": 1.25, "plus": 0.002}, "proof": {"ratio": 2, "plus": 0.1}},
        {"name": "refused", "arms": arms, "ratio": {"bad": "scale_refused_total", "total": "scale_all_total"},
         "worse": {"ratio": 1.25, "plus": 0.002}, "proof": {"ratio": 2, "plus": 0.1}},
        {"name": "right", "arms": arms, "mean": {"sum": "scale_right_total", "count": "scale_all_total", "passFail": true}},
    ]);
    let mut rollout = manifests::rollout(namespace);
    rollout["metadata"]["name"] = json!(format!("m{number}"));
    rollout["spec"]["analysis"]["metrics"] = metrics;
    rollout["spec"]["analysis"]["interval"] = json!("10s");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 10, "hold": "1h"}]);
    rollout["spec"]["strategy"]["watch"]["duration"] = json!("60s");
    rollout
}

/// Waits until phase and weight of every rollout are as wanted.
async fn wait_for_all(space: &Space<'_>, what: &str, wanted: impl Fn(Phase, i32) -> bool) -> Result<()> {
    let rollouts = space.rollouts();
    wait_for(&format!("{ROLLOUTS} rollouts {what}"), RELEASE, async || {
        let all = rollouts.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let status = |one: &understudy::api::ModelRollout| one.status.clone().unwrap_or_default();
        let there = |one: &&understudy::api::ModelRollout| {
            let weight = status(one).weights.map_or(0, |weights| weights.candidate);
            status(one).phase.is_some_and(|phase| wanted(phase, weight))
        };
        let ready = all.iter().filter(there).count();
        if ready == ROLLOUTS {
            return Ok(());
        }
        let other = all.iter().find(|one| !there(one)).map(status).unwrap_or_default();
        Err(format!("{ready}; one waits for {:?}", other.waiting_for))
    })
    .await
}

/// A pod that Prometheus scrapes and nobody started: its address is served from here.
async fn exporter(space: &Space<'_>) -> Result<tokio::net::TcpListener> {
    space
        .apply(&json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "counters", "namespace": space.namespace, "annotations": {
                "lab.understudy.dev/fake": "ready", "prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
            "spec": {"containers": [{"name": "server", "image": "lab/model-server"}]}}))
        .await?;
    let pods: Api<Pod> = Api::namespaced(space.client(), &space.namespace);
    let address = wait_for("the address of the counters", SOON, async || {
        let pod = pods.get("counters").await.map_err(|error| error.to_string())?;
        pod.status.and_then(|status| status.pod_ip).ok_or("none".to_owned())
    })
    .await?;
    Ok(tokio::net::TcpListener::bind((address.as_str(), 8080)).await?)
}

/// The counters of all rollouts, risen since the start at steady rates.
async fn serve(listener: tokio::net::TcpListener) {
    let began = Instant::now();
    while let Ok((mut stream, _)) = listener.accept().await {
        let body = counters(began.elapsed().as_secs_f64());
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // A scrape that was given up needs no answer.
            let _ = stream.write_all((head + &body).as_bytes()).await;
        });
    }
}

fn counters(seconds: f64) -> String {
    let mut text = String::new();
    for (name, share) in [("all", 1.0), ("bad", 0.01), ("refused", 0.03), ("right", 0.9)] {
        let _ = writeln!(text, "# TYPE scale_{name}_total counter");
        for number in 0..ROLLOUTS {
            for (service, rate) in
                [(format!("m{number}"), RATES[0]), (format!("m{number}-candidate"), RATES[1])]
            {
                let value = (seconds * rate * share).floor();
                let _ = writeln!(text, "scale_{name}_total{{service=\"scale_{service}_80\"}} {value}");
            }
        }
    }
    text
}

/// Time of a process on a processor so far, in ticks.
fn ticks(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let of = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    // utime and stime are fields 14 and 15; the first two are before the bracket.
    Ok(of(11).context("no utime")? + of(12).context("no stime")?)
}
