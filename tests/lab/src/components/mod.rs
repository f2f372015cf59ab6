//! The programs of the lab, one file each: how it is started and how one knows that it is ready.

pub mod apiserver;
pub mod contour;
pub mod controller_manager;
pub mod envoy;
pub mod etcd;
pub mod kube_proxy;
pub mod node;
pub mod prometheus;
pub mod scheduler;

use crate::build::Artifacts;
use crate::paths::RunDir;
use crate::pki::Pki;
use crate::process::{Process, Spec};
use crate::state::ComponentState;
use crate::wait::wait_for;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

/// What every component needs to know.
#[derive(Clone, Debug)]
pub struct Site {
    /// The lab's files.
    pub run: RunDir,
    /// The programs.
    pub artifacts: Artifacts,
    /// Keys and tokens.
    pub pki: Pki,
}

impl Site {
    /// Writes a configuration file and returns its path. JSON serves as YAML.
    fn config(&self, name: &str, content: &serde_json::Value) -> Result<PathBuf> {
        let path = self.run.config().join(name);
        std::fs::write(&path, serde_json::to_vec_pretty(content)?)
            .with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }

    /// A program of the control plane, logging to its own file.
    fn kube(&self, name: &str) -> Spec {
        Spec::new(name, self.artifacts.kube(name), self.run.log(name))
    }
}

/// A running component.
#[derive(Debug)]
pub struct Component {
    /// Its process.
    pub process: Process,
    /// Asked for readiness with GET; none: running is ready.
    pub health: Option<&'static str>,
}

impl Component {
    /// Starts it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(spec: Spec, health: Option<&'static str>) -> Result<Self> {
        Ok(Self { process: Process::start(spec)?, health })
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it is not, after `deadline`, or when it ended; with the end of its log.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        let name = self.process.name();
        let result = wait_for(name, deadline, async || {
            if let Some(status) = self.process.exited() {
                return Ok(Err(status));
            }
            match self.health {
                Some(url) => healthy(url).await.map(Ok),
                None => Ok(Ok(())),
            }
        })
        .await;
        let failure = match result {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(status)) => anyhow::anyhow!("{name} ended with {status}"),
            Err(error) => error,
        };
        let tail = self.process.log_tail(12);
        Err(failure
            .context(format!("{name} does not run; the end of {}:\n{tail}", self.process.log().display())))
    }

    /// For the lab's state file.
    pub fn state(&self) -> ComponentState {
        ComponentState {
            name: self.process.name().into(),
            pid: self.process.pid().unwrap_or_default(),
            health: self.health.map(String::from),
            log: self.process.log().into(),
        }
    }
}

/// Asks a health page. HTTPS pages are the control plane's own; their certificates are made at start and say nothing.
///
/// # Errors
/// What it said instead of 200.
pub async fn healthy(url: &str) -> Result<(), String> {
    let timeout = Duration::from_secs(2);
    let status = if url.starts_with("https") {
        let client =
            reqwest::Client::builder().tls_danger_accept_invalid_certs(true).timeout(timeout).build();
        let answer = client.map_err(|error| error.to_string())?.get(url).send().await;
        answer.map_err(|error| format!("{error:#}"))?.status().as_u16()
    } else {
        crate::http::get(url, &[], timeout).await.map_err(|error| format!("{error:#}"))?.status
    };
    if status == 200 { Ok(()) } else { Err(format!("{url} answered {status}")) }
}
