//! Evidence: from the answers of this pass to verdicts, and the test states that status keeps.

mod exits;
mod history;
mod journal;
mod judge;
mod outlook;
mod refuse;
mod replay;
mod signals;
mod spans;
mod start;

pub use exits::remember_exits;
pub use history::{Before, Past, past};
pub use judge::{Grid, Judged, candidate_endpoints, counts, judge, looks};
pub use outlook::{Detail, Foreseen, Schedule, about, forecast};
pub use replay::{MetricFinding, Replay, ReplayError};
pub use signals::{Signal, Silent, on_breach, signals, silence};
pub use spans::{
    discard, foreign_begin, foreign_end, foreign_move, mirror_switched, prune, remember_pods, warm_up,
    warm_up_of,
};
pub use start::{begin, metric_plans, plan_metrics, tail_ms};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::analysis::{MetricPlan, MetricState};
use crate::api::{MarkKind, Metric, MetricEvidence};

use super::{Draft, Observed};

/// How far a metric's samples have been processed.
pub fn cursor(metric: &MetricEvidence) -> Option<DateTime<Utc>> {
    let at = metric.state.get("cursor")?.get("at")?.as_str()?;
    DateTime::parse_from_rfc3339(at).ok().map(|t| t.to_utc())
}

/// The plan and state that status holds of a metric; `None` when an older or newer operator wrote what cannot be read,
/// which ends the attempt's evidence and never counts for or against anybody.
pub fn unpack(metric: &MetricEvidence) -> Option<(MetricPlan, MetricState)> {
    Some((from_map(&metric.plan)?, from_map(&metric.state)?))
}

/// A metric at the start of an attempt, as status keeps it. The plan holds the limits, so they are not kept twice.
pub fn pack(metric: &Metric, plan: &MetricPlan, state: &MetricState) -> MetricEvidence {
    let asked = Metric { worse: None, proof: None, ..metric.clone() };
    MetricEvidence {
        name: plan.name.clone(),
        asked: to_map(&asked),
        plan: to_map(plan),
        state: to_map(state),
    }
}

/// The same metric, its test moved on.
pub fn moved(metric: &MetricEvidence, state: &MetricState) -> MetricEvidence {
    MetricEvidence { state: to_map(state), ..metric.clone() }
}

/// The metric as it was at the start of the attempt; as the spec has it when an older operator began the attempt.
pub fn asked(obs: &Observed, metric: &MetricEvidence) -> Option<Metric> {
    let in_spec = || obs.rollout.spec.analysis.metrics.iter().find(|m| m.name == metric.name).cloned();
    from_map(&metric.asked).or_else(in_spec)
}

fn from_map<T: DeserializeOwned>(map: &Map<String, Value>) -> Option<T> {
    T::deserialize(map).ok()
}

fn to_map<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// The share changed within the step: silence is judged only on what comes after.
pub fn share_changed(d: &mut Draft<'_>) {
    let now = d.now();
    let Some(e) = &mut d.status.evidence else { return };
    for metric in &mut e.tests.metrics {
        if let Some((_, state)) = unpack(metric) {
            *metric = moved(metric, &state.share_changed(now));
        }
    }
}

/// A step begins: its samples are counted anew.
pub fn begin_step(d: &mut Draft<'_>) {
    note(d, MarkKind::Step);
}

/// A step begins, or begins again, that is an A/B test: its sessions are counted from here on.
pub fn begin_ab_test(d: &mut Draft<'_>) {
    note(d, MarkKind::AbTest);
}

fn note(d: &mut Draft<'_>, what: MarkKind) {
    let now = d.now();
    if let Some(e) = &mut d.status.evidence {
        journal::note(e, what, now, None);
    }
}

/// The watch begins again with new ledgers: what it compared with has changed.
pub fn restart_watch(d: &mut Draft<'_>) {
    note(d, MarkKind::WatchAgain);
}
