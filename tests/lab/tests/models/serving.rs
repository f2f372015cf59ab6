//! What callers, probes and Prometheus see of a server.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::support::{Server, args, holdout, json, version};

#[tokio::test]
async fn a_prediction_names_its_digit_version_and_pod() {
    let server = Server::start("1.1.0").await;
    let mut question = holdout()[0].clone();
    question["id"] = json!("mine");
    let answer = server.post("/predict", &question).await.expect("an answer");
    assert_eq!(answer.code, 200);
    assert_eq!(answer.headers["x-model-version"], "1.1.0");
    assert_eq!(answer.headers["x-pod"], "pod-1.1.0");
    let said = json(&answer);
    assert_eq!(
        (&said["digit"], &said["version"], &said["id"]),
        (&question["label"], &json!("1.1.0"), &json!("mine"))
    );
    assert_eq!(said["scores"].as_array().map(Vec::len), Some(10));
}

#[tokio::test]
async fn what_is_no_image_is_the_callers_mistake() {
    let server = Server::start("1.1.0").await;
    let image = &holdout()[0]["image"];
    let mistakes = [
        ("/predict", json!({"image": [1, 2, 3]})),
        ("/predict", json!("hello")),
        ("/feedback", json!({"image": image})),
        ("/feedback", json!({"image": image, "label": 10})),
    ];
    for (path, body) in mistakes {
        let answer = server.post(path, &body).await.expect("an answer");
        assert_eq!(answer.code, 400, "{path} {body}");
    }
    assert_eq!(server.metric(r#"http_requests_total{code="400",path="/predict"}"#).await, 2.0);
    assert_eq!(server.metric("feedback_total").await, 0.0);
}

#[tokio::test]
async fn three_percent_of_requests_to_1_4_0_fail_and_are_counted_by_code() {
    let server = Server::start("1.4.0").await;
    let mut failed = 0;
    for question in holdout() {
        let answer = server.post("/predict", &question).await.expect("an answer");
        assert!([200, 500].contains(&answer.code), "{}", answer.code);
        failed += u32::from(answer.code == 500);
    }
    assert!((15..=21).contains(&failed), "{failed} of 600 failed");
    assert_eq!(server.metric(r#"http_requests_total{code="500",path="/predict"}"#).await, f64::from(failed));
    assert_eq!(
        server.metric(r#"http_requests_total{code="200",path="/predict"}"#).await,
        f64::from(600 - failed)
    );
    assert_eq!(server.metric(r#"http_request_duration_seconds_count{path="/predict"}"#).await, 600.0);
}

#[tokio::test]
async fn feedback_counts_for_the_pod_that_predicts_again() {
    let server = Server::start("1.2.0").await;
    let mut correct = 0.0;
    for question in holdout() {
        let answer = json(&server.post("/feedback", &question).await.expect("an answer"));
        assert_eq!(answer["correct"], json!(answer["digit"] == question["label"]));
        correct += f64::from(u8::from(answer["digit"] == question["label"]));
    }
    let accuracy = version("1.2.0").metrics.accuracy;
    assert!((correct / 600.0 - accuracy).abs() < 1e-4, "{correct} of 600 correct; evaluated as {accuracy}");
    assert_eq!(server.metric("feedback_correct_total").await, correct);
    assert_eq!(server.metric("feedback_total").await, 600.0);
    assert_eq!(server.metric("feedback_score_count").await, 600.0);
    // A true digit that got more than half of the probability was also the answer.
    let unsure = server.metric(r#"feedback_score_bucket{le="0.5"}"#).await;
    assert!(600.0 - unsure <= correct && unsure > 0.0, "{unsure} scores up to 0.5, {correct} correct");
}

#[tokio::test]
async fn a_version_that_hangs_is_ready_and_finishes_nothing() {
    let server = Server::start("1.5.0").await;
    let question = holdout()[0].clone();
    let in_time = tokio::time::timeout(Duration::from_millis(500), server.post("/predict", &question)).await;
    assert!(in_time.is_err(), "it answered");
    assert_eq!(server.get("/readyz").await.code, 200);
    assert_eq!(server.metric(r#"http_requests_total{code="200",path="/predict"}"#).await, 0.0);
    // The caller has gone, and nothing of its request stays behind.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while server.metric("http_requests_in_flight").await != 0.0 {
        assert!(tokio::time::Instant::now() < deadline, "the request outlived its caller");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn it_is_ready_only_once_the_model_is_loaded() {
    let mut slow = args("1.0.0");
    slow.load_millis = 400;
    let server = Server::start_with(slow).await;
    assert_eq!(server.get("/readyz").await.code, 503);
    assert_eq!(server.get("/healthz").await.code, 200);
    let early = server.post("/predict", &holdout()[0]).await.expect("an answer");
    assert_eq!(early.code, 503);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(server.get("/readyz").await.code, 200);
}

#[tokio::test]
async fn every_series_is_there_before_the_first_request() {
    let server = Server::start("1.0.0").await;
    let digest = &version("1.0.0").digest;
    for path in ["/predict", "/feedback"] {
        for code in ["200", "400", "500", "503"] {
            assert_eq!(
                server.metric(&format!(r#"http_requests_total{{code="{code}",path="{path}"}}"#)).await,
                0.0
            );
        }
        for bound in ["0.001", "0.05", "10", "+Inf"] {
            let series = format!(r#"http_request_duration_seconds_bucket{{path="{path}",le="{bound}"}}"#);
            assert_eq!(server.metric(&series).await, 0.0);
        }
    }
    assert_eq!(server.metric("feedback_correct_total").await, 0.0);
    assert_eq!(server.metric(r#"feedback_score_bucket{le="+Inf"}"#).await, 0.0);
    assert_eq!(server.metric(&format!(r#"model_info{{digest="{digest}",version="1.0.0"}}"#)).await, 1.0);
    let started = server.metric("process_start_time_seconds").await;
    let age = chrono::Utc::now().timestamp() as f64 - started;
    assert!((-1.0..60.0).contains(&age), "started {age} s ago");
}

#[test]
fn the_process_ends_with_a_clear_message_when_its_artifact_was_changed() {
    let changed = args("1.8.0");
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("model-server")
        .env("MODEL_URI", &changed.model_uri)
        .env("MODEL_DIGEST", &changed.model_digest)
        .env("MODEL_VERSION", &changed.model_version)
        .env("POD_IP", "127.0.0.1")
        .env("PORT", "0")
        .output()
        .expect("it can be run");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("is registered; refusing to serve it") && said.contains(&changed.model_digest),
        "{said}"
    );
}
