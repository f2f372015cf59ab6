//! What mirrored requests cost: reckoned before the mirror is on, counted while it is, and estimated where nothing is counted.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::interval::{Discard, Interval};
use super::text;

/// What requests cost and what all may cost together, in the user's own unit; both above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Of a thousand requests.
    pub per_thousand: f64,
    /// Of all.
    pub limit: f64,
}

impl Price {
    /// What so many requests cost.
    pub fn cost(self, requests: f64) -> f64 {
        requests / 1000.0 * self.per_thousand
    }

    /// Requests that the limit pays for.
    pub fn requests(self) -> f64 {
        if self.per_thousand > 0.0 { self.limit / self.per_thousand * 1000.0 } else { f64::INFINITY }
    }
}

/// A shadow stage before it begins. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// Requests of the stable version in a second.
    pub per_second: f64,
    /// Part of them that is mirrored, 0 to 1.
    pub share: f64,
    /// How long the stage lasts at least.
    pub seconds: f64,
    /// Mirrored requests that do not count for `min_requests`: those of the warm-up.
    pub warm_up: f64,
    /// Mirrored requests that are asked for.
    pub min_requests: f64,
}

/// What would bring a stage within its limit, each by itself. Whole numbers, rounded to the side of the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fits {
    /// Percent that may be mirrored.
    pub percent: Option<i32>,
    /// Seconds that it may last.
    pub seconds: Option<i64>,
    /// Requests that may be asked for.
    pub min_requests: Option<i64>,
}

impl Planned {
    /// Requests that the stage mirrors at least: those of its time, or those that are asked for, which may take longer.
    pub fn requests(&self) -> f64 {
        let a_second = self.per_second * self.share;
        (a_second * self.seconds).max(a_second * self.warm_up + self.min_requests)
    }

    /// What would do where `paid` requests are paid for.
    pub fn fits(&self, paid: f64) -> Fits {
        let a_second = self.per_second * self.share;
        let within = |changed: Planned| changed.requests() <= paid;
        let longest = self.seconds.max(self.warm_up);
        let percent = (100.0 * paid / (self.per_second * longest)).floor().min(100.0 * self.share);
        let seconds = (paid / a_second).floor();
        let min_requests = (paid - a_second * self.warm_up).floor();
        // A lower percent has fewer requests in its warm-up, too few of the others perhaps: then one less and less may do.
        let lower = (1..=(percent.max(0.0) as i32)).rev();
        Fits {
            percent: lower
                .take(100)
                .find(|p| within(Planned { share: f64::from(*p) / 100.0, ..*self }))
                .filter(|p| f64::from(*p) < 100.0 * self.share),
            seconds: Some(seconds as i64).filter(|s| *s >= 1 && within(Planned { seconds, ..*self })),
            min_requests: Some(min_requests as i64)
                .filter(|n| *n >= 1 && within(Planned { min_requests, ..*self })),
        }
    }
}

/// What was mirrored to the candidate in the shadow stage, as one metric counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mirrored {
    /// The candidate's requests, warm-ups and dropped intervals included: they cost as much as others.
    #[serde(with = "text::float")]
    pub counted: f64,
    /// Stable's requests since the candidate was last heard of. A candidate that is slow to answer counts later, and those of
    /// one that is not scraped come with the next scrape: so this starts again with every sign of it.
    #[serde(with = "text::float")]
    pub unheard: f64,
}

impl Mirrored {
    /// Nothing was mirrored.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// One interval; `since`: when the stage began. What the candidate got before, such as probes that its server counts, was
    /// not mirrored.
    pub fn look(&mut self, interval: &Interval, since: Option<DateTime<Utc>>) {
        if since.is_some_and(|since| interval.end <= since) {
            return;
        }
        if interval.candidate.n > 0.0 {
            self.counted += interval.candidate.n;
            self.unheard = 0.0;
        } else if since.is_none_or(|since| interval.start >= since)
            && interval.discarded != Some(Discard::ForeignEdit)
        {
            self.unheard += interval.stable.n;
        }
    }
}

/// One metric's count, and how it goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// Up to here.
    pub at: DateTime<Utc>,
    /// So many.
    pub mirrored: Mirrored,
    /// Mirrored requests in a second, as far as is known.
    pub per_second: f64,
}

/// The mirrored requests of a stage, from the counts of its metrics. None of them counts more than there were, so the highest is
/// nearest; and one that hears the candidate is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Spent {
    counts: Vec<Counted>,
    unheard: f64,
    since: DateTime<Utc>,
}

impl Spent {
    /// From the counts of all metrics that count requests. `share`: the part of the requests that is mirrored, 0 to 1; `since`:
    /// when the mirror was last switched on. Nothing without a count.
    pub fn of(counts: Vec<Counted>, share: f64, since: DateTime<Utc>) -> Option<Self> {
        let unheard = counts.iter().map(|c| c.mirrored.unheard).reduce(f64::min)? * share;
        Some(Self { counts, unheard, since })
    }

    /// Up to the last look.
    pub fn counted(&self) -> f64 {
        self.counts.iter().map(|c| c.mirrored.counted).fold(0.0, f64::max) + self.unheard
    }

    /// Up to `at`: what no look has counted yet is taken to go on as before.
    pub fn by(&self, at: DateTime<Utc>) -> f64 {
        let one =
            |c: &Counted| c.mirrored.counted + c.per_second * seconds(at - c.at.max(self.since)).max(0.0);
        self.counts.iter().map(one).fold(0.0, f64::max) + self.unheard
    }

    /// When so many are reached if it goes on as before; never is far away.
    pub fn reached_at(&self, requests: f64) -> DateTime<Utc> {
        const FAR: f64 = 86_400.0 * 365.0;
        let one = |c: &Counted| {
            let left = (requests - self.unheard - c.mirrored.counted) / c.per_second.max(1e-9);
            // Rounded up, or it would be looked at a moment too early.
            c.at.max(self.since) + Duration::milliseconds((left.clamp(0.0, FAR) * 1000.0).ceil() as i64)
        };
        self.counts.iter().map(one).min().unwrap_or(self.since)
    }

    /// Up to where all metrics have counted.
    pub fn counted_to(&self) -> DateTime<Utc> {
        self.counts.iter().map(|c| c.at).min().unwrap_or(self.since)
    }

    /// Mirrored requests in a second.
    pub fn per_second(&self) -> f64 {
        self.counts.iter().map(|c| c.per_second).fold(0.0, f64::max)
    }
}

fn seconds(of: Duration) -> f64 {
    of.num_milliseconds() as f64 / 1000.0
}

/// An amount in words: with two digits after the point, with more where it is small.
pub fn amount(of: f64) -> String {
    let digits = if of > 0.0 && of < 0.1 { (1.0 - of.log10()).ceil().clamp(2.0, 6.0) as usize } else { 2 };
    format!("{of:.digits$}")
}

/// The smallest amount that can be written with as many digits and is not less.
pub fn amount_at_least(of: f64) -> String {
    let digits = amount(of).split_once('.').map_or(0, |(_, after)| after.len());
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(2));
    format!("{:.digits$}", (of * scale - 1e-6).ceil() / scale)
}

#[cfg(test)]
mod tests;
