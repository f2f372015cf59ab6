//! The ModelRollout: every status that the operator wrote.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use chrono::{DateTime, Utc};
use kube::runtime::watcher;
use kube::{Api, Client};
use understudy::api::{ModelRollout, ModelRolloutStatus};

use super::{Recorder, Seen};

/// Records every version of one ModelRollout.
pub struct RolloutWatch(Recorder<ModelRollout>);

impl RolloutWatch {
    /// Starts to watch; the object need not be there yet.
    pub fn start(client: Client, namespace: &str, name: &str) -> Self {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        Self(Recorder::start(Api::namespaced(client, namespace), config, Some))
    }

    /// Every version so far, oldest first.
    pub fn versions(&self) -> Vec<Seen<ModelRollout>> {
        self.0.all()
    }

    /// The last version.
    pub fn latest(&self) -> Option<Seen<ModelRollout>> {
        self.0.latest()
    }

    /// The last status.
    pub fn status(&self) -> Option<ModelRolloutStatus> {
        self.latest().and_then(|seen| seen.object.status)
    }

    /// Waits for a version of the object of which `look` makes something.
    ///
    /// # Errors
    /// After `deadline`, with the phase, the message and what the rollout waits for.
    pub async fn wait<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut(&ModelRollout) -> Option<T>,
    ) -> Result<T> {
        let mut changes = self.0.changes();
        let end = tokio::time::Instant::now() + deadline;
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.latest().and_then(|seen| look(&seen.object)) {
                return Ok(found);
            }
            if !matches!(tokio::time::timeout_at(end, changes.changed()).await, Ok(Ok(()))) {
                let status = self.status().unwrap_or_default();
                bail!(
                    "waited {deadline:?} for {what}; the rollout is in {}: {}; waits for: {}",
                    status.phase.map_or_else(|| "no phase".to_owned(), |phase| phase.to_string()),
                    status.message,
                    status.waiting_for.as_deref().unwrap_or("nothing")
                );
            }
        }
    }

    /// Waits for its deletion to be through; when that was seen.
    ///
    /// # Errors
    /// After `deadline`.
    pub async fn wait_gone(&self, deadline: Duration) -> Result<DateTime<Utc>> {
        let mut changes = self.0.changes();
        let end = tokio::time::Instant::now() + deadline;
        loop {
            changes.mark_unchanged();
            if let Some(last) = self.latest().filter(|last| last.deleted) {
                return Ok(last.at);
            }
            let changed = tokio::time::timeout_at(end, changes.changed()).await;
            ensure!(matches!(changed, Ok(Ok(()))), "waited {deadline:?} for the rollout to be gone");
        }
    }

    /// The underlying record.
    pub fn recorder(&self) -> &Recorder<ModelRollout> {
        &self.0
    }
}
