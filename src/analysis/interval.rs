//! What one look sees: how many requests, failures or scores each arm gained between two edges of the grid.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The two sides of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Arm {
    /// The version that served before.
    Stable,
    /// The version on trial.
    Candidate,
}

/// The upper bound of a histogram bucket. Ordered, so that it can be a key.
#[derive(Clone, Copy, Debug)]
pub struct Bound(pub f64);

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        super::text::float::serialize(&self.0, out)
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        super::text::float::deserialize(input).map(Bound)
    }
}

/// What a raw series counts. All counters are cumulative and only fall when they start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// All requests or all scores: `total`, `_count`, or the `+Inf` bucket.
    Total,
    /// The failed ones of a `ratio` metric.
    Bad,
    /// The sum of the scores: `_sum`.
    Sum,
    /// The sum of the squared scores.
    SumSquares,
    /// Cumulative bucket of a classic histogram: observations up to this bound.
    Bucket(Bound),
    /// No counter: the value of an expression, which never is a gain.
    Value,
}

/// Gains of one arm over an interval. Sums over all its pods, never extrapolated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Requests or scores.
    #[serde(with = "super::text::float", skip_serializing_if = "super::text::is_default")]
    pub n: f64,
    /// Failed requests.
    #[serde(with = "super::text::float", skip_serializing_if = "super::text::is_default")]
    pub bad: f64,
    /// Sum of the scores.
    #[serde(with = "super::text::float", skip_serializing_if = "super::text::is_default")]
    pub sum: f64,
    /// Sum of squares, when the metric has one.
    #[serde(with = "super::text::float", skip_serializing_if = "super::text::is_default")]
    pub sum_squares: f64,
    /// Observations up to each bound (cumulative over bounds).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<Bound, Exact>,
}

/// A float that is saved as text; the value of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exact(#[serde(with = "super::text::float")] pub f64);

impl Counts {
    /// Nothing was gained.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds one gain of one counter.
    pub fn gain(&mut self, counter: Counter, by: f64) {
        match counter {
            Counter::Total => self.n += by,
            Counter::Bad => self.bad += by,
            Counter::Sum => self.sum += by,
            Counter::SumSquares => self.sum_squares += by,
            Counter::Value => {}
            Counter::Bucket(bound) => self.buckets.entry(bound).or_default().0 += by,
        }
    }

    /// Adds the gains of another interval.
    pub fn add(&mut self, other: &Counts) {
        self.n += other.n;
        self.bad += other.bad;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
        for (bound, value) in &other.buckets {
            self.buckets.entry(*bound).or_default().0 += value.0;
        }
    }

    /// Observations up to `bound`, or `None` when the arm has no such bucket.
    pub fn up_to(&self, bound: f64) -> Option<f64> {
        self.buckets.get(&Bound(bound)).map(|value| value.0)
    }
}

/// Why an interval says nothing about the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Discard {
    /// Warm-up after a weight change, or a pod start. The coarse guard reads such intervals all the same.
    WarmUp,
    /// Somebody else changed the route or a selector. Nothing reads such intervals.
    ForeignEdit,
}

/// A stretch of time that is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Begin.
    pub from: DateTime<Utc>,
    /// End; intervals that begin here are judged again.
    pub to: DateTime<Utc>,
    /// Why.
    pub why: Discard,
}

/// The gains of both arms between two edges of the grid `t0 + k * interval`.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// Begin, exclusive.
    pub start: DateTime<Utc>,
    /// End, inclusive.
    pub end: DateTime<Utc>,
    /// Number of grid steps: 1, more when a gap in the scrapes was pooled.
    pub looks: u32,
    /// Set when the interval overlaps a span that is not judged.
    pub discarded: Option<Discard>,
    /// Gains of the version that served before.
    pub stable: Counts,
    /// Gains of the version on trial.
    pub candidate: Counts,
    /// The candidate's counters were scraped in this interval. False says nothing about its traffic.
    pub candidate_scraped: bool,
    /// The same for stable.
    pub stable_scraped: bool,
}

/// How far the raw samples have been turned into intervals. Saved together with the ledgers, so that each
/// interval is counted exactly once whatever is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// The analysis start t0: origin of the grid.
    pub t0: DateTime<Utc>,
    /// Last processed edge.
    pub at: DateTime<Utc>,
    /// Short hashes of the pods that started after t0 and have been counted: they are counted from 0 once only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<String>,
}

impl Cursor {
    /// Nothing processed yet. The grid is in whole milliseconds, as samples are.
    pub fn start(t0: DateTime<Utc>) -> Self {
        let t0 = t0.trunc_subsecs(3);
        Self { t0, at: t0, counted: Vec::new() }
    }
}

/// Something in the samples that makes the metric unusable; never evidence for or against anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Two series count the same requests.
    #[error(
        "{target} is counted twice: the series {first} and {second} rise in step. \
         Write a selector that yields one series per pod"
    )]
    Duplicated {
        /// The pod or gateway instance.
        target: String,
        /// Labels of one series.
        first: String,
        /// Labels of the other.
        second: String,
    },
    /// An expression that gives more than one number for an arm.
    #[error(
        "the expression gives {series} numbers for one arm; aggregate it to one, such as avg(...) or max(...)"
    )]
    Several {
        /// How many.
        series: usize,
    },
}

/// The result of reading raw samples: intervals in order of time, and the new cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Looks {
    /// Closed intervals after the old cursor.
    pub intervals: Vec<Interval>,
    /// The cursor after them.
    pub cursor: Cursor,
    /// Whole grid steps since the cursor in which neither arm was scraped.
    pub empty_looks: u32,
    /// When not empty, `intervals` is empty and the cursor has not moved.
    pub problems: Vec<Problem>,
}

impl Looks {
    /// Nothing was read.
    pub fn none(cursor: &Cursor) -> Self {
        Self { intervals: Vec::new(), cursor: cursor.clone(), empty_looks: 0, problems: Vec::new() }
    }
}
