//! The log of a run: what a person would want to read to follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{ModelRollout, ModelRolloutStatus};

use super::check::share;
use super::expect::status_of;
use super::operator::{Pass, Write};
use super::world::World;

/// Lines, and what was said last, so that only changes are told.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The lines.
    pub lines: Vec<Arc<str>>,
    /// Reasons of all Events so far.
    pub told: BTreeSet<String>,
    last: BTreeMap<String, String>,
}

impl Log {
    /// A line with its time.
    pub fn say(&mut self, world: &World, text: impl AsRef<str>) {
        self.lines.push(format!("{:>5}s  {}", world.elapsed(), text.as_ref()).into());
    }

    /// A line, if it says something else than the last of its kind; numbers in it do not count.
    fn changed(&mut self, world: &World, kind: &str, text: String) {
        let bare: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.last.get(kind) != Some(&bare) {
            self.last.insert(kind.to_owned(), bare);
            self.say(world, format!("    {kind}: {text}"));
        }
    }

    /// A write, after it was done.
    pub fn write(&mut self, world: &World, pass: &Pass, write: &Write) {
        match write {
            Write::Status => {
                let none = ModelRolloutStatus::default();
                let before = pass.observed.rollout.status.as_ref().unwrap_or(&none);
                let old = before.history.last().map(|h| h.id.clone());
                let history = &pass.plan.status.history;
                let from = history.iter().position(|h| Some(&h.id) == old.as_ref()).map_or(0, |i| i + 1);
                for entry in &history[from..] {
                    let who = prefix(&pass.observed.rollout);
                    self.say(
                        world,
                        format!(
                            "{who}{} -> {}  [{}] {}: {}",
                            entry.from, entry.to, entry.reason, entry.version, entry.message
                        ),
                    );
                }
            }
            Write::Act(action) => self.say(world, format!("  > {action}")),
        }
    }

    /// What a pass tells after its writes.
    pub fn pass(&mut self, world: &World, pass: &Pass) {
        for event in &pass.plan.events {
            self.told.insert(event.reason.clone());
            let transition = pass
                .plan
                .status
                .history
                .iter()
                .any(|h| event.message == format!("{}: {}", h.version, h.message));
            if !transition {
                let mark = if event.warning { "!" } else { "i" };
                self.say(world, format!("  {mark} {}: {}", event.reason, event.message));
            }
        }
    }

    /// What can be seen at the end of a second.
    pub fn second(&mut self, world: &World) {
        let rollouts: Vec<ModelRollout> =
            world.objects.rollouts.values().map(|r| r.as_ref().clone()).collect();
        for rollout in &rollouts {
            let (status, who) = (status_of(rollout), prefix(rollout));
            let share = share::of(world, rollout);
            let key = format!("{who}share");
            if self.last.get(&key) != Some(&share.to_string()) {
                self.last.insert(key, share.to_string());
                self.say(world, format!("    {who}share of the candidate: {share} %"));
            }
            for c in status.conditions.iter().filter(|c| c.type_ != "Reconciling") {
                self.changed(world, &format!("{who}{}", c.type_), format!("{} ({})", c.status, c.reason));
            }
            let gone = |t: &str| status.conditions.iter().all(|c| c.type_ != t);
            if gone("Stalled") {
                self.last.remove(&format!("{who}Stalled"));
            }
            let waiting = status.waiting_for.clone().unwrap_or_else(|| "nothing".to_owned());
            self.changed(world, &format!("{who}waiting for"), waiting);
        }
    }
}

/// Only rollouts beside the script's own are named.
fn prefix(rollout: &ModelRollout) -> String {
    match rollout.metadata.name.as_deref() {
        Some(super::world::NAME) | None => String::new(),
        Some(name) => format!("{name} "),
    }
}
