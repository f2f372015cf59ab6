//! `understudy controller`: runs the operator until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::config::{self, ConfigError, File};
use crate::cluster::client::{self, ConnectError};
use crate::cluster::rbac;
use crate::controller::{Ended, Settings, run};
use crate::measure::{Limits, Server, SourceError, Sources, install_tls_provider};
use crate::telemetry::{Metrics, log};

/// Exit code of a process that lost its lease: it must be started anew.
const LEASE_LOST: u8 = 3;
/// Where a pod finds the name of its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Longest wait for one answer of Prometheus, and the largest answer.
const LIMITS: Limits = Limits { deadline: Duration::from_secs(5), bytes: 16 << 20 };

/// Flags of the controller. Each value can stand in the configuration file too; a flag wins.
#[derive(Args, Clone, Debug)]
pub struct ControllerArgs {
    /// Configuration file (YAML).
    #[arg(long, env = "UNDERSTUDY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A Prometheus server as NAME=URL; may be given several times.
    #[arg(long, env = "UNDERSTUDY_PROMETHEUS", value_delimiter = ',', value_parser = server, value_name = "NAME=URL")]
    prometheus: Vec<Server>,
    /// A namespace to watch; may be given several times. None: all.
    #[arg(
        long = "namespace",
        env = "UNDERSTUDY_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    namespaces: Vec<String>,
    /// Namespace of the Lease [default: the pod's own, else understudy-system].
    #[arg(long, env = "UNDERSTUDY_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// Name of the Lease [default: understudy].
    #[arg(long, env = "UNDERSTUDY_LEASE_NAME", value_name = "NAME")]
    lease_name: Option<String>,
    /// Another process may take a lease that was not renewed for so long [default: 15s].
    #[arg(long, env = "UNDERSTUDY_LEASE_DURATION", value_parser = config::span, value_name = "TIME")]
    lease_duration: Option<Duration>,
    /// The holder gives up after so long without renewal [default: 10s].
    #[arg(long, env = "UNDERSTUDY_LEASE_RENEW_DEADLINE", value_parser = config::span, value_name = "TIME")]
    lease_renew_deadline: Option<Duration>,
    /// Time between two tries to take or renew the lease [default: 2s].
    #[arg(long, env = "UNDERSTUDY_LEASE_RETRY", value_parser = config::span, value_name = "TIME")]
    lease_retry: Option<Duration>,
    /// Address of /healthz, /readyz and /metrics [default: 0.0.0.0:8080].
    #[arg(long, env = "UNDERSTUDY_BIND", value_name = "ADDRESS")]
    bind: Option<SocketAddr>,
    /// How logs are written [default: json].
    #[arg(long, env = "UNDERSTUDY_LOG_FORMAT", value_enum)]
    log_format: Option<log::Format>,
    /// Who this process is; unique among all [default: the host's name and a number].
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
}

fn server(text: &str) -> Result<Server, String> {
    let (name, url) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=URL"))?;
    Ok(Server { name: name.to_owned(), url: url.to_owned(), ..Server::default() })
}

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Source(SourceError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("signals cannot be received: {0}")]
    Signals(#[source] std::io::Error),
    #[error("no runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Runs the controller; returns when it was told to stop or must stop.
pub fn main(args: ControllerArgs) -> ExitCode {
    match start(args) {
        Ok(Ended::Stopped) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Ok(Ended::LeaseLost(why)) => {
            tracing::error!(
                why,
                "the lease is lost; this process ends so that it cannot write beside another leader"
            );
            ExitCode::from(LEASE_LOST)
        }
        Ok(Ended::NoEndpoint(why)) => {
            tracing::error!(why, "the health endpoint cannot be served");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("understudy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: ControllerArgs) -> Result<Ended, StartError> {
    let file = args.config.as_deref().map(config::read).transpose()?.unwrap_or_default();
    log::start(args.log_format.or(file.log_format).unwrap_or_default());
    install_tls_provider();
    let settings = settings(args, file)?;
    // Whatever the machine has: the work is waiting, and every thread keeps memory of its own.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).max_blocking_threads(2).enable_all().build();
    let runtime = runtime.map_err(StartError::Runtime)?;
    let ended = runtime.block_on(async {
        let stop = stop_signal().map_err(StartError::Signals)?;
        let metrics = Metrics::new();
        let client = client::connect(&metrics).await?;
        tracing::info!(identity = settings.identity, version = env!("CARGO_PKG_VERSION"), bind = %settings.bind, "starting");
        Ok(run(client, metrics, settings, stop).await)
    });
    // Watches and idle tasks have nothing to finish.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

fn settings(args: ControllerArgs, file: File) -> Result<Settings, StartError> {
    let mut lease = file.lease;
    lease.namespace = args.lease_namespace.or(lease.namespace);
    lease.name = args.lease_name.or(lease.name);
    lease.duration = args.lease_duration.or(lease.duration);
    lease.renew_deadline = args.lease_renew_deadline.or(lease.renew_deadline);
    lease.retry = args.lease_retry.or(lease.retry);
    let mut servers = file.prometheus;
    for server in args.prometheus {
        servers.retain(|s| s.name != server.name);
        servers.push(server);
    }
    Ok(Settings {
        namespaces: if args.namespaces.is_empty() { file.namespaces } else { args.namespaces },
        lease_times: config::times(&lease)?,
        lease_name: config::lease_name(&lease),
        lease_namespace: lease.namespace.unwrap_or_else(own_namespace),
        identity: args.identity.unwrap_or_else(identity),
        bind: args.bind.or(file.bind).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 8080))),
        sources: Sources::from_servers(servers, LIMITS).map_err(StartError::Source)?,
    })
}

fn own_namespace() -> String {
    let found = std::fs::read_to_string(OWN_NAMESPACE).map(|text| text.trim().to_owned());
    found.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| format!("{}-system", rbac::NAME))
}

fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{:x}", host.trim(), std::process::id(), since_epoch.as_millis())
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}
