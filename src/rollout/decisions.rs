//! People's decisions: each is taken up once, in the order of the safer first, and gets its outcome.

use crate::api::{
    DecisionAction, DecisionOutcome, DecisionRecord, Pause, Phase, RolloutDecision, RolloutDecisionStatus,
    time,
};

use super::draft::RING;
use super::rollback::{self, Cause};
use super::{Action, Draft, ab_test, expedite, rejected};

/// What the decisions ask of the phase that is about to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// A rollback was begun; the phase has changed.
    pub rolled_back: bool,
}

/// Takes up all decisions that have no outcome.
pub fn take_up(d: &mut Draft<'_>) -> Wishes {
    let mut wishes = Wishes::default();
    let mut open: Vec<RolloutDecision> = d.obs.decisions.clone();
    // Creation times have a resolution of a second: of two in the same second the safer wins.
    open.sort_by_key(|x| (x.metadata.creation_timestamp.clone().map(|t| t.0), rank(x.spec.action)));
    let mut safer = None;
    for decision in open {
        let created = decision.metadata.creation_timestamp.as_ref().map(time::from_api);
        let uid = decision.metadata.uid.clone().unwrap_or_default();
        let known = d.status.decisions.iter().find(|r| r.uid == uid).cloned();
        let record = match known {
            Some(record) => record,
            None => {
                let (outcome, message) = if safer.is_some()
                    && safer == created
                    && goes_on(decision.spec.action)
                {
                    let message = "a safer decision was made in the same second; if this was meant to follow it, decide again";
                    (DecisionOutcome::Refused, message.to_owned())
                } else {
                    apply(d, &decision, &mut wishes)
                };
                record(d, &decision, uid, outcome, message)
            }
        };
        if record.outcome == DecisionOutcome::Applied
            && rank(decision.spec.action) < rank(DecisionAction::Resume)
        {
            safer = created;
        }
        let status = RolloutDecisionStatus {
            outcome: Some(record.outcome),
            message: record.message.clone(),
            at: Some(record.at),
            plan_hash: Some(record.plan_hash.clone()).filter(|h| !h.is_empty()),
            claimed_by: Some(decision.spec.by.clone()),
        };
        let name = decision.metadata.name.clone().unwrap_or_default();
        d.act(Action::RecordOutcome { name, status });
    }
    wishes
}

fn record(
    d: &mut Draft<'_>,
    decision: &RolloutDecision,
    uid: String,
    outcome: DecisionOutcome,
    message: String,
) -> DecisionRecord {
    let name = decision.metadata.name.clone().unwrap_or_default();
    let (action, by) = (decision.spec.action, &decision.spec.by);
    d.event(
        outcome != DecisionOutcome::Applied,
        "Decision",
        format!("{action:?} by {by} (claimed): {message}"),
    );
    let plan_hash = plan_hash(d);
    let record = DecisionRecord { uid, name, outcome, message, at: d.now(), plan_hash };
    d.status.decisions.push(record.clone());
    let excess = d.status.decisions.len().saturating_sub(RING);
    d.status.decisions.drain(..excess);
    record
}

/// Whether a decision lets a rollout go on that a safer one stops.
fn goes_on(action: DecisionAction) -> bool {
    match action {
        DecisionAction::Resume | DecisionAction::Promote => true,
        DecisionAction::Abort
        | DecisionAction::Rollback
        | DecisionAction::Pause
        | DecisionAction::Approve
        | DecisionAction::Retry => false,
    }
}

/// The safer first.
fn rank(action: DecisionAction) -> u8 {
    match action {
        DecisionAction::Abort => 0,
        DecisionAction::Rollback => 1,
        DecisionAction::Pause => 2,
        DecisionAction::Resume => 3,
        DecisionAction::Promote => 4,
        DecisionAction::Approve => 5,
        DecisionAction::Retry => 6,
    }
}

fn plan_hash(d: &Draft<'_>) -> String {
    d.status.candidate.as_ref().map_or_else(String::new, |c| c.plan_hash.clone())
}

fn apply(d: &mut Draft<'_>, decision: &RolloutDecision, wishes: &mut Wishes) -> (DecisionOutcome, String) {
    let spec = &decision.spec;
    let created = decision.metadata.creation_timestamp.as_ref().map(time::from_api);
    let rollout_created = d.obs.rollout.metadata.creation_timestamp.as_ref().map(time::from_api);
    if created < rollout_created {
        return (DecisionOutcome::Expired, "the decision is older than the rollout".into());
    }
    if spec.expires_at.as_ref().and_then(time::Moment::get).is_some_and(|t| t <= d.now()) {
        return (DecisionOutcome::Expired, "its time has passed".into());
    }
    let bound =
        matches!(spec.action, DecisionAction::Approve | DecisionAction::Promote | DecisionAction::Resume);
    let in_force = plan_hash(d);
    if bound && spec.plan_hash.as_deref() != Some(in_force.as_str()) {
        let message = format!(
            "the plan has changed: {} was decided about, {} is in force",
            spec.plan_hash.as_deref().unwrap_or("none"),
            if in_force.is_empty() { "none" } else { &in_force }
        );
        return (DecisionOutcome::Refused, message);
    }
    let outcome = match spec.action {
        DecisionAction::Approve => Err("nothing waits for an approval".to_owned()),
        DecisionAction::Pause => pause(d, decision),
        DecisionAction::Resume => resume(d),
        DecisionAction::Promote => promote(d),
        DecisionAction::Abort => abort(d, decision, wishes),
        DecisionAction::Rollback => roll_back(d, decision, wishes),
        DecisionAction::Retry => retry(d, decision),
    };
    match outcome {
        Ok(message) => (DecisionOutcome::Applied, message),
        Err(message) => (DecisionOutcome::Refused, message),
    }
}

fn pause(d: &mut Draft<'_>, decision: &RolloutDecision) -> Result<String, String> {
    let since = d.now();
    d.status.pause =
        Some(Pause { by: decision.spec.by.clone(), since, reason: decision.spec.reason.clone() });
    Ok("paused; a breach still rolls back".into())
}

fn resume(d: &mut Draft<'_>) -> Result<String, String> {
    let paused = d.status.pause.take().is_some();
    let overridden = d.status.overridden.as_mut().map(|o| o.resumed = true).is_some();
    match (paused, overridden) {
        (false, false) => Err("nothing is paused or overridden".into()),
        (_, true) => Ok("resumed; the decided weight is written again".into()),
        (true, false) => Ok("resumed".into()),
    }
}

fn promote(d: &mut Draft<'_>) -> Result<String, String> {
    match d.phase() {
        Phase::Canary => {
            if let Some(s) = &mut d.status.step {
                s.promoted = true;
            }
            let ended = if ab_test::awaits_choice(d) {
                "the candidate is chosen as the winner of the A/B test"
            } else {
                "the hold of this step is ended"
            };
            Ok(format!("{ended}; the evidence is still asked for"))
        }
        Phase::Watching => {
            if let Some(s) = &mut d.status.step {
                s.promoted = true;
            }
            Ok("the watch is ended as verified".into())
        }
        phase @ (Phase::Pending
        | Phase::Preparing
        | Phase::Shadow
        | Phase::Settling
        | Phase::Active
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Deleting) => Err(format!("there is nothing to promote in phase {phase}")),
    }
}

fn abort(d: &mut Draft<'_>, decision: &RolloutDecision, wishes: &mut Wishes) -> Result<String, String> {
    let by = &decision.spec.by;
    back(d, wishes, "Aborted", format!("aborted by {by} (claimed): {}", decision.spec.reason))
}

fn roll_back(d: &mut Draft<'_>, decision: &RolloutDecision, wishes: &mut Wishes) -> Result<String, String> {
    let by = &decision.spec.by;
    let why = format!("rolled back by {by} (claimed): {}", decision.spec.reason);
    let active = d.status.active.as_ref().map(|a| a.version.clone());
    match (d.phase(), &decision.spec.version) {
        (Phase::Settling, _) if super::phases::settling::turned(d) => super::phases::settling::reverse(d),
        (Phase::Active | Phase::RolledBack, Some(version)) => expedite::begin(d, version, &why),
        (Phase::Active | Phase::RolledBack, None) => {
            Err("nothing is being rolled out; name the version to go back to".into())
        }
        (_, Some(version)) if Some(version) != active.as_ref() => Err(format!(
            "a rollout is under way; a rollback goes to the active version {}",
            active.unwrap_or_default()
        )),
        (_, _) => back(d, wishes, "RolledBackByDecision", why),
    }
}

fn back(d: &mut Draft<'_>, wishes: &mut Wishes, reason: &str, message: String) -> Result<String, String> {
    match d.phase() {
        Phase::Preparing | Phase::Shadow | Phase::Canary | Phase::Watching | Phase::Settling => {
            if d.phase() == Phase::Settling && super::phases::settling::turned(d) {
                return Err("the new version is already active; a Rollback decision goes back".into());
            }
            let at = d.now();
            rollback::begin(d, Cause::reject(reason, message, at));
            wishes.rolled_back = true;
            Ok("traffic is brought back; the candidate is turned down".into())
        }
        phase @ (Phase::Pending
        | Phase::Active
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Deleting) => Err(format!("nothing is being rolled out in phase {phase}")),
    }
}

fn retry(d: &mut Draft<'_>, decision: &RolloutDecision) -> Result<String, String> {
    let version = decision.spec.version.clone().unwrap_or_else(|| d.spec().version.clone());
    if rejected::retry(d, &version) {
        Ok(format!("{version} may be tried again"))
    } else {
        Err(format!("{version} is not among the rejected versions"))
    }
}
