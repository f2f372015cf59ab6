//! Which stretch of time is asked for. Pure.

use chrono::{DateTime, Duration, Utc};

use crate::analysis::Cursor;
use crate::analysis::sample::lookback;

/// The longest stretch per request, so that an answer stays small; what is older is fetched in pieces.
const PIECE: Duration = Duration::minutes(15);

/// Pieces that are fetched at most: what a controller that was away for longer has missed is not counted.
const PIECES: i32 = 96;

/// The stretch to read for a look: from two lookbacks before the last processed edge, so that a restart fetches what was
/// missed with the bases of its counters, up to one scrape interval ago, when every target has been scraped.
pub fn window(
    cursor: &Cursor,
    interval: Duration,
    scrape: Duration,
    now: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let to = now - scrape;
    let from = cursor.at - lookback(interval, scrape) * 2;
    (from.max(to - PIECE * PIECES), to)
}

/// The stretch `(from, to]` in pieces of at most a quarter of an hour, oldest first. Empty when `to` is not after `from`.
pub fn pieces(from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let mut out = Vec::new();
    let mut start = from.max(to - PIECE * PIECES);
    while start < to {
        let end = to.min(start + PIECE);
        out.push((start, end));
        start = end;
    }
    out
}

/// The length of a piece as PromQL writes it.
pub fn range(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    format!("{}ms", (to - from).num_milliseconds().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::seconds(1_000_000 + seconds)
    }

    #[test]
    fn a_look_reads_two_lookbacks_and_ends_one_scrape_ago() {
        let cursor = Cursor { at: at(100), ..Cursor::start(at(0)) };
        let got = window(&cursor, Duration::seconds(10), Duration::seconds(5), at(115));
        assert_eq!(got, (at(100 - 120), at(110)));
    }

    #[test]
    fn a_long_absence_is_read_in_pieces_without_gaps() {
        let got = pieces(at(0), at(1810));
        assert_eq!(got, [(at(0), at(900)), (at(900), at(1800)), (at(1800), at(1810))]);
        assert!(pieces(at(5), at(5)).is_empty());
        assert_eq!(pieces(at(0), at(3600 * 100)).len(), 96);
        assert_eq!(range(at(0), at(3600)), "3600000ms");
    }
}
