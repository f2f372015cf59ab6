//! What became of an attempt.

use chrono::Duration;

use crate::course::End;

/// Times and requests since the candidate is what its settings say (its first request, or the onset).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    /// From then to the decision.
    pub time: Duration,
    /// The candidate's requests in that time.
    pub requests: f64,
    /// Its requests up to the end of the look that decided: what the test needed, without what came while the samples were on
    /// their way and without warm-ups.
    pub judged: f64,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Looks until then.
    pub looks: u32,
    /// Until it was taken back, when it was.
    pub detection: Option<Clock>,
    /// From the first request to the promotion, when there was one.
    pub promotion: Option<Clock>,
    /// The candidate was taken back before it was what its settings say.
    pub too_early: bool,
}
