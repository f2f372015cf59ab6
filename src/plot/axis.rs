//! Axes: which values are marked, and how they are written.

use chrono::{DateTime, Datelike, Duration, Utc};

use crate::analysis::verdict::group;

/// What an arm's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share of events, shown in percent.
    Share,
    /// A number as it is.
    Number,
}

/// At most so many marks on an axis.
const MARKS: usize = 8;

/// Steps of time between two marks, in seconds.
const TIMES: [i64; 18] =
    [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800];

/// Marks of an axis from `low` to `high` at 1, 2 or 5 times a power of ten.
pub fn marks(low: f64, high: f64) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return vec![low];
    }
    let rough = span / MARKS as f64;
    let unit = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|k| k * unit).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    between(low, high, step)
}

fn between(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// Marks of an axis of log evidence (natural), at whole powers of ten; 1 : 1 is among them when it is in range.
pub fn decades(low: f64, high: f64) -> Vec<f64> {
    let ten = std::f64::consts::LN_10;
    let span = (high - low) / ten;
    let step = [1.0, 2.0, 3.0, 5.0].into_iter().find(|s| span / s <= MARKS as f64);
    between(low, high, step.unwrap_or((span / MARKS as f64).ceil()) * ten)
}

/// Marks of an axis of time that begins at 0, in seconds.
pub fn times(seconds: f64) -> Vec<f64> {
    let fits = |step: &&i64| seconds / **step as f64 <= MARKS as f64 + 1.0;
    let step = TIMES
        .iter()
        .find(fits)
        .copied()
        .unwrap_or((seconds / MARKS as f64 / 86_400.0).ceil() as i64 * 86_400);
    between(0.0, seconds, step as f64)
}

/// A length of time on the axis: `0`, `90s`, `1h30m`, `2d`.
pub fn elapsed(seconds: f64) -> String {
    let all = seconds.round() as i64;
    let parts = [(all / 86_400, "d"), (all / 3600 % 24, "h"), (all / 60 % 60, "m"), (all % 60, "s")];
    let text: String = parts.iter().filter(|(n, _)| *n != 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0".to_owned() } else { text }
}

/// Since when the axis counts. Recorded traces often count from 0, which is no date.
pub fn since(start: DateTime<Utc>) -> String {
    if start.year() < 2000 {
        return format!("time since ts {}", start.timestamp());
    }
    format!("time since {} UTC", start.format("%Y-%m-%d %H:%M:%S"))
}

/// Seconds from the start to a moment.
pub fn seconds(span: Duration) -> f64 {
    span.num_milliseconds() as f64 / 1000.0
}

impl Unit {
    /// A mark of the axis, with as many digits as the distance of the marks needs.
    pub fn text(self, value: f64, step: f64) -> String {
        let (value, step, unit) = match self {
            Unit::Share => (value * 100.0, step * 100.0, " %"),
            Unit::Number => (value, step, ""),
        };
        let digits =
            if step > 0.0 { (-(step * 1.000_001).log10().floor()).clamp(0.0, 6.0) as usize } else { 2 };
        format!("{value:.digits$}{unit}")
    }
}

/// A mark of the axis of evidence as odds: `100 : 1`, `1 : 1`, `1 : 10`, `10^6 : 1`.
pub fn odds(log_e: f64) -> String {
    let power = (log_e / std::f64::consts::LN_10).round() as i32;
    let size = power.unsigned_abs();
    let number = if size <= 4 { group(10f64.powi(size as i32)) } else { format!("10^{size}") };
    if power >= 0 { format!("{number} : 1") } else { format!("1 : {number}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_within_the_axis() {
        assert_eq!(
            marks(0.0, 0.021).iter().map(|v| Unit::Share.text(*v, 0.005)).collect::<Vec<_>>(),
            ["0.0 %", "0.5 %", "1.0 %", "1.5 %", "2.0 %"]
        );
        assert_eq!(marks(0.8, 0.95).len(), 8);
        assert_eq!(marks(3.0, 3.0), [3.0]);
        for (low, high) in [(0.0, 1e-7), (-5.0, 1e6), (0.1, 0.7)] {
            let found = marks(low, high);
            assert!(found.len() >= 3 && found.len() <= MARKS + 1, "{low}..{high}: {found:?}");
        }
    }

    #[test]
    fn evidence_is_marked_at_powers_of_ten_with_even_odds_among_them() {
        let found: Vec<String> = decades(-5.0, 12.0).into_iter().map(odds).collect();
        assert_eq!(
            found,
            ["1 : 100", "1 : 10", "1 : 1", "10 : 1", "100 : 1", "1,000 : 1", "10,000 : 1", "10^5 : 1"]
        );
        assert!(decades(-3.0, 500.0).len() <= MARKS + 1);
    }

    #[test]
    fn times_have_whole_units() {
        let of = |seconds: f64| times(seconds).into_iter().map(elapsed).collect::<Vec<_>>();
        assert_eq!(of(40.0), ["0", "5s", "10s", "15s", "20s", "25s", "30s", "35s", "40s"]);
        assert_eq!(of(7200.0)[..3], ["0", "15m", "30m"]);
        assert_eq!(of(30.0 * 86_400.0)[..2], ["0", "4d"]);
        assert_eq!(elapsed(5401.0), "1h30m1s");
    }

    #[test]
    fn a_trace_that_counts_from_zero_has_no_date() {
        assert_eq!(since(DateTime::UNIX_EPOCH), "time since ts 0");
        let date = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(since(date), "time since 2027-01-15 08:00:00 UTC");
    }
}
