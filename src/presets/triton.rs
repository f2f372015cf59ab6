//! Triton Inference Server. It counts successes and failures apart, and of times only sums, in microseconds: the mean is shown;
//! for a limit on latency add the gateway's histogram.

use crate::api::Metric;

use super::{errors_beside, mean, shown};

/// Failures that are not cancellations by the caller, and the mean duration for information.
pub fn metrics() -> Vec<Metric> {
    let success = "nv_inference_request_success";
    vec![
        errors_beside(r#"nv_inference_request_failure{reason!="CANCELED"}"#, success),
        shown(mean("duration", "nv_inference_request_duration_us", success)),
    ]
}
