//! Splitting the user's HTTPRoute between the two Services, reading it back, and putting it as the user wrote it.
//!
//! A route is kept as raw JSON, so that fields of newer versions of the Gateway API, which we do not know, stay. Rules and
//! backends are found by what they name, never by their place.

mod filters;
mod originals;
mod programmed;
mod reading;

use serde_json::Value;

use super::{Draft, Edit, Names, RouteError, Split, backends, managed_fields, meta};
pub use originals::{Originals, remember};
pub use programmed::{Programmed, programmed};
pub use reading::{Reading, lowest_known, read, share};

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

/// The write that divides every rule naming the Service, and puts or takes our mirror filter; nothing when the route is so
/// already. Each rule is divided from what the user wrote in it, so splits never add up.
pub fn split(
    route: &Value,
    names: &Names,
    split: &Split,
    originals: &Originals,
) -> Result<Option<Edit>, RouteError> {
    let stored = originals.by_rule(route, names);
    let mut draft = Draft::new(route);
    let mut live = 0;
    for (index, (rule, stored)) in rules(route).iter().zip(stored).enumerate() {
        let present = list(rule, "backendRefs");
        let own = backends::own(present, stored.map(|s| s.backend_refs.as_slice()), names);
        let label = format!("rule {} of HTTPRoute {:?}", index + 1, meta(route, "name"));
        if !backends::serves(&own, names) {
            filters::put(&mut draft, index, rule, names, None, stored, &label)?;
            continue;
        }
        live += 1;
        let wanted = backends::divide(&own, names, split.candidate, &label)?;
        if !backends::same(present, &wanted, names) {
            draft.set(&["spec", "rules", &index.to_string()], "backendRefs", Some(Value::Array(wanted)));
        }
        let mirror = split.mirror.map(|percent| filters::mirror(&own, names, percent));
        filters::put(&mut draft, index, rule, names, mirror, stored, &label)?;
    }
    if live == 0 {
        return Err(RouteError::NoRule { route: meta(route, "name").into(), service: names.service.into() });
    }
    Ok(draft.done())
}

/// The write after which the route is as the user wrote it: on the present object, so what the user changed meanwhile
/// stays. Nothing when it is so already. A rule whose own list is not known gets the pair's weights on the Service.
pub fn undo(route: &Value, names: &Names, originals: &Originals) -> Result<Option<Edit>, RouteError> {
    let stored = originals.by_rule(route, names);
    let mut draft = Draft::new(route);
    for (index, (rule, stored)) in rules(route).iter().zip(stored).enumerate() {
        let own = backends::own(list(rule, "backendRefs"), stored.map(|s| s.backend_refs.as_slice()), names);
        if own != list(rule, "backendRefs") {
            draft.set(&["spec", "rules", &index.to_string()], "backendRefs", Some(Value::Array(own)));
        }
        let label = format!("rule {} of HTTPRoute {:?}", index + 1, meta(route, "name"));
        filters::put(&mut draft, index, rule, names, None, stored, &label)?;
    }
    Ok(draft.done())
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
