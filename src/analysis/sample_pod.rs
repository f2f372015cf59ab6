//! One arm's counters on one target, scrape by scrape. Totals and failures move together: a scrape counts only when
//! every counter that the pod is known to have is valid in it, else the whole pod waits for the next.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::interval::{Arm, Counter, Counts, Cursor};
use super::sample::{Birth, Window};

/// Newborn pods that a cursor remembers. Beyond it a pod's first sample is only its base.
pub const MAX_COUNTED: usize = 200;

/// A scrape in which every known counter is valid: values by series.
struct Scrape {
    at: i64,
    values: BTreeMap<usize, f64>,
}

/// The counters of one arm on one target.
pub struct Pod<'a> {
    /// Whose traffic.
    pub arm: Arm,
    /// Pod or gateway instance.
    pub target: &'a str,
    /// Which scrape of it.
    scrape: &'a str,
    scrapes: Vec<Scrape>,
    /// All times at which this arm has any sample here, valid or not.
    present: BTreeSet<i64>,
    /// All times at which the target was scraped, whatever the arm.
    alive: BTreeSet<i64>,
    counters: BTreeMap<usize, Counter>,
}

/// What a scrape must have to say anything, where the metric has it at all.
const REQUIRED: [Counter; 3] = [Counter::Total, Counter::Sum, Counter::SumSquares];

/// Groups the series of a window.
pub fn pods<'a>(window: &Window<'a>) -> Vec<Pod<'a>> {
    let mut alive: BTreeMap<(&str, &str), BTreeSet<i64>> = BTreeMap::new();
    let mut groups: BTreeMap<(Arm, &str, &str), Vec<usize>> = BTreeMap::new();
    let mut has: BTreeSet<(Counter, Arm, &str)> = BTreeSet::new();
    for (i, series) in window.series.iter().enumerate() {
        let (target, scrape) = (series.target.as_str(), series.scrape.as_str());
        alive.entry((target, scrape)).or_default().extend(series.samples.iter().map(|sample| sample.0));
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
    let pod = |((arm, target, scrape), members): ((Arm, &'a str, &'a str), Vec<usize>)| Pod {
        arm,
        target,
        scrape,
        scrapes: {
            // Failures may come from another port of the pod than the total.
            let here = |counter: &Counter| members.iter().any(|i| window.series[*i].counter == *counter);
            let elsewhere = |counter: &Counter| !here(counter) && has.contains(&(*counter, arm, target));
            let needed: Vec<Counter> = asked.iter().copied().filter(|c| !elsewhere(c)).collect();
            scrapes(window, &members, &needed)
        },
        present: members.iter().flat_map(|i| window.series[*i].samples.iter().map(|s| s.0)).collect(),
        alive: alive.get(&(target, scrape)).cloned().unwrap_or_default(),
        counters: members.iter().map(|i| (*i, window.series[*i].counter)).collect(),
    };
    groups.into_iter().map(pod).collect()
}

/// NaN, infinite and negative samples are as missing.
fn valid(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// Complete scrapes: with each of the counters that are `needed`, and without a sample that is none.
fn scrapes(window: &Window<'_>, members: &[usize], needed: &[Counter]) -> Vec<Scrape> {
    let mut broken: BTreeSet<i64> = BTreeSet::new();
    let mut by_time: BTreeMap<i64, BTreeMap<usize, f64>> = BTreeMap::new();
    for i in members {
        for (at, value) in &window.series[*i].samples {
            if valid(*value) {
                by_time.entry(*at).or_default().insert(*i, *value);
            } else {
                broken.insert(*at);
            }
        }
    }
    let memory = window.lookback.num_milliseconds();
    let mut last_valid: BTreeMap<usize, i64> = BTreeMap::new();
    let mut complete = Vec::new();
    for (at, values) in by_time {
        last_valid.extend(values.keys().map(|i| (*i, at)));
        // A counter that has been away for the whole lookback is gone, not late.
        let known_are_here = last_valid.values().all(|seen| *seen == at || *seen <= at - memory);
        let has = |counter: &Counter| values.keys().any(|i| window.series[*i].counter == *counter);
        if known_are_here && !broken.contains(&at) && needed.iter().all(has) {
            complete.push(Scrape { at, values });
        }
    }
    complete
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

    /// Adds the gains of `(start, end]`. False when there was no complete scrape.
    pub fn gain(
        &self,
        cursor: &Cursor,
        window: &Window<'_>,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        counts: &mut Counts,
    ) -> bool {
        let (from, to) = (start.timestamp_millis(), end.timestamp_millis());
        let oldest = from - window.lookback.num_milliseconds();
        let first = self.scrapes.partition_point(|scrape| scrape.at <= from);
        let last = self.scrapes.partition_point(|scrape| scrape.at <= to);
        let mut base = first.checked_sub(1).map(|i| &self.scrapes[i]).filter(|scrape| scrape.at > oldest);
        for scrape in &self.scrapes[first..last] {
            for (i, value) in &scrape.values {
                let before = match base {
                    Some(base) if !self.recreated(base.at, scrape.at) => {
                        base.values.get(i).copied().unwrap_or(0.0)
                    }
                    Some(_) => 0.0,
                    None if self.counts_from_zero(cursor, window, *i, scrape.at) => 0.0,
                    None => *value,
                };
                // A fall is a restart of the counter: what it shows was counted since.
                counts.gain(self.counters[i], if *value >= before { value - before } else { *value });
            }
            base = Some(scrape);
        }
        last > first
    }

    /// The target was scraped in between without any series of this arm: the data plane dropped and re-created them.
    fn recreated(&self, from: i64, to: i64) -> bool {
        self.alive.range(from + 1..to).any(|at| !self.present.contains(at))
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
        let before = |time: i64| time > oldest && time < at;
        let was_here = window.series[series].samples.iter().any(|sample| before(sample.0));
        !was_here && self.alive.range(oldest + 1..at).next().is_some()
    }
}

/// FNV-1a of a pod name, eight hex digits: enough to tell pods of one attempt apart. A collision only costs a pod its
/// first sample.
fn short_hash(name: &str) -> String {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}
