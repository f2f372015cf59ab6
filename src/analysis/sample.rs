//! From raw cumulative samples to gains per interval. Never `rate()`: it extrapolates, so counts are no longer integers
//! and the arms are scaled differently.
//!
//! The result is a pure function of the cursor and the samples, and local: an interval depends only on samples up to
//! [`Window::lookback`] before its begin, so it does not matter in how many pieces a stretch is read. A caller fetches from
//! two lookbacks before the cursor.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use super::interval::{Arm, Counter, Counts, Cursor, Discard, Interval, Looks, Span};
use super::{Problem, sample_pod};

/// One raw series: cumulative samples of one counter.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSeries {
    /// Whose traffic it counts.
    pub arm: Arm,
    /// What was scraped: the pod, or the gateway instance (which has series of both arms).
    pub target: String,
    /// Which scrape of the target it comes from (job and instance): the series of one scrape share their times. A pod may
    /// be scraped on several ports.
    pub scrape: String,
    /// What it counts.
    pub counter: Counter,
    /// All labels as text: the series' identity.
    pub labels: String,
    /// Time in milliseconds and value, in order of time.
    pub samples: Vec<(i64, f64)>,
}

/// How a series without an earlier sample is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Birth {
    /// From 0 when its pod started after t0, or its target was scraped before without it; else the first sample is the
    /// base, because a late-discovered old series would add its whole history.
    #[default]
    ByStartTime,
    /// From 0 whenever it appears after t0: for traces that carry no start times.
    AfterFirstLook,
}

/// The samples and what is known about them.
#[derive(Clone, Debug)]
pub struct Window<'a> {
    /// Length of a grid step.
    pub interval: Duration,
    /// Last time up to which every target has been scraped: now minus one scrape interval.
    pub until: DateTime<Utc>,
    /// Samples older than this before an interval do not serve as its base.
    pub lookback: Duration,
    /// The raw samples, from at least two lookbacks before the cursor.
    pub series: &'a [RawSeries],
    /// Start times of the pods of both arms, by name.
    pub started: &'a BTreeMap<String, DateTime<Utc>>,
    /// Stretches that are not judged.
    pub discarded: &'a [Span],
    /// How newborn series count.
    pub birth: Birth,
}

/// The scrape interval as it shows in the samples: the median spacing over all series. `None` while no series has three
/// samples.
pub fn scrape_interval<'a>(series: impl IntoIterator<Item = &'a [(i64, f64)]>) -> Option<Duration> {
    let mut gaps: Vec<i64> = Vec::new();
    for samples in series.into_iter().filter(|samples| samples.len() >= 3) {
        gaps.extend(samples.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > 0));
    }
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).map(|gap| Duration::milliseconds(*gap))
}

/// The lookback for an interval and a scrape interval: long enough to bridge a few lost scrapes of one pod.
pub fn lookback(interval: Duration, scrape: Duration) -> Duration {
    (interval * 4).max(scrape * 6).max(Duration::seconds(60))
}

/// Closes all intervals after the cursor that the samples allow.
pub fn intervals(cursor: &Cursor, window: &Window<'_>) -> Looks {
    let mut looks = Looks::none(cursor);
    looks.problems = duplicates(window.series);
    if looks.problems.is_empty() {
        let mut closing = Closing::after(cursor, window.clone());
        looks.intervals.extend(&mut closing);
        looks.empty_looks = closing.steps;
        looks.cursor = closing.cursor;
    }
    looks
}

/// The intervals after a cursor, closed one at a time. A grid step in which neither arm was scraped is pooled with the next
/// one that was.
pub struct Closing<'a> {
    /// Where it stands: after the last interval given.
    pub cursor: Cursor,
    window: Window<'a>,
    pods: Vec<sample_pod::Pod<'a>>,
    edge: DateTime<Utc>,
    /// Grid steps since the last interval given.
    steps: u32,
}

impl<'a> Closing<'a> {
    /// Nothing is closed yet. Series that count the same twice are the caller's to refuse.
    pub fn after(cursor: &Cursor, window: Window<'a>) -> Self {
        let pods = sample_pod::pods(&window, cursor.at);
        Self { cursor: cursor.clone(), edge: cursor.at, pods, window, steps: 0 }
    }
}

impl Iterator for Closing<'_> {
    type Item = Interval;

    fn next(&mut self) -> Option<Interval> {
        let step = self.window.interval;
        while step > Duration::zero() && self.edge + step <= self.window.until {
            self.edge += step;
            self.steps += 1;
            let interval = close(&mut self.cursor, &self.window, &mut self.pods, self.edge, self.steps);
            if interval.candidate_scraped || interval.stable_scraped {
                self.cursor.at = self.edge;
                self.steps = 0;
                return Some(interval);
            }
        }
        None
    }
}

fn close(
    cursor: &mut Cursor,
    window: &Window<'_>,
    pods: &mut [sample_pod::Pod<'_>],
    end: DateTime<Utc>,
    looks: u32,
) -> Interval {
    let start = cursor.at;
    let mut interval = Interval {
        start,
        end,
        looks,
        discarded: discarded(window.discarded, start, end),
        stable: Counts::default(),
        candidate: Counts::default(),
        candidate_scraped: false,
        stable_scraped: false,
    };
    let mut newborn = BTreeSet::new();
    for pod in pods {
        let (counts, scraped) = match pod.arm {
            Arm::Stable => (&mut interval.stable, &mut interval.stable_scraped),
            Arm::Candidate => (&mut interval.candidate, &mut interval.candidate_scraped),
        };
        let gained = pod.gain(cursor, window, start, end, counts);
        *scraped |= gained;
        if gained && pod.started_after(cursor.t0, window) {
            newborn.insert(pod.hash());
        }
    }
    for hash in newborn {
        if !cursor.counted.contains(&hash) && cursor.counted.len() < sample_pod::MAX_COUNTED {
            cursor.counted.push(hash);
        }
    }
    interval
}

/// Stable's gains over a stretch, from the raw samples in it: the hour before an attempt. Without an earlier sample the first
/// of a series is its base.
pub fn history(series: &[RawSeries], from: DateTime<Utc>, to: DateTime<Utc>) -> Counts {
    let window = Window {
        interval: to - from,
        until: to,
        lookback: to - from,
        series,
        started: &BTreeMap::new(),
        discarded: &[],
        birth: Birth::ByStartTime,
    };
    let mut all = Counts::default();
    for interval in intervals(&Cursor::start(from), &window).intervals {
        all.add(&interval.stable);
    }
    all
}

pub(crate) fn discarded(spans: &[Span], start: DateTime<Utc>, end: DateTime<Utc>) -> Option<Discard> {
    spans.iter().filter(|span| span.from < end && span.to > start).map(|span| span.why).max()
}

/// Two series of one counter on one target that rise in step: scraped twice, or stored twice. Their values interleave
/// in time all along, which two different counters of real traffic do not do.
fn duplicates(series: &[RawSeries]) -> Vec<Problem> {
    let mut groups: BTreeMap<(Arm, &str, Counter), Vec<&RawSeries>> = BTreeMap::new();
    for one in series {
        groups.entry((one.arm, &one.target, one.counter)).or_default().push(one);
    }
    let mut problems = Vec::new();
    for ((_, target, _), members) in groups {
        for (i, first) in members.iter().enumerate() {
            if let Some(second) = members[i + 1..].iter().find(|second| in_step(first, second)) {
                problems.push(Problem::Duplicated {
                    target: target.into(),
                    first: first.labels.clone(),
                    second: second.labels.clone(),
                });
            }
        }
    }
    problems
}

/// Rises needed before two series can be called the same.
const RISES: usize = 4;

/// Events needed.
const EVENTS: f64 = 20.0;

fn in_step(a: &RawSeries, b: &RawSeries) -> bool {
    let (Some(grown), Some(other)) = (growth(&a.samples), growth(&b.samples)) else {
        return false;
    };
    if grown.0 < RISES || grown.1 < EVENTS || other.0 < RISES {
        return false;
    }
    let mut merged: Vec<(i64, f64)> = a.samples.iter().chain(&b.samples).copied().collect();
    merged.sort_by_key(|sample| sample.0);
    // At the same moment both must show the same value; between, neither may be ahead of the other's next sample.
    merged.windows(2).all(|pair| match pair {
        [(t, v), (u, w)] if t == u => v == w,
        [(_, v), (_, w)] => v <= w,
        _ => true,
    })
}

/// Number of rises and their sum, or `None` for a series that fell or has bad samples.
fn growth(samples: &[(i64, f64)]) -> Option<(usize, f64)> {
    let mut rises = 0;
    for pair in samples.windows(2) {
        let [(_, v), (_, w)] = pair else { continue };
        if w < v || !v.is_finite() || !w.is_finite() {
            return None;
        }
        rises += usize::from(w > v);
    }
    let (first, last) = (samples.first()?, samples.last()?);
    Some((rises, last.1 - first.1))
}
