//! SGLang, started with `--enable-metrics`. It counts no failures: add the gateway's.

use crate::api::{Metric, Unit};

use super::{latency, shown};

/// The time to the first token, and the whole time for information.
pub fn metrics() -> Vec<Metric> {
    vec![
        latency("first-token", "sglang:time_to_first_token_seconds", Unit::Seconds),
        shown(latency("whole", "sglang:e2e_request_latency_seconds", Unit::Seconds)),
    ]
}
