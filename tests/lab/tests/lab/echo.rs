//! The program that test pods run: it says who it is, counts, fails or hangs when told.

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use lab::images::Image;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::signal::unix::{SignalKind, signal};

pub const VERB: &str = "__echo";

/// This very program.
pub fn image() -> Result<Image> {
    let program = std::env::current_exe()?.display().to_string();
    Ok(Image { command: vec![program, VERB.into()], env: BTreeMap::new() })
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    hangs: AtomicBool,
}

pub fn main() -> ExitCode {
    match lab::block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<()> {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let version = std::env::var("VERSION").unwrap_or_default();
    let text = format!("{version} {name}");
    println!("serving as {text}");
    let counts = Arc::new(Counts::default());
    let app = axum::Router::new()
        .route(
            "/",
            get(async |State(counts): State<Arc<Counts>>| {
                counts.requests.fetch_add(1, Ordering::Relaxed);
                text
            }),
        )
        .route(
            "/healthz",
            get(async |State(counts): State<Arc<Counts>>| {
                if counts.hangs.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                StatusCode::OK
            }),
        )
        .route("/hang", get(async || std::future::pending::<StatusCode>().await))
        .route(
            "/hang-from-now-on",
            get(async |State(counts): State<Arc<Counts>>| {
                counts.hangs.store(true, Ordering::Relaxed);
                StatusCode::OK
            }),
        )
        .route(
            "/env",
            get(async || {
                std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect::<String>()
            }),
        )
        .route(
            "/metrics",
            get(async |State(counts): State<Arc<Counts>>| {
                format!(
                    "# TYPE echo_requests_total counter\necho_requests_total {}\n",
                    counts.requests.load(Ordering::Relaxed)
                )
            }),
        )
        .with_state(counts);
    let address = format!("{}:8080", std::env::var("POD_IP")?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        result = axum::serve(listener, app) => result?,
        _ = terminated.recv() => println!("told to stop"),
    }
    if let Some(seconds) = std::env::var("STOPS_AFTER").ok().and_then(|text| text.parse().ok()) {
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    }
    println!("stopped");
    Ok(())
}
