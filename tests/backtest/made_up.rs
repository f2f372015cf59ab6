//! Answers, refusals and errors of a Prometheus that is made up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::traffic::{AFTER, BEFORE, Pod, pods};
use super::{Folder, backtest, manifest};

/// The candidate's start.
pub const T0: i64 = 1_750_000_000;

/// Answers range selectors on `http_requests_total` and lookups of pods.
struct Answers {
    pods: Vec<Pod>,
    /// Answers over a longer stretch than this are refused as too large.
    longest: i64,
    /// Nothing is remembered before.
    since: i64,
    refused: Arc<AtomicUsize>,
}

fn form(request: &Request, key: &str) -> String {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let all = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")).map(str::to_owned));
    let text = all.unwrap().replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (query, time) = (form(request, "query"), form(request, "time"));
        let to = time.parse::<f64>().unwrap() as i64;
        let range = query.rsplit_once('[').unwrap().1;
        let millis: i64 = range.split("ms").next().unwrap().parse().unwrap();
        let from = to - millis / 1000;
        if millis / 1000 > self.longest {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let error = "query processing would load too many samples into memory in query execution";
            let body = json!({"status": "error", "errorType": "execution", "error": error});
            return ResponseTemplate::new(422).set_body_json(body);
        }
        if query.contains("avg(queue{") {
            let value = if query.contains("fraud-b-1") { "7" } else { "1" };
            let times = (T0 - BEFORE..to).step_by(15).filter(|t| *t > from);
            let values: Vec<Value> = times.map(|t| json!([t, value])).collect();
            let data = json!({"resultType": "matrix", "result": [{"metric": {}, "values": values}]});
            return ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}));
        }
        let here = |t: i64| t + T0 > from.max(self.since) && t + T0 <= to;
        let chosen = self.pods.iter().filter(|pod| {
            let (all, begin) = (&query, &pod.name[..8]);
            all.contains(begin) && (all.contains(&format!("{begin}.*")) || all.contains(pod.name))
        });
        let mut found: Vec<Value> = Vec::new();
        for pod in chosen {
            for (code, which) in [("200", 0), ("500", 1)] {
                let values: Vec<Value> = pod
                    .scrapes()
                    .filter(|(t, _, _)| here(*t))
                    .map(|(t, good, bad)| json!([t + T0, if which == 0 { good } else { bad }.to_string()]))
                    .collect();
                let labels = if query.contains("count by") {
                    json!({"pod": pod.name})
                } else {
                    json!({"__name__": "http_requests_total", "pod": pod.name, "code": code, "job": "x", "instance": pod.name})
                };
                if !values.is_empty() {
                    found.push(json!({"metric": labels, "values": values}));
                }
                if query.contains("count by") {
                    break;
                }
            }
        }
        let data = json!({"resultType": "matrix", "result": found});
        ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}))
    }
}

pub struct World {
    pub server: MockServer,
    pub folder: Folder,
    refused: Arc<AtomicUsize>,
}

pub async fn world(name: &str, times: u64, longest: i64, since: i64) -> World {
    of(name, pods(times), longest, since).await
}

pub async fn of(name: &str, pods: [Pod; 2], longest: i64, since: i64) -> World {
    let refused = Arc::new(AtomicUsize::new(0));
    let answers = Answers { pods: pods.to_vec(), longest, since: since + T0, refused: refused.clone() };
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/api/v1/query")).respond_with(answers).mount(&server).await;
    World { server, folder: Folder::new(name), refused }
}

impl World {
    fn run(&self, change: &str, more: &[&str]) -> Result<String, String> {
        let file = self.folder.write("rollout.yaml", &manifest(change));
        let (from, to) = (T0.to_string(), (T0 + AFTER).to_string());
        let mut args = vec!["--from", &from, "--to", &to];
        let uri = self.server.uri();
        for (option, value) in [
            ("--file", file.as_str()),
            ("--prometheus", uri.as_str()),
            ("--stable", "pod=~\"fraud-a-.*\""),
            ("--candidate", "pod=~\"fraud-b-.*\""),
        ] {
            if !more.contains(&option) {
                args.extend([option, value]);
            }
        }
        args.extend(more);
        backtest(&args)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_is_rolled_back_with_its_numbers_and_a_picture() {
    let world = world("bad", 4, 900, -7200).await;
    let picture = world.folder.path("out.svg");
    let text = world.run("", &["--plot", &picture]).unwrap();
    let breach = text.lines().find(|line| line.contains("errors: BREACH.")).unwrap();
    assert!(breach.contains("canary 1 of 2") && breach.contains("candidate 0.0400 of "), "{breach}");
    assert!(text.contains("\nRolled back: errors, worse than its limit at 2025-06-15T15:"), "{text}");
    assert!(text.contains("really had 20.0 % of the requests, not 5 %"), "{text}");
    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(svg.contains("<title>errors: rolled back: errors, worse than its limit after "), "{svg}");
    assert!(svg.contains(">BREACH</text>") && svg.contains(">canary 1 of 2</text>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_passes_through_all_steps_at_their_times() {
    let world = world("good", 1, 900, -7200).await;
    let found: serde_json::Value = serde_json::from_str(&world.run("", &["-o", "json"]).unwrap()).unwrap();
    assert_eq!(found["outcome"], "Active", "{found:#}");
    let decisions = found["decisions"].as_array().unwrap();
    let begun: Vec<(&str, f64)> = decisions
        .iter()
        .filter(|d| d["what"] == "Begins")
        .map(|d| (d["place"].as_str().unwrap(), d["seconds"].as_f64().unwrap()))
        .collect();
    let first = |what: &str| decisions.iter().find(|d| d["what"] == what).unwrap();
    let (waits, proven) = (first("Waits"), first("Proven"));
    // A step waits for the first look that begins after it was set, then for its hold; the last one for the proof too.
    assert_eq!((waits["seconds"].as_f64(), proven["metric"].as_str()), (Some(630.0), Some("errors")));
    assert!(waits["message"].as_str().unwrap().contains("errors: proof (about "), "{waits}");
    let promoted = proven["seconds"].as_f64().unwrap();
    assert_eq!(begun, [("canary 1 of 2", 0.0), ("canary 2 of 2", 315.0), ("watch", promoted)]);
    assert_eq!(found["emptyLooks"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_weight_is_said_and_a_short_history_ends_undecided() {
    let world = world("short", 1, 900, -7200).await;
    let to = (T0 + 120).to_string();
    let file = world.folder.write("rollout.yaml", &manifest(""));
    let (from, uri) = (T0.to_string(), world.server.uri());
    let args = ["-f", &file, "--from", &from, "--to", &to, "--prometheus", &uri, "--weight", "20"];
    let arms = ["--stable", "pod=~\"fraud-a-.*\"", "--candidate", "pod=\"fraud-b-1\""];
    let text = backtest(&[&args[..], &arms[..]].concat()).unwrap();
    assert!(text.contains("begins: share 20 %"), "{text}");
    assert!(text.contains("\nUndecided: not promoted, and nothing to roll back for"), "{text}");
    assert!(!text.contains("really had"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_is_asked_of_the_pods_that_other_metrics_have_and_a_value_beyond_its_limit_is_a_breach()
{
    let world = world("value", 1, 900, -7200).await;
    let value = "    metrics: =>     metrics:\n    - {name: queue, value: {query: avg(queue), max: 5}}";
    let text = world.run(value, &["--plot", &world.folder.path("out.svg")]).unwrap();
    let breach = text.lines().find(|line| line.contains("queue: BREACH.")).unwrap();
    assert!(
        breach.contains("candidate 7.0000 of ") && breach.contains(" values, stable 1.0000 of "),
        "{breach}"
    );
    assert!(text.contains("\nRolled back: queue, beyond its fixed limit at "), "{text}");
    // A picture for each metric.
    for metric in ["queue", "errors"] {
        assert!(std::fs::read_to_string(world.folder.path(&format!("out-{metric}.svg"))).is_ok(), "{metric}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_holds_is_held_to_the_end_and_a_deadline_that_rolls_back_does() {
    let world = world("holds", 4, 900, -7200).await;
    let text = world.run("  model: fraud =>   model: fraud\n  onBreach: Hold", &[]).unwrap();
    assert!(
        text.contains("errors: BREACH.")
            && text.contains("held until a person decides: a breach that only holds"),
        "{text}"
    );
    assert!(text.contains("\nNot promoted: held until a person decides at "), "{text}");
    // Twice as many failures than stable allow no proof, and need longer for a breach than this deadline.
    let slow = super::made_up::world("deadline", 2, 900, -7200).await;
    let deadline = "hold: 5m}, {weight: 25, hold: 5m}] => hold: 30s}]";
    let file = slow.folder.write(
        "slow.yaml",
        &manifest(deadline).replace("evidence: 30m", "evidence: 60s, onEvidence: Rollback"),
    );
    let text = slow.run(deadline, &["--file", &file]).unwrap();
    assert!(text.contains("\nRolled back: the evidence did not come in time at "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_falls_silent_is_told_where_its_share_is_known() {
    let mut answers = pods(1);
    // It goes on being scraped and finishes nothing.
    answers[1].requests = 0;
    let world = of("silent", answers, 900, -7200).await;
    let text = world.run("", &["--weight", "20"]).unwrap();
    assert!(
        text.contains("waits for a sign of the candidate; errors: the candidate's pods finished 0 requests"),
        "{text}"
    );
    let gateway =
        "total: http_requests_total} => total: http_requests_total}, arms: {gateway: {label: pod, value: x}}";
    let exact = ["--weight", "20", "--stable", "pod=\"fraud-a-1\"", "--candidate", "pod=\"fraud-b-1\""];
    let text = world.run(gateway, &exact).unwrap();
    assert!(
        text.contains(
            "errors: the candidate finished 0 requests in the last looks where its share predicts 400"
        ),
        "{text}"
    );
    assert!(text.contains("\nRolled back: the candidate is silent at "), "{text}");
    let text = world.run(gateway, &exact[2..]).unwrap();
    assert!(!text.contains("silent"), "without the share nothing is predicted: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_one_answer_is_read_in_pieces_and_decides_the_same() {
    let (whole, pieces) = (world("whole", 4, 900, -7200).await, world("pieces", 4, 300, -7200).await);
    assert_eq!(whole.run("", &[]), pieces.run("", &[]));
    assert_eq!(whole.refused.load(Ordering::Relaxed), 0);
    assert!(pieces.refused.load(Ordering::Relaxed) > 0);
    let never = world("never", 4, 30, -7200).await;
    let said = never.run("", &[]).unwrap_err();
    assert!(said.contains("too many samples") && said.contains("a minute of it is still too much"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_says_why() {
    let world = world("errors", 1, 900, -7200).await;
    let says = |change: &str, more: &[&str], words: &[&str]| {
        let said = world.run(change, more).unwrap_err();
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    };
    says("", &["--prometheus", "http://127.0.0.1:1"], &["http://127.0.0.1:1", "cannot be reached"]);
    says("", &["--prometheus", "localhost"], &["its address is not a URL"]);
    says(
        "",
        &["--candidate", "pod=~\"fraud-c.*\""],
        &["no series of the candidate", "count by (pod)", "fraud-c"],
    );
    says(
        "",
        &["--candidate", "pod=\"fraud-c\""],
        &["no series of the candidate", "http_requests_total{pod=\"fraud-c\"}"],
    );
    says("", &["--candidate", "pod=~\"fraud-a-.*\""], &["both arms have pod fraud-a-1", "draw", "A/A"]);
    says("", &["--candidate", "version=\"1\""], &["two labels, pod and version"]);
    says("", &["--candidate", "version"], &["is no matcher such as"]);
    says("interval: 15s => interval: 2h", &[], &["shorter than one look of 2 h"]);
    says("hold: 5m => hold: 5d", &[], &["steps[0].hold is not a length of time"]);
    says("kind: ModelRollout => kind: Model", &[], &["there is no ModelRollout in it"]);
    says(
        "total: http_requests_total => total: 'rate(x[1m])'",
        &[],
        &["rate(x[1m])", "Write the bare counter"],
    );
    let gateway = "total: http_requests_total} => total: http_requests_total}, arms: {gateway: {label: cluster, value: '$(SERVICE):$(PORT)'}}";
    says(gateway, &[], &["$(SERVICE):$(PORT)", "--port"]);
    says(gateway, &["--port", "80"], &["no series of the stable", "cluster=\"fraud:80\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_no_longer_keeps_is_named() {
    let world = world("retention", 1, 900, 600).await;
    let said = world.run("", &[]).unwrap_err();
    assert!(
        said.contains("stable's oldest sample is of 2025-06-15T15:16:55Z, after --from")
            && said.contains("retention"),
        "{said}"
    );
    let young = super::made_up::world("young", 1, 900, -600).await;
    let text = young.run("", &[]).unwrap();
    assert!(text.contains("Note: there are 10 min of stable before --from"), "{text}");
}
