//! One pass over a rollout.

use std::time::Instant;

use chrono::Utc;
use tokio::sync::Notify;

use super::context::Context;
use super::error::Error;
use super::queue::Next;
use super::{ask, carry_out, cover, gather, report};
use crate::cluster::shelf::Key;
use crate::rollout::{Action, Observed, Plan, Violation, check, decide, questions};

/// Gather (I/O), decide (pure), check (pure), apply (I/O, in the plan's order), report. The bell tells of changes while
/// metric sources are waited for.
///
/// # Errors
/// When a write fails, or the plan would break a promise.
pub async fn reconcile(ctx: &Context, key: &Key, bell: &Notify) -> Result<Next, Error> {
    let looked = Instant::now();
    let Some(observed) = gather::gather(ctx, key, Utc::now()) else {
        return Ok(report::gone(ctx, key));
    };
    let Some(observed) = ask::answered(ctx, key, questions(&observed), observed, bell).await else {
        return Ok(report::gone(ctx, key));
    };
    let Some(observed) = cover::known(ctx, key, observed).await else {
        return Ok(report::gone(ctx, key));
    };
    let plan = decide(&observed);
    let (plan, broken) = checked(ctx, &observed, plan)?;
    ctx.memory.note(key, |m| m.planned(&plan, looked));
    let done = carry_out::carry_out(ctx, &observed, &plan, looked).await;
    let done = done.inspect_err(|error| report::unwritten(ctx, key, (&observed, &plan), error))?;
    report::done(ctx, &observed, &plan, &done);
    broken.map_or_else(|| Ok(report::next(ctx, key, &done)), |violation| Err(violation.into()))
}

/// A plan that breaks a promise is not carried out, except for what brings traffic back.
fn checked(ctx: &Context, observed: &Observed, plan: Plan) -> Result<(Plan, Option<Violation>), Violation> {
    let Err(violation) = check(observed, &plan) else { return Ok((plan, None)) };
    ctx.metrics.violation(observed.namespace(), observed.name());
    let actions: Vec<String> = plan.actions.iter().map(ToString::to_string).collect();
    tracing::error!(%violation, phase = ?plan.status.phase, ?actions, "a plan breaks a promise and is not carried out");
    let raises = matches!(violation, Violation::Share { .. } | Violation::NoEndpoint);
    if raises || !plan.urgent {
        return Err(violation);
    }
    let lowers = |action: &Action| matches!(action, Action::PatchRoute { .. });
    let actions = plan.actions.into_iter().filter(lowers).collect();
    Ok((Plan { actions, ..plan }, Some(violation)))
}
