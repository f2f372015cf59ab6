//! Processes that an agent left behind when it was killed: each is on record with its start time, and is ended
//! before its pod is started again.

use crate::paths::RunDir;
use crate::process;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::path::PathBuf;

/// The record of one container's process. Removed when dropped.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
}

impl Record {
    /// Notes that `pid` runs for a container. A record that cannot be written is worth less than a pod that runs.
    pub(super) fn write(run: &RunDir, uid: &str, container: &str, pid: u32) -> Self {
        let path = run.pods().join(uid).join(format!("{container}.process"));
        if let Err(error) =
            fs::write(&path, format!("{pid} {}", process::start_time(pid).unwrap_or_default()))
        {
            tracing::warn!(%error, path = %path.display(), "could not note a process");
        }
        Self { path }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = fs::remove_file(&self.path);
    }
}

/// Kills every process on record that is still the one that was noted. Returns how many.
pub(super) fn end_all(run: &RunDir) -> usize {
    let pods = fs::read_dir(run.pods()).into_iter().flatten().flatten();
    let files = pods.flat_map(|pod| fs::read_dir(pod.path()).into_iter().flatten().flatten());
    let mut ended = 0;
    for file in
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "process"))
    {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        if let (Some(Ok(pid)), Some(Ok(start))) = (numbers.next(), numbers.next())
            && let Ok(pid) = u32::try_from(pid)
            && process::start_time(pid) == Some(start)
        {
            kill_group(pid);
            ended += 1;
        }
        let _ = fs::remove_file(file);
    }
    ended
}

/// SIGKILL to a process and all that it started in its group.
pub(super) fn kill_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}
