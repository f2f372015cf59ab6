//! What a running lab says about itself, for `lab status` and for programs that attach to it.

use crate::net;
use crate::paths::RunDir;
use anyhow::{Context, Result, bail};
use rustix::fs::{major, minor};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// One program of the lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentState {
    /// `etcd`, `kube-apiserver`, ...
    pub name: String,
    /// Its id inside the lab's process namespace.
    pub pid: u32,
    /// Asked for readiness; none: running is ready.
    pub health: Option<String>,
    /// Its log.
    pub log: PathBuf,
}

/// The lab, as written to `state.json` when it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The lab's name.
    pub name: String,
    /// When it became ready.
    pub ready_at: chrono::DateTime<chrono::Utc>,
    /// How long it took, in milliseconds.
    pub ready_after_ms: u64,
    /// The administrator's kubeconfig (its address exists only inside the lab).
    pub kubeconfig: PathBuf,
    /// Addresses, all inside the lab.
    pub urls: Urls,
    /// The programs.
    pub components: Vec<ComponentState>,
}

/// Where things are, inside the lab's network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Urls {
    /// API server.
    pub api_server: String,
    /// Prometheus.
    pub prometheus: String,
    /// The gateway `lab-system/lab`.
    pub gateway: String,
    /// Envoy's statistics.
    pub envoy_stats: String,
    /// Envoy's read-only admin pages.
    pub envoy_admin: String,
}

impl Default for Urls {
    fn default() -> Self {
        Self {
            api_server: net::API_SERVER.into(),
            prometheus: net::PROMETHEUS.into(),
            gateway: net::GATEWAY.into(),
            envoy_stats: net::ENVOY_STATS.into(),
            envoy_admin: net::ENVOY_ADMIN.into(),
        }
    }
}

impl State {
    /// Reads what the lab wrote; none before it is ready.
    pub fn read(run: &RunDir) -> Option<Self> {
        serde_json::from_slice(&fs::read(run.state()).ok()?).ok()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, run: &RunDir) -> Result<()> {
        let unfinished = run.state().with_extension("unfinished");
        fs::write(&unfinished, serde_json::to_vec_pretty(self)?)?;
        fs::rename(unfinished, run.state()).context("could not write the lab's state")
    }
}

/// Claims the lab's directory for this process: removes what a crashed lab of the same name left, creates
/// it afresh and holds its lock for as long as the returned file lives.
///
/// # Errors
/// When a lab of this name runs.
pub fn claim(run: &RunDir) -> Result<File> {
    if is_running(run) {
        bail!(
            "a lab named {0:?} is running: use it, stop it with `lab down --name {0}`, or choose another --name",
            run.name()
        );
    }
    remove(run)?;
    run.create().with_context(|| format!("could not create {}", run.root().display()))?;
    let lock = File::create(run.lock())?;
    lock.try_lock()
        .map_err(|_| anyhow::anyhow!("another process is starting a lab named {:?}", run.name()))?;
    Ok(lock)
}

/// Whether a process holds the lab's lock. The kernel drops the lock with the process, however that ends.
pub fn is_running(run: &RunDir) -> bool {
    File::open(run.lock()).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The process that runs the lab, as this process' namespace numbers it: the one that holds the lock. None when the
/// lab does not run (or runs where this process cannot see it).
pub fn holder(run: &RunDir) -> Option<u32> {
    let metadata = fs::metadata(run.lock()).ok()?;
    let device = metadata.dev();
    let file = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| lock_holder(line, &file))
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`
fn lock_holder(line: &str, file: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [_, "FLOCK", _, _, pid, found, ..] if found == file => pid.parse().ok().filter(|pid| *pid != 0),
        _ => None,
    }
}

/// Removes the files of a lab that does not run.
///
/// # Errors
/// When they cannot be removed.
pub fn remove(run: &RunDir) -> Result<()> {
    match fs::remove_dir_all(run.root()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("could not remove {}", run.root().display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_file_s_number() {
        let line = "3: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF";
        assert_eq!(lock_holder(line, "fe:00:1234"), Some(4711));
        assert_eq!(lock_holder(line, "fe:00:123"), None);
        assert_eq!(lock_holder("3: POSIX  ADVISORY  WRITE 4711 fe:00:1234 0 EOF", "fe:00:1234"), None);
        assert_eq!(
            lock_holder("3: -> FLOCK  ADVISORY  WRITE 5 fe:00:1234 0 EOF", "fe:00:1234"),
            None,
            "it waits"
        );
    }
}
