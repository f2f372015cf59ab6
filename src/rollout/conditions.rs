//! The conditions and the one sentence that say how a rollout stands, for people, kubectl and kstatus.

use crate::api::condition::{self, ConditionType, Finding};
use crate::api::{Phase, StepStatus};

use super::Draft;

/// Sets Ready, Reconciling, Stalled, Adopted and the message.
pub fn report(d: &mut Draft<'_>) {
    let phase = d.phase();
    if d.status.phase.is_none() {
        d.status.phase = Some(Phase::Pending);
    }
    let message = message(d, phase);
    d.status.message.clone_from(&message);
    let reason =
        d.stalled.as_ref().or(d.hold.as_ref()).map_or_else(|| phase.to_string(), |f| f.reason.clone());
    let ready = match (phase, &d.stalled) {
        (Phase::Active, None) => Finding::yes("Active", message.clone()),
        (_, _) => Finding::no(reason.clone(), message.clone()),
    };
    d.condition(ConditionType::Ready, ready);
    match d.stalled.clone() {
        Some(finding) => {
            d.condition(ConditionType::Stalled, finding);
            condition::clear(&mut d.status.conditions, ConditionType::Reconciling);
        }
        None => {
            condition::clear(&mut d.status.conditions, ConditionType::Stalled);
            match phase {
                Phase::Active | Phase::RolledBack => {
                    condition::clear(&mut d.status.conditions, ConditionType::Reconciling);
                }
                Phase::Pending
                | Phase::Preparing
                | Phase::Shadow
                | Phase::Canary
                | Phase::Watching
                | Phase::Settling
                | Phase::RollingBack
                | Phase::Deleting => d.condition(ConditionType::Reconciling, Finding::yes(reason, message)),
            }
        }
    }
    match d.warnings.first().cloned() {
        Some(first) => {
            let all: Vec<String> = d.warnings.iter().map(|w| w.message.clone()).collect();
            d.condition(ConditionType::Adopted, Finding::no(first.reason, all.join("; ")));
        }
        None if d.status.adoption.is_some() => {
            d.condition(
                ConditionType::Adopted,
                Finding::yes("Fits", "the user's objects fit what is needed"),
            );
        }
        None => condition::clear(&mut d.status.conditions, ConditionType::Adopted),
    }
}

fn message(d: &Draft<'_>, phase: Phase) -> String {
    let active = d.status.active.as_ref().map_or("nothing", |a| a.version.as_str());
    let candidate = d.status.candidate.as_ref().map_or("-", |c| c.version.as_str());
    let stalled = d.stalled.as_ref().or(d.hold.as_ref()).map(|f| f.message.clone());
    let base = match phase {
        Phase::Pending => format!("{active} serves; {} is being looked at", d.spec().version),
        Phase::Preparing => format!("{active} serves; the pods of {candidate} are being started"),
        Phase::Shadow => format!("{active} serves; {candidate} gets a mirrored copy"),
        Phase::Canary => format!(
            "{candidate} has {} % of the traffic ({active} the rest), {}",
            set(&d.status.step),
            number(d)
        ),
        Phase::Watching => format!(
            "{candidate} has {} % of the traffic and is watched; {active} stays warm",
            set(&d.status.step)
        ),
        Phase::Settling => format!("{candidate} is verified; Services and route are being put to rest"),
        Phase::Active => format!("{active} is active"),
        Phase::RollingBack => {
            let why = d.status.rollback.as_ref().map_or("", |r| r.message.as_str());
            format!("traffic goes back to {active}: {why}")
        }
        Phase::RolledBack => format!("{active} is active"),
        Phase::Deleting => format!("being deleted; {active} goes on serving"),
    };
    super::draft::cut(stalled.map_or(base.clone(), |s| format!("{base}. {s}")), 1024)
}

fn set(step: &Option<StepStatus>) -> i32 {
    step.as_ref().map_or(0, |s| s.set)
}

fn number(d: &Draft<'_>) -> String {
    let index = d.status.step.as_ref().map_or(0, |s| s.index);
    format!("step {} of {}", index + 1, d.spec().strategy.canary.steps.len())
}
