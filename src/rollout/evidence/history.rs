//! What stable did before the attempt: read once, before the candidate has any traffic.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Arm, Counter, Counts, Cursor, RawSeries, Window, intervals, sample};
use crate::api::{Evidence, Metric};
use crate::rollout::questions::{Answer, BURSTS, HISTORY};
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

/// Reads it from the answers of this pass. An error names the query that has no data on stable and what to do.
pub fn of(d: &Draft<'_>, found: &Evidence, metric: &Metric) -> Result<Past, (&'static str, String)> {
    let series = series(d, metric)?;
    if metric.value.is_some() {
        // A value has no past that anything is chosen from.
        return refuse::several(metric, &series).map_or(Ok(Past::default()), Err);
    }
    let scrape = d.obs.answers.scrape.unwrap_or_else(|| questions::scrape(found));
    // Up to the question, not to t0: data that came while the candidate was started count too, and it has had no traffic yet.
    let answers = &d.obs.answers.given;
    let asked = answers.iter().filter(|(q, _)| q.metric == metric.name && q.arm == Arm::Stable);
    let until = asked.map(|(q, _)| q.to).max().unwrap_or(found.t0);
    let started: BTreeMap<String, DateTime<Utc>> =
        found.pods.stable.iter().filter_map(|p| p.started.map(|t| (p.name.clone(), t))).collect();
    let read = |length: Duration, interval: Duration| {
        let window = Window {
            interval,
            until,
            lookback: sample::lookback(interval, scrape),
            series: &series,
            started: &started,
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
    let accepted = |finding: &str| accepted::accepted(d.obs, finding);
    if let Some(refusal) = refuse::refusal(metric, &series, &hour, until, accepted) {
        return Err(refusal);
    }
    let looks = read(BURSTS, Duration::milliseconds(found.interval_ms)).intervals;
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

fn series(d: &Draft<'_>, metric: &Metric) -> Result<Vec<RawSeries>, (&'static str, String)> {
    let mut series: Vec<RawSeries> = Vec::new();
    for (field, selector) in questions::fields(metric) {
        let answer = d
            .obs
            .answers
            .given
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
