//! The paths of the server.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::artifact::Artifact;
use super::drain::Drain;
use super::inference::{Image, best};
use super::metrics::Metrics;
use super::{Args, Scores};

/// Names the version in every answer. A claim: who must know asks the gateway's log.
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("x-model-version");
/// Names the pod in every answer.
pub const POD_HEADER: HeaderName = HeaderName::from_static("x-pod");

/// Everything a request needs.
pub(super) struct Served {
    model: OnceLock<Artifact>,
    metrics: Metrics,
    pub(super) drain: Drain,
    version: String,
    digest: String,
    version_header: HeaderValue,
    pod_header: HeaderValue,
}

impl Served {
    pub(super) fn new(args: &Args) -> Result<Self> {
        Ok(Self {
            model: OnceLock::new(),
            metrics: Metrics::new()?,
            drain: Drain::new(),
            version: args.model_version.clone(),
            digest: args.model_digest.clone(),
            version_header: HeaderValue::from_str(&args.model_version)
                .context("the version is no header value")?,
            pod_header: HeaderValue::from_str(&args.pod).context("the pod's name is no header value")?,
        })
    }

    /// Ready from now on.
    pub(super) fn loaded(&self, model: Artifact) {
        self.metrics.loaded(&self.version, &self.digest);
        if self.model.set(model).is_err() {
            tracing::error!("a second model was loaded; the first stays");
        }
        tracing::info!(version = self.version, "loaded");
    }

    pub(super) fn in_flight(&self) -> i64 {
        self.metrics.in_flight()
    }

    /// Adds what every answer carries.
    fn respond(&self, code: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response<Body> {
        let mut response = Response::new(body.into());
        *response.status_mut() = code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(VERSION_HEADER, self.version_header.clone());
        headers.insert(POD_HEADER, self.pod_header.clone());
        if self.drain.leaving() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn text(&self, code: StatusCode, body: impl Into<Body>) -> Response<Body> {
        self.respond(code, "text/plain; version=0.0.4; charset=utf-8", body)
    }

    /// Answers with `answer` as JSON and counts the request.
    fn answer<T: Serialize>(
        &self,
        path: &str,
        since: Instant,
        answer: &Result<T, Failure>,
    ) -> Response<Body> {
        let (code, body) = match answer {
            Ok(answer) => (StatusCode::OK, serde_json::to_vec(answer)),
            Err(failure) => (failure.code, serde_json::to_vec(&Problem { error: &failure.message })),
        };
        let (code, body) = match body {
            Ok(body) => (code, body),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
        };
        self.metrics.answered(path, code.as_u16(), since.elapsed());
        self.respond(code, "application/json", body)
    }

    async fn scores(&self, image: &Image) -> Result<Scores, Failure> {
        let model = self.model.get().ok_or_else(|| Failure {
            code: StatusCode::SERVICE_UNAVAILABLE,
            message: "the model is still loading".to_owned(),
        })?;
        model.predict(image).await.map_err(|refused| Failure {
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: refused.to_string(),
        })
    }
}

struct Failure {
    code: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

#[derive(Deserialize)]
struct Question {
    image: Vec<f64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    label: Option<usize>,
}

impl Question {
    fn parse(body: &[u8]) -> Result<(Self, Image), Failure> {
        let bad = |message| Failure { code: StatusCode::BAD_REQUEST, message };
        let question: Self = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        let image = Image::try_from(question.image.as_slice())
            .map_err(|_| bad(format!("an image has 64 pixels, this has {}", question.image.len())))?;
        Ok((question, image))
    }
}

#[derive(Serialize)]
struct Prediction<'a> {
    digit: usize,
    scores: Scores,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Only in the answer to feedback.
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
}

pub(super) fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/predict", post(predict))
        .route("/feedback", post(feedback))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(served)
}

async fn predict(State(served): State<Arc<Served>>, body: Bytes) -> Response<Body> {
    let since = Instant::now();
    served.drain.arrived();
    let _in_flight = served.metrics.begin();
    let answer = async {
        let (question, image) = Question::parse(&body)?;
        let scores = served.scores(&image).await?;
        let (digit, version) = (best(&scores), served.version.as_str());
        Ok(Prediction { digit, scores, version, id: question.id, correct: None })
    };
    served.answer("/predict", since, &answer.await)
}

/// Predicts again and counts, so that the outcome belongs to the arm that got it, in the mirror too.
async fn feedback(State(served): State<Arc<Served>>, body: Bytes) -> Response<Body> {
    let since = Instant::now();
    served.drain.arrived();
    let _in_flight = served.metrics.begin();
    let answer = async {
        let (question, image) = Question::parse(&body)?;
        let label = question.label.filter(|label| *label < 10).ok_or_else(|| Failure {
            code: StatusCode::BAD_REQUEST,
            message: "feedback needs a label, 0 to 9".to_owned(),
        })?;
        let scores = served.scores(&image).await?;
        let digit = best(&scores);
        served.metrics.feedback(digit == label, scores[label]);
        let (version, correct) = (served.version.as_str(), Some(digit == label));
        Ok(Prediction { digit, scores, version, id: question.id, correct })
    };
    served.answer("/feedback", since, &answer.await)
}

async fn healthz(State(served): State<Arc<Served>>) -> Response<Body> {
    served.text(StatusCode::OK, "ok\n")
}

async fn readyz(State(served): State<Arc<Served>>) -> Response<Body> {
    if served.drain.leaving() {
        served.text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if served.model.get().is_none() {
        served.text(StatusCode::SERVICE_UNAVAILABLE, "loading\n")
    } else {
        served.text(StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(served): State<Arc<Served>>) -> Response<Body> {
    match served.metrics.text() {
        Ok(text) => served.text(StatusCode::OK, text),
        Err(error) => served.text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
