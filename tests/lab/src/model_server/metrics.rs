//! What the server exports for Prometheus.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

/// Seconds, from 1 ms to 10 s: fine enough to tell a tail of tens of milliseconds from a hiccup of the machine.
const SECONDS: [f64; 25] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5,
    0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0,
];
/// The paths that count. Probes and scrapes are not requests of callers.
pub(super) const PATHS: [&str; 2] = ["/predict", "/feedback"];
/// The codes that exist from the start, so that a counter is there before its first increment.
const CODES: [&str; 4] = ["200", "400", "500", "503"];

/// The server's metrics.
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    feedback: IntCounter,
    correct: IntCounter,
    score: Histogram,
    info: GaugeVec,
}

impl Metrics {
    /// All series at 0.
    pub(super) fn new() -> Result<Self> {
        let requests = Opts::new("http_requests_total", "Answered requests by status code and path.");
        let seconds =
            HistogramOpts::new("http_request_duration_seconds", "Time from request to answer, by path.");
        let score =
            HistogramOpts::new("feedback_score", "Probability that the model gave to the true digit.");
        let info = Opts::new("model_info", "The version that is loaded; the value is always 1.");
        let twentieths = (1..=20).map(|n| f64::from(n) / 20.0).collect();
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["code", "path"])?,
            seconds: HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["path"])?,
            in_flight: IntGauge::new("http_requests_in_flight", "Requests that have no answer yet.")?,
            feedback: IntCounter::new("feedback_total", "Predictions compared with a true digit.")?,
            correct: IntCounter::new("feedback_correct_total", "Those of them that were correct.")?,
            score: Histogram::with_opts(score.buckets(twentieths))?,
            info: GaugeVec::new(info, &["version", "digest"])?,
        };
        let started = Gauge::new("process_start_time_seconds", "Start of the process, seconds since 1970.")?;
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.feedback.clone()))?;
        registry.register(Box::new(metrics.correct.clone()))?;
        registry.register(Box::new(metrics.score.clone()))?;
        registry.register(Box::new(metrics.info.clone()))?;
        registry.register(Box::new(started))?;
        for path in PATHS {
            metrics.seconds.with_label_values(&[path]);
            for code in CODES {
                metrics.requests.with_label_values(&[code, path]);
            }
        }
        Ok(metrics)
    }

    pub(super) fn loaded(&self, version: &str, digest: &str) {
        self.info.with_label_values(&[version, digest]).set(1.0);
    }

    pub(super) fn answered(&self, path: &str, code: u16, taken: Duration) {
        self.requests.with_label_values(&[code.to_string().as_str(), path]).inc();
        self.seconds.with_label_values(&[path]).observe(taken.as_secs_f64());
    }

    pub(super) fn feedback(&self, correct: bool, score: f64) {
        self.feedback.inc();
        self.correct.inc_by(u64::from(correct));
        self.score.observe(score);
    }

    /// Counts a request as in flight for as long as the value lives, also when its caller gives up.
    pub(super) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// In Prometheus' text format.
    pub(super) fn text(&self) -> Result<String> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// See [`Metrics::begin`].
pub(super) struct InFlight<'a>(&'a IntGauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
