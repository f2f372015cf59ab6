//! `lab load`: load from the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{AccessLog, Config, Images, Pod, Question, Target, attribute, pods_from_json, start};

/// Sends digits at a steady rate and says what came of them.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The gateway's address; repeat none or once.
    #[arg(long)]
    gateway: Option<SocketAddr>,
    /// A Service's ClusterIP and port, for callers inside the cluster: over kept and over new connections.
    #[arg(long)]
    service: Option<SocketAddr>,
    /// Requests per second through the gateway.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// Requests per second to the Service, over kept connections and as many again over new ones.
    #[arg(long, default_value_t = 50.0)]
    service_rate: f64,
    /// The Host header for the gateway.
    #[arg(long, default_value = "digits.lab")]
    host: String,
    /// Share of requests that are feedback with the true label.
    #[arg(long, default_value_t = 0.2)]
    feedback: f64,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop after this many requests, if that is sooner.
    #[arg(long)]
    count: Option<u32>,
    /// Give up on an answer after this many milliseconds.
    #[arg(long, default_value_t = 2000)]
    timeout_millis: u64,
    /// Count answers that take longer than this many milliseconds as slow.
    #[arg(long, default_value_t = 50)]
    slow_millis: u64,
    /// The images to send; the holdout of the trained models by default.
    #[arg(long)]
    images: Option<PathBuf>,
    /// Envoy's access log, to attribute requests through the gateway by.
    #[arg(long)]
    access_log: Option<PathBuf>,
    /// The pods, as `kubectl get pods -o json` prints them or as [{"name", "address", "version"}].
    #[arg(long)]
    pods: Option<PathBuf>,
    /// A version that is known to be bad; its own failures are not counted as outside. May be repeated.
    #[arg(long)]
    bad: Vec<String>,
    /// Format of the report.
    #[arg(short, long, value_parser = ["json", "table"], default_value = "table")]
    output: String,
}

/// Runs the verb. Stops by itself, or at SIGINT with the report so far.
///
/// # Errors
/// When nothing can be sent, or a file cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load(args))
}

async fn load(args: &Args) -> Result<()> {
    let targets = targets(args);
    ensure!(!targets.is_empty(), "name a --gateway or a --service to send to");
    let holdout = match &args.images {
        Some(path) => path.clone(),
        None => crate::models::ensure()?.holdout,
    };
    let pods: Vec<Pod> = match &args.pods {
        Some(path) => {
            pods_from_json(&std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
                .with_context(|| format!("{} is no list of pods", path.display()))?
        }
        None => Vec::new(),
    };
    let mut config = Config::new(targets, Duration::from_secs_f64(args.seconds));
    config.count = args.count;
    config.timeout = Duration::from_millis(args.timeout_millis);
    let running = start(config, Images::read(&holdout)?)?;
    while !running.is_finished() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            _ = tokio::signal::ctrl_c() => running.stop(),
        }
    }
    let recording = running.finished().await?;
    let log = match &args.access_log {
        Some(path) => Some(AccessLog::read_whole(path, &recording, Duration::from_secs(15)).await?),
        None => None,
    };
    let bad: Vec<&str> = args.bad.iter().map(String::as_str).collect();
    let slow_after = Duration::from_millis(args.slow_millis);
    let report = attribute(&recording, log.as_ref(), &Question { pods: &pods, bad: &bad, slow_after });
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

fn targets(args: &Args) -> Vec<Target> {
    let feedback = args.feedback;
    let gateway = args.gateway.map(|address| {
        let target = Target::gateway(address);
        Target { host: args.host.clone(), rate: args.rate, feedback, ..target }
    });
    let service = args.service.into_iter().flat_map(|address| {
        [true, false].map(|keep| Target {
            rate: args.service_rate,
            feedback,
            ..Target::service(address, keep)
        })
    });
    gateway.into_iter().chain(service).collect()
}
