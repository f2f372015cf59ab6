//! One arm's counters on one target, scrape by scrape. Totals and failures move together: a scrape counts only when
//! every counter that the pod is known to have is valid in it, else the whole pod waits for the next.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::interval::{Arm, Counter, Counts, Cursor};
use super::sample::{Birth, RawSeries, Window};

/// Newborn pods that a cursor remembers. Beyond it a pod's first sample is only its base.
pub const MAX_COUNTED: usize = 200;

/// The counters of one arm on one target, read from one edge to the next.
pub struct Pod<'a> {
    /// Whose traffic.
    pub arm: Arm,
    /// Pod or gateway instance.
    pub target: &'a str,
    /// Which scrape of it.
    scrape: &'a str,
    /// Its series by their place in the window, and what they count.
    counters: Vec<(usize, Counter)>,
    /// Times of the scrapes in which every known counter is valid, in order.
    times: Vec<i64>,
    /// What they showed: a row of all counters for each scrape, NaN for those that it did not have.
    values: Vec<f64>,
    /// Scrapes up to the edge that was read last.
    passed: usize,
    /// The series of the target, of both arms.
    neighbours: Vec<usize>,
    /// Times at which the target was scraped without any series of this arm, in order.
    without: Vec<i64>,
}

/// What a scrape must have to say anything, where the metric has it at all.
const REQUIRED: [Counter; 3] = [Counter::Total, Counter::Sum, Counter::SumSquares];

/// Groups the series of a window. What was scraped up to `edge` is passed.
pub fn pods<'a>(window: &Window<'a>, edge: DateTime<Utc>) -> Vec<Pod<'a>> {
    let mut targets: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let mut groups: BTreeMap<(Arm, &str, &str), Vec<usize>> = BTreeMap::new();
    let mut has: BTreeSet<(Counter, Arm, &str)> = BTreeSet::new();
    for (i, series) in window.series.iter().enumerate() {
        let (target, scrape) = (series.target.as_str(), series.scrape.as_str());
        targets.entry((target, scrape)).or_default().push(i);
        groups.entry((series.arm, target, scrape)).or_default().push(i);
        if REQUIRED.contains(&series.counter) {
            has.insert((series.counter, series.arm, target));
        }
    }
    // A metric with scores has their sum on every pod: a count without it would look like scores of 0.
    let asked: Vec<Counter> = REQUIRED
        .into_iter()
        .filter(|counter| *counter == Counter::Total || has.iter().any(|(one, _, _)| one == counter))
        .collect();
    let pod = |((arm, target, scrape), members): ((Arm, &'a str, &'a str), Vec<usize>)| {
        let neighbours = targets.get(&(target, scrape)).cloned().unwrap_or_default();
        let mut pod = Pod {
            arm,
            target,
            scrape,
            without: without(window.series, &members, &neighbours),
            counters: members.iter().map(|i| (*i, window.series[*i].counter)).collect(),
            times: Vec::new(),
            values: Vec::new(),
            passed: 0,
            neighbours,
        };
        // Failures may come from another port of the pod than the total.
        let here = |counter: &Counter| pod.counters.iter().any(|(_, one)| one == counter);
        let elsewhere = |counter: &Counter| !here(counter) && has.contains(&(*counter, arm, target));
        let needed: Vec<Counter> = asked.iter().copied().filter(|c| !elsewhere(c)).collect();
        pod.read(window, &needed);
        pod.passed = pod.times.partition_point(|at| *at <= edge.timestamp_millis());
        pod
    };
    groups.into_iter().map(pod).collect()
}

/// NaN, infinite and negative samples are as missing.
fn valid(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// The series has a sample, valid or not, between two times.
fn seen(series: &RawSeries, after: i64, before: i64) -> bool {
    let next = series.samples.partition_point(|(at, _)| *at <= after);
    series.samples.get(next).is_some_and(|(at, _)| *at < before)
}

/// Times of the neighbours' samples at which none of the members has one.
fn without(series: &[RawSeries], members: &[usize], neighbours: &[usize]) -> Vec<i64> {
    let others = neighbours.iter().filter(|i| !members.contains(i));
    let mut times: Vec<i64> = others.flat_map(|i| series[*i].samples.iter().map(|(at, _)| *at)).collect();
    times.sort_unstable();
    times.dedup();
    times.retain(|at| !members.iter().any(|i| seen(&series[*i], at - 1, at + 1)));
    times
}

impl Pod<'_> {
    /// Short name of the pod and its scrape, for the cursor's memory.
    pub fn hash(&self) -> String {
        short_hash(&format!("{}/{}", self.target, self.scrape))
    }

    /// The pod is known to have started after the analysis did.
    pub fn started_after(&self, t0: DateTime<Utc>, window: &Window<'_>) -> bool {
        window.started.get(self.target).is_some_and(|started| *started > t0)
    }

    /// Keeps the complete scrapes: with each of the counters that are `needed`, and without a sample that is none.
    fn read(&mut self, window: &Window<'_>, needed: &[Counter]) {
        let memory = window.lookback.num_milliseconds();
        let series: Vec<&[(i64, f64)]> =
            self.counters.iter().map(|(i, _)| window.series[*i].samples.as_slice()).collect();
        let mut next = vec![0; series.len()];
        let mut last_valid: Vec<Option<i64>> = vec![None; series.len()];
        let mut row = vec![f64::NAN; series.len()];
        let head = |next: &[usize]| {
            series.iter().zip(next).filter_map(|(samples, k)| samples.get(*k)).map(|(at, _)| *at).min()
        };
        while let Some(now) = head(&next) {
            row.fill(f64::NAN);
            let mut broken = false;
            for (j, samples) in series.iter().enumerate() {
                while let Some((_, value)) = samples.get(next[j]).filter(|(at, _)| *at == now) {
                    next[j] += 1;
                    if valid(*value) {
                        row[j] = *value;
                        last_valid[j] = Some(now);
                    } else {
                        broken = true;
                    }
                }
            }
            // A counter that has been away for the whole lookback is gone, not late.
            let known_are_here = last_valid.iter().flatten().all(|at| *at == now || *at <= now - memory);
            let has = |counter: &Counter| {
                self.counters.iter().zip(&row).any(|((_, one), value)| one == counter && !value.is_nan())
            };
            if known_are_here && !broken && needed.iter().all(has) {
                self.times.push(now);
                self.values.extend_from_slice(&row);
            }
        }
    }

    /// Adds the gains of `(start, end]`, where `start` is the edge that was read last. False when there was no complete
    /// scrape; then the next interval may begin at the same edge.
    pub fn gain(
        &mut self,
        cursor: &Cursor,
        window: &Window<'_>,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        counts: &mut Counts,
    ) -> bool {
        let (from, to) = (start.timestamp_millis(), end.timestamp_millis());
        let oldest = from - window.lookback.num_milliseconds();
        let first = self.passed;
        let mut base = first.checked_sub(1).filter(|scrape| self.times[*scrape] > oldest);
        while let Some(at) = self.times.get(self.passed).copied().filter(|at| *at <= to) {
            let dropped = base.is_some_and(|base| self.recreated(self.times[base], at));
            for (column, (series, counter)) in self.counters.iter().enumerate() {
                let value = self.value(self.passed, column);
                if value.is_nan() {
                    continue;
                }
                let before = match base.map(|base| self.value(base, column)) {
                    Some(before) if !dropped && !before.is_nan() => before,
                    Some(_) => 0.0,
                    None if self.counts_from_zero(cursor, window, *series, at) => 0.0,
                    None => value,
                };
                // A fall is a restart of the counter: what it shows was counted since.
                counts.gain(*counter, if value >= before { value - before } else { value });
            }
            base = Some(self.passed);
            self.passed += 1;
        }
        self.passed > first
    }

    fn value(&self, scrape: usize, column: usize) -> f64 {
        self.values[scrape * self.counters.len() + column]
    }

    /// The target was scraped in between without any series of this arm: the data plane dropped and re-created them.
    fn recreated(&self, from: i64, to: i64) -> bool {
        let next = self.without.partition_point(|at| *at <= from);
        self.without.get(next).is_some_and(|at| *at < to)
    }

    fn counts_from_zero(&self, cursor: &Cursor, window: &Window<'_>, series: usize, at: i64) -> bool {
        let t0 = cursor.t0.timestamp_millis();
        match window.birth {
            Birth::AfterFirstLook => window.series[series].samples.first().is_some_and(|first| first.0 > t0),
            Birth::ByStartTime => {
                let newborn = self.started_after(cursor.t0, window) && !cursor.counted.contains(&self.hash());
                newborn || self.lazy(window, series, at)
            }
        }
    }

    /// The target was scraped within the lookback, and this series was in none of its scrapes.
    fn lazy(&self, window: &Window<'_>, series: usize, at: i64) -> bool {
        let oldest = at - window.lookback.num_milliseconds();
        let alive = self.neighbours.iter().any(|i| seen(&window.series[*i], oldest, at));
        alive && !seen(&window.series[series], oldest, at)
    }
}

/// FNV-1a of a pod name, eight hex digits: enough to tell pods of one attempt apart. A collision only costs a pod its
/// first sample.
fn short_hash(name: &str) -> String {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}
