//! Values of an expression: shown, or held against fixed limits. No statistics: nothing is known of how a value varies, so it
//! takes no part of the error budget, carries no guarantee and proves nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::interval::{Arm, Counts, Cursor, Interval, Looks, Problem};
use super::plan::MetricPlan;
use super::sample::{RawSeries, Window, discarded};
use super::state::{BreachKind, MetricState};
use super::verdict::{MetricVerdict, Outcome, Reason, Rounded};

/// Fixed limits of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Below it is beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Rounded>,
    /// Above it is beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Rounded>,
}

impl Range {
    /// No limit at all: the value is only shown.
    pub fn is_open(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    /// The limit that a value is beyond.
    pub fn beyond(&self, value: f64) -> Option<f64> {
        let (min, max) = (self.min.map(|m| m.0), self.max.map(|m| m.0));
        max.filter(|max| value > *max).or(min.filter(|min| value < *min))
    }

    /// "at least 0.8, at most 1.2".
    pub fn in_words(&self) -> String {
        let min = self.min.map(|m| format!("at least {}", m.0));
        let max = self.max.map(|m| format!("at most {}", m.0));
        min.into_iter().chain(max).collect::<Vec<_>>().join(", ")
    }
}

/// The values of the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// The candidate's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Rounded>,
    /// Stable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Rounded>,
}

impl Values {
    /// The candidate is beyond a limit that stable keeps: what moves both is no breach.
    pub fn breached(&self, range: &Range) -> bool {
        let beyond = |value: Option<Rounded>| value.and_then(|v| range.beyond(v.0)).is_some();
        beyond(self.candidate) && !beyond(self.stable)
    }
}

/// The values between the edges of the grid: the last one of each interval, as one sample whose sum is the value. An interval
/// without a value has none; a gap is not pooled, since a value says nothing about the time before it.
pub fn readings(cursor: &Cursor, window: &Window<'_>) -> Looks {
    let mut looks =
        Looks { intervals: Vec::new(), cursor: cursor.clone(), empty_looks: 0, problems: several(window) };
    if !looks.problems.is_empty() {
        return looks;
    }
    let mut start = cursor.at;
    while start + window.interval <= window.until {
        let end = start + window.interval;
        looks.intervals.push(Interval {
            start,
            end,
            looks: 1,
            discarded: discarded(window.discarded, start, end),
            stable: last(window, Arm::Stable, start, end),
            candidate: last(window, Arm::Candidate, start, end),
            // Only counters of requests tell whether anybody is silent.
            candidate_scraped: false,
            stable_scraped: false,
        });
        start = end;
    }
    looks.cursor.at = start;
    looks
}

fn last(window: &Window<'_>, arm: Arm, start: DateTime<Utc>, end: DateTime<Utc>) -> Counts {
    let (from, to) = (start.timestamp_millis(), end.timestamp_millis());
    let of_arm = window.series.iter().filter(|s| s.arm == arm);
    let samples = of_arm.flat_map(|s| &s.samples).filter(|(at, v)| *at > from && *at <= to && v.is_finite());
    let value = samples.max_by_key(|(at, _)| *at).map(|(_, value)| *value);
    value.map_or_else(Counts::default, |sum| Counts { n: 1.0, sum, ..Counts::default() })
}

/// An expression that gives several numbers for an arm says nothing about it.
fn several(window: &Window<'_>) -> Vec<Problem> {
    let of = |arm: Arm| window.series.iter().filter(move |s: &&RawSeries| s.arm == arm).count();
    let most = of(Arm::Stable).max(of(Arm::Candidate));
    if most > 1 { vec![Problem::Several { series: most }] } else { Vec::new() }
}

/// One interval that is judged. True when the candidate had a value.
pub fn look(plan: &MetricPlan, state: &mut MetricState, interval: &Interval) -> bool {
    let value = |counts: &Counts| (counts.n > 0.0).then_some(Rounded(counts.sum));
    let now = Values { candidate: value(&interval.candidate), stable: value(&interval.stable) };
    state.candidate.n += interval.candidate.n;
    state.stable.n += interval.stable.n;
    state.waiting = false;
    if now.candidate.is_none() {
        state.idle += interval.looks;
        return false;
    }
    state.idle = 0;
    state.over.look(now.breached(&plan.range));
    if state.over.count() >= plan.confirm {
        state.latch(BreachKind::Range, interval.end, 0.0, 0.0);
    }
    state.engine = super::engine::Engine::Value(now);
    true
}

/// How the value stands, when no limit has been passed for good.
pub fn outcome(plan: &MetricPlan, state: &MetricState, empty_looks: u32) -> Outcome {
    if state.idle + empty_looks < plan.stale {
        return Outcome::Inconclusive { samples_needed: None, towards: None };
    }
    let text = "the expression has given no number for the candidate in the last looks; check it, and that there is traffic";
    Outcome::Unavailable(Reason::Problem(text.into()))
}

/// What a person reads: it never says more than a value can.
pub fn sentence(plan: &MetricPlan, verdict: &MetricVerdict) -> String {
    let number = |value: Option<Rounded>| value.map_or_else(|| "no value".into(), |v| format!("{:.4}", v.0));
    let (candidate, stable) = (verdict.candidate.value, verdict.stable.value);
    let mut text = format!("{}: {}, stable: {}", plan.version, number(candidate), number(stable));
    if plan.range.is_open() {
        text += ". It is only shown.";
    } else {
        text += &format!("; {}.", plan.range.in_words());
    }
    let beyond = |value: Option<Rounded>| value.is_some_and(|v| plan.range.beyond(v.0).is_some());
    if beyond(candidate) && beyond(stable) {
        text += " Stable is beyond it too: both arms moved, which is no breach.";
    }
    text + " A value has no statistical guarantee: it takes no part of falseRollbackRate and proves nothing."
}
