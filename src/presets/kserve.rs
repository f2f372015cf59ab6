//! KServe's Python model server. It counts no failures: add the gateway's.

use crate::api::{Metric, Unit};

use super::latency;

/// The time of the prediction itself.
pub fn metrics() -> Vec<Metric> {
    vec![latency("predict", "request_predict_seconds", Unit::Seconds)]
}
