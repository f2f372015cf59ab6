//! Conditions: their types, and setting one without moving its time needlessly.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::time;

/// Types of condition on our kinds. `Reconciling` and `Stalled` are there only while true, as kstatus asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The object is as its spec asks: the version named there is active.
    Ready,
    /// Work is under way.
    Reconciling,
    /// Nothing moves until a person acts; the message says what to do.
    Stalled,
    /// The candidate's pods are there and ready.
    CandidateReady,
    /// The gateway has taken the route as written.
    RouteProgrammed,
    /// Fresh samples of both arms are there to judge on.
    EvidenceAvailable,
    /// The stable version has the capacity it had at the start.
    StableCapacity,
    /// The user's objects fit what we need; false names what does not.
    Adopted,
}

impl ConditionType {
    /// The name in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::CandidateReady => "CandidateReady",
            Self::RouteProgrammed => "RouteProgrammed",
            Self::EvidenceAvailable => "EvidenceAvailable",
            Self::StableCapacity => "StableCapacity",
            Self::Adopted => "Adopted",
        }
    }
}

/// What a condition says: a state, a reason in CamelCase and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the condition holds; `None` is `Unknown`.
    pub status: Option<bool>,
    /// Reason in CamelCase; stable, documented.
    pub reason: String,
    /// What is so, and what a person can do about it.
    pub message: String,
}

impl Finding {
    /// A condition that holds.
    pub fn yes(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: Some(true), reason: reason.into(), message: message.into() }
    }

    /// A condition that does not hold.
    pub fn no(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: Some(false), reason: reason.into(), message: message.into() }
    }

    /// A condition of which nothing is known yet.
    pub fn unknown(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: None, reason: reason.into(), message: message.into() }
    }
}

/// Longest message kept; the API refuses more than 32,768 characters and status is bounded to 64 KiB in all.
const MESSAGE_LIMIT: usize = 2048;

/// Sets one condition. The transition time moves only with the status, as every Kubernetes client expects.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    finding: Finding,
    generation: Option<i64>,
    now: DateTime<Utc>,
) {
    let status = match finding.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let message = truncated(finding.message);
    match conditions.iter_mut().find(|c| c.type_ == type_.as_str()) {
        Some(old) => {
            if old.status != status {
                old.last_transition_time = time::to_api(now);
            }
            old.status = status.to_owned();
            old.reason = finding.reason;
            old.message = message;
            old.observed_generation = generation;
        }
        None => {
            conditions.push(Condition {
                type_: type_.as_str().to_owned(),
                status: status.to_owned(),
                reason: finding.reason,
                message,
                observed_generation: generation,
                last_transition_time: time::to_api(now),
            });
            conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        }
    }
}

/// Takes a condition away.
pub fn clear(conditions: &mut Vec<Condition>, type_: ConditionType) {
    conditions.retain(|c| c.type_ != type_.as_str());
}

/// The condition of that type.
pub fn get(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

fn truncated(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT - 4;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str(" ...");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        let t0 = DateTime::from_timestamp(1_000, 0).unwrap();
        let t1 = DateTime::from_timestamp(2_000, 0).unwrap();
        set(&mut conditions, ConditionType::Ready, Finding::no("Canary", "at 5 %"), Some(1), t0);
        set(&mut conditions, ConditionType::Ready, Finding::no("Canary", "at 25 %"), Some(1), t1);
        assert_eq!(time::from_api(&conditions[0].last_transition_time), t0);
        assert_eq!(conditions[0].message, "at 25 %");
        set(&mut conditions, ConditionType::Ready, Finding::yes("Active", "done"), Some(1), t1);
        assert_eq!(time::from_api(&conditions[0].last_transition_time), t1);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(truncated("é".repeat(MESSAGE_LIMIT)).chars().last(), Some('.'));
    }
}
