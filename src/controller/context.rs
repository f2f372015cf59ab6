//! What every pass needs, and the little that one pass leaves for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::cluster::events::Events;
use crate::cluster::shelf::Key;
use crate::cluster::{Covers, Stores, Writer};
use crate::measure::Sources;
use crate::rollout::observed::{Covering, FailedWrite};
use crate::rollout::{OwnWrites, Plan};
use crate::telemetry::Metrics;

/// What every pass needs.
pub struct Context {
    /// The world as the watches and our own writes know it.
    pub stores: Arc<Stores>,
    /// Writes.
    pub writer: Writer,
    /// What covers workloads.
    pub covers: Covers,
    /// Events.
    pub events: Events,
    /// Counters.
    pub metrics: Metrics,
    /// Where the numbers come from.
    pub sources: Sources,
    /// What passes leave behind; nothing that a restarted controller would miss.
    pub memory: Memory,
}

/// What one pass leaves for the next, by rollout.
#[derive(Default)]
pub struct Memory {
    rollouts: Mutex<HashMap<Key, Remembered>>,
}

/// What covered a workload, and when it was read.
#[derive(Clone, Debug)]
pub struct Known {
    /// When.
    pub at: Instant,
    /// What.
    pub covering: Covering,
}

/// Of one rollout.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// When the API server answered our last write of the user's route.
    pub route_written_at: Option<DateTime<Utc>>,
    /// The last failure that was told as an Event, so that it is told once.
    pub told: Option<String>,
    /// Writes of the last minute: which of them somebody undoes each time.
    pub own_writes: OwnWrites,
    /// The write that the last pass failed with.
    pub failed_write: Option<FailedWrite>,
    /// When the last plan wanted another look, however its writes went.
    pub look_at: Option<Instant>,
    /// What covered the workload when it was looked at last.
    pub covering: Option<Known>,
    /// The last pass was to bring traffic back, and it has not gone through yet.
    pub urgent: bool,
}

impl Remembered {
    /// What the plan wants next. It counts from the look, not from the end of the pass.
    pub fn planned(&mut self, plan: &Plan, looked: Instant) {
        self.urgent = plan.urgent;
        self.look_at = plan.requeue.map(|wait| looked + wait.to_std().unwrap_or_default());
    }
}

impl Memory {
    /// What is remembered of a rollout.
    pub fn of(&self, key: &Key) -> Remembered {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    /// A pass has written what it wanted: nothing is refused any more. True when that is news.
    pub fn relieved(&self, key: &Key) -> bool {
        self.lock().get_mut(key).is_some_and(|m| m.failed_write.take().is_some())
    }

    /// Changes what is remembered of a rollout.
    pub fn note(&self, key: &Key, change: impl FnOnce(&mut Remembered)) {
        change(self.lock().entry(key.clone()).or_default());
    }

    /// The rollout is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Remembered>> {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
