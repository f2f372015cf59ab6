//! How long an object waits after a failed pass: longer each time, forgotten after one that went through.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::cluster::Class;

/// Longest wait while traffic has to be brought back.
const URGENT: Duration = Duration::from_secs(2);

/// Failures in a row of one object.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A pass went through.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// A pass failed: how long to wait. Doubles from the class's first wait to its longest, with up to a quarter more so
    /// that objects which failed together do not come back together.
    pub fn failed(&mut self, class: Class, urgent: bool) -> Duration {
        let (first, longest) = match class {
            Class::Stale => (Duration::from_millis(5), URGENT),
            Class::RetrySoon => (Duration::from_millis(100), Duration::from_secs(15)),
            Class::RetryLater | Class::NotLeader => (Duration::from_secs(1), Duration::from_secs(60)),
        };
        let longest = if urgent { longest.min(URGENT) } else { longest };
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let jittered = wait + wait.mul_f64(0.25 * fraction());
        if urgent { jittered.min(URGENT) } else { jittered }
    }
}

/// A number in 0 to 1, different each time; good enough to spread waits.
fn fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(random).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_a_rollback_never_waits_longer_than_two_seconds() {
        let mut calm = Backoff::default();
        let waits: Vec<Duration> = (0..10).map(|_| calm.failed(Class::RetryLater, false)).collect();
        assert!(waits[1] >= Duration::from_secs(2) && waits[9] >= Duration::from_secs(60), "{waits:?}");
        let mut urgent = Backoff::default();
        assert!((0..20).all(|_| urgent.failed(Class::RetryLater, true) <= URGENT));
        calm.reset();
        assert!(calm.failed(Class::Stale, false) < Duration::from_millis(10));
    }
}
