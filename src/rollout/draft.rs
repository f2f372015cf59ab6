//! A plan in the making: the observed world, the status as it will be, and what has been decided so far.

use chrono::{DateTime, Duration, Utc};

use crate::api::condition::{self, ConditionType, Finding};
use crate::api::{HistoryEntry, ModelRolloutSpec, ModelRolloutStatus, Phase};

use super::{Action, Event, Observed, Plan, pace};

/// Entries of the rings in status.
pub const RING: usize = 20;

/// A plan in the making.
pub struct Draft<'a> {
    /// The world.
    pub obs: &'a Observed,
    /// The status as it will be written.
    pub status: ModelRolloutStatus,
    /// Actions so far.
    pub actions: Vec<Action>,
    /// Events so far.
    pub events: Vec<Event>,
    /// Why nothing moves until a person acts, when that is so.
    pub stalled: Option<Finding>,
    /// Warnings that hold nothing up, shown in the `Adopted` condition.
    pub warnings: Vec<Finding>,
    /// Why the rollout holds, when it does: shown as the reason of `Reconciling`.
    pub hold: Option<Finding>,
    waits: Vec<String>,
    wake: Option<Duration>,
    urgent: bool,
    held_back: usize,
    unpaced: bool,
}

impl<'a> Draft<'a> {
    /// A draft that changes nothing yet.
    pub fn new(obs: &'a Observed) -> Self {
        Self {
            obs,
            status: obs.rollout.status.clone().unwrap_or_default(),
            actions: Vec::new(),
            events: Vec::new(),
            stalled: None,
            warnings: Vec::new(),
            hold: None,
            waits: Vec::new(),
            wake: None,
            urgent: false,
            held_back: 0,
            unpaced: false,
        }
    }

    /// The rollout's spec.
    pub fn spec(&self) -> &'a ModelRolloutSpec {
        &self.obs.rollout.spec
    }

    /// The moment of the observation.
    pub fn now(&self) -> DateTime<Utc> {
        self.obs.now
    }

    /// The present phase; a rollout without one is Pending.
    pub fn phase(&self) -> Phase {
        self.status.phase.unwrap_or(Phase::Pending)
    }

    /// Adds an action, unless somebody undoes it each time and its pause is not over. True when it was added.
    pub fn act(&mut self, action: Action) -> bool {
        if let Some(due) = pace::due(self, &action).filter(|_| !self.unpaced) {
            self.held_back += 1;
            self.wake_at(due);
            return false;
        }
        if pace::look_after(&action) {
            self.wake_in(pace::LOOK_AFTER);
        }
        self.actions.push(action);
        true
    }

    /// Adds an action that several steps of one pass may ask for.
    pub fn act_once(&mut self, action: Action) {
        if !self.actions.contains(&action) {
            self.act(action);
        }
    }

    /// What `f` adds waits for no pause: something that is done in this pass depends on it.
    pub fn at_once(&mut self, f: impl FnOnce(&mut Self)) {
        self.unpaced = true;
        f(self);
        self.unpaced = false;
    }

    /// Actions of this pass that wait for their pause.
    pub fn held_back(&self) -> usize {
        self.held_back
    }

    /// Whether this pass already makes that Deployment.
    pub fn creates(&self, deployment: &str) -> bool {
        let name = |a: &Action| match a {
            Action::CreateDeployment(x) => x.metadata.name.as_deref() == Some(deployment),
            _ => false,
        };
        self.actions.iter().any(name)
    }

    /// Whether this pass already writes that Deployment.
    pub fn writes_deployment(&self, deployment: &str) -> bool {
        let writes =
            |a: &Action| a.verb_and_resource().1.starts_with("deployments") && a.object() == deployment;
        self.actions.iter().any(writes)
    }

    /// The actions bring traffic back: they do not wait for the status write.
    pub fn urgent(&mut self) {
        self.urgent = true;
    }

    /// Says what is waited for, in plain words.
    pub fn wait(&mut self, what: impl Into<String>) {
        self.waits.push(what.into());
    }

    /// Holds for a reason: nothing advances, the message says what would end it.
    pub fn hold(&mut self, reason: &str, message: impl Into<String>) {
        let message = message.into();
        self.waits.push(message.clone());
        self.hold.get_or_insert_with(|| Finding::no(reason, message));
    }

    /// Stops until a person acts.
    pub fn stall(&mut self, reason: &str, message: impl Into<String>) {
        let message = message.into();
        self.waits.push(message.clone());
        self.stalled.get_or_insert_with(|| Finding::yes(reason, message));
    }

    /// The same, and nothing else is waited for.
    pub fn stall_for(&mut self, reason: &str, message: impl Into<String>) {
        self.stalled = None;
        self.waits.clear();
        self.stall(reason, message);
    }

    /// Warns of something that holds nothing up.
    pub fn warn(&mut self, reason: &str, message: impl Into<String>) {
        self.warnings.push(Finding::no(reason, message));
    }

    /// Looks again after that time at the latest.
    pub fn wake_in(&mut self, after: Duration) {
        let after = after.max(Duration::zero());
        self.wake = Some(self.wake.map_or(after, |w| w.min(after)));
    }

    /// Looks again at that time at the latest.
    pub fn wake_at(&mut self, at: DateTime<Utc>) {
        self.wake_in(at - self.now());
    }

    /// Tells something.
    pub fn event(&mut self, warning: bool, reason: &str, message: impl Into<String>) {
        self.events.push(Event { warning, reason: reason.to_owned(), message: message.into() });
    }

    /// Sets a condition.
    pub fn condition(&mut self, type_: ConditionType, finding: Finding) {
        let generation = self.obs.rollout.metadata.generation;
        condition::set(&mut self.status.conditions, type_, finding, generation, self.obs.now);
    }

    /// Moves to another phase or step: one entry of history with a deterministic id, and one Event.
    pub fn transition(&mut self, phase: Phase, to: &str, reason: &str, message: impl Into<String>) {
        let message = message.into();
        let from = self.status.history.last().map_or_else(|| "-".to_owned(), |h| h.to.clone());
        let (version, digest, plan) = match (&self.status.candidate, &self.status.active) {
            (Some(c), _) => (c.version.clone(), c.bundle_digest.clone(), c.plan_hash.clone()),
            (None, Some(a)) => (a.version.clone(), a.bundle_digest.clone(), a.template_hash.clone()),
            (None, None) => (self.spec().version.clone(), String::new(), String::new()),
        };
        let attempt = self.status.candidate.as_ref().map_or(0, |c| c.attempt);
        let short = abbreviated(plan.trim_start_matches("sha256:"));
        let number = self.status.history.last().and_then(|h| h.id.rsplit_once('#'));
        let number = number.and_then(|(_, n)| n.parse::<u64>().ok()).unwrap_or(0) + 1;
        self.status.history.push(HistoryEntry {
            id: format!("{short}/{attempt}#{number}"),
            at: self.obs.now,
            from,
            to: to.to_owned(),
            version: version.clone(),
            bundle_digest: abbreviated(&digest),
            reason: reason.to_owned(),
            message: message.clone(),
        });
        let excess = self.status.history.len().saturating_sub(RING);
        self.status.history.drain(..excess);
        self.status.phase = Some(phase);
        let warning = matches!(phase, Phase::RollingBack | Phase::RolledBack);
        self.event(warning, reason, format!("{version}: {message}"));
    }

    /// Tests that cannot be read stay as they were written: they may be those of a newer operator.
    fn leave_unreadable(&mut self) {
        let before = self.obs.rollout.status.as_ref().and_then(|status| status.evidence.as_ref());
        if let (Some(before), Some(now)) = (before, &mut self.status.evidence)
            && now.tests.unreadable()
        {
            now.tests = before.tests.clone();
        }
    }

    /// The finished plan.
    pub fn finish(mut self) -> Plan {
        self.waits.dedup();
        // A decision has its outcome after the act, and none stands before it.
        self.actions.sort_by_key(|a| matches!(a, Action::RecordOutcome { .. }));
        self.status.waiting_for = (!self.waits.is_empty()).then(|| cut(self.waits.join("; "), 1024));
        self.status.observed_generation = self.obs.rollout.metadata.generation;
        self.leave_unreadable();
        Plan {
            status: self.status,
            actions: self.actions,
            events: self.events,
            requeue: self.wake,
            urgent: self.urgent,
        }
    }
}

/// A digest with its first twelve hexadecimal digits: enough to tell bundles apart, and twenty of them fit into a status.
fn abbreviated(digest: &str) -> String {
    let from = digest.find(':').map_or(0, |at| at + 1);
    digest.chars().take(from + 12).collect()
}

/// A text cut to so many characters.
pub fn cut(text: String, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text;
    }
    text.chars().take(limit - 4).chain(" ...".chars()).collect()
}
