//! A recorded trace of both arms' counters, judged look by look as a rollout would have been.
//!
//! The form is one raw sample for each row: `ts,arm,series,name,value`, with `arm` one of `cand` and `base`. What a row counts
//! depends on the kind: requests and failed ones (`n`, `x`), cumulative buckets (`le_0.1` ... `le_+Inf`), scores (`n`, `sum`,
//! and `sumsq` or buckets). An empty value or `NaN` is a scrape that failed.

mod settings;

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::interval::Interval;
use super::sample::Birth;
use super::state::BreachKind;
use super::verdict::Direction;
use super::{
    Arm, Bound, Counter, Counts, Cursor, Looks, MetricPlan, MetricState, MetricVerdict, Outcome, RawSeries,
    Reason, Stage, Window, advance, intervals, step,
};

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
        let mut lines = text.lines().enumerate();
        let header = lines.next().map_or("", |(_, line)| line).trim();
        if header != "ts,arm,series,name,value" {
            return Err(TraceError::Header(header.to_owned()));
        }
        let mut series: BTreeMap<(Arm, &str, Counter), Samples> = BTreeMap::new();
        let mut moments = Moments::default();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let row = row(line).map_err(|what| TraceError::Row { line: number + 1, what })?;
            moments.add(row.at);
            let (counter, also) =
                counters(row.name, kind).map_err(|what| TraceError::Row { line: number + 1, what })?;
            for counter in [Some(counter), also].into_iter().flatten() {
                series.entry((row.arm, row.series, counter)).or_default().push((row.at, row.value));
            }
        }
        let [first, second, last] = moments.found()?;
        let series = series.into_iter().map(|((arm, pod, counter), mut samples): (_, Samples)| {
            samples.sort_by_key(|(at, _)| *at);
            // A series begins with its first value: rows before it say only that it was not there yet.
            let born = samples.iter().position(|(_, value)| value.is_finite() && *value >= 0.0);
            samples.drain(..born.unwrap_or(samples.len()));
            let target = format!("{arm:?}/{pod}");
            RawSeries { arm, target, scrape: String::new(), counter, labels: format!("{counter:?}"), samples }
        });
        Ok(Self { series: series.collect(), kind, first, last, interval: second - first })
    }

    /// The plan of the trace's metric with these settings.
    pub fn plan(&self, settings: &Settings) -> MetricPlan {
        let has = |wanted: fn(Counter) -> bool| self.series.iter().any(|one| wanted(one.counter));
        let kind = match self.kind {
            Kind::Errors => super::Kind::Ratio,
            Kind::Latency => super::Kind::Latency,
            Kind::Score if has(|counter| counter == Counter::SumSquares) => super::Kind::MeanSumSquares,
            Kind::Score if has(|counter| matches!(counter, Counter::Bucket(_))) => super::Kind::MeanHistogram,
            Kind::Score => super::Kind::MeanSumCount,
        };
        settings.plan(kind)
    }

    /// Judges the trace, look by look. Looks that end before `start` are history: bounds are chosen from them, and nothing is
    /// tested.
    pub fn judge(&self, settings: &Settings, start: Option<DateTime<Utc>>) -> Judge {
        let plan = self.plan(settings);
        let all = self.looks();
        let (before, tested): (Vec<_>, Vec<_>) =
            all.intervals.into_iter().partition(|interval| start.is_some_and(|at| interval.end < at));
        let mut history = Counts::default();
        before.iter().for_each(|interval| history.add(&interval.stable));
        let state = MetricState::start(&plan, Stage::Canary, all.cursor.t0, Some(&history));
        Judge { plan, state, cursor: all.cursor, rest: tested.into_iter() }
    }

    /// The samples as looks, on the grid of the first two moments.
    fn looks(&self) -> Looks {
        let window = Window {
            interval: self.interval,
            until: self.last,
            lookback: self.last - self.first + self.interval,
            series: &self.series,
            started: &BTreeMap::new(),
            discarded: &[],
            birth: Birth::AfterFirstLook,
        };
        intervals(&Cursor::start(self.first), &window)
    }
}

/// The looks of a trace, one after the other.
pub struct Judge {
    plan: MetricPlan,
    state: MetricState,
    cursor: Cursor,
    rest: std::vec::IntoIter<Interval>,
}

impl Judge {
    /// The next look with all that is known of it, its sentence too, and the state after it.
    pub fn step(&mut self) -> Option<(DateTime<Utc>, MetricVerdict)> {
        let (at, one) = self.take()?;
        let (state, verdict) = advance(&self.plan, &self.state, &one);
        self.state = state;
        Some((at, verdict))
    }

    fn take(&mut self) -> Option<(DateTime<Utc>, Looks)> {
        let interval = self.rest.next()?;
        let at = interval.end;
        let cursor = Cursor { at, ..self.cursor.clone() };
        Some((at, Looks { intervals: vec![interval], cursor, empty_looks: 0, problems: Vec::new() }))
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

impl Iterator for Judge {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        let (at, one) = self.take()?;
        let verdict = step(&self.plan, &mut self.state, &one);
        Some(self.look(at, &verdict))
    }
}

/// Times in milliseconds, and values.
type Samples = Vec<(i64, f64)>;

/// The first two moments of a trace and its last one.
#[derive(Default)]
struct Moments {
    first: Option<i64>,
    second: Option<i64>,
    last: Option<i64>,
}

impl Moments {
    fn add(&mut self, at: i64) {
        match (self.first, self.second) {
            (Some(first), _) if at == first => {}
            (Some(first), _) if at < first => (self.first, self.second) = (Some(at), Some(first)),
            (Some(_), second) => self.second = Some(second.map_or(at, |second| second.min(at))),
            (None, _) => self.first = Some(at),
        }
        self.last = self.last.max(Some(at));
    }

    fn found(&self) -> Result<[DateTime<Utc>; 3], TraceError> {
        let (Some(first), Some(second), Some(last)) = (self.first, self.second, self.last) else {
            return Err(TraceError::TooShort(usize::from(self.first.is_some())));
        };
        Ok([first, second, last].map(millis))
    }
}

struct Row<'a> {
    at: i64,
    arm: Arm,
    series: &'a str,
    name: &'a str,
    value: f64,
}

fn row(line: &str) -> Result<Row<'_>, String> {
    let mut fields = line.split(',').map(str::trim);
    let five: [Option<&str>; 5] = std::array::from_fn(|_| fields.next());
    let ([Some(ts), Some(arm), Some(series), Some(name), Some(value)], None) = (five, fields.next()) else {
        let found = line.split(',').count();
        return Err(format!("{found} fields where ts,arm,series,name,value are five"));
    };
    let seconds: f64 = ts.parse().map_err(|_| format!("ts {ts:?} is no number of seconds"))?;
    if !seconds.is_finite() || seconds.abs() > 1e11 {
        return Err(format!("ts {ts:?} is no time in seconds"));
    }
    let arm = match arm {
        "cand" => Arm::Candidate,
        "base" => Arm::Stable,
        other => return Err(format!("arm {other:?} is neither cand nor base")),
    };
    let value = match value {
        "" => f64::NAN,
        text => text.parse().map_err(|_| format!("value {text:?} is no number"))?,
    };
    Ok(Row { at: (seconds * 1000.0).round() as i64, arm, series, name, value })
}

/// What a row counts, and what else.
fn counters(name: &str, kind: Kind) -> Result<(Counter, Option<Counter>), String> {
    let bucket = name.strip_prefix("le_");
    let counter = match (kind, name, bucket) {
        (Kind::Errors | Kind::Score, "n", _) => Counter::Total,
        (Kind::Errors, "x", _) => Counter::Bad,
        (Kind::Score, "sum", _) => Counter::Sum,
        (Kind::Score, "sumsq", _) => Counter::SumSquares,
        (Kind::Latency | Kind::Score, _, Some(bound)) => {
            let number: f64 = bound
                .replace("+Inf", "inf")
                .parse()
                .map_err(|_| format!("name {name:?} is no bucket such as le_0.1 or le_+Inf"))?;
            Counter::Bucket(Bound(number))
        }
        (Kind::Errors, _, _) => return Err(format!("name {name:?} is neither n nor x")),
        (Kind::Latency, _, None) => {
            return Err(format!("name {name:?} is no bucket such as le_0.1 or le_+Inf"));
        }
        (Kind::Score, _, None) => return Err(format!("name {name:?} is none of n, sum, sumsq, le_BOUND")),
    };
    let all = kind == Kind::Latency && counter == Counter::Bucket(Bound(f64::INFINITY));
    Ok((counter, all.then_some(Counter::Total)))
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
