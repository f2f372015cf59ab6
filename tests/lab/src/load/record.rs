//! One small record a request, and the id that ties it to the gateway's log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Config, Counts, Failure, Via};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not, yet.
    Pending,
    /// With an answer of this status code.
    Answered(u16),
    /// Without an answer.
    Failed(Failure),
}

impl Outcome {
    /// Whether it ended, and not with a 2xx answer.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Pending => false,
            Self::Answered(code) => !(200..300).contains(&code),
            Self::Failed(_) => true,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Answered(code) => write!(f, "{code}"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// One request. Its place in [`Recording::records`] is its sequence number.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Since the start of the load, microseconds.
    pub sent: u64,
    /// Until the whole answer or the failure, microseconds.
    pub taken: u32,
    /// Index into [`Recording::targets`].
    pub target: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Index into [`Recording::names`]: the version that the answer claims.
    pub version: Option<u16>,
    /// Index into [`Recording::names`]: the pod that the answer claims.
    pub pod: Option<u16>,
    /// Whether the answered digit is the true one.
    pub correct: Option<bool>,
}

/// Everything that was sent, in order.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Tells this load's request ids from all others.
    pub run: u64,
    /// When the load began.
    pub started_at: DateTime<Utc>,
    /// How far the schedule was missed at worst: how busy the machine was with other things.
    pub worst_lag: Duration,
    /// Name and kind of the targets.
    pub targets: Vec<(String, Via)>,
    /// Versions and pods, as answers claim them.
    pub names: Vec<String>,
    /// One a request.
    pub records: Vec<Record>,
}

impl Recording {
    /// The name behind an index of a record.
    pub fn name(&self, index: Option<u16>) -> Option<&str> {
        self.names.get(usize::from(index?)).map(String::as_str)
    }

    /// When a record was sent.
    pub fn sent_at(&self, record: &Record) -> DateTime<Utc> {
        self.after(record.sent)
    }

    /// When a record had its answer, or was given up.
    pub fn ended_at(&self, record: &Record) -> DateTime<Utc> {
        self.after(record.sent + u64::from(record.taken))
    }

    fn after(&self, micros: u64) -> DateTime<Utc> {
        self.started_at + TimeDelta::microseconds(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// How the target of a record is reached.
    pub fn via(&self, record: &Record) -> Option<Via> {
        self.targets.get(usize::from(record.target)).map(|(_, via)| *via)
    }
}

/// The id of a request: a UUID that holds run and sequence number. The digit 4 stands where Envoy keeps its tracing
/// decision, and means "not traced", so it passes unchanged.
pub fn request_id(run: u64, sequence: u32) -> String {
    let [high, middle, low] = [run >> 32, (run >> 16) & 0xffff, run & 0xfff];
    format!("{high:08x}-{middle:04x}-4{low:03x}-8000-0000{sequence:08x}")
}

/// The sequence number in an id of this run.
pub(super) fn sequence_of(id: &str, run: u64) -> Option<u32> {
    let sequence = u32::from_str_radix(id.get(28..)?, 16).ok()?;
    id.eq_ignore_ascii_case(&request_id(run, sequence)).then_some(sequence)
}

/// What sender and readers share.
pub(super) struct Shared {
    pub(super) start: Instant,
    state: Mutex<State>,
}

/// The records, and sums over them that need not be counted again for each look.
pub(super) struct State {
    pub(super) recording: Recording,
    pub(super) total: Counts,
    /// By index into [`Recording::names`].
    pub(super) versions: BTreeMap<u16, Counts>,
}

/// What an answer says of itself.
#[derive(Default)]
pub(super) struct Claims<'a> {
    pub(super) version: Option<&'a str>,
    pub(super) pod: Option<&'a str>,
    pub(super) correct: Option<bool>,
}

impl Shared {
    pub(super) fn new(config: &Config) -> Self {
        let targets = config.targets.iter().map(|target| (target.name.clone(), target.via)).collect();
        let recording = Recording {
            run: rand::random(),
            started_at: Utc::now(),
            worst_lag: Duration::ZERO,
            targets,
            names: Vec::new(),
            records: Vec::new(),
        };
        let state = State { recording, total: Counts::default(), versions: BTreeMap::new() };
        Self { start: Instant::now(), state: Mutex::new(state) }
    }

    /// A panic elsewhere leaves whole records behind.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recording(&self) -> Recording {
        self.lock().recording.clone()
    }

    /// Notes a request that leaves now, `lag` later than planned, and returns its run and sequence
    /// number; none when `limit` are out.
    pub(super) fn begin(&self, target: u8, lag: Duration, limit: Option<u32>) -> Option<(u64, u32)> {
        let mut state = self.lock();
        let recording = &mut state.recording;
        let sequence = u32::try_from(recording.records.len()).ok()?;
        if limit.is_some_and(|limit| sequence >= limit) {
            return None;
        }
        recording.worst_lag = recording.worst_lag.max(lag);
        let sent = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = Outcome::Pending;
        recording.records.push(Record {
            sent,
            taken: 0,
            target,
            outcome,
            version: None,
            pod: None,
            correct: None,
        });
        Some((recording.run, sequence))
    }

    pub(super) fn end(&self, sequence: u32, outcome: Outcome, claims: &Claims<'_>) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        let State { recording, total, versions } = &mut *state;
        let version = claims.version.and_then(|name| index_of(&mut recording.names, name));
        let pod = claims.pod.and_then(|name| index_of(&mut recording.names, name));
        if let Some(record) = recording.records.get_mut(sequence as usize) {
            record.taken = u32::try_from(now.saturating_sub(record.sent)).unwrap_or(u32::MAX);
            record.outcome = outcome;
            (record.version, record.pod, record.correct) = (version, pod, claims.correct);
            total.add(record);
            if let Some(version) = version {
                versions.entry(version).or_default().add(record);
            }
        }
    }
}

fn index_of(names: &mut Vec<String>, name: &str) -> Option<u16> {
    let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    u16::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_4_that_gives_back_its_sequence_number() {
        let run = 0x1234_5678_9abc_def0;
        let id = request_id(run, 0xfedc_ba98);
        assert_eq!(id, "12345678-9abc-4ef0-8000-0000fedcba98");
        assert_eq!(sequence_of(&id, run), Some(0xfedc_ba98));
        assert_eq!(sequence_of(&id, run + 1), None, "an id of another run was taken for ours");
        assert_eq!(sequence_of("-", run), None);
    }
}
