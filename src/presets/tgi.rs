//! Text Generation Inference. Requests that the caller made wrongly (`validation`) are not the version's failures.

use crate::api::{Metric, Unit};

use super::{errors, latency, shown};

/// Failed requests; the queueing time; and the whole time, which depends on the answers' length, for information.
pub fn metrics() -> Vec<Metric> {
    vec![
        errors(r#"tgi_request_failure{err!="validation"}"#, "tgi_request_count"),
        latency("queue", "tgi_request_queue_duration", Unit::Seconds),
        shown(latency("whole", "tgi_request_duration", Unit::Seconds)),
    ]
}
