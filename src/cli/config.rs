//! The operator's own configuration: a YAML file, each value of which has a flag and an environment variable too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::api::Span;
use crate::cluster::lease::Times;
use crate::cluster::rbac;
use crate::measure::Server;
use crate::telemetry::log::Format;

/// The file. What it leaves out has a default; what it does not know is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct File {
    /// Prometheus servers by the names that rollouts use.
    pub prometheus: Vec<Server>,
    /// Watched namespaces; none: all.
    pub namespaces: Vec<String>,
    /// The election of the one process that acts.
    pub lease: Lease,
    /// Address of `/healthz`, `/readyz` and `/metrics`.
    pub bind: Option<SocketAddr>,
    /// How logs are written.
    pub log_format: Option<Format>,
}

/// The election.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lease {
    /// Namespace of the Lease.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// After so long without renewal another process may take it.
    #[serde(deserialize_with = "length")]
    pub duration: Option<Duration>,
    /// The holder gives up after so long without renewal.
    #[serde(deserialize_with = "length")]
    pub renew_deadline: Option<Duration>,
    /// Between two tries.
    #[serde(deserialize_with = "length")]
    pub retry: Option<Duration>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is not what it should be.
    #[error("the configuration file {0} is wrong: {1}")]
    Wrong(PathBuf, String),
    /// The times of the election contradict each other.
    #[error(
        "lease times must fall: duration ({duration:?}) > renewDeadline ({renew_deadline:?}) > retry ({retry:?}) > 0"
    )]
    Times {
        /// As given.
        duration: Duration,
        /// As given.
        renew_deadline: Duration,
        /// As given.
        retry: Duration,
    },
}

/// Reads the file.
///
/// # Errors
/// When it is missing, is no YAML, or has a field that is not known.
pub fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable(path.to_owned(), e))?;
    parse(&text).map_err(|e| ConfigError::Wrong(path.to_owned(), e))
}

fn parse(text: &str) -> Result<File, String> {
    // A file of nothing but comments is an empty one.
    let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with(['#', '-']));
    if empty { Ok(File::default()) } else { serde_saphyr::from_str(text).map_err(|e| e.to_string()) }
}

/// The times of the election: what is given, else the defaults.
///
/// # Errors
/// When they contradict each other.
pub fn times(lease: &Lease) -> Result<Times, ConfigError> {
    let default = Times::default();
    let times = Times {
        duration: lease.duration.unwrap_or(default.duration),
        renew_deadline: lease.renew_deadline.unwrap_or(default.renew_deadline),
        retry: lease.retry.unwrap_or(default.retry),
    };
    let Times { duration, renew_deadline, retry } = times;
    match duration > renew_deadline && renew_deadline > retry && !retry.is_zero() {
        true => Ok(times),
        false => Err(ConfigError::Times { duration, renew_deadline, retry }),
    }
}

/// Name of the Lease where none is given.
pub fn lease_name(lease: &Lease) -> String {
    lease.name.clone().unwrap_or_else(|| rbac::NAME.to_owned())
}

/// A length of time such as `15s`.
///
/// # Errors
/// When it is none, or nothing.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a length of time such as 15s or 1500ms");
    let plain = text.chars().all(|c| c.is_ascii_digit() || "dhms".contains(c));
    let length = Span::from(text).get().to_std().map_err(|_| wrong())?;
    if plain && !length.is_zero() { Ok(length) } else { Err(wrong()) }
}

fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    span(&text).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_it_does_not_know_is_refused() {
        let file = parse(
            "prometheus:\n- {name: default, url: 'http://prometheus:9090'}\nlease: {duration: 6s, renewDeadline: 4s, retry: 500ms}\n",
        )
        .unwrap();
        assert_eq!(file.prometheus[0].name, "default");
        assert_eq!(times(&file.lease).unwrap().retry, Duration::from_millis(500));
        let error = parse("promtheus: []\n").unwrap_err();
        assert!(error.contains("promtheus") && error.contains("prometheus"), "{error}");
        assert!(parse("lease: {duration: soon}").unwrap_err().contains("soon"));
        assert_eq!(parse("# nothing yet\n").unwrap(), File::default());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/understudy.yaml")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/understudy.yaml"), "{error}");
    }

    #[test]
    fn lease_times_that_contradict_each_other_are_refused() {
        let lease = Lease { duration: Some(Duration::from_secs(3)), ..Lease::default() };
        assert!(times(&lease).is_err());
        assert_eq!(times(&Lease::default()).unwrap(), Times::default());
    }
}
