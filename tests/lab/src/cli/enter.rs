//! `lab kubectl` and `lab exec`: programs inside a lab.

use super::Name;
use crate::paths::RunDir;
use crate::state::{self, State};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command as Process;

#[derive(Args)]
pub(super) struct Command {
    #[command(flatten)]
    name: Name,
    /// The program and its arguments, after `--`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Replaces this process by kubectl.
pub(super) fn kubectl(command: &Command) -> Result<()> {
    let program = crate::build::build()?.kube("kubectl");
    enter(
        &command.name.name,
        std::iter::once(program.as_os_str()).chain(command.command.iter().map(AsRef::as_ref)),
    )
}

/// Replaces this process by any program.
pub(super) fn exec(command: &Command) -> Result<()> {
    enter(&command.name.name, command.command.iter().map(AsRef::as_ref))
}

fn enter<'a>(name: &str, command: impl Iterator<Item = &'a OsStr>) -> Result<()> {
    let error = process(name, command)?.exec();
    Err(error).context("could not run `nsenter`; on Debian: apt-get install util-linux")
}

/// `nsenter ... command`, in the present directory and with the lab's KUBECONFIG.
pub(super) fn process<'a>(name: &str, command: impl Iterator<Item = &'a OsStr>) -> Result<Process> {
    let run = RunDir::of(name);
    if !state::is_running(&run) {
        bail!("the lab {name:?} does not run; start it with `lab up{}`", flag(name));
    }
    let main =
        state::holder(&run).with_context(|| format!("the lab {name:?} runs in another process namespace"))?;
    let state = State::read(&run).with_context(|| format!("the lab {name:?} is not ready yet"))?;
    let mut nsenter = Process::new("nsenter");
    nsenter.args(["--target", &main.to_string(), "--net", "--pid", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        nsenter.args(["--user", "--preserve-credentials"]);
    }
    // The mount namespace has a root directory of its own; go back to where we are.
    nsenter.args(["--", "env", "-C"]).arg(std::env::current_dir()?);
    nsenter.arg(format!("KUBECONFIG={}", state.kubeconfig.display())).args(command);
    nsenter.env("UNDERSTUDY_LAB", name);
    Ok(nsenter)
}

/// How this lab is named on the command line.
pub(super) fn flag(name: &str) -> String {
    if name == "lab" { String::new() } else { format!(" --name {name}") }
}
