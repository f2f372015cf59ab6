//! A server in this process, and questions to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use http::Request;
use lab::load::{Answer, Connections, Failure, Mode};
use lab::model_server::{Args, serve};
use lab::models::{Models, Version, ensure};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Trained once for all tests.
pub fn models() -> &'static Models {
    static MODELS: OnceLock<Models> = OnceLock::new();
    MODELS.get_or_init(|| ensure().expect("the models can be trained"))
}

pub fn version(version: &str) -> &'static Version {
    models().version(version).expect("it was trained")
}

/// What a pod of that version is told.
pub fn args(number: &str) -> Args {
    let version = version(number);
    Args {
        model_uri: format!("file://{}", version.artifact.display()),
        model_digest: version.digest.clone(),
        model_version: number.to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        pod: format!("pod-{number}"),
        load_millis: 0,
        drain_millis: 300,
    }
}

/// A server that stops when told, or when dropped.
pub struct Server {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
    connections: Connections,
}

impl Server {
    /// Serves that version, ready.
    pub async fn start(version: &str) -> Self {
        let server = Self::start_with(args(version)).await;
        while server.get("/readyz").await.code != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    /// Serves, and does not wait until it is ready.
    pub async fn start_with(args: Args) -> Self {
        let listener = TcpListener::bind((args.address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move { serve(&args, listener, async { drop(stopped.await) }).await });
        let connections = Connections::new(address, Mode::KeepAlive { connections: 4 });
        Self { address, stop, task, connections }
    }

    pub async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "test").body(http_body_util::Full::default());
        self.connections.send(request.expect("a valid request")).await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        let body = http_body_util::Full::from(body.to_string());
        let request = Request::post(path).header("host", "test").body(body).expect("a valid request");
        self.connections.send(request).await
    }

    /// The value of one series, by its exact name and labels.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").await.body.to_vec()).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {series} in:\n{text}")).parse().expect("a number")
    }

    /// Tells it to stop; the value is how serving ended.
    pub fn stop(self) -> JoinHandle<anyhow::Result<()>> {
        self.stop.send(()).expect("it runs");
        self.task
    }
}

/// The holdout: each image with its label, as a request body.
pub fn holdout() -> Vec<Value> {
    let text = std::fs::read_to_string(&models().holdout).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}
