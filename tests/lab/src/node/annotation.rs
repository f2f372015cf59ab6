//! Annotations by which a test asks for a misbehaving or a pretended pod.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::time::Duration;

/// Report Ready, start nothing.
pub(super) fn is_fake(pod: &Pod) -> bool {
    pod.annotations().get("lab.understudy.dev/fake").is_some_and(|value| value == "ready")
}

/// The first back-off after a crash; the kubelet's 10 s unless the pod says otherwise.
pub(super) fn crash_backoff(pod: &Pod) -> Duration {
    duration(pod, "lab.understudy.dev/crash-backoff").unwrap_or(Duration::from_secs(10))
}

/// When containers run out of memory.
pub(super) fn oom_after(pod: &Pod) -> Option<Duration> {
    duration(pod, "lab.understudy.dev/oom-after")
}

fn duration(pod: &Pod, name: &str) -> Option<Duration> {
    parse(pod.annotations().get(name)?)
}

/// `5s`, `0.5s`, `300ms`.
fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse("300ms"), Some(Duration::from_millis(300)));
        assert_eq!(parse("0.5s"), Some(Duration::from_millis(500)));
        assert_eq!(parse("5"), None);
        assert_eq!(parse("-1s"), None);
    }
}
