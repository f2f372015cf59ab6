//! Signals from the pods themselves. They need no statistics, and the error budget does not cover them; the rules tell
//! a crash from a node drain.

use chrono::{DateTime, Duration, Utc};

/// Exits in this time count together.
pub const WINDOW: Duration = Duration::minutes(5);

/// Exits that make a crash loop.
const EXITS: usize = 2;

/// The longest wait for missing endpoints, whatever `deadlines.ready` says.
const LONGEST_WAIT: Duration = Duration::minutes(5);

/// One container that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Pod name.
    pub pod: String,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Exit code.
    pub code: i32,
    /// Killed for memory.
    pub out_of_memory: bool,
    /// By a cause outside the version: eviction, preemption, a lost node, deletion, scaling down.
    pub explained: bool,
}

/// A finding about the candidate's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodBreach {
    /// Containers of the candidate crash, stable's do not.
    Crashing {
        /// Unexplained exits in five minutes.
        exits: usize,
        /// How many of them were out of memory.
        out_of_memory: usize,
        /// The pod of the latest.
        pod: String,
    },
    /// The step's ready endpoints have been missing for too long.
    NotReady {
        /// Endpoints the step needs.
        need: u32,
        /// Endpoints that are ready.
        ready: u32,
        /// Since when.
        since: DateTime<Utc>,
    },
}

/// At least two unexplained bad exits of the candidate within five minutes, while stable's pods do not do the same.
pub fn crashing(candidate: &[Exit], stable: &[Exit], now: DateTime<Utc>) -> Option<PodBreach> {
    let bad = |exits: &[Exit]| -> Vec<Exit> {
        let recent = |exit: &&Exit| exit.at > now - WINDOW && exit.at <= now;
        let fault = |exit: &&Exit| (exit.code != 0 || exit.out_of_memory) && !exit.explained;
        exits.iter().filter(recent).filter(fault).cloned().collect()
    };
    let ours = bad(candidate);
    if ours.len() < EXITS || bad(stable).len() >= EXITS {
        return None;
    }
    let last = ours.iter().max_by_key(|exit| exit.at)?;
    Some(PodBreach::Crashing {
        exits: ours.len(),
        out_of_memory: ours.iter().filter(|exit| exit.out_of_memory).count(),
        pod: last.pod.clone(),
    })
}

/// Endpoints that a step needs and does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Endpoints the step needs.
    pub need: u32,
    /// Endpoints that are ready.
    pub ready: u32,
    /// Since when `ready < need`.
    pub since: DateTime<Utc>,
    /// By a cause outside the version.
    pub explained: bool,
}

/// The need has been missing for `deadline` (at most five minutes) without a cause outside the version.
pub fn not_ready(missing: Missing, deadline: Duration, now: DateTime<Utc>) -> Option<PodBreach> {
    let Missing { need, ready, since, explained } = missing;
    let late = ready < need && !explained && now - since >= deadline.min(LONGEST_WAIT);
    late.then_some(PodBreach::NotReady { need, ready, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::minutes(minute)
    }

    fn exit(minute: i64, code: i32, explained: bool) -> Exit {
        Exit { pod: "m-a-1".into(), at: at(minute), code, out_of_memory: code == 137, explained }
    }

    #[test]
    fn two_crashes_in_five_minutes_are_a_breach() {
        let exits = [exit(1, 1, false), exit(4, 137, false)];
        let found = crashing(&exits, &[], at(5));
        assert_eq!(found, Some(PodBreach::Crashing { exits: 2, out_of_memory: 1, pod: "m-a-1".into() }));
        assert_eq!(crashing(&exits, &[], at(7)), None);
    }

    #[test]
    fn a_drained_node_a_clean_exit_or_a_single_crash_is_none() {
        let drained = [exit(1, 143, true), exit(2, 143, true)];
        assert_eq!(crashing(&drained, &[], at(3)), None);
        assert_eq!(crashing(&[exit(1, 0, false), exit(2, 0, false), exit(2, 1, false)], &[], at(3)), None);
    }

    #[test]
    fn stable_crashing_as_well_is_not_the_candidates_fault() {
        let exits = [exit(1, 1, false), exit(2, 1, false)];
        assert_eq!(crashing(&exits, &exits, at(3)), None);
    }

    #[test]
    fn endpoints_may_be_missing_for_five_minutes_at_most() {
        let missing = Missing { need: 2, ready: 1, since: at(0), explained: false };
        assert_eq!(not_ready(missing, Duration::minutes(15), at(4)), None);
        assert!(not_ready(missing, Duration::minutes(15), at(5)).is_some());
        assert!(not_ready(missing, Duration::minutes(2), at(2)).is_some());
        let drained = Missing { explained: true, ..missing };
        assert_eq!(not_ready(drained, Duration::minutes(2), at(9)), None);
    }
}
