//! One metric of both arms: its selectors, scoped, read at once, and turned into what the analysis reads.

use chrono::{DateTime, Utc};
use futures::future::join_all;

use crate::analysis::{Arm, Bound, Counter, RawSeries};

use super::promql::{ScopeError, scope};
use super::source::{ArmMatcher, Query, Reading, Series, Source, SourceError};

/// What a selector of a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All requests or scores.
    Total,
    /// Failed requests that the total has too.
    Bad,
    /// Failed requests that are counted apart from the others: they belong to the total.
    BadOfAll,
    /// Sum of scores.
    Sum,
    /// Sum of squared scores.
    SumSquares,
    /// The value of an expression.
    Value,
    /// Buckets by their label `le`.
    Buckets {
        /// The `+Inf` bucket is the total: one query less, and the two cannot differ.
        with_total: bool,
    },
}

/// The selectors of one metric, as the user wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSelectors(Vec<Selector>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Selector {
    part: Part,
    text: String,
    suffix: &'static str,
}

impl MetricSelectors {
    /// Failed and all requests.
    pub fn ratio(bad: &str, total: &str) -> Self {
        Self(vec![part(Part::Total, total, ""), part(Part::Bad, bad, "")])
    }

    /// A latency histogram by its base name.
    pub fn latency(histogram: &str) -> Self {
        Self(vec![part(Part::Buckets { with_total: true }, histogram, "_bucket")])
    }

    /// A score histogram by its base name.
    pub fn mean_histogram(histogram: &str) -> Self {
        Self(vec![
            part(Part::Buckets { with_total: true }, histogram, "_bucket"),
            part(Part::Sum, histogram, "_sum"),
        ])
    }

    /// Sum and number of scores.
    pub fn mean(sum: &str, count: &str) -> Self {
        Self(vec![part(Part::Total, count, ""), part(Part::Sum, sum, "")])
    }

    /// Sum, sum of squares and number of scores.
    pub fn mean_squares(sum: &str, squares: &str, count: &str) -> Self {
        let Self(mut parts) = Self::mean(sum, count);
        parts.push(part(Part::SumSquares, squares, ""));
        Self(parts)
    }
}

fn part(part: Part, text: &str, suffix: &'static str) -> Selector {
    Selector { part, text: text.into(), suffix }
}

/// The two arms of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arms {
    /// Stable's series.
    pub stable: ArmMatcher,
    /// The candidate's series.
    pub candidate: ArmMatcher,
    /// Further labels that differ between the arms (the label that the Services select by).
    pub differing: Vec<String>,
}

/// Why a metric has no samples.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// The selector must be changed by its author.
    #[error("{selector}: {error}")]
    Selector {
        /// As the user wrote it.
        selector: String,
        /// What is wrong.
        error: ScopeError,
    },
    /// The source gave no usable answer.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricSamples {
    /// Raw series of both arms, for [`crate::analysis::intervals`].
    pub series: Vec<RawSeries>,
    /// The total of stable has series. Without them the query or its labels are wrong.
    pub stable_found: bool,
    /// The total of the candidate has series: its pods are scraped.
    pub candidate_found: bool,
    /// Matchers of the user that were taken out.
    pub removed: Vec<String>,
    /// Measured scrape interval of stable, if there were samples enough.
    pub scrape: Option<chrono::Duration>,
}

/// Reads all selectors of both arms at once. An arm without pods or without data is empty, not an error.
///
/// # Errors
/// A selector that cannot be scoped, or the first error of the source.
pub async fn read(
    source: &dyn Source,
    selectors: &MetricSelectors,
    arms: &Arms,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<MetricSamples, MetricError> {
    let mut out = MetricSamples::default();
    let mut wanted = Vec::new();
    for (arm, matcher) in [(Arm::Stable, &arms.stable), (Arm::Candidate, &arms.candidate)] {
        for selector in &selectors.0 {
            match scope(&selector.text, selector.suffix, matcher, &arms.differing) {
                Ok(scoped) => {
                    out.removed.extend(scoped.removed);
                    wanted.push((
                        arm,
                        matcher,
                        selector.part,
                        Query { selector: scoped.selector, from, to, step: None },
                    ));
                }
                Err(ScopeError::EmptyArm) => {}
                Err(error) => return Err(MetricError::Selector { selector: selector.text.clone(), error }),
            }
        }
    }
    out.removed.sort();
    out.removed.dedup();
    let readings = join_all(wanted.iter().map(|(_, _, _, query)| source.read(query))).await;
    for ((arm, matcher, part, _), reading) in wanted.iter().zip(readings) {
        let found = match reading {
            Reading::Series(series) => series,
            Reading::NoData => Vec::new(),
            Reading::Error(error) => return Err(error.into()),
        };
        if *arm == Arm::Stable && out.scrape.is_none() {
            out.scrape = super::source::scrape_interval(&found);
        }
        out.series.extend(found.into_iter().flat_map(|series| raw(*arm, matcher, *part, series)));
    }
    let has = |arm: Arm| out.series.iter().any(|one| one.arm == arm && one.counter == Counter::Total);
    (out.stable_found, out.candidate_found) = (has(Arm::Stable), has(Arm::Candidate));
    Ok(out)
}

/// Reads one counter of one arm: for callers that ask counter by counter. No series means no data.
///
/// # Errors
/// As [`read`]; an arm without pods is an error here.
pub async fn read_counter(
    source: &dyn Source,
    part: Part,
    selector: &str,
    (arm, matcher): (Arm, &ArmMatcher),
    differing: &[String],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<RawSeries>, MetricError> {
    let scoped = scope(selector, "", matcher, differing)
        .map_err(|error| MetricError::Selector { selector: selector.into(), error })?;
    match source.read(&Query { selector: scoped.selector, from, to, step: None }).await {
        Reading::Series(found) => {
            Ok(found.into_iter().flat_map(|series| raw(arm, matcher, part, series)).collect())
        }
        Reading::NoData => Ok(Vec::new()),
        Reading::Error(error) => Err(error.into()),
    }
}

/// One series of the source as counters of the analysis; the `+Inf` bucket may be two.
pub fn raw(arm: Arm, matcher: &ArmMatcher, part: Part, series: Series) -> Vec<RawSeries> {
    let target = target(matcher, &series);
    let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let counters = match part {
        Part::Total => vec![Counter::Total],
        Part::Bad => vec![Counter::Bad],
        Part::BadOfAll => vec![Counter::Bad, Counter::Total],
        Part::Sum => vec![Counter::Sum],
        Part::SumSquares => vec![Counter::SumSquares],
        Part::Value => vec![Counter::Value],
        Part::Buckets { with_total } => match series.labels.get("le").and_then(|le| le.parse::<f64>().ok()) {
            Some(le) if le == f64::INFINITY && with_total => vec![Counter::Bucket(Bound(le)), Counter::Total],
            Some(le) if !le.is_nan() => vec![Counter::Bucket(Bound(le))],
            _ => Vec::new(),
        },
    };
    let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
    let scrape = format!("{}/{}", label("job"), label("instance"));
    let one = |counter| RawSeries {
        arm,
        target: target.clone(),
        scrape: scrape.clone(),
        counter,
        labels: labels.join(","),
        samples: series.samples.clone(),
    };
    counters.into_iter().map(one).collect()
}

/// The pod that was scraped; for a gateway's metric the instance of the gateway.
fn target(matcher: &ArmMatcher, series: &Series) -> String {
    let label = |name: &str| series.labels.get(name).cloned();
    match matcher {
        ArmMatcher::Pods { label: pod, .. } => label(pod).unwrap_or_default(),
        ArmMatcher::Labels(_) => {
            label("pod").or_else(|| label("instance")).unwrap_or_else(|| "gateway".to_string())
        }
    }
}
