//! Sessions: which rule of the route takes the requests of each, as a gateway that matches regular expressions does it.

use regex::Regex;
use serde_json::Value;

/// Part of the requests that say to which session they belong: in the header `x-session` and in the cookie `sid`.
pub const WITH_SESSION: f64 = 0.5;
/// Sessions that are told apart, by the last two characters of their ids.
const BUCKETS: u32 = 256;

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

fn by_expression(header: &Value) -> bool {
    header["type"] == "RegularExpression"
}

/// Whether a rule is for sessions. Nobody else in this world matches by regular expressions.
pub fn is_copy(rule: &Value) -> bool {
    list(rule, "matches").flat_map(|m| list(m, "headers")).any(by_expression)
}

/// The matches of a rule without those of sessions.
pub fn bare_matches(rule: &Value) -> Vec<Value> {
    let bare = |one: &Value| {
        let mut one = one.clone();
        if let Some(headers) = one["headers"].as_array_mut() {
            headers.retain(|h| !by_expression(h));
        }
        if one["headers"].as_array().is_none_or(Vec::is_empty)
            && let Some(one) = one.as_object_mut()
        {
            one.remove("headers");
        }
        one
    };
    list(rule, "matches").map(bare).collect()
}

/// What a client of a session sends in a header.
fn sent(header: &str, bucket: u32) -> Option<String> {
    match header.to_ascii_lowercase().as_str() {
        "x-session" => Some(format!("5f0c-{bucket:02x}")),
        "cookie" => Some(format!("theme=00; sid=5f0c-{bucket:02X}; last=ff")),
        _ => None,
    }
}

/// How the requests with a session that a rule of the user's would take are given out: places in `rules`, each with its part.
/// A rule with one more header match comes before it; of those that match alike, the first.
pub fn dealt(rules: &[Value], user: usize) -> Vec<(usize, f64)> {
    let matches = bare_matches(&rules[user]);
    let copies: Vec<(usize, String, Regex)> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| is_copy(rule) && bare_matches(rule) == matches)
        .filter_map(|(at, rule)| {
            let header = list(&rule["matches"][0], "headers").find(|h| by_expression(h))?;
            let whole = format!(r"\A(?:{})\z", header["value"].as_str()?);
            Some((at, header["name"].as_str()?.to_owned(), Regex::new(&whole).ok()?))
        })
        .collect();
    let takes = |bucket: u32| {
        let fits = |(_, header, expression): &&(usize, String, Regex)| {
            sent(header, bucket).is_some_and(|text| expression.is_match(&text))
        };
        copies.iter().find(fits).map_or(user, |(at, _, _)| *at)
    };
    let mut parts = vec![0; rules.len()];
    (0..BUCKETS).for_each(|bucket| parts[takes(bucket)] += 1);
    let some = parts.into_iter().enumerate().filter(|(_, n)| *n > 0);
    some.map(|(at, n)| (at, f64::from(n) / f64::from(BUCKETS))).collect()
}
