//! Who caused what.
//!
//! A request through the gateway belongs to the pod that Envoy's access log names. One to a Service belongs to the pod
//! that answered it; without an answer nobody can tell. A failure is a version's own only when that version's pod
//! produced it: it answered with an error, or it held the request until the client's patience (or the gateway's) was
//! over. A pod that refuses or drops connections is not the version's fault but of whoever sends traffic to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::access_log::{AccessLog, Entry};
use super::record::{Outcome, Record, Recording};
use super::report::{Report, Sample};
use super::{Failure, Pod, Via};

/// Flags of Envoy that say: the client or the route lost patience while the upstream held the request. `DC`: the
/// client went away; `UT`: the route's own limit; `SI`: the stream was idle for too long.
const HELD: [&str; 3] = ["DC", "UT", "SI"];
/// Failures to show in the report; all are counted.
const SAMPLES: usize = 20;

/// What to ask of a recording.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Every pod that served, gone or not.
    pub pods: &'a [Pod],
    /// Versions that are known to be bad: their own failures are not outside.
    pub bad: &'a [&'a str],
    /// An answer that takes longer counts as slow.
    pub slow_after: Duration,
}

/// The pod that a request went to and whether its end is the pod's own doing.
struct Cause<'a> {
    pod: &'a str,
    version: &'a str,
    own: bool,
}

/// Attributes every request. Without an access log, requests through the gateway belong to the pod that answered them,
/// and the report says so.
pub fn attribute(recording: &Recording, log: Option<&AccessLog>, question: &Question<'_>) -> Report {
    let by_address: BTreeMap<IpAddr, &Pod> = question.pods.iter().map(|pod| (pod.address, pod)).collect();
    let by_name: BTreeMap<&str, &Pod> = question.pods.iter().map(|pod| (pod.name.as_str(), pod)).collect();
    let bad: BTreeSet<&str> = question.bad.iter().copied().collect();
    let mut report = Report::new(recording, log.is_some());
    for (record, sequence) in recording.records.iter().zip(0u32..) {
        let entry = log.and_then(|log| log.get(sequence));
        let cause = match (recording.via(record), log) {
            (Some(Via::Gateway), Some(_)) => entry.and_then(|entry| by_log(record, entry, &by_address)),
            (Some(Via::Gateway | Via::Service) | None, _) => by_answer(recording, record, &by_name),
        };
        let slow = u128::from(record.taken) > question.slow_after.as_micros();
        report.count(recording, record, cause.as_ref().map(|cause| (cause.version, cause.pod)), slow);
        let claimed = recording.name(record.version);
        if let (Some(cause), Some(claimed)) = (&cause, claimed) {
            report.mismatched += u64::from(cause.version != claimed);
        }
        let excused = cause.as_ref().is_some_and(|cause| cause.own && bad.contains(cause.version));
        if record.outcome.is_failure() && !excused {
            report.outside += 1;
            if report.outside_samples.len() < SAMPLES {
                report.outside_samples.push(sample(recording, record, sequence, cause.as_ref(), entry));
            }
        }
    }
    report.not_in_log = log.map_or(0, |log| log.missing(recording) as u64);
    report.finish();
    report
}

fn by_log<'a>(record: &Record, entry: &'a Entry, pods: &BTreeMap<IpAddr, &'a Pod>) -> Option<Cause<'a>> {
    let pod = pods.get(&entry.upstream()?.ip())?;
    let flags = entry.flags();
    let own = match record.outcome {
        Outcome::Pending | Outcome::Answered(_) | Outcome::Failed(Failure::Timeout) => {
            flags.iter().all(|flag| HELD.contains(flag))
        }
        Outcome::Failed(
            Failure::Refused | Failure::Connect | Failure::Reset | Failure::Closed | Failure::Broken,
        ) => false,
    };
    Some(Cause { pod: &pod.name, version: &pod.version, own })
}

fn by_answer<'a>(
    recording: &'a Recording,
    record: &Record,
    pods: &BTreeMap<&str, &'a Pod>,
) -> Option<Cause<'a>> {
    let name = recording.name(record.pod)?;
    // A pod that nobody saw can still say what it serves.
    let version = match pods.get(name) {
        Some(pod) => &pod.version,
        None => recording.name(record.version)?,
    };
    Some(Cause { pod: name, version, own: true })
}

fn sample(
    recording: &Recording,
    record: &Record,
    sequence: u32,
    cause: Option<&Cause<'_>>,
    entry: Option<&Entry>,
) -> Sample {
    let target = recording.targets.get(usize::from(record.target));
    Sample {
        id: super::request_id(recording.run, sequence),
        target: target.map(|(name, _)| name.clone()).unwrap_or_default(),
        sent_at: recording.sent_at(record),
        millis: f64::from(record.taken) / 1000.0,
        outcome: record.outcome.to_string(),
        pod: cause.map(|cause| cause.pod.to_owned()),
        version: cause.map(|cause| cause.version.to_owned()),
        upstream: entry.and_then(|entry| entry.upstream_host.clone()),
        flags: entry.and_then(|entry| entry.response_flags.clone()),
    }
}
