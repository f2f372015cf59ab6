//! A Python environment of our own with the packages that training needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

const INSTALL: &str = "apt-get install -y python3 python3-venv";

/// Makes sure of a virtual environment at `dir` with exactly these requirements, and names its interpreter.
pub(super) fn venv(dir: &Path, requirements: &str) -> Result<PathBuf> {
    let python = dir.join("bin/python");
    let stamp = dir.join("requirements.txt");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }
    if !usable() {
        install()?;
        ensure!(
            usable(),
            "python3 3.11 or newer with its venv module is missing; install it with: {INSTALL}"
        );
    }
    run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
    let list = dir.join("requirements.wanted.txt");
    fs::write(&list, requirements).context("cannot write the list of Python packages")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "-r"]).arg(&list);
    run_quietly(&mut pip).context("cannot install scikit-learn from PyPI")?;
    fs::rename(&list, &stamp).context("cannot note what is installed")?;
    Ok(python)
}

/// Runs the training script.
pub(super) fn run(python: &Path, script: &Path, out: &Path, inputs: &str) -> Result<()> {
    let mut training = Command::new(python);
    training.arg(script).arg(out).arg(inputs).args(git_commit());
    run_quietly(&mut training).context("training failed")
}

fn usable() -> bool {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let mut python = Command::new("python3");
    python.args(["-c", check]).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// As root, installs what is missing; otherwise says how.
fn install() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("python3 3.11 or newer with its venv module is missing; install it with: sudo {INSTALL}");
    }
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "python3", "python3-venv"]).env("DEBIAN_FRONTEND", "noninteractive");
    run_quietly(&mut apt)
        .with_context(|| format!("could not install Python; try: apt-get update && {INSTALL}"))
}

/// The commit that the training code comes from, where it comes from a Git work tree.
fn git_commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"]).stderr(Stdio::null());
    let output = git.output().ok().filter(|output| output.status.success())?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!commit.is_empty()).then_some(commit)
}

/// Runs to the end; the output is shown only when it failed.
fn run_quietly(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{program} failed ({}):\n{}", output.status, said.trim_end());
}
