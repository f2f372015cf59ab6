//! The rows of a trace, as series.
//!
//! A trace may have millions of rows, and they repeat themselves: each writes out the name of its series, in the same order
//! scrape by scrape, and the rows of a scrape have one time. So each text is made sense of once.

use std::collections::{BTreeMap, HashMap};

use super::super::{Arm, Bound, Counter, RawSeries};
use super::{Kind, TraceError};

/// The series of a trace, in order of arm, pod and counter, and its first two moments and last one in milliseconds.
///
/// # Errors
/// The line that cannot be read, and why.
pub(super) fn read(text: &str, kind: Kind) -> Result<(Vec<RawSeries>, [i64; 3]), TraceError> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line).trim();
    if header != "ts,arm,series,name,value" {
        return Err(TraceError::Header(header.to_owned()));
    }
    let mut rows = Rows::new(kind);
    for (number, line) in lines.filter(|(_, line)| !line.trim_ascii_start().is_empty()) {
        rows.add(line).map_err(|what| TraceError::Row { line: number + 1, what })?;
    }
    let moments = rows.moments.found()?;
    let Rows { keys, mut samples, .. } = rows;
    let series = keys.into_iter().map(|(key, place)| series(key, std::mem::take(&mut samples[place])));
    Ok((series.collect(), moments))
}

fn series((arm, pod, counter): Key<'_>, mut samples: Vec<(i64, f64)>) -> RawSeries {
    samples.sort_by_key(|(at, _)| *at);
    // A series begins with its first value: rows before it say only that it was not there yet.
    let born = samples.iter().position(|(_, value)| value.is_finite() && *value >= 0.0);
    samples.drain(..born.unwrap_or(samples.len()));
    let target = format!("{arm:?}/{pod}");
    RawSeries { arm, target, scrape: String::new(), counter, labels: format!("{counter:?}"), samples }
}

type Key<'a> = (Arm, &'a str, Counter);

/// What was read so far.
struct Rows<'a> {
    kind: Kind,
    /// Samples of each series: time in milliseconds and value.
    samples: Vec<Vec<(i64, f64)>>,
    /// Which of them a key has.
    keys: BTreeMap<Key<'a>, usize>,
    names: Vec<Name<'a>>,
    /// Which of them a text is.
    known: HashMap<&'a str, usize>,
    /// The name of the last row.
    last: usize,
    /// The time of the last row, as text and in milliseconds.
    time: Option<(&'a str, i64)>,
    moments: Moments,
}

/// A text between a row's time and its value: `arm,series,name`.
struct Name<'a> {
    text: &'a str,
    /// Its series, and for a bucket of all requests that of the total too.
    places: (usize, Option<usize>),
    /// The name that followed it the last time.
    next: usize,
}

impl<'a> Rows<'a> {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            samples: Vec::new(),
            keys: BTreeMap::new(),
            names: Vec::new(),
            known: HashMap::new(),
            last: 0,
            time: None,
            moments: Moments::default(),
        }
    }

    fn add(&mut self, line: &'a str) -> Result<(), String> {
        if let Some((name, at, value)) = self.usual(line) {
            self.last = name;
            self.keep(name, at, value);
            return Ok(());
        }
        let comma = |byte: u8| byte == b',';
        let fields = || format!("{} fields where ts,arm,series,name,value are five", line.split(',').count());
        let first = line.bytes().position(comma).ok_or_else(fields)?;
        let last = line.bytes().rposition(comma).filter(|last| *last > first).ok_or_else(fields)?;
        let name = self.name(&line[first + 1..last]).map_err(|what| what.unwrap_or_else(fields))?;
        let at = self.time(&line[..first])?;
        self.keep(name, at, value(&line[last + 1..])?);
        Ok(())
    }

    /// Most rows: the time of the row before, the name that followed the last name then too, and a whole number.
    fn usual(&self, line: &str) -> Option<(usize, i64, f64)> {
        let (time, at) = self.time?;
        let name = self.names.get(self.last)?.next;
        let row = line.strip_prefix(time)?.strip_prefix(',')?;
        let value = row.strip_prefix(self.names.get(name)?.text)?.strip_prefix(',')?;
        Some((name, at, whole(value)?))
    }

    fn keep(&mut self, name: usize, at: i64, value: f64) {
        let (place, also) = self.names[name].places;
        self.samples[place].push((at, value));
        if let Some(also) = also {
            self.samples[also].push((at, value));
        }
    }

    /// The place of a name. The error is empty when it has not three fields.
    fn name(&mut self, text: &'a str) -> Result<usize, Option<String>> {
        let expected = self.names.get(self.last).map_or(0, |name| name.next);
        if self.names.get(expected).is_some_and(|name| name.text == text) {
            self.last = expected;
            return Ok(expected);
        }
        let found = match self.known.get(text) {
            Some(found) => *found,
            None => self.learn(text)?,
        };
        if let Some(before) = self.names.get_mut(self.last) {
            before.next = found;
        }
        self.last = found;
        Ok(found)
    }

    fn learn(&mut self, text: &'a str) -> Result<usize, Option<String>> {
        let mut fields = text.split(',').map(str::trim);
        let (Some(arm), Some(pod), Some(name), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(None);
        };
        let arm = match arm {
            "cand" => Arm::Candidate,
            "base" => Arm::Stable,
            other => return Err(Some(format!("arm {other:?} is neither cand nor base"))),
        };
        let (counter, also) = counters(name, self.kind)?;
        let places = (self.place((arm, pod, counter)), also.map(|also| self.place((arm, pod, also))));
        self.known.insert(text, self.names.len());
        self.names.push(Name { text, places, next: 0 });
        Ok(self.names.len() - 1)
    }

    fn place(&mut self, key: Key<'a>) -> usize {
        let place = *self.keys.entry(key).or_insert(self.samples.len());
        if place == self.samples.len() {
            self.samples.push(Vec::new());
        }
        place
    }

    fn time(&mut self, text: &'a str) -> Result<i64, String> {
        if let Some((_, at)) = self.time.filter(|(last, _)| *last == text) {
            return Ok(at);
        }
        let trimmed = text.trim();
        let seconds = number(trimmed).ok_or_else(|| format!("ts {trimmed:?} is no number of seconds"))?;
        if !seconds.is_finite() || seconds.abs() > 1e11 {
            return Err(format!("ts {trimmed:?} is no time in seconds"));
        }
        let at = (seconds * 1000.0).round() as i64;
        self.time = Some((text, at));
        self.moments.add(at);
        Ok(at)
    }
}

/// A value; none at all is a scrape that failed.
fn value(text: &str) -> Result<f64, String> {
    match (number(text), text.trim()) {
        (Some(value), _) => Ok(value),
        (None, "") => Ok(f64::NAN),
        (None, trimmed) => number(trimmed).ok_or_else(|| format!("value {trimmed:?} is no number")),
    }
}

/// A number.
fn number(text: &str) -> Option<f64> {
    whole(text).or_else(|| text.parse().ok())
}

/// Most numbers are whole ones, which need no general reader: below 10^15 each is a float.
fn whole(text: &str) -> Option<f64> {
    let digits = text.as_bytes();
    if !matches!(digits.len(), 1..=15) {
        return None;
    }
    let mut whole = 0_u64;
    for digit in digits {
        whole = 10 * whole + u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some(whole as f64)
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

    fn found(&self) -> Result<[i64; 3], TraceError> {
        let (Some(first), Some(second), Some(last)) = (self.first, self.second, self.last) else {
            return Err(TraceError::TooShort(usize::from(self.first.is_some())));
        };
        Ok([first, second, last])
    }
}
