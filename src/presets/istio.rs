//! Istio's standard metrics as the callers' side counts them, so that a candidate does not report on itself.
//! Calls from outside the mesh are seen only where they come through an Istio gateway.

use crate::api::{Metric, Unit};

use super::{at_gateway, errors, latency};

/// Answers of 5xx and the duration in milliseconds, by the called Service.
pub fn metrics() -> Vec<Metric> {
    let bad = r#"istio_requests_total{reporter="source",response_code=~"5.."}"#;
    let metrics = vec![
        errors(bad, r#"istio_requests_total{reporter="source"}"#),
        latency("latency", r#"istio_request_duration_milliseconds{reporter="source"}"#, Unit::Milliseconds),
    ];
    at_gateway("destination_service", "$(SERVICE).$(NAMESPACE).svc.cluster.local", metrics)
}
