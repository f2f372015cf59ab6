//! `lab logs`.

use super::Name;
use crate::paths::RunDir;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Args)]
pub(super) struct Logs {
    #[command(flatten)]
    name: Name,
    /// A component (`etcd`, `kube-apiserver`, `node`, `envoy`, ...), `access`, `audit`, or `pod`.
    what: String,
    /// With `pod`: NAMESPACE/POD. Pods that are gone keep their logs until the lab is stopped.
    pod: Option<String>,
    /// With `pod`: only this container.
    #[arg(short, long)]
    container: Option<String>,
    /// Go on as lines are written.
    #[arg(short, long)]
    follow: bool,
}

pub(super) fn run(logs: &Logs) -> Result<()> {
    let run = RunDir::of(&logs.name.name);
    let files = match (logs.what.as_str(), &logs.pod) {
        ("pod", Some(pod)) => pod_files(&run, pod, logs.container.as_deref())?,
        ("pod", None) => bail!("which pod? lab logs pod NAMESPACE/POD"),
        ("access", _) => vec![run.access_log()],
        ("audit", _) => vec![run.audit_log()],
        (component, _) => vec![run.log(component)],
    };
    if let Some(missing) = files.iter().find(|file| !file.exists()) {
        let known = names(missing.parent().unwrap_or(Path::new("")));
        bail!("there is no log {}; there are: {}", missing.display(), known.join(", "));
    }
    // tail(1) does this well: several files, following, files that are replaced.
    let mut tail = Command::new("tail");
    tail.args(["-n", "+1"]);
    if logs.follow {
        tail.arg("-F");
    }
    Err(tail.args(files).exec()).context("could not run `tail`")
}

fn pod_files(run: &RunDir, pod: &str, container: Option<&str>) -> Result<Vec<PathBuf>> {
    let (namespace, pod) = pod.split_once('/').unwrap_or(("default", pod));
    let directory = run.pod_logs(namespace, pod);
    if let Some(container) = container {
        return Ok(vec![directory.join(format!("{container}.log"))]);
    }
    let files: Vec<PathBuf> =
        names(&directory).iter().map(|name| directory.join(format!("{name}.log"))).collect();
    if files.is_empty() {
        let known = names(&run.root().join("logs/pods"));
        bail!("the pod {namespace}/{pod} has written nothing; pods with logs: {}", known.join(", "));
    }
    Ok(files)
}

/// Names in a directory, without `.log`, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().trim_end_matches(".log").to_owned())
        .collect();
    names.sort();
    names
}
