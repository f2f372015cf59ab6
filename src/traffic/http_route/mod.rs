//! Splitting the user's HTTPRoute between the two Services, reading it back, and putting it as the user wrote it.
//!
//! A route is kept as raw JSON, so that fields of newer versions of the Gateway API, which we do not know, stay. Rules and
//! backends are found by what they name, never by their place.

mod filters;
mod originals;
mod programmed;
mod reading;
mod sticky;

use serde_json::Value;

use super::{Draft, Edit, Names, RouteError, Split, backends, managed_fields, meta};
pub use originals::{Originals, remember};
pub use programmed::{Programmed, programmed};
pub use reading::{Reading, lowest_known, read, share};
pub(in crate::traffic) use sticky::{Whose, header_match};

/// The rules of a route: one atomic list with one owner.
pub(super) const RULES: managed_fields::Path = ["f:spec", "f:rules"];

/// The rules of a route.
pub(in crate::traffic) fn rules(route: &Value) -> &[Value] {
    route.pointer("/spec/rules").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list in a rule; empty when it is not there.
pub(in crate::traffic) fn list<'a>(rule: &'a Value, key: &str) -> &'a [Value] {
    rule.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The write that divides every rule naming the Service, puts or takes our mirror filter, and puts, renews or takes the rules
/// for sessions; nothing when the route is so already. Each rule is divided from what the user wrote in it, so splits never
/// add up.
pub fn split(
    route: &Value,
    names: &Names,
    split: &Split<'_>,
    originals: &Originals,
) -> Result<Option<Edit>, RouteError> {
    let base = sticky::without(route, names);
    let stored = originals.by_rule(&base, names);
    let mut draft = Draft::new(&base);
    let mut live = Vec::new();
    for (index, (rule, stored)) in rules(&base).iter().zip(stored).enumerate() {
        let present = list(rule, "backendRefs");
        let own = backends::own(present, stored.map(|s| s.backend_refs.as_slice()), names);
        let label = format!("rule {} of HTTPRoute {:?}", index + 1, meta(route, "name"));
        if !backends::serves(&own, names) {
            filters::put(&mut draft, index, rule, names, None, stored, &label)?;
            continue;
        }
        let wanted = backends::divide(&own, names, split.candidate, &label)?;
        if !backends::same(present, &wanted, names) {
            draft.set(&["spec", "rules", &index.to_string()], "backendRefs", Some(Value::Array(wanted)));
        }
        let mirror = split.mirror.map(|percent| filters::mirror(&own, names, percent));
        filters::put(&mut draft, index, rule, names, mirror, stored, &label)?;
        live.push(sticky::Live { index, own });
    }
    if live.is_empty() {
        return Err(RouteError::NoRule { route: meta(route, "name").into(), service: names.service.into() });
    }
    let wanted = for_sessions(&base, names, split, &live)?;
    Ok(sticky::put(route, names, draft.done(), wanted))
}

/// The rules for sessions that belong to a route without any. Where one version has everything, there is nothing to stick to.
fn for_sessions(
    base: &Value,
    names: &Names,
    split: &Split<'_>,
    live: &[sticky::Live],
) -> Result<Vec<Value>, RouteError> {
    match split.sticky {
        Some(sticky) if (1..100).contains(&split.candidate) => {
            sticky::wanted(base, names, sticky, split.candidate, live)
        }
        Some(_) | None => Ok(Vec::new()),
    }
}

/// How the rules for sessions in a route stand to those that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// They are as wanted.
    AsWanted,
    /// They do not follow the user's rules, or are not wanted.
    Behind,
    /// A rule that is divided and has been split before has not both of its two.
    Fewer,
}

/// How a route's rules for sessions stand to those of a split. A rule that is not divided, such as one that was added
/// meanwhile, needs none before it is.
pub fn sessions(route: &Value, names: &Names, split: &Split<'_>, originals: &Originals) -> Sessions {
    if split.sticky.is_none() && sticky::ours(route, names).is_empty() {
        return Sessions::AsWanted;
    }
    let base = sticky::without(route, names);
    let (mut live, mut known) = (Vec::new(), 0);
    for (index, (rule, stored)) in rules(&base).iter().zip(originals.by_rule(&base, names)).enumerate() {
        let present = list(rule, "backendRefs");
        let own = backends::own(present, stored.map(|s| s.backend_refs.as_slice()), names);
        if originals::divided(rule, names) && backends::serves(&own, names) {
            known += usize::from(stored.is_some());
            live.push(sticky::Live { index, own });
        }
    }
    let divided =
        |rule: &Value| originals::divided(rule, names) || !backends::serves(list(rule, "backendRefs"), names);
    match for_sessions(&base, names, split, &live) {
        Ok(wanted) if sticky::settled(route, names, &wanted, divided) => Sessions::AsWanted,
        Ok(wanted) if !wanted.is_empty() && sticky::ours(route, names).len() < 2 * known => Sessions::Fewer,
        Ok(_) | Err(_) => Sessions::Behind,
    }
}

/// The write after which the route is as the user wrote it: on the present object, so what the user changed meanwhile
/// stays. Nothing when it is so already. A rule whose own list is not known gets the pair's weights on the Service.
pub fn undo(route: &Value, names: &Names, originals: &Originals) -> Result<Option<Edit>, RouteError> {
    let base = sticky::without(route, names);
    let stored = originals.by_rule(&base, names);
    let mut draft = Draft::new(&base);
    for (index, (rule, stored)) in rules(&base).iter().zip(stored).enumerate() {
        let own = backends::own(list(rule, "backendRefs"), stored.map(|s| s.backend_refs.as_slice()), names);
        if own != list(rule, "backendRefs") {
            draft.set(&["spec", "rules", &index.to_string()], "backendRefs", Some(Value::Array(own)));
        }
        let label = format!("rule {} of HTTPRoute {:?}", index + 1, meta(route, "name"));
        filters::put(&mut draft, index, rule, names, None, stored, &label)?;
    }
    Ok(sticky::put(route, names, draft.done(), Vec::new()))
}

/// The second write after `undo`: the route's rules belong again to whoever wrote them; nothing when they do already.
pub fn restore_managed_fields(route: &Value, originals: &Originals) -> Option<Edit> {
    managed_fields::restore(route, &originals.managed_fields, &RULES)
}

/// The foreign manager that last wrote the route's rules, else its spec; `unknown` when the object does not tell.
pub fn last_writer(route: &Value) -> String {
    managed_fields::last_writer(route, &RULES)
}

#[cfg(test)]
mod tests;
