//! The process behind a lab that was started with `lab up`.

use crate::paths::RunDir;
use crate::process;
use crate::{Lab, Options};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Runs the lab until it is killed.
pub(super) fn run(name: &str) -> Result<()> {
    crate::inside()?;
    crate::block_on(async {
        let lab = Lab::create(Options { name: Some(name.into()), keep_files: true }).await?;
        let mut dead = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for component in lab.components() {
                let process = &component.process;
                if let Some(status) = process.exited().filter(|_| !dead.contains(&process.name())) {
                    eprintln!("{} {} ended with {status}", chrono::Utc::now().to_rfc3339(), process.name());
                    dead.push(process.name());
                }
            }
        }
    })
}

/// The supervisor, as seen from outside its namespaces.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Supervisor {
    /// unshare(1), which ends the namespaces when it is killed.
    pid: u32,
    start_time: u64,
    /// The first process of the namespaces.
    init: u32,
    init_start_time: u64,
}

impl Supervisor {
    /// Notes the supervisor that `lab up` started.
    pub(super) fn write(run: &RunDir, pid: u32) -> Result<()> {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let init: u32 = children.split_whitespace().next().context("the supervisor has no child")?.parse()?;
        let start = |pid| process::start_time(pid).context("the supervisor is gone");
        let supervisor = Self { pid, start_time: start(pid)?, init, init_start_time: start(init)? };
        Ok(std::fs::write(path(run), serde_json::to_vec_pretty(&supervisor)?)?)
    }

    /// What `lab up` noted, if it did.
    pub(super) fn read(run: &RunDir) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(run)).ok()?).ok()
    }

    /// The first process of the namespaces, for nsenter.
    pub(super) fn init(&self) -> Result<u32> {
        if process::start_time(self.init) != Some(self.init_start_time) {
            bail!("the lab's processes are gone; `lab up` starts it afresh");
        }
        Ok(self.init)
    }

    /// Kills it, and with it everything in its namespaces; waits until it is gone. Another process that has its id
    /// by now is left alone.
    pub(super) fn kill(&self) {
        for (pid, start) in [(self.init, self.init_start_time), (self.pid, self.start_time)] {
            let alive = || process::start_time(pid) == Some(start);
            if alive() {
                process::signal(pid, Signal::KILL);
            }
            let deadline = Instant::now() + Duration::from_secs(10);
            while alive() && !zombie(pid) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn path(run: &RunDir) -> PathBuf {
    run.root().join("supervisor.json")
}

/// Ended, and only not yet collected by its parent.
fn zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}
