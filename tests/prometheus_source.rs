//! The Prometheus source against a server that behaves and misbehaves.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use understudy::analysis::{Arm, Bound, Counter};
use understudy::measure::{
    ArmMatcher, Arms, ErrorClass, Limits, MetricError, MetricSelectors, Part, Prometheus, Query, Reading,
    Recorded, Server, Source, SourceError, Sources, read, scope_expression,
};
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A certificate of an authority that signs nothing.
const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUYMY0tAq52jUDZTHnc0c+Spb7vaQwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjExODU2MThaGA8yMTI2MTAyODE4NTYx
OFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAMI
gsKtl3wUsRhe3GXkqx5EzUWkMSWoBY8KGPH4hIcvNwSNBekRkCHwYnzBX9tLwwpN
V7rgQl94ybm8WKFaG0yjUzBRMB0GA1UdDgQWBBRm1aRU7CL2D7Aljn7Mhi8B6N+b
kTAfBgNVHSMEGDAWgBRm1aRU7CL2D7Aljn7Mhi8B6N+bkTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCSyriYA7gGTiNJ4a4NG2k8H3jqAKMPhC8s
5CT1oI8BrwIgWvH07tlNNwGbCxFPB2Zz/Moj+94HbUmJ/Vzz6xCpy40=
-----END CERTIFICATE-----
";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn limits() -> Limits {
    Limits { deadline: Duration::from_millis(400), bytes: 64 << 10 }
}

fn source(url: &str) -> Prometheus {
    let server = Server { name: "default".into(), url: url.into(), ..Server::default() };
    Prometheus::new(server, limits()).unwrap()
}

fn query() -> Query {
    Query { selector: r#"http_requests_total{pod="m-a-1"}"#.into(), from: at(0), to: at(60), step: None }
}

async fn server(reply: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/api/v1/query")).respond_with(reply).mount(&server).await;
    server
}

async fn ask(reply: ResponseTemplate) -> Reading {
    let server = server(reply).await;
    source(&server.uri()).read(&query()).await
}

async fn error(reply: ResponseTemplate) -> SourceError {
    match ask(reply).await {
        Reading::Error(error) => error,
        other => panic!("no error: {other:?}"),
    }
}

fn matrix(result: Value) -> ResponseTemplate {
    ok(json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn several_series_come_with_labels_and_raw_samples() {
    let reading = ask(matrix(json!([
        {"metric": {"pod": "m-a-1", "code": "200"}, "values": [[1700000005.25, "7"], [1700000010.25, "9"]]},
        {"metric": {"pod": "m-a-1", "code": "500"}, "values": [[1700000005.25, "NaN"], [1700000010.25, "+Inf"], [1700000015.25, "-Inf"]]},
    ])))
    .await;
    let Reading::Series(series) = reading else { panic!("{reading:?}") };
    assert_eq!(series.len(), 2);
    assert_eq!(series[0].samples, [(1_700_000_005_250, 7.0), (1_700_000_010_250, 9.0)]);
    assert_eq!(series[1].labels["code"], "500");
    assert!(series[1].samples[0].1.is_nan());
    assert_eq!(series[1].samples[1].1, f64::INFINITY);
    assert_eq!(series[1].samples[2].1, f64::NEG_INFINITY);
}

#[tokio::test]
async fn the_range_and_the_moment_are_asked_for_exactly() {
    let server = MockServer::start().await;
    let selector = "query=http_requests_total%7Bpod%3D%22m-a-1%22%7D%5B60000ms%5D";
    Mock::given(method("POST"))
        .and(path("/prefix/api/v1/query"))
        .and(body_string_contains(selector))
        .and(body_string_contains("time=1700000060.000"))
        .and(header("authorization", "Bearer secret-1"))
        .respond_with(matrix(json!([])))
        .expect(1)
        .mount(&server)
        .await;
    let mut token = tempfile();
    writeln!(token.1, "secret-1").unwrap();
    let configured = Server {
        name: "default".into(),
        url: format!("{}/prefix/", server.uri()),
        bearer_token_file: Some(token.0.clone()),
        insecure: true,
        ..Server::default()
    };
    assert_eq!(Prometheus::new(configured, limits()).unwrap().read(&query()).await, Reading::NoData);
    std::fs::remove_file(token.0).unwrap();
}

fn tempfile() -> (std::path::PathBuf, std::fs::File) {
    let path = std::env::temp_dir().join(format!("understudy-token-{}", std::process::id()));
    (path.clone(), std::fs::File::create(&path).unwrap())
}

#[tokio::test]
async fn a_missing_token_file_is_the_operators_configuration() {
    let server = Server {
        name: "default".into(),
        url: "http://127.0.0.1:1".into(),
        bearer_token_file: Some("no-such-file".into()),
        insecure: true,
        ..Server::default()
    };
    let reading = Prometheus::new(server, limits()).unwrap().read(&query()).await;
    assert!(matches!(reading, Reading::Error(error) if error.class == ErrorClass::Configuration));
}

#[test]
fn a_token_goes_over_plain_http_only_where_somebody_says_so() {
    let of = |url: &str, insecure| Server {
        name: "default".into(),
        url: url.into(),
        bearer_token_file: Some("token".into()),
        insecure,
        ..Server::default()
    };
    let refused = Prometheus::new(of("http://prometheus:9090", false), limits()).unwrap_err();
    assert_eq!(refused.class, ErrorClass::Configuration);
    assert!(refused.message.contains("plain HTTP") && refused.message.contains("insecure"), "{refused}");
    assert!(Prometheus::new(of("http://prometheus:9090", true), limits()).is_ok());
    assert!(Prometheus::new(of("https://prometheus:9090", false), limits()).is_ok());
}

#[test]
fn a_ca_file_of_no_use_is_refused_at_the_start() {
    let of = |url: &str, ca: &std::path::Path| {
        let ca_file = Some(ca.to_owned());
        let server = Server { name: "default".into(), url: url.into(), ca_file, ..Server::default() };
        Prometheus::new(server, limits())
    };
    let folder = std::env::temp_dir();
    let empty = folder.join(format!("understudy-ca-{}", std::process::id()));
    std::fs::write(&empty, "no certificate").unwrap();
    let said = |url: &str, ca: &std::path::Path| of(url, ca).unwrap_err().message;
    assert!(said("https://prometheus", &folder.join("no-such-file")).contains("cannot be read"));
    assert!(said("https://prometheus", &empty).contains("holds no certificate"));
    assert!(said("http://prometheus", &empty).contains("not https"));
    std::fs::write(&empty, CA).unwrap();
    assert!(of("https://prometheus", &empty).is_ok());
    std::fs::remove_file(&empty).unwrap();
}

#[tokio::test]
async fn an_expression_is_evaluated_once_for_each_interval() {
    let server = MockServer::start().await;
    // (avg(d{pod="m-a-1"}))[60000ms:10000ms]
    let asked = "query=%28avg%28d%7Bpod%3D%22m-a-1%22%7D%29%29%5B60000ms%3A10000ms%5D";
    let values = json!([[1_700_000_010, "0.5"], [1_700_000_020, "NaN"]]);
    Mock::given(method("POST"))
        .and(path("/api/v1/query"))
        .and(body_string_contains(asked))
        .respond_with(matrix(json!([{"metric": {}, "values": values}])))
        .expect(1)
        .mount(&server)
        .await;
    let arm = ArmMatcher::Pods { label: "pod".into(), names: vec!["m-a-1".into()] };
    let scoped = scope_expression("avg(d)", &arm, &[]).unwrap();
    let query = Query { selector: scoped.selector, step: Some(chrono::Duration::seconds(10)), ..query() };
    let Reading::Series(found) = source(&server.uri()).read(&query).await else { panic!("no series") };
    let raw = understudy::measure::metric::raw(Arm::Candidate, &arm, Part::Value, found[0].clone());
    assert_eq!((raw.len(), raw[0].counter), (1, Counter::Value));
    assert_eq!(raw[0].samples[0], (1_700_000_010_000, 0.5));
}

#[tokio::test]
async fn a_long_stretch_is_fetched_in_pieces_and_joined() {
    let server = MockServer::start().await;
    for (time, at) in [("time=1700000900.000", 1_700_000_900), ("time=1700001000.000", 1_700_001_000)] {
        Mock::given(body_string_contains(time))
            .respond_with(matrix(json!([{"metric": {"pod": "p"}, "values": [[at, "5"]]}])))
            .expect(1)
            .mount(&server)
            .await;
    }
    let query = Query { to: at(1000), ..query() };
    let Reading::Series(series) = source(&server.uri()).read(&query).await else { panic!() };
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].samples, [(1_700_000_900_000, 5.0), (1_700_001_000_000, 5.0)]);
}

#[tokio::test]
async fn no_match_is_no_data_and_not_zero() {
    assert_eq!(ask(matrix(json!([]))).await, Reading::NoData);
}

#[tokio::test]
async fn a_refused_query_says_what_the_server_said_in_bounded_form() {
    let long = "parse error\n\u{1b}[31m".to_string() + &"x".repeat(5000);
    let body = json!({"status": "error", "errorType": "bad_data", "error": long});
    let found = error(ResponseTemplate::new(400).set_body_json(body)).await;
    assert_eq!(found.class, ErrorClass::BadQuery);
    assert!(found.message.contains("refuses the query: parse error"), "{}", found.message);
    assert!(found.message.len() < 300 && !found.message.chars().any(char::is_control), "{}", found.message);
}

#[tokio::test]
async fn a_server_that_cannot_answer_now_is_unreachable() {
    for status in [429, 500, 502, 503] {
        let found = error(ResponseTemplate::new(status).set_body_string("<html>oops</html>")).await;
        assert_eq!(found.class, ErrorClass::Unreachable, "{status}");
        assert!(!found.message.contains("html"), "{}", found.message);
    }
    let Reading::Error(found) = source("http://127.0.0.1:1").read(&query()).await else { panic!() };
    assert_eq!(found.class, ErrorClass::Unreachable);
    let denied = error(ResponseTemplate::new(403)).await;
    assert_eq!(denied.class, ErrorClass::Denied);
}

#[tokio::test]
async fn a_slow_server_ends_at_the_deadline() {
    let begin = Instant::now();
    let found = error(matrix(json!([])).set_delay(Duration::from_secs(5))).await;
    assert_eq!(found.class, ErrorClass::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_oversized_answer_is_cut_off() {
    let found = error(ResponseTemplate::new(200).set_body_string("x".repeat(100 << 10))).await;
    assert_eq!(found.class, ErrorClass::TooLarge);
    assert!(found.message.contains("select fewer series"), "{}", found.message);
}

#[tokio::test]
async fn the_pieces_of_an_answer_are_cut_off_together() {
    let pad =
        json!([{"metric": {"pod": "p", "note": "x".repeat(40 << 10)}, "values": [[1_700_000_000, "5"]]}]);
    assert!(matches!(ask(matrix(pad.clone())).await, Reading::Series(_)));
    let server = server(matrix(pad)).await;
    let long = Query { to: at(1000), ..query() };
    let Reading::Error(found) = source(&server.uri()).read(&long).await else {
        panic!("80 of 64 KiB were read")
    };
    assert!(found.message.contains("select fewer series"), "{}", found.message);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start().await;
    let reply = ResponseTemplate::new(307).insert_header("location", format!("{}/x", elsewhere.uri()));
    let found = error(reply).await;
    assert_eq!(found.class, ErrorClass::BadReply);
    assert!(found.message.contains("redirect (307)"), "{}", found.message);
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_a_matrix_of_samples_is_a_bad_reply() {
    let vector = json!({"status": "success", "data": {"resultType": "vector", "result": []}});
    let native = json!([{"metric": {}, "histograms": [[1, {"count": "many"}]]}]);
    let replies = [
        ResponseTemplate::new(200).set_body_string("<html>Sign in</html>"),
        ResponseTemplate::new(200)
            .set_body_string(r#"{"status":"success","data":{"resultType":"matrix","resu"#),
        ResponseTemplate::new(404),
        ok(json!({})),
        ok(vector),
        matrix(native),
        matrix(json!([{"metric": {}, "values": [[1, "many"]]}])),
        matrix(json!([{"metric": {}, "values": [[1e300, "1"]]}])),
        matrix(json!("no")),
    ];
    for reply in replies {
        let found = error(reply).await;
        assert_eq!(found.class, ErrorClass::BadReply, "{}", found.message);
        assert!(!found.message.contains("Sign in"));
    }
}

#[tokio::test]
async fn an_error_with_status_200_and_an_incomplete_answer_are_errors() {
    let failed =
        error(ok(json!({"status": "error", "errorType": "timeout", "error": "took too long"}))).await;
    assert_eq!(failed.class, ErrorClass::Timeout);
    let partial = json!({"status": "success", "warnings": ["a store is away"],
        "data": {"resultType": "matrix", "result": []}});
    assert_eq!(error(ok(partial)).await.class, ErrorClass::Partial);
}

#[tokio::test]
async fn servers_are_known_by_name_only() {
    let server = |name: &str, url: &str| Server { name: name.into(), url: url.into(), ..Server::default() };
    let sources = Sources::from_servers(vec![server("default", "http://127.0.0.1:9090")], limits()).unwrap();
    assert!(sources.get("default").is_ok());
    let Err(unknown) = sources.get("http://169.254.169.254/") else { panic!() };
    assert!(unknown.message.contains("it knows: default"), "{}", unknown.message);
    for wrong in ["", "ftp://a", "data:x", "prometheus:9090"] {
        assert!(Sources::from_servers(vec![server("x", wrong)], limits()).is_err(), "{wrong}");
    }
    assert!(Sources::from_servers(vec![server("x", "http://a"), server("x", "http://b")], limits()).is_err());
}

fn arms(stable: &[&str], candidate: &[&str]) -> Arms {
    let pods = |names: &[&str]| ArmMatcher::Pods {
        label: "pod".into(),
        names: names.iter().map(|name| (*name).to_string()).collect(),
    };
    Arms { stable: pods(stable), candidate: pods(candidate), differing: Vec::new() }
}

#[tokio::test]
async fn a_histogram_of_both_arms_becomes_counters_by_pod() {
    let recorded = Recorded::new();
    let selector = r#"latency_seconds_bucket{path="/p",pod="s-1"}"#;
    for (le, value) in [("0.1", 5.0), ("+Inf", 8.0)] {
        let samples = [
            (at(1).timestamp_millis(), 0.0),
            (at(6).timestamp_millis(), value),
            (at(11).timestamp_millis(), value),
        ];
        recorded.record(selector, &[("pod", "s-1"), ("le", le)], &samples);
    }
    let selectors = MetricSelectors::latency(r#"latency_seconds{path="/p",job="m"}"#);
    let got = read(&recorded, &selectors, &arms(&["s-1"], &["c-1"]), at(0), at(20)).await.unwrap();
    assert!(got.stable_found && !got.candidate_found);
    assert_eq!(got.removed, [r#"job="m""#]);
    assert_eq!(got.scrape, Some(chrono::Duration::seconds(5)));
    let counters: Vec<(Arm, &str, Counter)> =
        got.series.iter().map(|one| (one.arm, one.target.as_str(), one.counter)).collect();
    let bucket = |le: f64| (Arm::Stable, "s-1", Counter::Bucket(Bound(le)));
    assert_eq!(counters.len(), 3);
    for wanted in [bucket(0.1), bucket(f64::INFINITY), (Arm::Stable, "s-1", Counter::Total)] {
        assert!(counters.contains(&wanted), "{counters:?}");
    }
    assert_eq!(recorded.queries().len(), 2);
}

#[tokio::test]
async fn an_arm_without_pods_is_empty_and_a_bad_selector_is_named() {
    let recorded = Recorded::new();
    let good = MetricSelectors::ratio(r#"requests_total{code="500"}"#, "requests_total");
    let got = read(&recorded, &good, &arms(&["s-1"], &[]), at(0), at(20)).await.unwrap();
    assert!(got.series.is_empty() && !got.stable_found);
    assert!(recorded.queries().iter().all(|query| query.selector.contains(r#"pod="s-1""#)));

    let bad = MetricSelectors::ratio("rate(requests_total[1m])", "requests_total");
    let error = read(&recorded, &bad, &arms(&["s-1"], &["c-1"]), at(0), at(20)).await.unwrap_err();
    assert!(matches!(error, MetricError::Selector { .. }));
    assert!(error.to_string().starts_with("rate(requests_total[1m]): a function"), "{error}");

    recorded.fail(Some(SourceError { class: ErrorClass::Unreachable, message: "away".into() }));
    let error = read(&recorded, &good, &arms(&["s-1"], &["c-1"]), at(0), at(20)).await.unwrap_err();
    assert_eq!(error.to_string(), "away");
}

#[tokio::test]
async fn a_gateways_series_belong_to_the_gateways_instance() {
    let recorded = Recorded::new();
    let labels = |cluster: &str| {
        ArmMatcher::Labels(BTreeMap::from([("envoy_cluster_name".to_string(), cluster.to_string())]))
    };
    for (cluster, n) in [("ns_m_80", 50.0), ("ns_m-candidate_80", 3.0)] {
        let selector = format!("rq_total{{envoy_cluster_name=\"{cluster}\"}}");
        recorded.record(&selector, &[("instance", "10.0.0.1:8002")], &[(at(5).timestamp_millis(), n)]);
    }
    let arms =
        Arms { stable: labels("ns_m_80"), candidate: labels("ns_m-candidate_80"), differing: Vec::new() };
    let selectors = MetricSelectors::ratio("rq_bad", "rq_total");
    let got = read(&recorded, &selectors, &arms, at(0), at(20)).await.unwrap();
    assert!(got.stable_found && got.candidate_found);
    assert!(got.series.iter().all(|one| one.target == "10.0.0.1:8002"));
}
