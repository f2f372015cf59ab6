//! Counters of pods, scraped every 15 s.

/// Length of the history before the candidate, and of what comes after its start, in seconds.
pub const BEFORE: i64 = 7200;
pub const AFTER: i64 = 3600;
pub const SCRAPE: i64 = 15;

/// One pod: its name, when it begins (in seconds from the candidate's start), requests for each scrape, and one failure in so
/// many requests.
#[derive(Clone, Copy)]
pub struct Pod {
    pub name: &'static str,
    pub begin: i64,
    pub requests: u64,
    pub failure_in: u64,
}

/// Stable's pod, and a candidate that fails so many times as often.
pub fn pods(times: u64) -> [Pod; 2] {
    [
        Pod { name: "fraud-a-1", begin: -BEFORE, requests: 400, failure_in: 100 },
        Pod { name: "fraud-b-1", begin: 0, requests: 100, failure_in: 100 / times },
    ]
}

/// The candidate runs into its first failure only with its requests, so that the shares are exact.
impl Pod {
    /// Time, answers with 200 and with 500, at each scrape.
    pub fn scrapes(self) -> impl Iterator<Item = (i64, u64, u64)> {
        let all = (self.begin..AFTER).step_by(SCRAPE as usize).enumerate();
        all.map(move |(k, t)| {
            let n = k as u64 * self.requests;
            (t, n - n / self.failure_in, n / self.failure_in)
        })
    }
}
