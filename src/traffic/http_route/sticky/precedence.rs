//! One header match more must not put our rules before a rule that leads elsewhere and came first until now.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{Live, is_marked, list, meta, rules};
use crate::traffic::http_route::RouteError;

/// How a match stands to another for a request that both match, as the Gateway API orders them: more header matches first,
/// then more query parameters. The paths and methods are the same.
fn rank(one: &Value, more_headers: usize) -> (usize, usize) {
    (list(one, "headers").len() + more_headers, list(one, "queryParams").len())
}

/// Refuses a route in which our copy of a rule would take requests from a rule that leads elsewhere: those that match both,
/// have a session, and went elsewhere because of that rule's headers, parameters or place.
pub(super) fn kept(base: &Value, live: &[Live]) -> Result<(), RouteError> {
    let every = json!([{}]);
    let of = |rule| match list(rule, "matches") {
        [] => every.as_array().map_or(&[][..], Vec::as_slice),
        some => some,
    };
    let elsewhere = rules(base)
        .iter()
        .enumerate()
        .filter(|(at, rule)| !is_marked(rule) && live.iter().all(|l| l.index != *at));
    for (at, rule) in elsewhere {
        for one in live {
            let pairs = of(&rules(base)[one.index]).iter().flat_map(|m| of(rule).iter().map(move |o| (m, o)));
            let overtakes = |(ours, other): (&Value, &Value)| {
                let was_first = match rank(other, 0).cmp(&rank(ours, 0)) {
                    Ordering::Greater => true,
                    Ordering::Equal => at < one.index,
                    Ordering::Less => false,
                };
                was_first && rank(other, 0) < rank(ours, 1) && meet(ours, other)
            };
            if pairs.into_iter().any(overtakes) {
                let route = meta(base, "name").to_owned();
                return Err(RouteError::Overtakes { route, rule: one.index + 1, other: at + 1 });
            }
        }
    }
    Ok(())
}

/// Whether neither path nor method decides between two matches, and a request can match both.
fn meet(a: &Value, b: &Value) -> bool {
    let path = |one: &Value| {
        let of = |key: &str, default: &str| {
            one.pointer(&format!("/path/{key}")).and_then(Value::as_str).unwrap_or(default).to_owned()
        };
        (of("type", "PathPrefix"), of("value", "/"))
    };
    path(a) == path(b)
        && a.get("method") == b.get("method")
        && !exclude(list(a, "headers"), list(b, "headers"))
        && !exclude(list(a, "queryParams"), list(b, "queryParams"))
}

/// Whether two lists ask for different values of one name.
fn exclude(a: &[Value], b: &[Value]) -> bool {
    let text = |one: &Value, key: &str, default: &str| {
        one.get(key).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    let exact = |one: &Value| text(one, "type", "Exact") == "Exact";
    let differ = |x: &Value, y: &Value| {
        exact(x)
            && exact(y)
            && text(x, "name", "").eq_ignore_ascii_case(&text(y, "name", ""))
            && text(x, "value", "") != text(y, "value", "")
    };
    a.iter().any(|x| b.iter().any(|y| differ(x, y)))
}
