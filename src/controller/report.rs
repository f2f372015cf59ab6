//! What is told after the writes: logs, metrics, Events.

use std::time::Instant;

use chrono::Utc;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;

use super::carry_out::Done;
use super::context::{Context, Remembered};
use super::error::Error;
use super::queue::{Job, Next};
use crate::api::{ModelRollout, ModelRolloutStatus, Phase};
use crate::cluster::Class;
use crate::cluster::shelf::Key;
use crate::rollout::observed::FailedWrite;
use crate::rollout::{Event, Observed, Plan};

/// A pass went through.
pub fn done(ctx: &Context, observed: &Observed, plan: &Plan, done: &Done) {
    let (namespace, name) = (observed.namespace(), observed.name());
    tracing::debug!(
        phase = ?plan.status.phase,
        actions = plan.actions.len(),
        status = done.status,
        requeue_ms = plan.requeue.map(|d| d.num_milliseconds()),
        "pass"
    );
    transition(ctx, observed, &plan.status);
    if let Some(after) = done.route_after {
        let ms = after.as_secs_f64() * 1000.0;
        let weights = plan.status.weights.unwrap_or_default();
        tracing::info!(
            ms_from_look = ms,
            candidate_before = weights.candidate,
            urgent = plan.urgent,
            "route written"
        );
        if plan.urgent && plan.status.phase == Some(Phase::RollingBack) {
            ctx.metrics.rolled_back(namespace, name, after);
        }
    }
    let about = observed.rollout.object_ref(&());
    for event in &plan.events {
        ctx.events.tell(about.clone(), event);
    }
    ctx.metrics.stands(namespace, name, &plan.status, plan.requeue.is_none());
    ctx.memory.note(&Key::of(&observed.rollout.metadata), |m| {
        m.told = None;
        m.urgent = false;
    });
}

fn transition(ctx: &Context, observed: &Observed, now: &ModelRolloutStatus) {
    let before = observed.rollout.status.as_ref();
    let (from, to) = (before.and_then(|s| s.phase), now.phase);
    let step = |s: &ModelRolloutStatus| s.step.as_ref().map(|s| (s.index, s.weight));
    if from == to && before.and_then(step) == step(now) {
        return;
    }
    let text = |phase: Option<crate::api::Phase>| phase.map_or_else(|| "none".to_owned(), |p| p.to_string());
    let (from, to) = (text(from), text(to));
    if from != to {
        ctx.metrics.transition(observed.namespace(), observed.name(), &from, &to);
        if now.phase == Some(Phase::RollingBack) {
            let reason = now.rollback.as_ref().map_or("", |r| r.reason.as_str());
            ctx.metrics.rollback(observed.namespace(), observed.name(), reason);
        }
    }
    let candidate = now.candidate.as_ref().or(before.and_then(|s| s.candidate.as_ref()));
    let numbers: Vec<&str> =
        now.analysis.iter().map(|m| m.message.as_str()).filter(|m| !m.is_empty()).collect();
    tracing::info!(
        from,
        to,
        version = candidate.map(|c| c.version.as_str()),
        plan = candidate.map(|c| c.plan_hash.as_str()),
        step = now.step.as_ref().map(|s| s.index),
        weight = now.step.as_ref().map(|s| s.weight),
        reason = now.rollback.as_ref().map(|r| r.reason.as_str()),
        why = now.rollback.as_ref().map(|r| r.message.as_str()),
        numbers = (!numbers.is_empty()).then(|| numbers.join("; ")),
        says = now.message,
        "transition"
    );
}

/// A pass failed. What a person must put right is told once, as an Event.
pub fn failed(ctx: &Context, job: &Job, error: &Error) -> Next {
    match error.class() {
        Class::Stale => tracing::debug!(%error, "the world has changed; looking again"),
        Class::RetrySoon => tracing::warn!(%error, "a pass failed; it is tried again soon"),
        Class::RetryLater => tracing::error!(%error, "a pass failed; it is tried again later"),
        Class::NotLeader => tracing::warn!(%error, "a pass was abandoned"),
    }
    let class = error.class();
    let key = match job {
        Job::Rollout(key) => key,
        Job::Version(_) => return Next::Failed { class, urgent: false, look_at: None },
    };
    if class == Class::RetryLater {
        tell_once(ctx, key, error);
    }
    let Remembered { urgent, look_at, .. } = ctx.memory.of(key);
    Next::Failed { class, urgent, look_at: look_at.map(Into::into) }
}

/// Leaves for the next pass what this one could not write. When not even the status could be written, the look was for
/// nothing, and nothing can be said there; else the intent is on record, and the next pass does not see it as news.
pub fn unwritten(ctx: &Context, key: &Key, (observed, plan): (&Observed, &Plan), error: &Error) {
    let Error::Write(error) = error else { return };
    if error.resource == "modelrollouts/status" {
        return ctx.memory.note(key, |m| m.look_at = None);
    }
    transition(ctx, observed, &plan.status);
    let refused = error.class() == Class::RetryLater;
    let failed = FailedWrite::new(error.what(), error.why.to_string(), refused, Utc::now());
    ctx.memory.note(key, |m| m.failed_write = Some(failed.after(m.failed_write.take())));
}

fn tell_once(ctx: &Context, key: &Key, error: &Error) {
    let Some(rollout) = ctx.stores.rollouts.get(key) else { return };
    let message = error.to_string();
    if ctx.memory.of(key).told.as_deref() != Some(message.as_str()) {
        let about: ObjectReference = ModelRollout::object_ref(&rollout, &());
        let reason = match error {
            Error::Write(_) => "WriteFailed",
            Error::Violation(_) => "PlanRefused",
        };
        ctx.events.tell(about, &Event { warning: true, reason: reason.to_owned(), message: message.clone() });
        ctx.memory.note(key, |m| m.told = Some(message));
    }
}

/// There is no such rollout any more.
pub fn gone(ctx: &Context, key: &Key) -> Next {
    ctx.memory.forget(key);
    ctx.metrics.forget(&key.namespace, &key.name);
    Next::Gone
}

/// When to look again: as the plan says, or at once when status still says of a write that it is refused.
pub fn next(ctx: &Context, key: &Key, done: &Done) -> Next {
    let until = if done.acted && ctx.memory.relieved(key) {
        Some(Instant::now())
    } else {
        ctx.memory.of(key).look_at
    };
    Next::Wait { until: until.map(Into::into), wrote: done.writes > 0 }
}
