//! Who owns a field of an object, and giving it back.
//!
//! Our write takes a field from whoever managed it. Their next server-side apply would then fail with a conflict, so
//! their entry is put back as remembered, in a write of its own: the API server ignores it in the same one.

use serde_json::{Map, Value};

use super::{Draft, Edit};
use crate::api::keys::FIELD_MANAGER;

/// Path to a field within `fieldsV1`.
pub(super) type Path = [&'static str; 2];

fn entries(object: &Value) -> &[Value] {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn field<'a>(entry: &'a Value, path: &Path) -> Option<&'a Value> {
    entry.get("fieldsV1")?.get(path[0])?.get(path[1])
}

/// Entries about the object itself, not about a subresource such as its status.
fn of_object(entry: &Value) -> bool {
    text(entry, "subresource").is_empty()
}

fn ours(entry: &Value) -> bool {
    text(entry, "manager") == FIELD_MANAGER && of_object(entry)
}

fn identity(entry: &Value) -> [&str; 4] {
    ["manager", "operation", "apiVersion", "subresource"].map(|key| text(entry, key))
}

/// Others' entries that own the field, as they are.
pub(super) fn owners(object: &Value, path: &Path) -> Vec<Value> {
    entries(object).iter().filter(|e| !ours(e) && of_object(e) && field(e, path).is_some()).cloned().collect()
}

/// Whether we are an owner of the field.
pub(super) fn we_own(object: &Value, path: &Path) -> bool {
    entries(object).iter().any(|e| ours(e) && field(e, path).is_some())
}

/// What was remembered, with owners that came since.
pub(super) fn joined(old: &[Value], present: Vec<Value>) -> Vec<Value> {
    let new = present.into_iter().filter(|p| old.iter().all(|o| identity(o) != identity(p)));
    old.iter().cloned().chain(new).collect()
}

/// The write that gives the field back to its remembered owners and takes our entry away; nothing when it is so.
pub(super) fn restore(object: &Value, remembered: &[Value], path: &Path) -> Option<Edit> {
    let present: Vec<&Value> = entries(object).iter().filter(|e| !ours(e)).collect();
    let back: Vec<&Value> = remembered.iter().filter(|r| field(r, path).is_some()).collect();
    let mut out: Vec<Value> = Vec::new();
    for owner in &back {
        let now = present.iter().find(|p| identity(p) == identity(owner));
        out.push(match now {
            Some(now) if without(now, path) != without(owner, path) => with_field(now, owner, path),
            Some(_) => (*owner).clone(),
            None => only_field(owner, path),
        });
    }
    out.extend(
        present.iter().filter(|p| back.iter().all(|b| identity(b) != identity(p))).map(|p| (*p).clone()),
    );
    let as_is = entries(object).len() == out.len() && entries(object).iter().all(|e| out.contains(e));
    if as_is {
        return None;
    }
    let mut draft = Draft::new(object);
    draft.set(&["metadata"], "managedFields", Some(Value::Array(out)));
    draft.done()
}

/// The fields of an entry without the one at `path`; a parent that only led there goes too.
fn without(entry: &Value, path: &Path) -> Map<String, Value> {
    let mut fields = entry.get("fieldsV1").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(parent) = fields.get_mut(path[0]).and_then(Value::as_object_mut) {
        parent.remove(path[1]);
        if parent.is_empty() {
            fields.remove(path[0]);
        }
    }
    fields
}

fn with_field(entry: &Value, from: &Value, path: &Path) -> Value {
    let mut fields = entry.get("fieldsV1").and_then(Value::as_object).cloned().unwrap_or_default();
    if let (Some(value), Some(parent)) = (
        field(from, path),
        fields.entry(path[0]).or_insert_with(|| Value::Object(Map::new())).as_object_mut(),
    ) {
        parent.insert(path[1].to_owned(), value.clone());
    }
    with_fields(entry, fields)
}

/// An owner whose entry is gone gets back the field alone: what else it once owned has been taken by others since.
fn only_field(entry: &Value, path: &Path) -> Value {
    with_field(&with_fields(entry, Map::new()), entry, path)
}

fn with_fields(entry: &Value, fields: Map<String, Value>) -> Value {
    let mut out = entry.clone();
    if let Some(map) = out.as_object_mut() {
        map.insert("fieldsV1".to_owned(), Value::Object(fields));
    }
    out
}

/// The foreign manager that last wrote anything of the object but its status, and when, as the API says it.
pub(super) fn last_foreign(object: &Value) -> Option<(&str, &str)> {
    let of_status = |e: &&Value| text(e, "subresource") == "status";
    let foreign = entries(object).iter().filter(|e| text(e, "manager") != FIELD_MANAGER && !of_status(e));
    // RFC 3339 in UTC to the second: the order of the texts is the order of the times.
    foreign.map(|e| (text(e, "manager"), text(e, "time"))).max_by_key(|(_, time)| *time)
}

/// The foreign manager that last wrote the field, else the one that last wrote anything beside it; `unknown` when
/// managedFields do not tell.
pub(super) fn last_writer(object: &Value, path: &Path) -> String {
    let foreign = || entries(object).iter().filter(|e| !ours(e) && of_object(e));
    let latest = |found: Vec<&Value>| {
        // RFC 3339 in UTC to the second: the order of the texts is the order of the times.
        found.into_iter().max_by_key(|e| text(e, "time").to_owned()).map(|e| text(e, "manager").to_owned())
    };
    latest(foreign().filter(|e| field(e, path).is_some()).collect())
        .or_else(|| {
            latest(foreign().filter(|e| e.pointer(&format!("/fieldsV1/{}", path[0])).is_some()).collect())
        })
        .filter(|m| !m.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
