//! How things stand while load is on: for a terminal view, not for judging.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::record::{Outcome, Record, Shared};

/// The recent past that rates and times are taken from.
const RECENT: Duration = Duration::from_secs(5);

/// A snapshot. Versions are as answers claim them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Time since the start, seconds.
    pub seconds: f64,
    /// Requests sent since the start.
    pub sent: u64,
    /// Requests sent per second over the last 5 s.
    pub rate: f64,
    /// What ended since the start, all versions and targets.
    pub total: Counts,
    /// What was answered since the start, by claimed version. What had no answer is in `total` alone.
    pub versions: BTreeMap<String, Counts>,
    /// The same for requests sent in the last 5 s.
    pub recent: BTreeMap<String, Counts>,
}

/// Sums over requests that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Ended, one way or the other.
    pub requests: u64,
    /// Ended other than with a 2xx answer.
    pub failed: u64,
    /// Answered with the true digit.
    pub correct: u64,
    /// Answered with another digit.
    pub wrong: u64,
    /// Sum of the times to an answer, milliseconds.
    pub sum_millis: f64,
    /// Longest time to an answer, milliseconds.
    pub max_millis: f64,
}

impl Counts {
    pub(super) fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.failed += u64::from(record.outcome.is_failure());
        self.correct += u64::from(record.correct == Some(true));
        self.wrong += u64::from(record.correct == Some(false));
        if let Outcome::Answered(_) = record.outcome {
            let millis = f64::from(record.taken) / 1000.0;
            self.sum_millis += millis;
            self.max_millis = self.max_millis.max(millis);
        }
    }
}

/// Short: the sender waits for the lock meanwhile.
pub(super) fn live(shared: &Shared) -> Live {
    let elapsed = shared.start.elapsed();
    let state = shared.lock();
    let recording = &state.recording;
    let window = RECENT.min(elapsed);
    let since = u64::try_from((elapsed - window).as_micros()).unwrap_or(u64::MAX);
    let tail = &recording.records[recording.records.partition_point(|record| record.sent < since)..];
    let mut recent: BTreeMap<u16, Counts> = BTreeMap::new();
    for record in tail {
        if let Some(version) = record.version {
            recent.entry(version).or_default().add(record);
        }
    }
    let named =
        |(index, counts): (&u16, &Counts)| Some((recording.name(Some(*index))?.to_owned(), counts.clone()));
    Live {
        seconds: elapsed.as_secs_f64(),
        sent: recording.records.len() as u64,
        rate: if window.is_zero() { 0.0 } else { tail.len() as f64 / window.as_secs_f64() },
        total: state.total.clone(),
        versions: state.versions.iter().filter_map(named).collect(),
        recent: recent.iter().filter_map(named).collect(),
    }
}
