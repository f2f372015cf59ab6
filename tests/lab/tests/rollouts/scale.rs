//! What many rollouts cost together: measured by `make scale`, no test of every day.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use lab::net;
use lab::prometheus::Scrape;
use lab::wait::wait_for;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use understudy::api::{ModelRollout, ModelRolloutStatus, Phase};

use crate::costs;
use crate::manifests;
use crate::world::{SOON, World};

/// Rollouts at once, unless `MEASURE` is another number.
const ROLLOUTS: usize = 100;
/// So many of them in each namespace.
const TOGETHER: usize = 10;
/// So many of them are on their way to the canary at once: the lab shares two cores, and each change of a route has Contour and
/// Envoy work on all of them.
const UNDER_WAY: usize = 4;
/// Longest wait for the next of them.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long is measured: a whole number of looks.
const MEASURED: Duration = Duration::from_secs(120);
/// Queries a second and share of a core that are promised.
const PROMISED: (f64, f64) = (30.0, 0.10);
/// Requests per second of stable and of the candidate, each a pair of counters for three metrics.
const RATES: [f64; 2] = [50.0, 5.5];
/// Ticks of the kernel's clock in a second, in which it counts a process' time.
const TICKS: f64 = 100.0;

/// A hundred rollouts in mid-canary, each with three metrics and a look every 10 s: queries per second as Prometheus counts them,
/// and the operator's own time on a processor. Nothing goes through the gateway; the counters are the test's own. Envoy's, which
/// nobody asks for here, are tens of thousands with so many clusters and are scraped once a minute.
pub async fn a_hundred_rollouts_in_mid_canary(world: &World) -> Result<()> {
    world.clear().await?;
    let prometheus = world.cluster().lab().context("the lab is this process' own")?.prometheus()?;
    prometheus.scrape(Scrape { envoy: Duration::from_secs(60), pods: Duration::from_secs(5) }).await?;
    let asked = std::env::var("MEASURE").ok().and_then(|number| number.parse().ok());
    let rollouts = asked.filter(|number| *number > 1).unwrap_or(ROLLOUTS);
    for number in (0..rollouts).step_by(TOGETHER) {
        let name = namespace(number);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        world.applier.apply(&object.to_string(), "team").await?;
        world.applier.apply(&lab::scenario::versions(&world.cluster().models, &name)?, "team").await?;
    }
    let counters = tokio::spawn(serve(exporter(world).await?, rollouts));
    wait_counters(rollouts).await?;
    release(world, rollouts).await?;
    // All have looked a few times.
    tokio::time::sleep(Duration::from_secs(40)).await;
    // The namespaces end with the lab: the namespace controller may ask 20 times a second, and takes minutes for ten of them.
    let measured = measure(world, rollouts).await;
    counters.abort();
    measured
}

fn namespace(number: usize) -> String {
    format!("scale-{}", number / TOGETHER)
}

/// One workload after the other. None has a registered version in its template, so that each rollout releases the one it names.
async fn release(world: &World, rollouts: usize) -> Result<()> {
    let began = Instant::now();
    let mut last = Instant::now();
    let (mut made, mut there) = (0, 0);
    while there < rollouts {
        while made < rollouts && made < there + UNDER_WAY {
            costs::workload(world, &namespace(made), &format!("m{made}"), &rollout(made)).await?;
            made += 1;
        }
        // All statuses together are a megabyte; read without a pause they would be what is measured.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let all = statuses(world).await?;
        let ready = all.values().filter(|status| in_canary(status)).count();
        if ready > there {
            if ready / 10 > there / 10 {
                note(&format!("{ready} in canary after {} s", began.elapsed().as_secs()));
            }
            (there, last) = (ready, Instant::now());
        }
        if last.elapsed() > PATIENCE {
            let other = all.into_iter().find(|(_, status)| !in_canary(status));
            let said = other.map(|(name, status)| (name, status.phase, status.waiting_for, status.message));
            bail!(
                "{there} of {rollouts} rollouts are in canary, and for {PATIENCE:?} no other came: {said:?}"
            );
        }
    }
    Ok(())
}

fn note(text: &str) {
    eprintln!("[scale] {text}");
}

fn in_canary(status: &ModelRolloutStatus) -> bool {
    status.phase == Some(Phase::Canary)
        && status.step.as_ref().is_some_and(|step| step.written && step.set == 10)
}

async fn statuses(world: &World) -> Result<BTreeMap<String, ModelRolloutStatus>> {
    let rollouts: Api<ModelRollout> = Api::all(world.client());
    let all = rollouts.list(&ListParams::default()).await?.items;
    Ok(all
        .into_iter()
        .map(|one| (one.metadata.name.unwrap_or_default(), one.status.unwrap_or_default()))
        .collect())
}

/// The operator, and beside it what the lab itself takes.
async fn measure(world: &World, rollouts: usize) -> Result<()> {
    let pid = world.operator()?.pid().context("the operator does not run")?;
    let lab = world.cluster().lab().context("the lab is this process' own")?;
    let components = || {
        lab.components().iter().filter_map(|one| Some((one.process.name(), ticks(one.process.pid()?).ok()?)))
    };
    let before: BTreeMap<_, _> = components().collect();
    let looks = looks(world).await?;
    let (began, queries, busy) = (Instant::now(), costs::queries().await?, ticks(pid)?);
    tokio::time::sleep(MEASURED).await;
    let seconds = began.elapsed().as_secs_f64();
    let asked = (costs::queries().await? - queries) / seconds;
    let share = |from: f64, to: f64| (to - from) / TICKS / seconds;
    let busy = share(busy, ticks(pid)?);
    let others = components().map(|(name, now)| {
        format!("{name} {:.0} %", share(before.get(name).copied().unwrap_or(now), now) * 100.0)
    });
    let others = others.collect::<Vec<_>>().join(", ");
    let looks = (self::looks(world).await? - looks) as f64 / seconds;
    note(&format!(
        "{rollouts} rollouts: {asked:.1} queries and {looks:.1} looks a second, {:.1} % of a core; the lab beside it: {others}",
        busy * 100.0
    ));
    let all = statuses(world).await?;
    for (name, status) in &all {
        let judged = &status.analysis;
        ensure!(in_canary(status), "{name} is in phase {:?}: {:?}", status.phase, status.message);
        ensure!(
            judged.len() == 3 && judged.iter().all(|m| m.candidate.n > 0),
            "{name} was not judged: {judged:?}"
        );
    }
    ensure!(looks > rollouts as f64 / 10.0 * 0.95, "only {looks:.1} looks a second: it cannot keep up");
    // What one look more at an end of the time would make.
    ensure!(asked <= PROMISED.0 * 1.01, "{asked:.1} queries a second");
    ensure!(busy <= PROMISED.1, "{:.1} % of a core (`make scale` measures the release build)", busy * 100.0);
    Ok(())
}

/// Looks of all rollouts so far, by their grids.
async fn looks(world: &World) -> Result<i64> {
    let passed = |status: &ModelRolloutStatus| {
        status.evidence.as_ref().map_or(0, |e| (e.t_k - e.t0).num_seconds() / 10)
    };
    Ok(statuses(world).await?.values().map(passed).sum())
}

/// Each metric is told apart by the two Services, as a gateway counts.
fn rollout(number: usize) -> Value {
    let arms = json!({"gateway": {"label": "service", "value": "$(NAMESPACE)_$(SERVICE)_$(PORT)"}});
    let metrics = json!([
        {"name": "errors", "arms": arms, "ratio": {"bad": "scale_bad_total", "total": "scale_all_total"},
         "worse": {"ratio": 1.25, "plus": 0.002}, "proof": {"ratio": 2, "plus": 0.1}},
        {"name": "refused", "arms": arms, "ratio": {"bad": "scale_refused_total", "total": "scale_all_total"},
         "worse": {"ratio": 1.25, "plus": 0.002}, "proof": {"ratio": 2, "plus": 0.1}},
        {"name": "right", "arms": arms, "mean": {"sum": "scale_right_total", "count": "scale_all_total", "passFail": true}},
    ]);
    let mut rollout = manifests::rollout(&namespace(number));
    rollout["metadata"]["name"] = json!(format!("m{number}"));
    rollout["spec"]["analysis"]["metrics"] = metrics;
    rollout["spec"]["analysis"]["interval"] = json!("10s");
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 10, "hold": "1h"}]);
    rollout["spec"]["strategy"]["watch"]["duration"] = json!("60s");
    rollout
}

/// Waits until Prometheus has the counters of every arm: without them there is no past to forecast from.
async fn wait_counters(rollouts: usize) -> Result<()> {
    wait_for("Prometheus to have the counters", SOON, async || {
        let found = lab::prometheus::query_at(net::PROMETHEUS, "count(scale_all_total)").await;
        let found =
            found.map_err(|error| format!("{error:#}"))?.first().map_or(0.0, lab::prometheus::Series::value);
        if found == 2.0 * rollouts as f64 { Ok(()) } else { Err(format!("{found} series")) }
    })
    .await
}

/// A pod that Prometheus scrapes and nobody started: its address is served from here.
async fn exporter(world: &World) -> Result<tokio::net::TcpListener> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "counters", "namespace": namespace(0), "annotations": {
                "lab.understudy.dev/fake": "ready", "prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
            "spec": {"containers": [{"name": "server", "image": "lab/model-server"}]}});
    world.applier.apply(&pod.to_string(), "team").await?;
    let pods: Api<Pod> = Api::namespaced(world.client(), &namespace(0));
    let address = wait_for("the address of the counters", SOON, async || {
        let pod = pods.get("counters").await.map_err(|error| error.to_string())?;
        pod.status.and_then(|status| status.pod_ip).ok_or("none".to_owned())
    })
    .await?;
    Ok(tokio::net::TcpListener::bind((address.as_str(), 8080)).await?)
}

/// The counters of all rollouts, risen since the start at steady rates.
async fn serve(listener: tokio::net::TcpListener, rollouts: usize) {
    let began = Instant::now();
    while let Ok((mut stream, _)) = listener.accept().await {
        let body = counters(began.elapsed().as_secs_f64(), rollouts);
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

fn counters(seconds: f64, rollouts: usize) -> String {
    let mut text = String::new();
    for (name, share) in [("all", 1.0), ("bad", 0.01), ("refused", 0.03), ("right", 0.9)] {
        let _ = writeln!(text, "# TYPE scale_{name}_total counter");
        for number in 0..rollouts {
            for (service, rate) in
                [(format!("m{number}"), RATES[0]), (format!("m{number}-candidate"), RATES[1])]
            {
                let value = (seconds * rate * share).floor();
                let _ = writeln!(
                    text,
                    "scale_{name}_total{{service=\"{}_{service}_80\"}} {value}",
                    namespace(number)
                );
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
