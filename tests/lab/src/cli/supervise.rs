//! The process behind a lab that was started with `lab up`.

use crate::{Lab, Options};
use anyhow::Result;
use std::time::Duration;

/// Runs the lab until it is killed.
pub(super) fn run(name: &str) -> Result<()> {
    crate::inside()?;
    crate::block_on(async {
        let lab = Lab::create(Options { name: Some(name.into()), keep_files: true }).await?;
        let mut dead = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for component in lab.components() {
                let process = &component.process;
                if let Some(status) = process.exited().filter(|_| !dead.contains(&process.name())) {
                    eprintln!("{} {} ended with {status}", chrono::Utc::now().to_rfc3339(), process.name());
                    dead.push(process.name());
                }
            }
        }
    })
}
