//! What an arm is like, as it stands on the command line: `error=0.01,p99=200ms,score=0.9`.

use std::str::FromStr;

use chrono::Duration;

use crate::analysis::Kind;

/// Ratio of p99 to the median of a lognormal latency with sigma 0.8, which request latencies are often near.
const TAIL: f64 = 6.43;

/// The normal quantile of 0.99.
pub(super) const Z99: f64 = 2.326_347_874_040_841;

/// What an arm is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arm {
    /// Share of requests that fail, 0 to 1.
    pub error: f64,
    /// Mean number of failures that come together, from 1.
    pub burst: f64,
    /// Median latency in seconds.
    pub p50: f64,
    /// 99th percentile of the latency in seconds.
    pub p99: f64,
    /// Mean score, between 0 and 1.
    pub score: f64,
}

impl Default for Arm {
    fn default() -> Self {
        Self { error: 0.01, burst: 1.0, p50: 0.2 / TAIL, p99: 0.2, score: 0.9 }
    }
}

/// A number of its own, or a multiple of stable's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Factor {
    /// The number.
    Own(f64),
    /// So many times stable's.
    Times(f64),
}

/// The settings of one arm; what is left out is as in stable, and stable's is the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmSettings {
    /// `error=0.01` or `error=2x`.
    pub error: Option<Factor>,
    /// `burst=3`.
    pub burst: Option<f64>,
    /// `p50=80ms` or `p50=2x`.
    pub p50: Option<Factor>,
    /// `p99=200ms` or `p99=1.5x`.
    pub p99: Option<Factor>,
    /// `score=0.9`.
    pub score: Option<f64>,
    /// `from=30m`, the candidate's only.
    pub from: Option<Duration>,
}

/// A setting of an arm that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// Not `key=value`.
    #[error(
        "{0:?} is not a setting such as error=0.02: write error, p50, p99, score, burst or from, then = and a value"
    )]
    Form(String),
    /// No such setting.
    #[error("{0:?} is not a setting of an arm: there are error, p50, p99, score, burst and from")]
    Key(String),
    /// The value.
    #[error("{key}={value}: {what}")]
    Value {
        /// Which setting.
        key: String,
        /// What was written.
        value: String,
        /// What may be written.
        what: &'static str,
    },
    /// The median is not below p99.
    #[error("a p50 of {p50} s must be below the p99 of {p99} s")]
    Tail {
        /// Median, in seconds.
        p50: String,
        /// 99th percentile, in seconds.
        p99: String,
    },
}

const SHARE: &str =
    "a share of requests between 0 and 1, such as 0.02, or a multiple of stable's, such as 2x";
const TIME: &str = "a time such as 200ms or 1.5s, or a multiple of stable's, such as 2x";
const SCORE: &str = "a mean score between 0 and 1, both exclusive, such as 0.85";
const BURST: &str = "failures that come together in the mean, 1 to 1000: 1 is each for itself";
const FROM: &str = "a time since the candidate's first request, such as 30m or 2h";

impl FromStr for ArmSettings {
    type Err = ArmError;

    fn from_str(text: &str) -> Result<Self, ArmError> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| ArmError::Form(part.to_owned()))?;
            let (key, value) = (key.trim(), value.trim());
            let wrong = |what| ArmError::Value { key: key.to_owned(), value: value.to_owned(), what };
            match key {
                "error" => all.error = Some(factor(value, number).filter(share).ok_or(wrong(SHARE))?),
                "p50" => all.p50 = Some(factor(value, seconds).filter(positive).ok_or(wrong(TIME))?),
                "p99" => all.p99 = Some(factor(value, seconds).filter(positive).ok_or(wrong(TIME))?),
                "score" => {
                    let inside = number(value).filter(|x| *x > 0.0 && *x < 1.0);
                    all.score = Some(inside.ok_or(wrong(SCORE))?);
                }
                "burst" => {
                    let some = number(value).filter(|x| (1.0..=1000.0).contains(x));
                    all.burst = Some(some.ok_or(wrong(BURST))?);
                }
                "from" => all.from = Some(duration(value).ok_or(wrong(FROM))?),
                other => return Err(ArmError::Key(other.to_owned())),
            }
        }
        Ok(all)
    }
}

impl ArmSettings {
    /// The arm: what is left out is as in `stable`. A p99 without a p50 keeps the shape of stable's latency.
    ///
    /// # Errors
    /// When the median is not below p99.
    pub fn arm(&self, stable: Arm) -> Result<Arm, ArmError> {
        let of = |own: Option<Factor>, stable: f64| match own {
            None => stable,
            Some(Factor::Own(x)) => x,
            Some(Factor::Times(times)) => times * stable,
        };
        let p99 = of(self.p99, stable.p99);
        let p50 = match (self.p50, self.p99) {
            (None, Some(_)) => stable.p50 * p99 / stable.p99,
            (own, _) => of(own, stable.p50),
        };
        if p50 >= p99 {
            return Err(ArmError::Tail { p50: p50.to_string(), p99: p99.to_string() });
        }
        Ok(Arm {
            error: of(self.error, stable.error).min(1.0),
            burst: self.burst.unwrap_or(stable.burst),
            p50,
            p99,
            score: self.score.unwrap_or(stable.score),
        })
    }
}

impl Arm {
    /// What metrics of these kinds see of it.
    pub(super) fn text(&self, kinds: &[Kind]) -> String {
        let short = |x: f64| {
            let text = format!("{x:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let mut parts = Vec::new();
        if kinds.contains(&Kind::Ratio) {
            parts.push(format!("error {} %", short(self.error * 100.0)));
            if self.burst > 1.0 {
                parts.push(format!("in bursts of {}", short(self.burst)));
            }
        }
        if kinds.iter().any(|kind| matches!(kind, Kind::Latency | Kind::Slo)) {
            let ms = |seconds: f64| format!("{:.0} ms", seconds * 1000.0);
            parts.push(format!("p50 {}, p99 {}", ms(self.p50), ms(self.p99)));
        }
        if kinds.iter().any(|kind| !matches!(kind, Kind::Ratio | Kind::Latency | Kind::Slo)) {
            parts.push(format!("score {}", short(self.score)));
        }
        parts.join(", ")
    }
}

fn share(found: &Factor) -> bool {
    match found {
        Factor::Own(x) => (0.0..=1.0).contains(x),
        Factor::Times(x) => *x >= 0.0,
    }
}

fn positive(found: &Factor) -> bool {
    match found {
        Factor::Own(x) | Factor::Times(x) => *x > 0.0,
    }
}

fn factor(text: &str, own: fn(&str) -> Option<f64>) -> Option<Factor> {
    match text.strip_suffix('x') {
        Some(times) => number(times).map(Factor::Times),
        None => own(text).map(Factor::Own),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

/// A time with a unit, in seconds.
fn seconds(text: &str) -> Option<f64> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number_of, unit) = units.iter().find_map(|(unit, s)| Some((text.strip_suffix(unit)?, s)))?;
    number(number_of).map(|x| x * unit).filter(|s| (0.0..=1e7).contains(s))
}

/// A length of time as it stands on the command line: `30m`, `1.5s`.
pub fn duration(text: &str) -> Option<Duration> {
    seconds(text).map(|s| Duration::milliseconds((s * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(text: &str) -> Arm {
        text.parse::<ArmSettings>().unwrap().arm(Arm::default()).unwrap()
    }

    #[test]
    fn what_is_left_out_is_as_in_stable_and_a_multiple_is_of_stables() {
        assert_eq!(arm(""), Arm::default());
        assert_eq!(arm("error=2x").error, 0.02);
        assert_eq!(arm("error=0.3, score=0.5"), Arm { error: 0.3, score: 0.5, ..Arm::default() });
        let slow = arm("p99=2x");
        assert!((slow.p99 - 0.4).abs() < 1e-12 && (slow.p50 / Arm::default().p50 - 2.0).abs() < 1e-12);
        let tail = arm("p50=50ms,p99=1s");
        assert_eq!((tail.p50, tail.p99), (0.05, 1.0));
        assert_eq!("from=30m".parse::<ArmSettings>().unwrap().from, Some(Duration::minutes(30)));
    }

    #[test]
    fn what_cannot_be_read_says_what_can() {
        let said = |text: &str| text.parse::<ArmSettings>().unwrap_err().to_string();
        assert!(said("error").contains("not a setting such as error=0.02"));
        assert!(said("errors=1").contains("there are error, p50"));
        assert!(said("error=2").contains("between 0 and 1"));
        assert!(said("p99=200").contains("200ms"));
        assert!(said("score=1").contains("exclusive"));
        assert!(said("burst=0").contains("1 to 1000"));
        assert!(said("from=soon").contains("30m"));
        let tail = "p50=2s".parse::<ArmSettings>().unwrap().arm(Arm::default());
        assert!(tail.unwrap_err().to_string().contains("must be below"));
    }
}
