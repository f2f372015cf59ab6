//! What came of a load, for people and for tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::record::{Outcome, Record, Recording};

/// Requests that went to no pod that is known.
const NOBODY: &str = "(none)";

/// The report of one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the load began.
    pub started_at: DateTime<Utc>,
    /// From the first to the last request.
    pub seconds: f64,
    /// How far the schedule was missed at worst, milliseconds.
    pub worst_lag_millis: f64,
    /// Whether requests through the gateway were attributed by its access log; else by what answers claim.
    pub by_access_log: bool,
    /// All that were sent.
    pub requests: u64,
    /// All that did not end with a 2xx answer.
    pub failures: u64,
    /// Failures that no pod of a bad version produced: ours. Must be 0.
    pub outside: u64,
    /// The first of them.
    pub outside_samples: Vec<Sample>,
    /// Answers that name another version than the pod they came from serves. Must be 0.
    pub mismatched: u64,
    /// Requests that reached the gateway and are not in its log. Must be 0 for the report to be whole.
    pub not_in_log: u64,
    /// By version that the pod served; `(none)`: no pod was reached, or none that is known.
    pub versions: BTreeMap<String, VersionReport>,
    /// Requests and failures by target.
    pub targets: BTreeMap<String, PodReport>,
}

/// What one version did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// Requests it got.
    pub requests: u64,
    /// First and last request that it got: when it was answered or given up.
    pub served: Seen,
    /// Ended other than with a 2xx answer.
    pub failed: Seen,
    /// The failures by status code or kind.
    pub errors: BTreeMap<String, u64>,
    /// Answered with the true digit.
    pub correct: u64,
    /// Answered with another digit.
    pub wrong: Seen,
    /// Answered, and later than the limit.
    pub slow: Seen,
    /// Failed, wrong or slow.
    pub bad: Seen,
    /// Share of correct digits among the answered, 0 to 1; none without answers.
    pub accuracy: Option<f64>,
    /// Median time to an answer, milliseconds.
    pub p50_millis: Option<f64>,
    /// 90th percentile of it.
    pub p90_millis: Option<f64>,
    /// 99th percentile of it.
    pub p99_millis: Option<f64>,
    /// By pod.
    pub pods: BTreeMap<String, PodReport>,
    #[serde(skip)]
    taken: Vec<u32>,
}

/// How many of a kind, and when the first and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// How many.
    pub count: u64,
    /// When the first ended.
    pub first: Option<DateTime<Utc>>,
    /// When the last ended.
    pub last: Option<DateTime<Utc>>,
}

impl Seen {
    fn add(&mut self, at: DateTime<Utc>) {
        self.count += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// From the first to the last, seconds.
    pub fn seconds(&self) -> Option<f64> {
        Some((self.last? - self.first?).as_seconds_f64())
    }
}

/// Requests and failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReport {
    /// Requests.
    pub requests: u64,
    /// Of them failed.
    pub failed: u64,
}

impl PodReport {
    fn add(&mut self, failed: bool) {
        self.requests += 1;
        self.failed += u64::from(failed);
    }
}

/// One failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Its request id.
    pub id: String,
    /// The target's name.
    pub target: String,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// How long until it failed.
    pub millis: f64,
    /// Status code or kind of failure.
    pub outcome: String,
    /// The pod it went to.
    pub pod: Option<String>,
    /// The version of that pod.
    pub version: Option<String>,
    /// The upstream in the access log.
    pub upstream: Option<String>,
    /// Envoy's flags in the access log.
    pub flags: Option<String>,
}

impl Report {
    pub(super) fn new(recording: &Recording, by_access_log: bool) -> Self {
        let last = recording.records.last().map_or(0, |record| record.sent);
        Self {
            started_at: recording.started_at,
            seconds: last as f64 / 1e6,
            worst_lag_millis: recording.worst_lag.as_secs_f64() * 1e3,
            by_access_log,
            requests: recording.records.len() as u64,
            failures: 0,
            outside: 0,
            outside_samples: Vec::new(),
            mismatched: 0,
            not_in_log: 0,
            versions: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }

    /// Adds one request that went to a pod of a version.
    pub(super) fn count(
        &mut self,
        recording: &Recording,
        record: &Record,
        to: Option<(&str, &str)>,
        slow: bool,
    ) {
        let failed = record.outcome.is_failure();
        self.failures += u64::from(failed);
        if let Some((name, _)) = recording.targets.get(usize::from(record.target)) {
            self.targets.entry(name.clone()).or_default().add(failed);
        }
        let (version, pod) = to.unwrap_or((NOBODY, NOBODY));
        let version = self.versions.entry(version.to_owned()).or_default();
        version.pods.entry(pod.to_owned()).or_default().add(failed);
        version.add(record, recording.ended_at(record), slow);
    }

    pub(super) fn finish(&mut self) {
        self.versions.values_mut().for_each(VersionReport::finish);
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<10} {:>8} {:>8} {:>7} {:>7} {:>9} {:>8} {:>8} {:>8}  {:<27} ERRORS\n",
            "VERSION",
            "REQUESTS",
            "FAILED",
            "WRONG",
            "SLOW",
            "ACCURACY",
            "P50 ms",
            "P90 ms",
            "P99 ms",
            "BAD, FIRST TO LAST"
        );
        for (name, v) in &self.versions {
            let errors: Vec<String> =
                v.errors.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
            let clock = |at: Option<DateTime<Utc>>| {
                at.map_or("-".to_owned(), |at| at.format("%H:%M:%S%.3f").to_string())
            };
            let bad = format!("{} {}", clock(v.bad.first), clock(v.bad.last));
            let number =
                |n: Option<f64>, digits: usize| n.map_or("-".to_owned(), |n| format!("{n:.digits$}"));
            let _infallible = writeln!(
                text,
                "{name:<10} {:>8} {:>8} {:>7} {:>7} {:>9} {:>8} {:>8} {:>8}  {bad:<27} {}",
                v.requests,
                v.failed.count,
                v.wrong.count,
                v.slow.count,
                number(v.accuracy, 4),
                number(v.p50_millis, 2),
                number(v.p90_millis, 2),
                number(v.p99_millis, 2),
                errors.join(", "),
            );
        }
        let _infallible = writeln!(
            text,
            "{} requests in {:.1} s, {} failed, {} of them not by a bad version's own doing{}",
            self.requests,
            self.seconds,
            self.failures,
            self.outside,
            if self.by_access_log { "" } else { " (no access log: as the answers claim)" }
        );
        for sample in &self.outside_samples {
            let _infallible = writeln!(text, "  {sample}");
        }
        text
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let at = self.sent_at.format("%H:%M:%S%.3f");
        write!(f, "{at} {} {} after {:.1} ms, ", self.target, self.outcome, self.millis)?;
        write!(f, "pod {} ({}), ", or_none(&self.pod), or_none(&self.version))?;
        write!(f, "upstream {} {}, id {}", or_none(&self.upstream), or_none(&self.flags), self.id)
    }
}

impl VersionReport {
    fn add(&mut self, record: &Record, at: DateTime<Utc>, slow: bool) {
        self.requests += 1;
        self.served.add(at);
        let failed = record.outcome.is_failure();
        if failed {
            self.failed.add(at);
            *self.errors.entry(record.outcome.to_string()).or_default() += 1;
        }
        if let Outcome::Answered(_) = record.outcome {
            self.taken.push(record.taken);
            if slow {
                self.slow.add(at);
            }
        }
        let wrong = record.correct == Some(false);
        if wrong {
            self.wrong.add(at);
        }
        self.correct += u64::from(record.correct == Some(true));
        if failed || wrong || slow {
            self.bad.add(at);
        }
    }

    fn finish(&mut self) {
        let answered = self.correct + self.wrong.count;
        self.accuracy = (answered > 0).then(|| self.correct as f64 / answered as f64);
        self.taken.sort_unstable();
        let quantile = |q: f64| {
            let last = self.taken.len().checked_sub(1)?;
            Some(f64::from(self.taken[(q * last as f64).round() as usize]) / 1000.0)
        };
        (self.p50_millis, self.p90_millis, self.p99_millis) = (quantile(0.5), quantile(0.9), quantile(0.99));
        self.taken = Vec::new();
    }
}
