//! `lab status`.

use super::{Name, enter};
use crate::components::healthy;
use crate::paths::RunDir;
use crate::process;
use crate::state::{State, Urls};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;

#[derive(Args)]
pub(super) struct Show {
    #[command(flatten)]
    name: Name,
    /// The format.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    name: String,
    ready: bool,
    ready_after_ms: u64,
    kubeconfig: std::path::PathBuf,
    urls: Urls,
    components: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    pid: u32,
    ready: bool,
    message: String,
    memory_mib: u64,
}

/// Asks from outside: process ids and addresses mean something inside only.
pub(super) fn run(show: &Show) -> Result<()> {
    let name = &show.name.name;
    let program = std::env::current_exe()?;
    let arguments = ["status-inside", "--name", name].map(OsStr::new);
    let command = std::iter::once(program.as_os_str()).chain(arguments);
    let output = enter::process(name, command)?.output().context("could not run `nsenter`")?;
    if !output.status.success() {
        bail!("could not look inside the lab: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let status: Status = serde_json::from_slice(&output.stdout)?;
    match show.output {
        Format::Json => println!("{}", serde_json::to_string_pretty(&status)?),
        Format::Text => print(&status),
    }
    Ok(())
}

/// Looks at the components, and prints JSON.
pub(super) fn inside(name: &str) -> Result<()> {
    crate::inside::install_crypto();
    let state = State::read(&RunDir::of(name)).context("the lab is not ready yet")?;
    let components = crate::block_on(async {
        let mut lines = Vec::new();
        for component in &state.components {
            let memory = process::resident_mib(component.pid);
            let health = match (&component.health, memory) {
                (_, None) => Err("not running".into()),
                (Some(url), _) => healthy(url).await,
                (None, _) => Ok(()),
            };
            lines.push(Line {
                name: component.name.clone(),
                pid: component.pid,
                ready: health.is_ok(),
                message: health.err().unwrap_or_default(),
                memory_mib: memory.unwrap_or(0),
            });
        }
        Ok(lines)
    })?;
    let status = Status {
        name: state.name,
        ready: components.iter().all(|line| line.ready),
        ready_after_ms: state.ready_after_ms,
        kubeconfig: state.kubeconfig,
        urls: state.urls,
        components,
    };
    println!("{}", serde_json::to_string(&status)?);
    Ok(())
}

fn print(status: &Status) {
    println!("{:<26} {:>6} {:>6} {:>8}", "COMPONENT", "PID", "READY", "MEMORY");
    for line in &status.components {
        let ready = if line.ready { "yes" } else { "no" };
        println!(
            "{:<26} {:>6} {:>6} {:>4} MiB  {}",
            line.name, line.pid, ready, line.memory_mib, line.message
        );
    }
    let total: u64 = status.components.iter().map(|line| line.memory_mib).sum();
    println!("{:<26} {:>6} {:>6} {total:>4} MiB\n", "total", "", "");
    println!("Inside the lab (`lab exec{} -- ...`):", enter::flag(&status.name));
    println!("  gateway lab-system/lab   {}", status.urls.gateway);
    println!("  API server               {}", status.urls.api_server);
    println!("  Prometheus               {}", status.urls.prometheus);
    println!("  Envoy's statistics       {}/stats/prometheus", status.urls.envoy_stats);
    println!("  Envoy's configuration    {}/config_dump", status.urls.envoy_admin);
    println!("  KUBECONFIG               {}", status.kubeconfig.display());
}
