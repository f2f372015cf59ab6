//! The promises of the crate, checked on the world: after every write of the operator, after every pass, and every second.
//! Nothing here asks the code under test what it thinks; shares, selectors and capacities are worked out anew.

pub mod share;

mod audit;
mod companions;
mod cost;
mod evidence;
mod pods;
mod status;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{HistoryEntry, ModelRollout};
use crate::rollout::Action;

use super::objects::Objects;
use super::operator::{Pass, Write};
use super::traffic;
use super::world::World;

/// What the checks remember, and what they found.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// What was broken, in the order in which it was found.
    pub found: Vec<String>,
    /// Checks that the script says do not apply.
    pub allowed: BTreeSet<String>,
    /// Largest share that the last passed step allows, by UID of the rollout.
    pub granted: BTreeMap<String, i32>,
    /// History entries by UID of the rollout and id.
    pub ids: BTreeMap<(String, String), Arc<HistoryEntry>>,
    /// What the shadow stage may cost, by UID of the rollout.
    pub purses: BTreeMap<String, cost::Purse>,
    /// Somebody else wrote the route or a selector at this second.
    pub foreign: Option<i64>,
    /// The operator's reads lag: it cannot know what happened just now.
    pub blindfold: bool,
}

/// The world before a write.
#[derive(Clone, Debug)]
pub struct Before {
    /// The objects.
    pub objects: Objects,
    /// What would have failed.
    pub broken: Vec<String>,
    /// Actual share by rollout.
    pub share: BTreeMap<String, i32>,
}

impl Before {
    /// The world as it is.
    pub fn of(world: &World) -> Self {
        let share = world.objects.rollouts.iter().map(|(n, r)| (n.clone(), share::of(world, r))).collect();
        Self { objects: world.objects.clone(), broken: traffic::broken(world), share }
    }
}

impl Checks {
    /// Notes that a promise was broken.
    pub fn broken(&mut self, promise: &str, what: impl Into<String>) {
        if !self.allowed.contains(promise) {
            self.found.push(format!("{promise}: {}", what.into()));
        }
    }

    /// After one write of the operator.
    pub fn after_write(&mut self, before: &Before, world: &World, pass: &Pass, write: &Write) {
        if let Write::Status = write {
            status::written(self, world, pass);
            share::grant(self, world, pass);
            audit::ended(self, world, pass);
        }
        share::raised(self, before, world, pass);
        if let Write::Act(action) = write {
            pods::scaled(self, before, world, pass, action);
            companions::written(self, before, world, pass, action);
            lost(self, before, world, action);
        }
        if users::touched(before, world) {
            users::kept(self, world);
        }
    }

    /// Of the plan, before it is carried out.
    pub fn plan(&mut self, world: &World, pass: &Pass) {
        if let Err(violation) = crate::rollout::check(&pass.observed, &pass.plan) {
            self.broken("check", violation.to_string());
        }
        evidence::advance(self, world, pass);
    }

    /// After a pass that was carried out to its end.
    pub fn after_pass(&mut self, world: &World, pass: &Pass) {
        share::brought_back(self, world, pass);
    }

    /// At the end of a second in which the operator was alive and had nothing more to do.
    pub fn at_rest_of_second(&mut self, world: &World) {
        let rollouts: Vec<ModelRollout> =
            world.objects.rollouts.values().map(|r| r.as_ref().clone()).collect();
        for rollout in &rollouts {
            status::honest(self, world, rollout);
            share::bounded(self, world, rollout);
            cost::kept(self, world, rollout);
        }
    }

    /// At the very end.
    pub fn at_the_end(&mut self, world: &World) {
        users::restored(self, world);
        users::handed_back(self, world);
        // Reads lag by a second at most: when all pods of an arm go at once, the share follows a second late.
        let borne = if self.blindfold { world.shares.a_second() } else { 0 };
        if world.ledger.lost() > borne {
            self.broken("lost", format!("requests failed that no version failed: {:?}", world.ledger.failed));
        }
    }
}

/// A write must not take the last endpoint from under a Service that gets traffic, nor name a Service that the gateway does
/// not know.
fn lost(checks: &mut Checks, before: &Before, world: &World, action: &Action) {
    if checks.blindfold {
        return;
    }
    for path in traffic::broken(world).iter().filter(|b| !before.broken.contains(b)) {
        checks.broken("lost", format!("after `{action}` requests would fail: {path}"));
    }
}
