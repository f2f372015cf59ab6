//! The tests of an attempt once more, from raw samples: what `understudy audit-evidence` compares with what status says.
//!
//! The state at a look is a pure function of the start, the notes of the [journal] and the samples, whatever the
//! operator went through meanwhile. Here the same functions run over the same stretch in one go. What is left out: values of
//! expressions, which are no evidence, and the last looks for the rule about silence, which begin again when the share changes.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value};

use crate::analysis::{Kind, MetricState, Stage, advance};
use crate::api::{Evidence, Mark, MarkKind, MetricEvidence};
use crate::rollout::questions::{self, Answers, Question};
use crate::rollout::{Observed, evidence};

use super::{Past, history, journal, judge, moved, prune, unpack};

/// Longest stretch that is asked for at once.
const STRETCH: Duration = Duration::minutes(20);

/// Parts of a state that are about silence, not about evidence.
const NOT_EVIDENCE: [&str; 2] = ["recent", "recentSince"];

/// Largest difference between two numbers that are called equal, relative to the larger, and absolute below 1.
pub const TOLERANCE: f64 = 1e-6;

/// Why an attempt cannot be recomputed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It ended before its limits were chosen, or an older operator ran it.
    #[error(
        "status does not say when the limits of this attempt were chosen: it ended before, or an older operator ran it"
    )]
    NoStart,
    /// More happened than status keeps.
    #[error(
        "more than {} changes of the share and the pods: what came after them is not in status",
        journal::MARKS
    )]
    TooMany,
    /// A state that this program cannot read.
    #[error("the saved evidence of {0} cannot be read by this version of the program")]
    Unreadable(String),
    /// The samples are not there, or cannot be had.
    #[error("{0}")]
    Samples(String),
}

/// An attempt that is being recomputed.
#[derive(Clone, Debug)]
pub struct Replay {
    stored: Evidence,
    again: Evidence,
    marks: Vec<Mark>,
    at: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Replay {
    /// What has to be known of stable's past before it can begin.
    ///
    /// # Errors
    /// When status does not hold what is needed.
    pub fn past(obs: &Observed, stored: &Evidence) -> Result<Vec<Question>, ReplayError> {
        let planned = planned(stored)?;
        let latency = |m: &&MetricEvidence| unpack(m).is_some_and(|(plan, _)| plan.kind == Kind::Latency);
        let metrics = stored.tests.metrics.iter().filter(latency).filter_map(|m| evidence::asked(obs, m));
        Ok(metrics.flat_map(|m| questions::past_of(obs, stored, &m, planned.at)).collect())
    }

    /// The attempt at its start; `past`: the answers to [`Self::past`].
    ///
    /// # Errors
    /// When status does not hold what is needed.
    pub fn start(obs: &Observed, stored: &Evidence, past: &Answers) -> Result<Self, ReplayError> {
        if stored.tests.marks.len() >= journal::MARKS {
            return Err(ReplayError::TooMany);
        }
        let planned = planned(stored)?;
        let stage = if planned.what == MarkKind::PlannedShadow { Stage::Shadow } else { Stage::Canary };
        let mut again = stored.clone();
        (again.t_k, again.tests.discarded) = (stored.t0, Vec::new());
        for metric in &mut again.tests.metrics {
            let (plan, state) = unpack(metric).ok_or_else(|| ReplayError::Unreadable(metric.name.clone()))?;
            // Only bounds of latency are chosen from the past; the rest of what it told stands in the plan.
            let past = match evidence::asked(obs, metric).filter(|_| plan.kind == Kind::Latency) {
                Some(asked) => history::read(past, stored, &asked, |_| true)
                    .map_err(|(_, message)| ReplayError::Samples(message))?,
                None => Past::default(),
            };
            *metric = moved(metric, &MetricState::start(&plan, stage, state.cursor.t0, Some(&past.hour)));
        }
        let ends = stored.tests.metrics.iter().filter_map(evidence::cursor);
        let end = ends.max().unwrap_or(stored.t_k);
        let mut replay =
            Self { stored: stored.clone(), again, marks: stored.tests.marks.clone(), at: stored.t0, end };
        replay.note();
        Ok(replay)
    }

    /// What is asked next; `None` when all has been recomputed.
    pub fn questions(&self, obs: &Observed) -> Option<Vec<Question>> {
        (self.at < self.end).then(|| questions::stretch(obs, &self.again, self.until()))
    }

    /// The share of the attempt that has been recomputed, 0 to 1.
    pub fn done(&self) -> f64 {
        let of = |to: DateTime<Utc>| (to - self.stored.t0).num_milliseconds().max(1) as f64;
        of(self.at) / of(self.end)
    }

    /// The answers to [`Self::questions`].
    ///
    /// # Errors
    /// When samples could not be read.
    pub fn go_on(&mut self, answers: &Answers) -> Result<(), ReplayError> {
        let until = self.until();
        let mut metrics = Vec::with_capacity(self.again.tests.metrics.len());
        for (metric, stored) in self.again.tests.metrics.iter().zip(&self.stored.tests.metrics) {
            let unreadable = || ReplayError::Unreadable(metric.name.clone());
            let (plan, state) = unpack(metric).ok_or_else(unreadable)?;
            if plan.kind == Kind::Value {
                metrics.push(metric.clone());
                continue;
            }
            let to = until.min(evidence::cursor(stored).ok_or_else(unreadable)?);
            let (looks, trouble) = judge::read(answers, &self.again, metric, (plan.kind, &state.cursor), to);
            if let Some((_, message)) = trouble {
                return Err(ReplayError::Samples(message));
            }
            metrics.push(moved(metric, &advance(&plan, &state, &looks).0));
        }
        self.again.tests.metrics = metrics;
        (self.at, self.again.t_k) = (until, until);
        prune(&mut self.again);
        self.note();
        Ok(())
    }

    /// What status says, beside what the samples say now.
    pub fn findings(&self) -> Vec<MetricFinding> {
        let both = self.stored.tests.metrics.iter().zip(&self.again.tests.metrics);
        both.filter_map(|(stored, again)| {
            let ((plan, then), (_, now)) = (unpack(stored)?, unpack(again)?);
            let mut differences = Vec::new();
            if plan.kind != Kind::Value {
                compare("", &object(&stored.state), &object(&again.state), &mut differences);
            }
            Some(MetricFinding {
                metric: plan.name.clone(),
                value: plan.kind == Kind::Value,
                stored: then,
                recomputed: now,
                differences,
            })
        })
        .collect()
    }

    /// The next note stops the stretch: what comes after it is judged by other rules.
    fn until(&self) -> DateTime<Utc> {
        let next = self.marks.first().map_or(self.end, |mark| mark.after);
        next.max(self.at).min(self.at + STRETCH).min(self.end)
    }

    fn note(&mut self) {
        let due = self.marks.iter().take_while(|mark| mark.after <= self.at).count();
        for mark in self.marks.drain(..due) {
            journal::apply(&mut self.again, &mark);
        }
    }
}

/// One metric in both.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFinding {
    /// Its name.
    pub metric: String,
    /// A value of an expression: not recomputed.
    pub value: bool,
    /// As status has it.
    pub stored: MetricState,
    /// As the samples have it.
    pub recomputed: MetricState,
    /// Where in the state they differ, with both values.
    pub differences: Vec<String>,
}

fn planned(stored: &Evidence) -> Result<&Mark, ReplayError> {
    let start = |mark: &&Mark| matches!(mark.what, MarkKind::PlannedShadow | MarkKind::PlannedCanary);
    stored.tests.marks.iter().find(start).ok_or(ReplayError::NoStart)
}

/// What is evidence of a state. Which pods have been counted is a set: when they became known changes their order alone.
fn object(state: &Map<String, Value>) -> Value {
    let evidence = state.iter().filter(|(key, _)| !NOT_EVIDENCE.contains(&key.as_str()));
    let mut all: Map<String, Value> = evidence.map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(Value::Array(pods)) = all.get_mut("cursor").and_then(|cursor| cursor.get_mut("counted")) {
        pods.sort_by_key(Value::to_string);
    }
    Value::Object(all)
}

/// Where two states differ. Numbers are written as text, so that none loses a digit.
fn compare(path: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeMap<&String, ()> = a.keys().chain(b.keys()).map(|key| (key, ())).collect();
            for key in keys.into_keys() {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}.{key}"), &of(a), &of(b), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{i}]"), a, b, out);
            }
        }
        (a, b) if a == b || close(a, b) => {}
        (a, b) => out.push(format!("{}: {a} in status, {b} from the samples", path.trim_start_matches('.'))),
    }
}

fn close(a: &Value, b: &Value) -> bool {
    let (Value::String(a), Value::String(b)) = (a, b) else { return false };
    let numbers =
        |text: &str| text.split_whitespace().map(|word| word.parse::<f64>().ok()).collect::<Option<Vec<_>>>();
    let (Some(a), Some(b)) = (numbers(a), numbers(b)) else { return false };
    let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0);
    a.len() == b.len() && a.iter().zip(&b).all(near)
}
