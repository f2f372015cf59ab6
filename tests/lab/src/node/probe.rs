//! Probes: how results become a judgement (pure), and how a container is asked.

use super::command::Command;
use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;

/// Counts results until a threshold is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    success_threshold: i32,
    failure_threshold: i32,
    last: Option<bool>,
    run: i32,
}

impl Tally {
    pub(super) fn new(probe: &Probe) -> Self {
        Self {
            success_threshold: probe.success_threshold.unwrap_or(1).max(1),
            failure_threshold: probe.failure_threshold.unwrap_or(3).max(1),
            last: None,
            run: 0,
        }
    }

    /// The judgement after one more result: none as long as neither threshold is reached.
    pub(super) fn observe(&mut self, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        (self.run >= threshold).then_some(success)
    }
}

/// Seconds until the first question, and between questions.
pub(super) fn schedule(probe: &Probe) -> (Duration, Duration) {
    let seconds = |value: Option<i32>, default: u64| {
        Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
    };
    (seconds(probe.initial_delay_seconds, 0), seconds(probe.period_seconds, 10).max(Duration::from_secs(1)))
}

/// Asks once. An error says why not.
pub(super) async fn ask(
    probe: &Probe,
    container: &Container,
    address: &str,
    command: &Command,
) -> Result<(), String> {
    let timeout =
        Duration::from_secs(probe.timeout_seconds.and_then(|value| u64::try_from(value).ok()).unwrap_or(1));
    if let Some(action) = &probe.http_get {
        http_get(action, container, address, timeout).await
    } else if let Some(action) = &probe.tcp_socket {
        let address = format!("{address}:{}", port(&action.port, container)?);
        match tokio::time::timeout(timeout, tokio::net::TcpStream::connect(&address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{address}: {error}")),
            Err(_) => Err(format!("{address}: no connection within {timeout:?}")),
        }
    } else if let Some(action) = &probe.exec {
        exec(action, command, timeout).await
    } else {
        Err("the lab's node agent knows the probes httpGet, tcpSocket and exec".into())
    }
}

/// GET; 200 to 399 is success.
pub(super) async fn http_get(
    action: &HTTPGetAction,
    container: &Container,
    address: &str,
    timeout: Duration,
) -> Result<(), String> {
    let host = action.host.as_deref().unwrap_or(address);
    let path = action.path.as_deref().unwrap_or("/").trim_start_matches('/');
    let url = format!("http://{host}:{}/{path}", port(&action.port, container)?);
    let headers: Vec<_> = action
        .http_headers
        .iter()
        .flatten()
        .map(|header| (header.name.clone(), header.value.clone()))
        .collect();
    match crate::http::get(&url, &headers, timeout).await {
        Ok(answer) if (200..400).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(format!("{url} answered {}", answer.status)),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Runs a command with the container's environment; exit code 0 is success.
pub(super) async fn exec(action: &ExecAction, command: &Command, timeout: Duration) -> Result<(), String> {
    let argv = action.command.clone().unwrap_or_default();
    match tokio::time::timeout(timeout, command.run(&argv)).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{argv:?} ended with {status}")),
        Ok(Err(error)) => Err(format!("{argv:?}: {error}")),
        Err(_) => Err(format!("{argv:?} did not end within {timeout:?}")),
    }
}

fn port(port: &IntOrString, container: &Container) -> Result<i32, String> {
    match port {
        IntOrString::Int(port) => Ok(*port),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port)
            .ok_or_else(|| format!("the container has no port named {name:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(success_threshold: i32, failure_threshold: i32) -> Tally {
        Tally::new(&Probe {
            success_threshold: Some(success_threshold),
            failure_threshold: Some(failure_threshold),
            ..Probe::default()
        })
    }

    #[test]
    fn a_judgement_needs_its_threshold_in_a_row() {
        let mut tally = tally(2, 3);
        let judgements: Vec<_> = [true, true, false, false, true, false, false, false]
            .map(|result| tally.observe(result))
            .to_vec();
        assert_eq!(
            judgements,
            [None, Some(true), None, None, None, None, None, Some(false)],
            "a success in between starts the count of failures again"
        );
    }

    #[test]
    fn defaults_are_those_of_kubernetes() {
        let mut tally = Tally::new(&Probe::default());
        assert_eq!(tally.observe(true), Some(true));
        assert_eq!([false, false, false].map(|result| tally.observe(result)), [None, None, Some(false)]);
        assert_eq!(schedule(&Probe::default()), (Duration::ZERO, Duration::from_secs(10)));
    }
}
