//! Silence: a candidate that accepts requests and never answers finishes none, so no counter moves and no test sees
//! it. It is found by what the traffic split predicts from stable's count. Only the candidate silent is a signal; both
//! arms silent is no evidence.

use serde::{Deserialize, Serialize};

/// Looks that silence must last.
const LOOKS: u32 = 4;

/// Predicted requests in those looks, below which nothing is said.
const PREDICTED: f64 = 30.0;

/// Counted below this share of the prediction is silence.
const SHARE: f64 = 0.1;

/// Looks that a share must have been missed by far.
const KEPT: u32 = 10;

/// Requests of stable, and requests predicted, in those looks, below which chance could explain it.
const SURE: f64 = 100.0;

/// Counted below this share of the prediction, the route does not lead where it says.
const HALF: f64 = 0.5;

/// The last looks of the present step in which stable was scraped. Starts again with every weight change, because the
/// prediction is about one weight.
///
/// In status it is one text, three numbers for each look: there are up to ten, in every metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Recent(Vec<RecentLook>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct RecentLook {
    looks: u32,
    stable: f64,
    candidate: f64,
}

impl From<Recent> for String {
    fn from(recent: Recent) -> Self {
        let look = |one: &RecentLook| format!("{} {} {}", one.looks, one.stable, one.candidate);
        recent.0.iter().map(look).collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for Recent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not looks with three numbers each");
        let words: Vec<&str> = text.split_whitespace().collect();
        let (looks, []) = words.as_chunks() else { return Err(wrong()) };
        let read = |[looks, stable, candidate]: &[&str; 3]| {
            let (looks, stable) = (looks.parse().ok()?, stable.parse().ok()?);
            Some(RecentLook { looks, stable, candidate: candidate.parse().ok()? })
        };
        looks.iter().map(read).collect::<Option<_>>().map(Recent).ok_or_else(wrong)
    }
}

impl Recent {
    /// No look yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers one interval of `looks` grid steps.
    pub fn push(&mut self, looks: u32, stable: f64, candidate: f64) {
        self.0.push(RecentLook { looks, stable, candidate });
        while self.0.len() > 1 && self.0[1..].iter().map(|look| look.looks).sum::<u32>() >= KEPT {
            self.0.remove(0);
        }
    }

    /// Looks, requests of stable and of the candidate in the last four looks, or as many as there are.
    pub fn of_late(&self) -> (u32, f64, f64) {
        self.last(LOOKS)
    }

    /// Looks, requests of stable and of the candidate in the fewest last intervals that make up so many looks.
    fn last(&self, wanted: u32) -> (u32, f64, f64) {
        let (mut looks, mut stable, mut candidate) = (0, 0.0, 0.0);
        for one in self.0.iter().rev() {
            if looks >= wanted {
                break;
            }
            looks += one.looks;
            stable += one.stable;
            candidate += one.candidate;
        }
        (looks, stable, candidate)
    }
}

/// What the last looks say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Silence {
    /// Not enough looks or predicted requests to say anything.
    Unknown,
    /// The candidate finishes requests.
    Speaking,
    /// `CandidateSilent`: counted at the gateway, where both arms get what the route gives them. Rolls back by default.
    Silent(Shortfall),
    /// `CandidateSilentUnconfirmed`: counted at the pods, where stable may get traffic by other ways. A hold.
    Unconfirmed(Shortfall),
}

/// The numbers of a silence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    /// Candidate requests that the split predicts from stable's count.
    pub predicted: f64,
    /// Candidate requests counted.
    pub counted: f64,
}

/// Judges the last four looks. `per_stable` is the candidate's requests per stable request that the route gives: 5/95 at
/// weight 5, 1.0 for a full mirror. Call it only while the candidate has ready endpoints and a share above 0.
pub fn judge(recent: &Recent, per_stable: f64, gateway_side: bool) -> Silence {
    let (looks, stable, counted) = recent.last(LOOKS);
    let predicted = stable * per_stable;
    if looks < LOOKS || predicted < PREDICTED {
        return if counted > 0.0 { Silence::Speaking } else { Silence::Unknown };
    }
    let shortfall = Shortfall { predicted, counted };
    match (counted < SHARE * predicted, gateway_side) {
        (false, _) => Silence::Speaking,
        (true, true) => Silence::Silent(shortfall),
        (true, false) => Silence::Unconfirmed(shortfall),
    }
}

/// The candidate finishes requests, but over ten looks fewer than half of what its share predicts: the route leads elsewhere.
/// As the gateway counts; at the pods stable may get traffic by other ways.
pub fn short(recent: &Recent, per_stable: f64) -> Option<Shortfall> {
    let (looks, stable, counted) = recent.last(KEPT);
    let predicted = stable * per_stable;
    let known = looks >= KEPT && stable >= SURE && predicted >= SURE;
    // Over by now is over.
    let (_, of_late, counted_of_late) = recent.last(LOOKS);
    let still = counted_of_late < HALF * of_late * per_stable;
    (known && still && counted < HALF * predicted).then_some(Shortfall { predicted, counted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(candidate: &[f64]) -> Recent {
        let mut recent = Recent::default();
        for n in candidate {
            recent.push(1, 1000.0, *n);
        }
        recent
    }

    #[test]
    fn four_looks_of_nothing_are_silence() {
        assert_eq!(judge(&looks(&[0.0; 3]), 0.05, true), Silence::Unknown);
        let found = Silence::Silent(Shortfall { predicted: 200.0, counted: 0.0 });
        assert_eq!(judge(&looks(&[50.0, 0.0, 0.0, 0.0, 0.0]), 0.05, true), found);
    }

    #[test]
    fn ten_looks_below_half_of_the_share_are_a_route_that_leads_elsewhere() {
        assert_eq!(short(&looks(&[24.0; 10]), 0.05), Some(Shortfall { predicted: 500.0, counted: 240.0 }));
        assert_eq!(short(&looks(&[24.0; 9]), 0.05), None, "not yet");
        assert_eq!(short(&looks(&[25.0; 10]), 0.05), None, "half is enough");
        assert_eq!(short(&looks(&[24.0, 24.0, 24.0, 24.0, 24.0, 24.0, 24.0, 50.0, 50.0, 50.0]), 0.05), None);
        let over = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 25.0, 25.0, 25.0, 25.0];
        assert_eq!(short(&looks(&over), 0.05), None, "the last looks are as they should be");
        assert_eq!(short(&looks(&[0.0; 10]), 0.005), None, "50 predicted are too few to tell");
    }

    #[test]
    fn pods_alone_cannot_confirm_it() {
        let found = judge(&looks(&[0.0; 4]), 0.05, false);
        assert!(matches!(found, Silence::Unconfirmed(_)));
    }

    #[test]
    fn a_tenth_of_the_prediction_is_speaking() {
        assert_eq!(judge(&looks(&[5.0; 4]), 0.05, true), Silence::Speaking);
        assert!(matches!(judge(&looks(&[4.0; 4]), 0.05, true), Silence::Silent(_)));
    }

    #[test]
    fn little_traffic_and_both_arms_silent_say_nothing() {
        assert_eq!(judge(&looks(&[0.0; 4]), 0.005, true), Silence::Unknown);
        let mut both = Recent::default();
        (0..4).for_each(|_| both.push(1, 0.0, 0.0));
        assert_eq!(judge(&both, 1.0, true), Silence::Unknown);
    }
}
