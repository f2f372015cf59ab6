//! Load: real digit images at a steady rate, through the gateway and to the Service, and who answered what.
//!
//! The loop is open: requests leave on their schedule whether or not earlier ones have come back, as callers do who
//! know nothing of each other. Every request carries an id of its own. Afterwards [`attribute()`] says which pod each one
//! went to by Envoy's access log, not by what the answer claims, and counts the failures that no bad version caused.

mod access_log;
mod attribute;
mod connection;
mod live;
mod pods;
mod record;
mod report;
mod sender;
mod verb;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use access_log::{AccessLog, Entry};
pub use attribute::{Question, attribute};
pub use connection::{Answer, Connections, Failure};
pub use live::{Counts, Live};
pub use pods::{Pod, Pods, pods_from_json};
pub use record::{Outcome, Record, Recording, request_id};
pub use report::{PodReport, Report, Sample, Seen, VersionReport};
pub use sender::Images;
pub use verb::{Args, run};

/// What to send, where to, and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Each with its own schedule.
    pub targets: Vec<Target>,
    /// Stops sending after this long.
    pub duration: Duration,
    /// Stops sending after this many requests in all, if that is sooner.
    pub count: Option<u32>,
    /// An answer that takes longer is a failure.
    pub timeout: Duration,
    /// Order of the images and choice of feedback; the same seed sends the same.
    pub seed: u64,
}

impl Config {
    /// 300 requests/s to each target's own rate, 2 s of patience.
    pub fn new(targets: Vec<Target>, duration: Duration) -> Self {
        Self { targets, duration, count: None, timeout: Duration::from_secs(2), seed: 1 }
    }
}

/// One place that requests go to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Named in the report.
    pub name: String,
    /// The gateway's listener, or a Service's ClusterIP.
    pub address: SocketAddr,
    /// The Host header.
    pub host: String,
    /// Requests per second.
    pub rate: f64,
    /// Share of them that are feedback with the true label, 0 to 1.
    pub feedback: f64,
    /// What it is, which decides how its requests are attributed.
    pub via: Via,
    /// How it connects.
    pub mode: Mode,
}

impl Target {
    /// 300 requests/s through the gateway over 16 connections, a fifth of them feedback.
    pub fn gateway(address: SocketAddr) -> Self {
        Self {
            name: "gateway".to_owned(),
            address,
            host: "digits.lab".to_owned(),
            rate: 300.0,
            feedback: 0.2,
            via: Via::Gateway,
            mode: Mode::KeepAlive { connections: 16 },
        }
    }

    /// 50 requests/s to a Service, over 4 connections that are kept or over a new one each time.
    pub fn service(address: SocketAddr, keep_alive: bool) -> Self {
        let (name, mode) = if keep_alive {
            ("service-kept", Mode::KeepAlive { connections: 4 })
        } else {
            ("service-new", Mode::NewConnection)
        };
        let (name, host) = (name.to_owned(), "digits".to_owned());
        Self { name, address, host, rate: 50.0, feedback: 0.2, via: Via::Service, mode }
    }
}

/// What stands between the load and the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// Envoy, whose access log says where a request went.
    Gateway,
    /// Packet rewriting by kube-proxy: only the answer says which pod it was.
    Service,
}

/// How a target's connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This many are kept and used in turn; more are opened when all are busy.
    KeepAlive {
        /// Idle connections to keep.
        connections: usize,
    },
    /// One connection a request.
    NewConnection,
}

/// Load that is under way. Dropping it stops it.
pub struct Running {
    shared: Arc<record::Shared>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Starts sending, on a thread of its own, so that what else runs here does not disturb the schedule. The thread is in
/// the network namespace of the caller's.
///
/// # Errors
/// When the configuration makes no sense or the thread cannot be started.
pub fn start(config: Config, images: Images) -> Result<Running> {
    ensure!(!config.targets.is_empty() && config.targets.len() < 256, "load needs 1 to 255 targets");
    for target in &config.targets {
        ensure!(
            target.rate > 0.0 && target.rate <= 10_000.0,
            "the rate of {} must be above 0 and at most 10,000 requests/s, not {}",
            target.name,
            target.rate
        );
        let is_share = (0.0..=1.0).contains(&target.feedback);
        ensure!(is_share, "the feedback share of {} is {}, not within 0 to 1", target.name, target.feedback);
    }
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(record::Shared::new(&config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sending = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || runtime.block_on(sender::send_all(config, Arc::new(images), sending, stopped)))
        .context("cannot start the load's thread")?;
    Ok(Running { shared, stop, thread: Some(thread) })
}

impl Running {
    /// How things stand.
    pub fn live(&self) -> Live {
        live::live(&self.shared)
    }

    /// A reader of [`Self::live`] for another thread.
    pub fn reader(&self) -> impl Fn() -> Live + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || live::live(&shared)
    }

    /// Whether every request has been sent and answered or given up.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// Sends no more; what is under way goes on.
    pub fn stop(&self) {
        // No receiver is left when all was sent.
        let _finished = self.stop.send(true);
    }

    /// Waits until the load has ended by itself (or by [`Self::stop`]) and returns what was recorded. Blocks.
    ///
    /// # Errors
    /// When the sending thread panicked.
    pub fn finish(mut self) -> Result<Recording> {
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow::anyhow!("the load's thread panicked"))?;
        }
        Ok(self.shared.recording())
    }

    /// As [`Self::finish`], for a caller on a runtime.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub async fn finished(self) -> Result<Recording> {
        tokio::task::spawn_blocking(move || self.finish())
            .await
            .context("waiting for the load was cut short")?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
