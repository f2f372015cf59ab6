//! What the rules of ours that are in a route give the candidate, whatever became of them.

use serde_json::Value;

use super::pattern::{Meaning, Whose, is_for, meaning};
use super::{Names, bare_match, bare_matches, list, ours};
use crate::traffic::http_route::reading::{pair, percent, users};

/// A rule of ours as it is found.
struct Found<'a> {
    rule: &'a Value,
    /// What its header matches say; nothing when they are not as we write them in each of its matches.
    says: Option<(String, Meaning)>,
    /// Its matches without the session's.
    of: Vec<Value>,
}

fn found<'a>(rule: &'a Value, names: &Names) -> Found<'a> {
    let expression =
        |header: &Value| header.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mine = |header: &&Value| is_for(&expression(header), names.service);
    let says = |one: &Value| {
        let mut mine = list(one, "headers").iter().filter(mine);
        let (header, None) = (mine.next()?, mine.next()) else { return None };
        let place = header.get("name")?.as_str()?.to_ascii_lowercase();
        let regular = header.get("type").is_some_and(|t| t == "RegularExpression");
        meaning(&expression(header), names.service).filter(|_| regular).map(|m| (place, m))
    };
    let all: Vec<_> = list(rule, "matches").iter().map(says).collect();
    let first = all.first().cloned().flatten().filter(|_| all.windows(2).all(|two| two[0] == two[1]));
    Found {
        rule,
        says: first,
        of: list(rule, "matches").iter().map(|one| bare_match(one, |h| !mine(&h))).collect(),
    }
}

/// The highest percent that a marker says; all when a rule is not as we write it. Nothing: there is no rule of ours.
pub(in crate::traffic::http_route) fn sticks_at(route: &Value, names: &Names) -> Option<i32> {
    let of = |rule: &&Value| found(rule, names).says.map_or(100, |(_, m)| m.percent);
    ours(route, names).iter().map(of).max()
}

/// The candidate's percent of the sessions, rounded up and down, for each two rules that belong together. `part` is what
/// of a rule's pair reaches the candidate.
///
/// Two rules that are exactly as we write them divide the sessions by their percent, and each by its backends. Where one of
/// them is missing, its sessions are left to the user's rule. Of one that is altered nothing says how many sessions it gets: all.
pub(in crate::traffic::http_route) fn percents(
    route: &Value,
    names: &Names,
    part: impl Fn((i64, i64)) -> i64,
) -> Vec<(i32, i32)> {
    let of = |rule: &Value| {
        let (service, candidate) = pair(rule, names)?;
        Some((part((service, candidate)), (service + candidate).max(1)))
    };
    let mut left: Vec<Found> = ours(route, names).into_iter().map(|r| found(r, names)).collect();
    let mut out = Vec::new();
    while let Some(one) = left.pop() {
        let twin = left.iter().position(|other| belong(&one, other)).map(|at| left.remove(at));
        let (a, a_of) = of(one.rule).unwrap_or((0, 1));
        let Some((_, says)) = &one.says else {
            out.push((if a > 0 { 100 } else { 0 }, 0));
            continue;
        };
        let users = users(route, names).filter(|rule| bare_matches(rule) == one.of).filter_map(of);
        let rest = match twin {
            Some(twin) => of(twin.rule),
            None => users.max_by(|(a, a_of), (b, b_of)| (a * b_of).cmp(&(b * a_of))),
        };
        let share = match (says.whose, rest) {
            (_, None) => 100,
            (Whose::Candidate, Some(_)) => i64::from(says.percent),
            (Whose::Stable, Some(_)) => 100 - i64::from(says.percent),
        };
        let (b, b_of) = rest.unwrap_or((0, 1));
        let (reach, whole) = (share * a * b_of + (100 - share) * b * a_of, 100 * a_of * b_of);
        out.push((percent(reach, whole, true), percent(reach, whole, false)));
    }
    out
}

/// Whether two rules are the two of one rule of the user's.
fn belong(a: &Found, b: &Found) -> bool {
    match (&a.says, &b.says) {
        (Some((place, says)), Some((other, twin))) => {
            let but_whose = |m: &Meaning| Meaning { whose: Whose::Stable, ..m.clone() };
            a.of == b.of && place == other && says.whose != twin.whose && but_whose(says) == but_whose(twin)
        }
        (_, _) => false,
    }
}
