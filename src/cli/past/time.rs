//! Moments on the command line.

use chrono::{DateTime, Duration, Utc};

use crate::synthetic::duration;

/// A moment, or a time before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A date.
    At(DateTime<Utc>),
    /// So long before now.
    Before(Duration),
}

impl Moment {
    /// The moment when it is `now`; in whole seconds.
    pub fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let at = match self {
            Moment::At(at) => at,
            Moment::Before(span) => now - span,
        };
        DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at)
    }
}

/// Reads `2026-11-22T09:00:00Z`, seconds since 1970, `now` and `now-6h`.
pub fn moment(text: &str) -> Result<Moment, String> {
    let wrong = || {
        format!("{text:?} is no time such as 2026-11-22T09:00:00Z (with its zone), 1795338000, now or now-6h")
    };
    if let Some(rest) = text.strip_prefix("now") {
        let span = match rest.strip_prefix('-') {
            Some(span) => duration(span).ok_or_else(wrong)?,
            None if rest.is_empty() => Duration::zero(),
            None => return Err(wrong()),
        };
        return Ok(Moment::Before(span));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let found = (seconds.abs() < 1e11).then(|| DateTime::from_timestamp(seconds as i64, 0)).flatten();
        return found.map(Moment::At).ok_or_else(wrong);
    }
    DateTime::parse_from_rfc3339(text).map(|at| Moment::At(at.to_utc())).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_seconds_and_times_before_now_are_read() {
        let now = DateTime::from_timestamp(1_800_000_000, 500_000_000).unwrap();
        let of = |text: &str| moment(text).unwrap().at(now).timestamp();
        assert_eq!(of("2027-01-15T08:00:00Z"), 1_800_000_000);
        assert_eq!(of("2027-01-15T09:00:00+01:00"), 1_800_000_000);
        assert_eq!(of("1799999999.9"), 1_799_999_999);
        assert_eq!(of("now"), 1_800_000_000);
        assert_eq!(of("now-1h"), 1_799_996_400);
        for wrong in ["", "nowish", "now-", "now-1y", "2027-01-15", "2027-01-15T08:00:00", "1e300", "nan"] {
            assert!(moment(wrong).unwrap_err().contains("is no time such as"), "{wrong}");
        }
    }
}
