//! The face of a metric source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A Prometheus server, named in the operator's own configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// The name that rollouts use.
    pub name: String,
    /// Base URL, with a path prefix where there is one.
    pub url: String,
    /// File with a bearer token; read again for every request, so that it may rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authority that signed the server's; none: the usual public ones. Read when
    /// the operator starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The bearer token may be sent over plain HTTP, where everybody on the way can read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

/// How one arm's series are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmMatcher {
    /// Exact pod names in this label.
    Pods {
        /// Label that holds the pod's name, `pod` by default.
        label: String,
        /// Names of the arm's pods, remembered for the attempt.
        names: Vec<String>,
    },
    /// Exact label values, e.g. of a gateway's metrics.
    Labels(BTreeMap<String, String>),
}

/// Raw samples of one scoped selector over a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// An instant vector selector that already has the arm's matchers (see [`super::promql::scope`]).
    pub selector: String,
    /// Oldest sample wanted.
    pub from: DateTime<Utc>,
    /// Newest sample wanted: now minus one scrape interval.
    pub to: DateTime<Utc>,
    /// The selector is an expression ([`super::scope_expression`]), to be evaluated at whole multiples of this.
    pub step: Option<chrono::Duration>,
}

/// One series as the server returned it.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// All labels, `__name__` included.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds and value, in order of time. NaN and infinities are kept; the analysis treats them as missing.
    pub samples: Vec<(i64, f64)>,
}

/// A typed answer. None of these is a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// At least one series with at least one sample.
    Series(Vec<Series>),
    /// The query is good and matched nothing.
    NoData,
    /// No answer that can be used.
    Error(SourceError),
}

/// What kind of trouble, which decides what a person or the next look can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Refused, reset, DNS, 5xx: try again at the next look.
    Unreachable,
    /// The deadline passed.
    Timeout,
    /// The server refuses this query (400, 422): somebody must change it.
    BadQuery,
    /// 401 or 403: the operator's configuration must change.
    Denied,
    /// Not what Prometheus answers: wrong address, a login page, a redirect, truncated or oversized.
    BadReply,
    /// The answer is larger than is read: ask for less.
    TooLarge,
    /// The server says its answer is incomplete (warnings).
    Partial,
    /// The operator's configuration does not name this server, or its token file cannot be read.
    Configuration,
}

impl ErrorClass {
    /// It may be over at the next look; otherwise a person must change something.
    pub fn is_transient(self) -> bool {
        match self {
            ErrorClass::Unreachable | ErrorClass::Timeout | ErrorClass::Partial => true,
            ErrorClass::BadQuery
            | ErrorClass::Denied
            | ErrorClass::BadReply
            | ErrorClass::TooLarge
            | ErrorClass::Configuration => false,
        }
    }
}

/// An error for people: never the server's body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Kind.
    pub class: ErrorClass,
    /// What failed and what to do.
    pub message: String,
}

/// A metric source. `read` never fails otherwise than by a [`Reading`].
pub trait Source: Send + Sync {
    /// Raw samples of one selector over a window. Ends by itself within the source's deadline.
    fn read<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Reading>;
}

/// The scrape interval as it shows in the samples, see [`crate::analysis::sample::scrape_interval`].
pub fn scrape_interval(series: &[Series]) -> Option<chrono::Duration> {
    crate::analysis::sample::scrape_interval(series.iter().map(|one| one.samples.as_slice()))
}
