//! vLLM's OpenAI server. Its own counters know successes only, so failures come from its HTTP layer. How long a whole answer
//! takes depends on how long it is, so that is only shown.

use crate::api::{Metric, Unit};

use super::{errors, latency, shown};

/// Failed calls of the API, the time to the first token, and the whole time for information.
pub fn metrics() -> Vec<Metric> {
    vec![
        errors(
            r#"http_requests_total{handler=~"/v1/.*",status="5xx"}"#,
            r#"http_requests_total{handler=~"/v1/.*"}"#,
        ),
        latency("first-token", "vllm:time_to_first_token_seconds", Unit::Seconds),
        shown(latency("whole", "vllm:e2e_request_latency_seconds", Unit::Seconds)),
    ]
}
