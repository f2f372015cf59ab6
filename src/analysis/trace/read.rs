//! The rows of a trace, as series.
//!
//! A trace may have millions of rows, and they repeat themselves: each writes out the name of its series, in the same order
//! scrape by scrape, and the rows of a scrape have one time. So each text is made sense of once.

use std::collections::{BTreeMap, HashMap};

use super::super::{Arm, Bound, Counter, RawSeries};
use super::{Kind, Trace, TraceError, millis};

/// Takes in a trace piece by piece.
pub struct Reader {
    rows: Rows,
    /// Lines so far.
    lines: usize,
}

impl Reader {
    /// Nothing is read yet.
    pub fn new(kind: Kind) -> Self {
        Self { rows: Rows::new(kind), lines: 0 }
    }

    /// The next lines, whole ones.
    ///
    /// # Errors
    /// The line that cannot be read, and why.
    pub fn add(&mut self, text: &str) -> Result<(), TraceError> {
        let mut rest = text;
        while !rest.is_empty() {
            self.lines += 1;
            if let Some(after) = self.rows.usual(rest) {
                rest = after;
                continue;
            }
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = after;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if self.lines == 1 {
                header(line)?;
            } else if !line.trim_ascii_start().is_empty() {
                self.rows.add(line).map_err(|what| TraceError::Row { line: self.lines, what })?;
            }
        }
        Ok(())
    }

    /// The trace, its series in order of arm, pod and counter.
    ///
    /// # Errors
    /// When there is too little for a look.
    pub fn finish(self) -> Result<Trace, TraceError> {
        if self.lines == 0 {
            header("")?;
        }
        let Rows { kind, keys, mut samples, moments, .. } = self.rows;
        let [first, second, last] = moments.found()?.map(millis);
        let series = keys.into_iter().map(|(key, place)| series(key, std::mem::take(&mut samples[place])));
        Ok(Trace { series: series.collect(), kind, first, last, interval: second - first })
    }
}

fn header(line: &str) -> Result<(), TraceError> {
    let header = line.trim();
    if header == "ts,arm,series,name,value" { Ok(()) } else { Err(TraceError::Header(header.to_owned())) }
}

fn series((arm, pod, counter): Key, mut samples: Vec<(i64, f64)>) -> RawSeries {
    samples.sort_by_key(|(at, _)| *at);
    // A series begins with its first value: rows before it say only that it was not there yet.
    let born = samples.iter().position(|(_, value)| value.is_finite() && *value >= 0.0);
    samples.drain(..born.unwrap_or(samples.len()));
    let target = format!("{arm:?}/{pod}");
    RawSeries { arm, target, scrape: String::new(), counter, labels: format!("{counter:?}"), samples }
}

type Key = (Arm, String, Counter);

/// What was read so far.
struct Rows {
    kind: Kind,
    /// Samples of each series: time in milliseconds and value.
    samples: Vec<Vec<(i64, f64)>>,
    /// Which of them a key has.
    keys: BTreeMap<Key, usize>,
    names: Vec<Name>,
    /// Which of them a text is.
    known: HashMap<String, usize>,
    /// The name of the last row.
    last: usize,
    /// The time of the last row, as text and in milliseconds.
    time: Option<(String, i64)>,
    moments: Moments,
}

/// A text between a row's time and its value: `arm,series,name`.
struct Name {
    text: String,
    /// Its series, and for a bucket of all requests that of the total too.
    places: (usize, Option<usize>),
    /// The name that followed it the last time.
    next: usize,
}

impl Rows {
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

    fn add(&mut self, line: &str) -> Result<(), String> {
        let comma = |byte: u8| byte == b',';
        let fields = || format!("{} fields where ts,arm,series,name,value are five", line.split(',').count());
        let first = line.bytes().position(comma).ok_or_else(fields)?;
        let last = line.bytes().rposition(comma).filter(|last| *last > first).ok_or_else(fields)?;
        let name = self.name(&line[first + 1..last]).map_err(|what| what.unwrap_or_else(fields))?;
        let at = self.time(&line[..first])?;
        self.keep(name, at, value(&line[last + 1..])?);
        Ok(())
    }

    /// Takes in what most rows are: the time of the row before, the name that followed the last name then too, and a whole
    /// number. Gives what comes after it.
    fn usual<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (time, at) = self.time.as_ref()?;
        let next = self.names.get(self.last)?.next;
        let row = text.strip_prefix(time.as_str())?.strip_prefix(',')?;
        let row = row.strip_prefix(self.names.get(next)?.text.as_str())?.strip_prefix(',')?;
        let (value, after) = row.split_at_checked(row.bytes().take_while(u8::is_ascii_digit).count())?;
        let (value, after, at) = (whole(value)?, after.strip_prefix('\n')?, *at);
        self.last = next;
        self.keep(next, at, value);
        Some(after)
    }

    fn keep(&mut self, name: usize, at: i64, value: f64) {
        let (place, also) = self.names[name].places;
        self.samples[place].push((at, value));
        if let Some(also) = also {
            self.samples[also].push((at, value));
        }
    }

    /// The place of a name. The error is empty when it has not three fields.
    fn name(&mut self, text: &str) -> Result<usize, Option<String>> {
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

    fn learn(&mut self, text: &str) -> Result<usize, Option<String>> {
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
        let place = self.place((arm, pod.to_owned(), counter));
        let places = (place, also.map(|also| self.place((arm, pod.to_owned(), also))));
        self.known.insert(text.to_owned(), self.names.len());
        self.names.push(Name { text: text.to_owned(), places, next: 0 });
        Ok(self.names.len() - 1)
    }

    fn place(&mut self, key: Key) -> usize {
        let place = *self.keys.entry(key).or_insert(self.samples.len());
        if place == self.samples.len() {
            self.samples.push(Vec::new());
        }
        place
    }

    fn time(&mut self, text: &str) -> Result<i64, String> {
        if let Some((_, at)) = self.time.as_ref().filter(|(last, _)| last == text) {
            return Ok(*at);
        }
        let trimmed = text.trim();
        let seconds = number(trimmed).ok_or_else(|| format!("ts {trimmed:?} is no number of seconds"))?;
        if !seconds.is_finite() || seconds.abs() > 1e11 {
            return Err(format!("ts {trimmed:?} is no time in seconds"));
        }
        let at = (seconds * 1000.0).round() as i64;
        self.time = Some((text.to_owned(), at));
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
