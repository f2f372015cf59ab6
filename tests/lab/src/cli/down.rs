//! `lab down`.

use super::Name;
use crate::paths::{RunDir, run_root};
use crate::{process, state};
use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(super) struct Down {
    #[command(flatten)]
    name: Name,
    /// Every lab.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Keep the logs.
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(down: &Down) -> Result<()> {
    if !down.all {
        return stop(&RunDir::of(&down.name.name), down.keep);
    }
    for entry in std::fs::read_dir(run_root()).into_iter().flatten().flatten() {
        let run = RunDir::of(&entry.file_name().to_string_lossy());
        if run.root().is_dir() {
            stop(&run, down.keep)?;
        }
    }
    Ok(())
}

fn stop(run: &RunDir, keep: bool) -> Result<()> {
    let name = run.name();
    match state::holder(run) {
        Some(main) => end(main, run)?,
        None if state::is_running(run) => {
            bail!("the lab {name:?} runs in another process namespace; end it there")
        }
        None => {}
    }
    if keep {
        println!("The lab {name:?} is stopped. Its logs are in {}.", run.root().join("logs").display());
        return Ok(());
    }
    state::remove(run)?;
    println!("The lab {name:?} is stopped.");
    Ok(())
}

/// Kills the first process of the lab's namespaces, and with it everything in there; waits until all is gone.
fn end(main: u32, run: &RunDir) -> Result<()> {
    let init = process::parent(main).with_context(|| format!("the lab's process {main} has no parent"))?;
    let started = process::start_time(init);
    process::signal(init, Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(10);
    while state::is_running(run) || (process::start_time(init) == started && !process::is_zombie(init)) {
        if Instant::now() > deadline {
            bail!("the lab {:?} (process {init}) does not end", run.name());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
