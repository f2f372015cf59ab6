//! `lab down`.

use super::Name;
use super::supervise::Supervisor;
use crate::paths::{RunDir, run_root};
use crate::state;
use anyhow::{Result, bail};
use clap::Args;

#[derive(Args)]
pub(super) struct Down {
    #[command(flatten)]
    name: Name,
    /// Every lab that `lab up` started.
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
        if Supervisor::read(&run).is_some() {
            stop(&run, down.keep)?;
        }
    }
    Ok(())
}

fn stop(run: &RunDir, keep: bool) -> Result<()> {
    let name = run.name();
    match Supervisor::read(run) {
        Some(supervisor) => supervisor.kill(),
        None if state::is_running(run) => {
            bail!("the lab {name:?} was not started by `lab up`: end the program that runs it")
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
