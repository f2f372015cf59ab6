//! `lab up`.

use crate::paths::RunDir;
use crate::state::{self, State};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A lab that is not ready by then will not get ready.
const DEADLINE: Duration = Duration::from_secs(120);

pub(super) fn run(name: &str) -> Result<()> {
    let run = RunDir::of(name);
    if state::is_running(&run) {
        bail!(
            "the lab {name:?} is running already: `lab status --name {name}`, or `lab down --name {name}` first"
        );
    }
    // Here and not in the supervisor, so that its progress and its errors are seen.
    crate::build::build()?;
    if run.root().exists() {
        eprintln!("lab: removing what a crashed lab {name:?} left");
    }
    state::remove(&run)?;
    let started = Instant::now();
    let log = run.root().with_extension("supervisor.log");
    std::fs::create_dir_all(crate::paths::run_root())
        .with_context(|| format!("could not create {}", crate::paths::run_root().display()))?;
    let output = File::create(&log)?;
    // A session of its own: it survives the terminal. unshare(1) takes over its process id.
    let mut child = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .args(["supervise", "--name", name])
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("could not run `setsid`; on Debian: apt-get install util-linux")?;
    eprintln!("lab: starting {name:?} ...");
    while State::read(&run).is_none() {
        let ended = child.try_wait()?;
        if ended.is_some() || started.elapsed() > DEADLINE {
            // The end of the process ends everything in its namespaces.
            let _ = child.kill();
            let _ = child.wait();
            bail!("the lab did not get ready:\n{}", crate::process::tail(&log, 30));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = std::fs::rename(&log, run.log("supervisor"));
    let suffix = super::enter::flag(name);
    println!("The lab {name:?} is ready after {:.1} s.", started.elapsed().as_secs_f64());
    println!("  lab kubectl{suffix} -- get pods -A");
    println!("  lab status{suffix}");
    println!("  lab down{suffix}");
    Ok(())
}
