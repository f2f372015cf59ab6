//! A source that replays what was recorded: for tests and simulations.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::source::{Query, Reading, Series, Source, SourceError};

/// Series by selector, as [`super::promql::scope`] prints them. A selector that was not recorded has no data.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<Tape>);

#[derive(Debug, Default)]
struct Tape {
    series: BTreeMap<String, Vec<Series>>,
    failure: Option<SourceError>,
    queries: Vec<Query>,
}

impl Recorded {
    /// Nothing recorded.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds samples to a series, which is made when it is not there.
    pub fn record(&self, selector: &str, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut tape = self.tape();
        let all = tape.series.entry(selector.into()).or_default();
        match all.iter_mut().find(|series| series.labels == labels) {
            Some(series) => series.samples.extend_from_slice(samples),
            None => all.push(Series { labels, samples: samples.to_vec() }),
        }
    }

    /// From now on every read fails like this, until `None`.
    pub fn fail(&self, failure: Option<SourceError>) {
        self.tape().failure = failure;
    }

    /// What was asked so far.
    pub fn queries(&self) -> Vec<Query> {
        self.tape().queries.clone()
    }

    fn tape(&self) -> std::sync::MutexGuard<'_, Tape> {
        // A panic elsewhere leaves the tape whole: every change is one push.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replay(&self, query: &Query) -> Reading {
        let mut tape = self.tape();
        tape.queries.push(query.clone());
        if let Some(failure) = &tape.failure {
            return Reading::Error(failure.clone());
        }
        let (from, to) = (query.from.timestamp_millis(), query.to.timestamp_millis());
        let cut = |series: &Series| {
            let samples = series.samples.iter().filter(|sample| sample.0 > from && sample.0 <= to);
            Series { labels: series.labels.clone(), samples: samples.copied().collect() }
        };
        let found: Vec<Series> = tape
            .series
            .get(&query.selector)
            .into_iter()
            .flatten()
            .map(cut)
            .filter(|series| !series.samples.is_empty())
            .collect();
        if found.is_empty() { Reading::NoData } else { Reading::Series(found) }
    }
}

impl Source for Recorded {
    fn read<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Reading> {
        async move { self.replay(query) }.boxed()
    }
}
