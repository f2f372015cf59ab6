//! The plan's writes, in its order: the intent, then the acts.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::Value;

use super::context::Context;
use super::error::Error;
use crate::api::ModelRollout;
use crate::cluster::client::{DEADLINE, URGENT_DEADLINE};
use crate::cluster::shelf::Key;
use crate::cluster::{Class, WriteError};
use crate::rollout::{Action, Observed, Plan};
use crate::workload::companions;

/// What was written.
#[derive(Debug, Default)]
pub struct Done {
    /// Writes that were made, the status included.
    pub writes: usize,
    /// From the deciding look to the answer to the first write of the user's route.
    pub route_after: Option<Duration>,
    /// The status was written.
    pub status: bool,
    /// At least one action was carried out.
    pub acted: bool,
}

/// Writes the status where it changed, then carries out the actions in their order. The first failure ends the pass,
/// except that neither a status nor another write that fails holds a rollback up, and that nothing waits for what only keeps
/// things in order beside it.
pub async fn carry_out(
    ctx: &Context,
    observed: &Observed,
    plan: &Plan,
    looked: Instant,
) -> Result<Done, Error> {
    let deadline = if plan.urgent { URGENT_DEADLINE } else { DEADLINE };
    let mut done = Done::default();
    let (mut failed, mut aside) = (None, None);
    let written = match ctx.writer.rollout_status(&observed.rollout, &plan.status, deadline).await {
        Ok(written) => written,
        Err(error) if goes_on_without_status(plan, &error) => {
            tracing::error!(%error, "the status could not be written; traffic is brought back all the same");
            failed = Some(error.into());
            None
        }
        Err(error) => return Err(error.into()),
    };
    done.status = written.is_some();
    done.writes = usize::from(done.status);
    let mut pass = Pass { ctx, observed, deadline, confirmed: done.status, rollout: written };
    for action in &plan.actions {
        if failed.is_some() && !plan.goes_on_with(action) {
            continue;
        }
        if let Err(error) = pass.act(action).await {
            if error.class() != Class::NotLeader && plan.goes_on_without(action) {
                aside = aside.or(Some(error));
                continue;
            }
            if error.class() == Class::NotLeader || !plan.urgent {
                return Err(error);
            }
            tracing::error!(%error, %action, "a write failed; traffic is brought back all the same");
            failed = failed.or(Some(error));
            continue;
        }
        done.writes += 1;
        done.acted = true;
        if done.route_after.is_none() && is_users_route(observed, action) {
            done.route_after = Some(looked.elapsed());
        }
    }
    match failed.or(aside) {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// A conflict means that the plan was made for another world; a lost lease, that another process acts.
fn goes_on_without_status(plan: &Plan, error: &WriteError) -> bool {
    match error.class() {
        Class::Stale | Class::NotLeader => false,
        Class::RetrySoon | Class::RetryLater => plan.urgent,
    }
}

struct Pass<'a> {
    ctx: &'a Context,
    observed: &'a Observed,
    deadline: Duration,
    /// The API server itself has shown, in this pass, that the rollout is as the plan was made for.
    confirmed: bool,
    /// The rollout as this pass last wrote it.
    rollout: Option<ModelRollout>,
}

impl Pass<'_> {
    async fn act(&mut self, action: &Action) -> Result<(), Error> {
        let known = self.rollout.as_ref().unwrap_or(&self.observed.rollout);
        if action.irreversible() && !self.confirmed {
            self.ctx.writer.confirm(known, self.deadline).await?;
            self.confirmed = true;
        }
        let base = base_of(self.observed, action);
        let written = self.ctx.writer.act(known, action, base.as_ref(), self.deadline).await?;
        tracing::debug!(%action, "done");
        if written.is_some() {
            self.confirmed = true;
            self.rollout = written;
        }
        let (at, key) = (Utc::now(), Key::of(&self.observed.rollout.metadata));
        self.ctx.memory.note(&key, |m| {
            m.own_writes.note(action, at);
            if is_users_route(self.observed, action) {
                m.route_written_at = Some(at);
            }
        });
        Ok(())
    }
}

/// The object that a patch was made from.
fn base_of(observed: &Observed, action: &Action) -> Option<Value> {
    match action {
        Action::PatchRoute { .. } if is_users_route(observed, action) => observed.route.clone(),
        Action::PatchRoute { .. } => observed.warm_route.clone(),
        Action::PatchGuard { .. } => serde_json::to_value(observed.guard.as_ref()?).ok(),
        Action::PatchService { name, .. } => serde_json::to_value(observed.service(name)?).ok(),
        Action::PatchCompanion { kind, name, .. } => {
            observed.companions(*kind).iter().find(|o| companions::name(o) == name).cloned()
        }
        Action::SetFinalizers(_)
        | Action::CreateDeployment(_)
        | Action::ReplaceDeployment(_)
        | Action::DeleteDeployment { .. }
        | Action::Scale { .. }
        | Action::CreateService(_)
        | Action::DeleteService { .. }
        | Action::CreateRoute(_)
        | Action::DeleteRoute { .. }
        | Action::CreateCompanion { .. }
        | Action::DeleteCompanion { .. }
        | Action::CreateGuard(_)
        | Action::DeleteGuard { .. }
        | Action::RecordOutcome { .. } => None,
    }
}

fn is_users_route(observed: &Observed, action: &Action) -> bool {
    let route = observed.rollout.route_name();
    matches!(action, Action::PatchRoute { name, .. } if Some(name.as_str()) == route)
}
