//! Contour, which turns Gateway API objects into Envoy's configuration.

use super::{go, step};
use anyhow::Result;
use std::path::PathBuf;

pub(super) const MODULE: &str = "github.com/projectcontour/contour";
pub(super) const VERSION: &str = "v1.33.8";

/// The directory with `contour`.
pub(super) fn build() -> Result<PathBuf> {
    let step = step::Step {
        name: "contour",
        title: "building Contour (Go, about 4 minutes the first time)",
        inputs: vec![MODULE.into(), VERSION.into()],
    };
    step.run(|directory| {
        let mut install = go::command(directory)?;
        install
            .args(["install", "-trimpath", "-ldflags=-s -w"])
            .arg(format!("{MODULE}/cmd/contour@{VERSION}"))
            .env("GOBIN", directory);
        step::run_long("Contour", &mut install, &directory.join("build.log"))
    })
}
