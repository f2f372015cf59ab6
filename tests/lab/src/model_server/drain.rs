//! Leaving without losing a request.
//!
//! A pod is told to stop at the same moment as everyone else learns that it goes. Until routes and rules have followed,
//! requests still arrive, on new connections too. So the server serves them, and only asks to have the connection
//! closed after each answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// No request for this long means that everyone has gone elsewhere.
const QUIET: Duration = Duration::from_millis(500);
/// Longest time to wait for that. With [`FINISH_LIMIT`] it stays under the usual grace period of 30 s.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest time to wait for answers that are under way; a version that hangs has some that never come.
pub(super) const FINISH_LIMIT: Duration = Duration::from_secs(5);

/// Whether the server is leaving, and when somebody last came.
pub(super) struct Drain {
    leaving: AtomicBool,
    last_arrival: Mutex<Instant>,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self { leaving: AtomicBool::new(false), last_arrival: Mutex::new(Instant::now()) }
    }

    pub(super) fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Notes a request of a caller.
    pub(super) fn arrived(&self) {
        if let Ok(mut last) = self.last_arrival.lock() {
            *last = Instant::now();
        }
    }

    fn quiet_for(&self) -> Duration {
        self.last_arrival.lock().map_or(Duration::ZERO, |last| last.elapsed())
    }
}

/// Says not ready from now on, and returns once connections need no longer be accepted.
pub(super) async fn drain(drain: &Drain, minimum: Duration) {
    let since = Instant::now();
    drain.leaving.store(true, Ordering::Relaxed);
    tracing::info!("told to stop; serving what still arrives");
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let taken = since.elapsed();
        if (taken >= minimum && drain.quiet_for() >= QUIET) || taken >= LIMIT {
            tracing::info!(millis = taken.as_millis(), "drained");
            return;
        }
    }
}

/// Resolves at SIGTERM or SIGINT.
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen for signals; stopping");
        }
    }
}
