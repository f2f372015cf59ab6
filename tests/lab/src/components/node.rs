//! The node agent: this program again, as a process of its own.

use super::Site;
use crate::inside::NODE_AGENT;
use crate::process::Spec;
use anyhow::{Context, Result};

/// How it is started.
pub fn spec(site: &Site) -> Result<Spec> {
    let program = std::env::current_exe().context("could not find the running program's own file")?;
    Ok(Spec::new("node", program, site.run.log("node"))
        .args([NODE_AGENT.into(), site.run.root().display().to_string()])
        .env("KUBECONFIG", site.run.kubeconfig("lab:node").display().to_string()))
}
