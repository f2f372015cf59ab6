//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::Stores;
use crate::cluster::lease::Leadership;
use crate::telemetry::Metrics;

/// What the endpoints report on.
#[derive(Clone)]
pub struct Health {
    /// Watches.
    pub stores: Arc<Stores>,
    /// The election.
    pub leadership: watch::Receiver<Leadership>,
    /// Metrics.
    pub metrics: Metrics,
}

impl Health {
    /// What is missing until this process can do its work; nothing when it is ready. A process that follows is ready: it
    /// would take over.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.stores.missing();
        let failing = self.stores.failing(None).into_iter();
        missing.extend(
            failing.map(|f| format!("{}: its watch has failed for {:?}: {}", f.kind, f.lasted, f.why)),
        );
        match &*self.leadership.borrow() {
            Leadership::Unknown => missing.push("leases: the lease has not been read yet".to_owned()),
            Leadership::Lost { why } => missing.push(format!("leases: lost: {why}")),
            Leadership::Following { .. } | Leadership::Leading => {}
        }
        missing
    }
}

/// Serves until the process ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, health: Health) -> std::io::Result<()> {
    axum::serve(listener, router(health)).await
}

/// The endpoints.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let missing = health.missing();
    if !missing.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response();
    }
    let leading = match &*health.leadership.borrow() {
        Leadership::Leading => "ok, leading".to_owned(),
        Leadership::Following { holder } => format!("ok, following {holder}"),
        Leadership::Unknown | Leadership::Lost { .. } => "ok".to_owned(),
    };
    let absent = health.stores.absent();
    let note =
        if absent.is_empty() { String::new() } else { format!("; not installed: {}", absent.join(", ")) };
    format!("{leading}{note}\n").into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    health.metrics.leader(*health.leadership.borrow() == Leadership::Leading);
    match health.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
