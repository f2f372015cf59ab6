//! What stable did before the attempt: read once, before the candidate has any traffic.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Arm, Counter, Counts, Cursor, RawSeries, Window, intervals, sample};
use crate::api::{Evidence, Metric};
use crate::rollout::questions::{Answer, Answers, BURSTS, HISTORY, Question};
use crate::rollout::{Draft, accepted, questions};

use super::refuse;

/// Stable's past in one metric.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Gains over the hour before the attempt.
    pub hour: Counts,
    /// Seconds that these gains took: fewer than an hour's when its pods are younger.
    pub seconds: f64,
    /// Gains by look over the two hours before the attempt, in order of time. Looks without requests are left out.
    pub looks: Vec<Counts>,
}

impl Past {
    /// Requests or scores in a second; nothing where no time is known.
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.hour.n / self.seconds)
    }
}

/// Reads it from the answers of this pass. An error names the query that has no data on stable and what to do.
pub fn of(d: &Draft<'_>, found: &Evidence, metric: &Metric) -> Result<Past, (&'static str, String)> {
    read(&d.obs.answers, found, metric, |finding| accepted::accepted(d.obs, finding))
}

/// The same from any answers.
pub fn read(
    answers: &Answers,
    found: &Evidence,
    metric: &Metric,
    accepted: impl Fn(&str) -> bool,
) -> Result<Past, (&'static str, String)> {
    let started: BTreeMap<String, DateTime<Utc>> =
        found.tests.pods.stable.iter().filter_map(|p| p.started.map(|t| (p.name.clone(), t))).collect();
    let before = Before {
        t0: found.t0,
        interval: Duration::milliseconds(found.interval_ms),
        scrape: answers.scrape.unwrap_or_else(|| questions::scrape(found)),
        started: &started,
    };
    past(metric, &answers.given, &before, accepted)
}

/// What is known beside the answers about the time before the attempt.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// Start of the attempt.
    pub t0: DateTime<Utc>,
    /// Length of a look.
    pub interval: Duration,
    /// The scrape interval.
    pub scrape: Duration,
    /// When stable's pods started, by name.
    pub started: &'a BTreeMap<String, DateTime<Utc>>,
}

/// Stable's past in a metric, from the answers about it. `accepted`: whether the user accepts a finding.
///
/// # Errors
/// Why the metric cannot be tested, or which query has no data: reason and message.
pub fn past(
    metric: &Metric,
    given: &[(Question, Answer)],
    before: &Before<'_>,
    accepted: impl Fn(&str) -> bool,
) -> Result<Past, (&'static str, String)> {
    let series = series(given, metric)?;
    if metric.value.is_some() {
        // A value has no past that anything is chosen from.
        return refuse::several(metric, &series).map_or(Ok(Past::default()), Err);
    }
    // Up to the question, not to t0: data that came while the candidate was started count too, and it has had no traffic yet.
    let asked = given.iter().filter(|(q, _)| q.metric == metric.name && q.arm == Arm::Stable);
    let until = asked.map(|(q, _)| q.to).max().unwrap_or(before.t0);
    let read = |length: Duration, interval: Duration| {
        let window = Window {
            interval,
            until,
            lookback: sample::lookback(interval, before.scrape),
            series: &series,
            started: before.started,
            discarded: &[],
            birth: Default::default(),
        };
        intervals(&Cursor::start(until - length), &window)
    };
    let whole = read(HISTORY, HISTORY);
    if let Some(problem) = whole.problems.first() {
        return Err(("QueryRefused", format!("metric {}: {problem}", metric.name)));
    }
    let mut hour = Counts::default();
    whole.intervals.iter().for_each(|i| hour.add(&i.stable));
    if let Some(refusal) = refuse::refusal(metric, &series, &hour, until, accepted) {
        return Err(refusal);
    }
    let looks = read(BURSTS, before.interval).intervals;
    let looks = looks.into_iter().map(|i| i.stable).filter(|counts| counts.n > 0.0).collect();
    Ok(Past { hour, seconds: seconds(&series, until), looks })
}

/// From the first sample of the hour to the last.
fn seconds(series: &[RawSeries], until: DateTime<Utc>) -> f64 {
    let from = (until - HISTORY).timestamp_millis();
    let totals = series.iter().filter(|one| one.counter == Counter::Total);
    let within = |t: &i64| (from..=until.timestamp_millis()).contains(t);
    let times = || totals.clone().flat_map(|one| one.samples.iter().map(|(t, _)| *t)).filter(within);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => (last - first) as f64 / 1000.0,
        (None, _) | (_, None) => 0.0,
    }
}

fn series(given: &[(Question, Answer)], metric: &Metric) -> Result<Vec<RawSeries>, (&'static str, String)> {
    let mut series: Vec<RawSeries> = Vec::new();
    for (field, selector) in questions::fields(metric) {
        let answer = given
            .iter()
            .find(|(q, _)| q.metric == metric.name && q.arm == Arm::Stable && q.field == field)
            .map(|(_, a)| a);
        match answer {
            Some(Answer::Series(of)) => series.extend(of.iter().cloned()),
            Some(Answer::NoData) if field.may_be_absent() => {}
            Some(Answer::NoData) => {
                let message = format!(
                    "metric {}: the query {selector} has no data for the stable version; check the selector and that its pods are scraped{}",
                    metric.name,
                    refuse::histogram_hint(metric)
                );
                return Err(("NoDataOnStable", message));
            }
            Some(Answer::Failed { transient: true, message }) => {
                return Err(("PrometheusUnavailable", format!("metric {}: {message}", metric.name)));
            }
            Some(Answer::Failed { transient: false, message }) => {
                return Err(("QueryRefused", format!("metric {}: {message}", metric.name)));
            }
            None => {
                return Err((
                    "EvidencePending",
                    format!("metric {}: waiting for the first answer", metric.name),
                ));
            }
        }
    }
    Ok(series)
}
