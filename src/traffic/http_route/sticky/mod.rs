//! Sessions that stick to a version: rules of ours at the end of the user's route, two for each of its rules that leads to
//! the Service. They are copies of it with one more header match, which puts them before it; one leads the candidate's
//! sessions to the candidate, the other all other sessions to the Service. What has no session is left to the user's rule.

mod found;
mod pattern;
mod precedence;

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Names, RouteError, filters, list, rules};
use crate::api::Sticky;
use crate::traffic::{Draft, Edit, backends, meta};

pub(super) use found::{percents, sticks_at};
pub(in crate::traffic) use pattern::Whose;

/// Most rules that a route may have.
const MAX_RULES: usize = 16;
/// Most matches that all rules of a route may have together.
const MAX_MATCHES: usize = 128;
/// Most header matches that a match may have.
const MAX_HEADERS: usize = 16;

/// One of the user's rules that leads to the Service.
pub(super) struct Live {
    /// Its place among the rules that are not ours.
    pub(super) index: usize,
    /// Its backends as the user wrote them.
    pub(super) own: Vec<Value>,
}

fn expressions(one: &Value) -> impl Iterator<Item = &str> {
    list(one, "headers").iter().filter_map(|h| h.get("value")?.as_str())
}

fn matches_of(rule: &Value) -> impl Iterator<Item = &Value> {
    list(rule, "matches").iter()
}

/// Whether a rule is one of ours for this Service.
pub(super) fn is_ours(rule: &Value, names: &Names) -> bool {
    matches_of(rule).flat_map(expressions).any(|e| pattern::is_for(e, names.service))
}

/// Whether a rule is an operator's for any Service: one route may lead to several.
fn is_marked(rule: &Value) -> bool {
    matches_of(rule).flat_map(expressions).any(pattern::is_marked)
}

/// The rules of ours for this Service.
pub(super) fn ours<'a>(route: &'a Value, names: &Names) -> Vec<&'a Value> {
    rules(route).iter().filter(|r| is_ours(r, names)).collect()
}

/// The route without the rules of ours for this Service.
pub(super) fn without<'a>(route: &'a Value, names: &Names) -> Cow<'a, Value> {
    if !rules(route).iter().any(|r| is_ours(r, names)) {
        return Cow::Borrowed(route);
    }
    let mut out = route.clone();
    if let Some(rules) = out.pointer_mut("/spec/rules").and_then(Value::as_array_mut) {
        rules.retain(|r| !is_ours(r, names));
    }
    Cow::Owned(out)
}

/// The header match for the candidate's sessions or for all others.
pub(in crate::traffic) fn header_match(names: &Names, sticky: &Sticky, percent: i32, whose: Whose) -> Value {
    let value = pattern::expression(names.service, percent, whose, sticky.cookie.as_deref());
    json!({ "type": "RegularExpression", "name": header(sticky), "value": value })
}

/// Where the session is found; admission asks for one of both.
fn header(sticky: &Sticky) -> &str {
    sticky.header.as_deref().unwrap_or("cookie")
}

/// The rules of ours that belong to `base`, a route without any, when the candidate has so many percent of it.
pub(super) fn wanted(
    base: &Value,
    names: &Names,
    sticky: &Sticky,
    percent: i32,
    live: &[Live],
) -> Result<Vec<Value>, RouteError> {
    let route = meta(base, "name");
    precedence::kept(base, live)?;
    let mut out = Vec::new();
    for one in live {
        let rule = &rules(base)[one.index];
        let label = format!("rule {} of HTTPRoute {route:?}", one.index + 1);
        let with = |whose, backends| copy(rule, names, header_match(names, sticky, percent, whose), backends);
        if list(rule, "matches").iter().any(|m| matches_on(m, header(sticky))) {
            return Err(RouteError::HeaderMatched { rule: label, header: header(sticky).to_owned() });
        }
        if list(rule, "matches").iter().any(|m| list(m, "headers").len() >= MAX_HEADERS) {
            return Err(RouteError::TooManyHeaders { rule: label });
        }
        // Where several rules match alike, the first counts: a request that names two sessions is not given to the candidate, nor
        // is anything by a gateway that takes an expression and then does not look at it.
        out.push(with(Whose::Stable, one.own.clone()));
        out.push(with(Whose::Candidate, backends::divide(&one.own, names, 100, &label)?));
    }
    let have = rules(base).len() + out.len();
    if have > MAX_RULES {
        return Err(RouteError::TooManyRules { route: route.to_owned(), have });
    }
    let have = rules(base).iter().chain(&out).map(|r| list(r, "matches").len().max(1)).sum();
    if have > MAX_MATCHES {
        return Err(RouteError::TooManyMatches { route: route.to_owned(), have });
    }
    Ok(out)
}

/// Whether a match looks at a header, whose name counts in any case. Of two header matches for one name only the first counts.
fn matches_on(one: &Value, header: &str) -> bool {
    let name = |h: &Value| h.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    list(one, "headers").iter().any(|h| name(h).eq_ignore_ascii_case(header))
}

/// A rule of the user's with one more header match and these backends. Its name stays its own, and our mirror is left out.
fn copy(rule: &Value, names: &Names, header: Value, backends: Vec<Value>) -> Value {
    let mut out = rule.as_object().cloned().unwrap_or_default();
    out.remove("name");
    let filters = filters::foreign(rule, names);
    match filters.is_empty() {
        true => drop(out.remove("filters")),
        false => drop(out.insert("filters".to_owned(), filters.into())),
    }
    let mut matches = bare_matches(rule);
    for one in &mut matches {
        let headers: Vec<Value> = list(one, "headers").iter().chain([&header]).cloned().collect();
        one["headers"] = headers.into();
    }
    out.insert("matches".to_owned(), matches.into());
    out.insert("backendRefs".to_owned(), backends.into());
    Value::Object(out)
}

/// A match with the path that the API gives one without, and of its headers only these.
fn bare_match(one: &Value, keep: impl Fn(&Value) -> bool) -> Value {
    let mut out = one.as_object().cloned().unwrap_or_default();
    // The default is written out, so that what is read back is what was written.
    out.entry("path").or_insert_with(|| json!({ "type": "PathPrefix", "value": "/" }));
    let headers: Vec<Value> = list(one, "headers").iter().filter(|h| keep(h)).cloned().collect();
    match headers.is_empty() {
        true => drop(out.remove("headers")),
        false => drop(out.insert("headers".to_owned(), headers.into())),
    }
    Value::Object(out)
}

/// The matches of a rule of the user's; a rule without any matches every request.
fn bare_matches(rule: &Value) -> Vec<Value> {
    match list(rule, "matches") {
        [] => vec![bare_match(&json!({}), |_| true)],
        some => some.iter().map(|one| bare_match(one, |_| true)).collect(),
    }
}

/// Whether the rules of ours are those that are wanted, apart from defaults, after all of the user's that count: where rules
/// match alike, the first counts.
pub(super) fn settled(
    route: &Value,
    names: &Names,
    wanted: &[Value],
    counts: impl Fn(&Value) -> bool,
) -> bool {
    let bare = |rule: &Value| {
        let mut out = rule.as_object().cloned().unwrap_or_default();
        out.remove("backendRefs");
        out
    };
    let same = |(present, wanted): (&&Value, &Value)| {
        bare(present) == bare(wanted)
            && backends::same(list(present, "backendRefs"), list(wanted, "backendRefs"), names)
    };
    let present = ours(route, names);
    let first = rules(route).iter().position(|r| is_ours(r, names));
    let last = rules(route).iter().rposition(|r| !is_marked(r) && counts(r));
    present.len() == wanted.len()
        && present.iter().zip(wanted).all(same)
        && first.is_none_or(|first| last.is_none_or(|last| last < first))
}

/// The write after which the route has the rules of `edit`, which was made for the route without ours, and those that are
/// wanted. The list has one owner and is one value: so that is one write too.
pub(super) fn put(route: &Value, names: &Names, edit: Option<Edit>, wanted: Vec<Value>) -> Option<Edit> {
    let settled = settled(route, names, &wanted, |_| true);
    if wanted.is_empty() && settled {
        return edit;
    }
    if edit.is_none() && settled {
        return None;
    }
    let base = edit.map_or_else(|| without(route, names).into_owned(), |edit| edit.object);
    let rules: Vec<Value> = rules(&base).iter().cloned().chain(wanted).collect();
    let mut draft = Draft::new(route);
    draft.set(&["spec"], "rules", Some(rules.into()));
    draft.done()
}
