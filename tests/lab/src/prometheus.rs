//! The lab's Prometheus, as tests use it.

pub use crate::components::prometheus::Scrape;
use crate::components::{Component, Site, prometheus};
use crate::net;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One series of an instant query.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Series {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Series {
    /// Its value.
    pub fn value(&self) -> f64 {
        // Prometheus writes numbers that Rust reads, NaN and +Inf too.
        self.value.1.parse().unwrap_or(f64::NAN)
    }
}

/// Prometheus, running or stopped.
pub struct Prometheus<'a> {
    component: &'a Component,
    site: &'a Site,
}

impl<'a> Prometheus<'a> {
    pub(crate) fn new(component: &'a Component, site: &'a Site) -> Self {
        Self { component, site }
    }

    /// Scrapes as often as this from now on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn scrape(&self, every: Scrape) -> Result<()> {
        prometheus::configure(self.site, every)?;
        prometheus::reload().await
    }

    /// An instant query.
    ///
    /// # Errors
    /// When it does not answer or refuses the query.
    pub async fn query(&self, query: &str) -> Result<Vec<Series>> {
        query_at(net::PROMETHEUS, query).await
    }

    /// Stops it; its data stays.
    pub fn stop(&self) {
        self.component.process.terminate(Duration::from_secs(5));
    }

    /// Starts it again and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start(&self) -> Result<()> {
        self.component.process.restart()?;
        self.component.ready(Duration::from_secs(30)).await
    }
}

/// An instant query to the Prometheus at `base`.
///
/// # Errors
/// When it does not answer or refuses the query.
pub async fn query_at(base: &str, query: &str) -> Result<Vec<Series>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Data>,
        error: Option<String>,
    }
    #[derive(Deserialize)]
    struct Data {
        result: Vec<Series>,
    }
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let url = format!("{base}/api/v1/query?query={encoded}");
    let answer = crate::http::get(&url, &[], Duration::from_secs(5)).await?;
    let parsed: Answer = serde_json::from_str(&answer.body).context("Prometheus did not answer in JSON")?;
    match parsed {
        Answer { data: Some(data), .. } => Ok(data.result),
        Answer { error, .. } => bail!("Prometheus refuses {query:?}: {}", error.unwrap_or_default()),
    }
}
