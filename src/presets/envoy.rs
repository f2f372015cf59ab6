//! Envoy as a gateway, by the names that Contour gives its clusters. Other control planes name them otherwise: say `arms`.
//! It sees what callers see, answers that never come included; nothing of calls that do not pass the gateway.

use crate::api::{Metric, Unit};

use super::{at_gateway, errors, latency};

/// Answers of class 5 and the time of an upstream request, in milliseconds.
pub fn metrics() -> Vec<Metric> {
    let bad = r#"envoy_cluster_upstream_rq_xx{envoy_response_code_class="5"}"#;
    let metrics = vec![
        errors(bad, "envoy_cluster_upstream_rq_xx"),
        latency("latency", "envoy_cluster_upstream_rq_time", Unit::Milliseconds),
    ];
    at_gateway("envoy_cluster_name", "$(NAMESPACE)_$(SERVICE)_$(PORT)", metrics)
}
