//! The demo in a lab that is left running.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Args, NAMESPACE};
use crate::process::{Process, Spec};
use crate::scenario::{Cluster, NAME};

/// Name of the lab.
const LAB: &str = "demo";
/// Requests per second that go on in the kept lab.
const RATE: u32 = 100;

/// Brings the lab up and plays inside it. Returns only when that fails.
pub(super) fn start(args: &Args) -> Result<()> {
    let own = std::env::current_exe()?;
    let up = Command::new(&own).args(["up", "--name", LAB]).status().context("could not run `lab up`")?;
    if !up.success() {
        bail!("the lab {LAB:?} did not come up");
    }
    let mut inside = Command::new(&own);
    inside.args(["exec", "--name", LAB, "--"]).arg(&own);
    inside.args(["demo", "--keep", "--in-lab", LAB, "--output", &args.output]);
    if args.plain {
        inside.arg("--plain");
    }
    Err(inside.exec()).context("could not run `lab exec`")
}

/// Leaves operator and load running, and says how to play on.
pub(super) fn leave(mut cluster: Cluster, lab: &str) -> Result<()> {
    // Both live in the lab's namespaces and end with them.
    std::mem::forget(cluster.operator.take());
    let own = std::env::current_exe()?;
    let spec = Spec::new("load", "setsid", cluster.files().log("load"))
        .args([own.display().to_string(), "load".to_owned()])
        .args(["--gateway=10.0.0.10:8080".to_owned(), format!("--rate={RATE}")])
        .args(["--feedback=0.5", "--seconds=86400"]);
    std::mem::forget(Process::start(spec)?);
    eprintln!("{}", how_to_play_on(&own.display().to_string(), lab));
    Ok(())
}

pub(super) fn how_to_stop(lab: &str) -> String {
    format!("the lab goes on; to stop it: target/debug/lab down --name {lab}")
}

fn how_to_play_on(program: &str, lab: &str) -> String {
    let kubectl = format!("{program} kubectl --name {lab} --");
    let patch = format!("{kubectl} patch modelrollout {NAME} -n {NAMESPACE} --type merge -p");
    format!(
        "The lab {lab:?} is left running, with the operator and {RATE} requests/s. To play on:

  what there is         {kubectl} get modelrollouts,modelversions,deployments,httproutes -n {NAMESPACE}
  watch the rollout     {kubectl} get modelrollout {NAME} -n {NAMESPACE} -o wide --watch
  its whole story       {kubectl} describe modelrollout {NAME} -n {NAMESPACE}
  release a version     {patch} '{{\"spec\":{{\"version\":\"1.6.0\"}}}}'
                        (1.6.0 is as good as 1.1.0; 1.7.0 fails nearly every request; 1.8.0 does not start)
  try one again         {patch} '{{\"spec\":{{\"version\":\"1.2.0\",\"retry\":1}}}}'
  the operator's log    {program} logs --name {lab} operator --follow
  take it down          {program} down --name {lab}
"
    )
}
