//! Each request is attributed by what the gateway saw, and only a bad version's own failures are excused.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lab::load::{
    AccessLog, Failure, Outcome, Pod, Question, Record, Recording, Report, Via, attribute, request_id,
};

const GOOD: &str = "10.244.0.1";
const BAD: &str = "10.244.0.2";
const RUN: u64 = 0xfeed_0000_1234_0abc;

/// Requests of one load and the lines that the gateway wrote of them.
struct Story {
    recording: Recording,
    log: String,
}

impl Story {
    fn new() -> Self {
        let recording = Recording {
            run: RUN,
            started_at: DateTime::<Utc>::UNIX_EPOCH,
            worst_lag: Duration::ZERO,
            targets: vec![("gateway".to_owned(), Via::Gateway), ("service".to_owned(), Via::Service)],
            names: ["1.1.0", "1.2.0", "good", "bad"].map(str::to_owned).to_vec(),
            records: Vec::new(),
        };
        // Lines of others, and one that is not whole, must not matter.
        let log = "starting\n{\"request_id\":\"0-0\",\"response_code\":200}\n{\"request_id\":\"feed0000-"
            .to_owned()
            + "\n";
        Self { recording, log }
    }

    /// A request 10 ms after the one before. `claims` names version and pod of the answer by index.
    fn request(
        &mut self,
        target: u8,
        outcome: Outcome,
        claims: Option<(u16, u16)>,
        correct: Option<bool>,
    ) -> u32 {
        let sequence = u32::try_from(self.recording.records.len()).expect("a short story");
        let (version, pod) = claims.unzip();
        let sent = u64::from(sequence) * 10_000;
        self.recording.records.push(Record { sent, taken: 1000, target, outcome, version, pod, correct });
        sequence
    }

    /// A request through the gateway and its line in the log.
    fn logged(&mut self, outcome: Outcome, claims: Option<(u16, u16)>, upstream: Option<&str>, flags: &str) {
        let correct = (outcome == Outcome::Answered(200)).then_some(true);
        let sequence = self.request(0, outcome, claims, correct);
        let host = upstream.map_or("null".to_owned(), |address| format!("\"{address}:8080\""));
        let (id, code) =
            (request_id(RUN, sequence), if let Outcome::Answered(code) = outcome { code } else { 0 });
        writeln!(
            self.log,
            r#"{{"@timestamp":"1795219200.000000","x_request_id":"{id}","upstream_host":{host},"upstream_cluster":"c","response_code":{code},"response_flags":"{flags}"}}"#
        )
        .expect("a string grows");
    }

    fn report(&self) -> Report {
        let file = Scratch::with(&self.log);
        let log = AccessLog::read(&file.0, &self.recording).expect("the log");
        let pod = |name: &str, address: &str, version: &str| Pod {
            name: name.to_owned(),
            address: address.parse::<IpAddr>().expect("an address"),
            version: version.to_owned(),
        };
        let pods = [pod("good", GOOD, "1.1.0"), pod("bad", BAD, "1.2.0")];
        let question = Question { pods: &pods, bad: &["1.2.0"], slow_after: Duration::from_millis(50) };
        attribute(&self.recording, Some(&log), &question)
    }
}

/// A file that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn with(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "lab-access-{}-{:x}.log",
            std::process::id(),
            rand::random::<u64>()
        ));
        std::fs::write(&path, text).expect("a scratch file");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

const ERROR: Outcome = Outcome::Answered(500);
const UNAVAILABLE: Outcome = Outcome::Answered(503);
const TIMEOUT: Outcome = Outcome::Failed(Failure::Timeout);
const AS_GOOD: Option<(u16, u16)> = Some((0, 2));
const AS_BAD: Option<(u16, u16)> = Some((1, 3));

#[test]
fn a_failure_through_the_gateway_is_excused_only_when_the_bad_versions_pod_produced_it() {
    let cases = [
        ("the bad version's own error", ERROR, AS_BAD, Some(BAD), "-", 0),
        ("the bad version held it until the client left", TIMEOUT, None, Some(BAD), "DC", 0),
        ("the bad version held it until the route's limit", Outcome::Answered(504), None, Some(BAD), "UT", 0),
        ("an error of the good version", ERROR, AS_GOOD, Some(GOOD), "-", 1),
        ("the good version held it", TIMEOUT, None, Some(GOOD), "DC", 1),
        ("no connection to the bad version's pod", UNAVAILABLE, None, Some(BAD), "UF", 1),
        ("the bad version's pod cut it off", UNAVAILABLE, None, Some(BAD), "UC", 1),
        ("retries to the bad version's pod ran out", UNAVAILABLE, None, Some(BAD), "UF,URX", 1),
        ("no upstream at all", UNAVAILABLE, None, None, "UH", 1),
        ("no route", Outcome::Answered(404), None, None, "NR", 1),
        ("a pod that nobody knows", ERROR, None, Some("10.244.9.9"), "-", 1),
        ("a connection to the gateway broke", Outcome::Failed(Failure::Reset), None, Some(BAD), "DC", 1),
    ];
    for (case, outcome, claims, upstream, flags, outside) in cases {
        let mut story = Story::new();
        story.logged(outcome, claims, upstream, flags);
        let report = story.report();
        assert_eq!((report.failures, report.outside), (1, outside), "{case}: {}", report.table());
        assert_eq!(report.outside_samples.len() as u64, outside, "{case}");
    }
}

#[test]
fn a_request_that_the_gateway_did_not_log_is_outside_if_it_failed_and_missed_if_not() {
    let mut story = Story::new();
    story.request(0, ERROR, AS_BAD, None);
    story.request(0, Outcome::Answered(200), AS_BAD, Some(true));
    let report = story.report();
    assert_eq!((report.outside, report.not_in_log), (1, 2), "{}", report.table());
}

#[test]
fn a_request_to_the_service_belongs_to_the_pod_that_answered_and_else_is_outside() {
    let mut story = Story::new();
    story.request(1, ERROR, AS_BAD, None);
    story.request(1, TIMEOUT, None, None);
    story.request(1, Outcome::Failed(Failure::Refused), None, None);
    let report = story.report();
    assert_eq!((report.failures, report.outside, report.not_in_log), (3, 2, 0), "{}", report.table());
    assert_eq!(report.versions["1.2.0"].pods["bad"].failed, 1);
    assert_eq!(report.versions["(none)"].requests, 2);
    assert_eq!(report.targets["service"].failed, 3);
}

#[test]
fn the_gateways_word_counts_not_the_answers() {
    let mut story = Story::new();
    story.logged(Outcome::Answered(200), AS_GOOD, Some(GOOD), "-");
    story.logged(Outcome::Answered(200), AS_GOOD, Some(BAD), "-");
    let report = story.report();
    assert_eq!(report.mismatched, 1);
    assert_eq!((report.versions["1.1.0"].requests, report.versions["1.2.0"].requests), (1, 1));
}

#[test]
fn the_bad_time_of_a_version_runs_from_its_first_to_its_last_bad_answer() {
    let mut story = Story::new();
    for outcome in [Outcome::Answered(200), ERROR, Outcome::Answered(200), ERROR, Outcome::Answered(200)] {
        story.logged(outcome, AS_BAD, Some(BAD), "-");
    }
    let report = story.report();
    let version = &report.versions["1.2.0"];
    assert_eq!((version.requests, version.failed.count, version.errors["500"]), (5, 2, 2));
    let at = |millis: i64| DateTime::from_timestamp_millis(millis);
    assert_eq!((version.served.first, version.served.last), (at(1), at(41)));
    assert_eq!((version.bad.first, version.bad.last, version.bad.seconds()), (at(11), at(31), Some(0.02)));
    let again: Report =
        serde_json::from_str(&serde_json::to_string(&report).expect("JSON")).expect("a report");
    assert_eq!(again.versions["1.2.0"].bad, version.bad);
}
