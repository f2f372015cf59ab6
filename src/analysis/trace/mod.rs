//! A recorded trace of both arms' counters, judged look by look as a rollout would have been.
//!
//! The form is one raw sample for each row: `ts,arm,series,name,value`, with `arm` one of `cand` and `base`. What a row counts
//! depends on the kind: requests and failed ones (`n`, `x`), cumulative buckets (`le_0.1` ... `le_+Inf`), scores (`n`, `sum`,
//! and `sumsq` or buckets). An empty value or `NaN` is a scrape that failed.

mod read;
mod settings;

use std::collections::BTreeMap;
use std::iter::Peekable;

use chrono::{DateTime, Duration, Utc};

use super::sample::{Birth, Closing};
use super::state::BreachKind;
use super::verdict::Direction;
use super::{
    Counter, Counts, Cursor, Looks, MetricPlan, MetricState, MetricVerdict, Outcome, RawSeries, Reason,
    Stage, Window, advance, step,
};

pub use read::Reader;
pub use settings::{KEYS, Settings, SettingsError};

/// What a trace counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Failed requests among all.
    Errors,
    /// Slow requests, by buckets.
    Latency,
    /// Scores between 0 and 1.
    Score,
}

/// What cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The first line.
    #[error("the first line is {0:?}, not \"ts,arm,series,name,value\"")]
    Header(String),
    /// A row.
    #[error("line {line}: {what}")]
    Row {
        /// Its number, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// Too little for a look.
    #[error("there are samples of {0} moments only; a look needs two")]
    TooShort(usize),
}

/// Raw samples of both arms.
#[derive(Clone, Debug)]
pub struct Trace {
    series: Vec<RawSeries>,
    kind: Kind,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    interval: Duration,
}

/// How a trace stands after one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// End of the interval.
    pub at: DateTime<Utc>,
    /// Requests or scores of the candidate so far.
    pub n_candidate: f64,
    /// Those of stable.
    pub n_stable: f64,
    /// Log evidence "worse than the rollback bound".
    pub log_bad: f64,
    /// Log evidence "within the promotion bound".
    pub log_ok: f64,
    /// What a rollout would do.
    pub decision: Decision,
    /// While nothing is decided: candidate requests until a decision at the present rates, and which.
    pub forecast: Option<(f64, Direction)>,
}

/// What a rollout would do at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Bring traffic back. Final.
    Rollback,
    /// Proven; says how things stand at this look.
    Promote,
    /// Neither yet.
    Inconclusive,
    /// No new requests in one arm for several looks.
    NoData,
    /// What the test needs is still being learned.
    WarmUp,
    /// The samples cannot be used.
    Unusable,
}

impl Decision {
    /// As it stands in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "ROLLBACK",
            Self::Promote => "PROMOTE",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::NoData => "NO_DATA",
            Self::WarmUp => "WARMUP",
            Self::Unusable => "UNUSABLE",
        }
    }

    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Promote,
            Outcome::Breach(breach) => match breach.by {
                BreachKind::Limit
                | BreachKind::CoarseGuard
                | BreachKind::AbsoluteGuard
                | BreachKind::AbsoluteGuardControlThin
                | BreachKind::Range => Self::Rollback,
            },
            Outcome::Inconclusive { .. } => Self::Inconclusive,
            Outcome::Unavailable(Reason::NoData) => Self::NoData,
            Outcome::Unavailable(Reason::NoBounds) | Outcome::WarmUp => Self::WarmUp,
            Outcome::Unavailable(
                Reason::BucketMismatch
                | Reason::BothArmsMoved
                | Reason::ScoreOutOfRange
                | Reason::Problem(_)
                | Reason::Unpaired,
            ) => Self::Unusable,
        }
    }
}

impl Trace {
    /// Reads a trace from its text.
    ///
    /// # Errors
    /// The line that cannot be read, and why.
    pub fn read(text: &str, kind: Kind) -> Result<Self, TraceError> {
        let mut reader = Reader::new(kind);
        reader.add(text)?;
        reader.finish()
    }

    /// The plan of the trace's metric with these settings.
    pub fn plan(&self, settings: &Settings) -> MetricPlan {
        let has = |wanted: fn(Counter) -> bool| self.series.iter().any(|one| wanted(one.counter));
        let kind = match self.kind {
            Kind::Errors => super::Kind::Ratio,
            Kind::Latency => super::Kind::Latency,
            Kind::Score if has(|counter| counter == Counter::SumSquares) => super::Kind::MeanSumSquares,
            Kind::Score if has(|counter| matches!(counter, Counter::Bucket(_))) => super::Kind::MeanHistogram,
            Kind::Score if settings.exact => super::Kind::MeanCounted,
            Kind::Score => super::Kind::MeanSumCount,
        };
        settings.plan(kind)
    }

    /// Judges the trace, look by look. Looks that end before `start` are history: bounds are chosen from them, and nothing is
    /// tested.
    pub fn judge(&self, settings: &Settings, start: Option<DateTime<Utc>>) -> Judge<'_> {
        let plan = self.plan(settings);
        let mut rest = self.looks().peekable();
        let mut history = Counts::default();
        while let Some(past) = rest.next_if(|interval| start.is_some_and(|at| interval.end < at)) {
            history.add(&past.stable);
        }
        let state = MetricState::start(&plan, Stage::Canary, self.first, Some(&history));
        let one = Looks::none(&Cursor::start(self.first));
        Judge { plan, state, rest, one }
    }

    /// The samples as looks, on the grid of the first two moments. No two series of a trace count the same.
    fn looks(&self) -> Closing<'_> {
        static NO_STARTS: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
        let window = Window {
            interval: self.interval,
            until: self.last,
            lookback: self.last - self.first + self.interval,
            series: &self.series,
            started: &NO_STARTS,
            discarded: &[],
            birth: Birth::AfterFirstLook,
        };
        Closing::after(&Cursor::start(self.first), window)
    }
}

/// The looks of a trace, one after the other.
pub struct Judge<'a> {
    plan: MetricPlan,
    state: MetricState,
    rest: Peekable<Closing<'a>>,
    /// The look at hand.
    one: Looks,
}

impl Judge<'_> {
    /// The next look with all that is known of it, its sentence too, and the state after it.
    pub fn step(&mut self) -> Option<(DateTime<Utc>, MetricVerdict)> {
        let at = self.take()?;
        let (state, verdict) = advance(&self.plan, &self.state, &self.one);
        self.state = state;
        Some((at, verdict))
    }

    fn take(&mut self) -> Option<DateTime<Utc>> {
        let interval = self.rest.next()?;
        self.one.cursor.at = interval.end;
        self.one.intervals.clear();
        self.one.intervals.push(interval);
        Some(self.one.cursor.at)
    }

    /// What a look's verdict comes to; `verdict` is that of the last [`Judge::step`].
    pub fn look(&self, at: DateTime<Utc>, verdict: &MetricVerdict) -> Look {
        // Not the verdict's own forecast, which is rounded up to one digit for people.
        let forecast = match &verdict.outcome {
            Outcome::Inconclusive { .. } => {
                self.state.engine.forecast(&self.plan, verdict.bar_bad, verdict.bar_ok)
            }
            Outcome::Pass | Outcome::Breach(_) | Outcome::Unavailable(_) | Outcome::WarmUp => None,
        };
        Look {
            at,
            n_candidate: verdict.candidate.n,
            n_stable: verdict.stable.n,
            log_bad: verdict.log_bad,
            log_ok: verdict.log_ok,
            decision: Decision::of(&verdict.outcome),
            forecast,
        }
    }
}

impl Iterator for Judge<'_> {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        let at = self.take()?;
        let verdict = step(&self.plan, &mut self.state, &self.one);
        Some(self.look(at, &verdict))
    }
}

fn millis(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(rows: &str, kind: Kind) -> String {
        Trace::read(&format!("ts,arm,series,name,value\n{rows}"), kind).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        assert!(Trace::read("a,b\n", Kind::Errors).unwrap_err().to_string().contains("\"a,b\""));
        for (rows, kind, says) in [
            ("1,cand,p,n", Kind::Errors, "line 2: 4 fields"),
            ("1,cand,p,n,1\nx,cand,p,n,1", Kind::Errors, "line 3: ts \"x\""),
            ("1,other,p,n,1", Kind::Errors, "neither cand nor base"),
            ("1,cand,p,le_1,1", Kind::Errors, "neither n nor x"),
            ("1,cand,p,n,1", Kind::Latency, "no bucket"),
            ("1,cand,p,le_,1", Kind::Latency, "no bucket"),
            ("1,cand,p,x,1", Kind::Score, "none of n, sum, sumsq"),
            ("1,cand,p,n,many", Kind::Score, "value \"many\""),
            ("1,cand,p,n,1", Kind::Errors, "1 moments only"),
        ] {
            let found = error(rows, kind);
            assert!(found.contains(says), "{rows:?} says {found:?}");
        }
    }

    #[test]
    fn a_scrape_that_failed_is_no_sample() {
        let text = "ts,arm,series,name,value\n0,cand,p,n,0\n0,base,q,n,0\n0,cand,p,x,0\n0,base,q,x,0\n\
                    15,cand,p,n,\n15,cand,p,x,NaN\n15,base,q,n,10\n15,base,q,x,0\n\
                    30,cand,p,n,8\n30,cand,p,x,1\n30,base,q,n,20\n30,base,q,x,0\n";
        let trace = Trace::read(text, Kind::Errors).unwrap();
        let looks: Vec<Look> = trace.judge(&Settings::default(), None).collect();
        let last = looks.last().unwrap();
        assert_eq!((last.n_candidate, last.n_stable), (8.0, 20.0), "{looks:?}");
    }
}
