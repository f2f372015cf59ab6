//! The first process of the lab's namespaces.

use super::ROLE;
use anyhow::{Context, Result};
use rustix::process::{WaitOptions, wait};
use std::process::Command;

/// Starts the program again as the main process, collects every process that ends, and returns the main
/// process' exit code when that one ends (128 + signal when it was killed).
pub(super) fn run() -> Result<i32> {
    let main = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(ROLE, "main")
        .spawn()
        .context("could not start the main process inside the namespaces")?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == main.id() => {
                let killed = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(killed).unwrap_or(1));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("could not wait for the main process"),
        }
    }
}
