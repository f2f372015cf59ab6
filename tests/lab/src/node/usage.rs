//! The resource-metrics API (`metrics.k8s.io/v1beta1`): what the pods' processes really use of the processors, as a metrics
//! server says it. The real autoscaler asks here.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use chrono::{SecondsFormat, Utc};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net;
use crate::paths::RunDir;

/// Group and version.
const API: &str = "metrics.k8s.io/v1beta1";
/// How often the processes are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Looks over which the use is taken: short, so that a test need not wait.
const LOOKS: usize = 5;

/// Processor time of one container so far, at several moments.
#[derive(Debug, Default)]
struct Seen {
    process: u32,
    at: VecDeque<(Instant, u64)>,
}

impl Seen {
    fn look(&mut self, process: u32, nanoseconds: u64) {
        if self.process != process {
            *self = Self { process, at: VecDeque::new() };
        }
        self.at.push_back((Instant::now(), nanoseconds));
        let excess = self.at.len().saturating_sub(LOOKS + 1);
        self.at.drain(..excess);
    }

    /// Billionths of a processor, and the time over which they were used.
    fn rate(&self) -> Option<(u64, Duration)> {
        let ((first, from), (last, to)) = (self.at.front()?, self.at.back()?);
        let window = last.duration_since(*first);
        (window >= EVERY / 2)
            .then(|| ((to.saturating_sub(*from) as f64 / window.as_secs_f64()) as u64, window))
    }
}

/// By UID of the pod and name of the container.
type All = Arc<Mutex<HashMap<(String, String), Seen>>>;

#[derive(Clone)]
struct Server {
    client: Client,
    seen: All,
}

/// Serves until the process ends.
pub(super) async fn serve(client: Client, run: RunDir) -> Result<()> {
    let key = rcgen::generate_simple_self_signed([net::HOST_IP.to_owned()])?;
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
    let private = private.map_err(anyhow::Error::msg)?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)?;
    let address = net::RESOURCE_METRICS;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let seen = All::default();
    tokio::spawn(watch(run, seen.clone()));
    let router = Router::new()
        .route(&format!("/apis/{API}"), get(discovery))
        .route(&format!("/apis/{API}/namespaces/{{namespace}}/pods"), get(pods))
        .with_state(Server { client, seen });
    let secure = Secure { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
    axum::serve(secure, router).await.context("the resource-metrics API ended")
}

/// The API server calls an aggregated API over TLS only.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = axum::serve::Listener::accept(&mut self.listener).await;
            let shaken = tokio::time::timeout(Duration::from_secs(2), self.acceptor.accept(stream)).await;
            if let Ok(Ok(stream)) = shaken {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

fn lock(all: &All) -> MutexGuard<'_, HashMap<(String, String), Seen>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at every container's process that is on record.
async fn watch(run: RunDir, all: All) {
    loop {
        look(&run, &mut lock(&all));
        tokio::time::sleep(EVERY).await;
    }
}

fn look(run: &RunDir, seen: &mut HashMap<(String, String), Seen>) {
    let found = processes(run);
    seen.retain(|key, _| found.contains_key(key));
    for (key, process) in found {
        if let Some(used) = processor_time(process) {
            seen.entry(key).or_default().look(process, used);
        }
    }
}

fn processes(run: &RunDir) -> HashMap<(String, String), u32> {
    let mut found = HashMap::new();
    for pod in fs::read_dir(run.pods()).into_iter().flatten().flatten() {
        let uid = pod.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(pod.path()).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(container) = name.strip_suffix(".process") else { continue };
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            if let Some(Ok(process)) = text.split_whitespace().next().map(str::parse) {
                found.insert((uid.clone(), container.to_owned()), process);
            }
        }
    }
    found
}

/// Nanoseconds that all threads of a process have run. `stat` counts hundredths of a second, too coarse for a model that
/// answers in microseconds.
fn processor_time(process: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?.flatten();
    let ran = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(ran.sum())
}

fn answer(body: &Value) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], body.to_string())
}

async fn discovery() -> impl IntoResponse {
    answer(&json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API, "resources": [
        {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]},
    ]}))
}

/// The pods that the API server finds by that selector, each with what its containers use.
async fn pods(
    State(server): State<Server>,
    Path(namespace): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, (StatusCode, String)> {
    let api: Api<Pod> = Api::namespaced(server.client.clone(), &namespace);
    let query = reqwest::Url::parse(&format!("https://metrics/?{}", query.unwrap_or_default()));
    let query = query.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let selector = query.query_pairs().find(|(key, _)| key == "labelSelector");
    let selector = selector.map_or_else(String::new, |(_, value)| value.into_owned());
    let found = api.list(&ListParams::default().labels(&selector)).await;
    let found = found.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
    let seen = lock(&server.seen);
    let items: Vec<Value> = found.items.iter().filter_map(|pod| metrics(pod, &seen)).collect();
    Ok(answer(&json!({"kind": "PodMetricsList", "apiVersion": API, "metadata": {}, "items": items})))
}

fn metrics(pod: &Pod, seen: &HashMap<(String, String), Seen>) -> Option<Value> {
    let uid = pod.uid()?;
    let names = pod.spec.as_ref()?.containers.iter().map(|container| container.name.clone());
    let rates: Option<Vec<_>> = names
        .map(|name| {
            let (used, window) = seen.get(&(uid.clone(), name.clone()))?.rate()?;
            Some((name, used, window))
        })
        .collect();
    let rates = rates?;
    let window = rates.iter().map(|(_, _, window)| *window).min()?;
    let containers = rates
        .iter()
        .map(|(name, used, _)| json!({"name": name, "usage": {"cpu": format!("{used}n"), "memory": "0"}}));
    Some(json!({
        "metadata": {"name": pod.name_any(), "namespace": pod.namespace(), "labels": pod.labels()},
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        "window": format!("{}s", window.as_secs().max(1)),
        "containers": containers.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_time_and_another_process_begins_anew() {
        let before = processor_time(std::process::id()).expect("this process");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(30) {
            std::hint::black_box(before);
        }
        assert!(processor_time(std::process::id()).expect("this process") > before);
        let mut seen = Seen::default();
        seen.look(1, 0);
        seen.at[0].0 = Instant::now().checked_sub(Duration::from_secs(2)).expect("a machine up for 2 s");
        assert_eq!(seen.rate(), None, "one look says nothing");
        seen.look(1, 1_000_000_000);
        let (rate, _) = seen.rate().expect("two looks");
        assert!((450_000_000..=500_000_000).contains(&rate), "{rate}");
        seen.look(2, 7);
        assert_eq!(seen.rate(), None);
    }
}
