//! The control plane: one binary from Go modules, and its six names.

use super::{go, step};
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

const GO_MOD: &str = include_str!("../../controlplane/go.mod");
const GO_SUM: &str = include_str!("../../controlplane/go.sum");
const MAIN: &str = include_str!("../../controlplane/main.go");
const NAMES: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"];

/// The directory with the six programs.
pub(super) fn build() -> Result<PathBuf> {
    let step = step::Step {
        name: "controlplane",
        title: "building the control plane (Go, about 7 minutes the first time)",
        inputs: [GO_MOD, GO_SUM, MAIN].map(String::from).to_vec(),
    };
    step.run(|directory| {
        let source = directory.join("source");
        fs::create_dir(&source)?;
        for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM), ("main.go", MAIN)] {
            fs::write(source.join(name), text)?;
        }
        let mut build = go::command(&source)?;
        build
            .args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"])
            .arg(directory.join("controlplane"))
            .arg(".");
        step::run_long("control plane", &mut build, &directory.join("build.log"))?;
        for name in NAMES {
            std::os::unix::fs::symlink("controlplane", directory.join(name))?;
        }
        Ok(())
    })
}
