//! The Go tool.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `go`, for a build outside any module, at a lower priority than people's own work.
pub(super) fn command(directory: &Path) -> Result<Command> {
    let version = Command::new("go").arg("version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        bail!(
            "the lab builds its control plane with Go 1.26 or later, and there is no `go` here: \
             install it from https://go.dev/dl (Debian's own package is too old)"
        );
    }
    let mut command = Command::new("nice");
    command
        .args(["-n", "5", "go"])
        .current_dir(directory)
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    Ok(command)
}

/// Downloads a module and returns its directory in the module cache.
pub(super) fn module(directory: &Path, module: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Downloaded {
        dir: Option<PathBuf>,
        error: Option<String>,
    }
    let output = command(directory)?.args(["mod", "download", "-json", module]).output()?;
    let downloaded: Downloaded = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("could not download {module}: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    match downloaded {
        Downloaded { dir: Some(dir), .. } => Ok(dir),
        Downloaded { error, .. } => bail!("could not download {module}: {}", error.unwrap_or_default()),
    }
}
