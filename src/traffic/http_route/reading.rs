//! What a route says now.

use serde_json::Value;

use super::{Names, Originals, filters, list, rules, sticky};
use crate::traffic::backends::{Arm, arm, weight};

/// What a route says now about the two Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The user's rules that lead to the Service or to the candidate. One whose user gave the Service no weight does not count.
    pub rules: usize,
    /// The candidate's percent of the pair, and of the sessions, the highest over the rules, rounded up.
    pub candidate: i32,
    /// The lowest over the rules, rounded down.
    pub lowest: i32,
    /// Percent that is mirrored to the candidate, the highest over the rules.
    pub mirror: Option<i32>,
    /// Percent of the sessions that stick to the candidate, by the rules of ours for them; all when one of those is not as we
    /// write it; nothing when there is none.
    pub sticky: Option<i32>,
    /// No backend and no mirror names the candidate, and no rule of ours is there.
    pub only_stable: bool,
}

/// Weights of a rule's pair: the Service's and the candidate's. Nothing for a rule that leads to neither.
pub(super) fn pair(rule: &Value, names: &Names) -> Option<(i64, i64)> {
    let sum = |wanted: Arm| -> Option<i64> {
        list(rule, "backendRefs").iter().filter(|b| arm(b, names) == wanted).map(weight).reduce(|a, b| a + b)
    };
    match (sum(Arm::Service), sum(Arm::Candidate)) {
        (None | Some(0), None) => None,
        (service, candidate) => Some((service.unwrap_or(0), candidate.unwrap_or(0))),
    }
}

pub(super) fn percent(part: i64, whole: i64, up: bool) -> i32 {
    if whole <= 0 {
        return 0;
    }
    let rounded = (part * 100 + if up { whole - 1 } else { 0 }) / whole;
    i32::try_from(rounded.clamp(0, 100)).unwrap_or(100)
}

/// The rules that are not ours.
pub(super) fn users<'a>(route: &'a Value, names: &Names) -> impl Iterator<Item = &'a Value> {
    rules(route).iter().filter(|r| !sticky::is_ours(r, names))
}

/// Reads a route.
pub fn read(route: &Value, names: &Names) -> Reading {
    let pairs: Vec<(i64, i64)> = users(route, names).filter_map(|r| pair(r, names)).collect();
    let sessions = sticky::percents(route, names, |(_, candidate)| candidate);
    let highest = pairs.iter().map(|(s, c)| percent(*c, s + c, true)).chain(sessions.iter().map(|s| s.0));
    let lowest = pairs.iter().map(|(s, c)| percent(*c, s + c, false)).chain(sessions.iter().map(|s| s.1));
    let sticky = sticky::sticks_at(route, names);
    let candidate_named = rules(route)
        .iter()
        .flat_map(|r| list(r, "backendRefs").iter().chain(rule_backend_mirrors(r)))
        .any(|b| arm(b, names) == Arm::Candidate);
    let mirror = rules(route)
        .iter()
        .flat_map(|r| list(r, "filters"))
        .filter(|f| filters::is_ours(f, names))
        .map(filters::percent)
        .max();
    Reading {
        rules: pairs.len(),
        candidate: highest.max().unwrap_or(0),
        lowest: lowest.min().unwrap_or(0),
        mirror,
        sticky,
        only_stable: !candidate_named && mirror.is_none() && sticky.is_none(),
    }
}

/// Backends to which single backends of a rule mirror by filters of their own.
fn rule_backend_mirrors(rule: &Value) -> impl Iterator<Item = &Value> {
    list(rule, "backendRefs")
        .iter()
        .flat_map(|b| list(b, "filters"))
        .filter_map(|f| f.pointer("/requestMirror/backendRef"))
}

/// The lowest percent over the rules that have been split before and over the sessions, rounded down; nothing when there is
/// none. A rule that the user added meanwhile has no candidate yet, and that is no override.
pub fn lowest_known(route: &Value, names: &Names, originals: &Originals) -> Option<i32> {
    let known = users(route, names).filter(|r| originals.knows(r, names));
    let sessions = sticky::percents(route, names, |(_, candidate)| candidate).into_iter().map(|s| s.1);
    known.filter_map(|r| pair(r, names)).map(|(s, c)| percent(c, s + c, false)).chain(sessions).min()
}

/// The candidate's true share in percent: over a rule's pair the weight of those whose Service *selects* the candidate's
/// slot, the highest over the rules and the sessions, rounded up.
pub fn share(
    route: &Value,
    names: &Names,
    service_selects_candidate: bool,
    candidate_service_selects_candidate: bool,
) -> i32 {
    let part = |(service, candidate): (i64, i64)| {
        (if service_selects_candidate { service } else { 0 })
            + if candidate_service_selects_candidate { candidate } else { 0 }
    };
    let of = |(service, candidate)| percent(part((service, candidate)), service + candidate, true);
    let sessions = sticky::percents(route, names, part).into_iter().map(|s| s.0);
    users(route, names).filter_map(|r| pair(r, names)).map(of).chain(sessions).max().unwrap_or(0)
}
