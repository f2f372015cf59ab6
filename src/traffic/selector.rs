//! Turning a Service to another slot by its selector.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use super::{Draft, Edit, managed_fields};

/// A selector is one atomic map with one owner.
const SELECTOR: managed_fields::Path = ["f:spec", "f:selector"];

/// The write that gives a Service this selector; nothing when it has it.
pub fn selector_edit(service: &Service, selector: &BTreeMap<String, String>) -> Option<Edit> {
    let mut draft = Draft::new(&as_value(service)?);
    let wanted = selector.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect();
    draft.set(&["spec"], "selector", Some(Value::Object(wanted)));
    draft.done()
}

/// The write that makes a present Service of ours as wanted: what `wanted` says in its spec, and its annotations. What it
/// leaves to the API server (addresses) stays. Nothing when it is so.
pub fn renew_service(present: &Service, wanted: &Service) -> Option<Edit> {
    let (present, wanted) = (as_value(present)?, as_value(wanted)?);
    let mut draft = Draft::new(&present);
    for (key, value) in wanted.get("spec").and_then(Value::as_object).into_iter().flatten() {
        draft.set(&["spec"], key, Some(value.clone()));
    }
    draft.set(&["metadata"], "annotations", wanted.pointer("/metadata/annotations").cloned());
    draft.done()
}

/// Who owns a Service's selector: to be remembered before the first edit.
pub fn remembered_managed_fields(service: &Service) -> Vec<Value> {
    as_value(service).map(|s| managed_fields::owners(&s, &SELECTOR)).unwrap_or_default()
}

/// The second write at handback: the selector belongs again to whoever wrote it; nothing when it does already.
pub fn restore_managed_fields(service: &Service, remembered: &[Value]) -> Option<Edit> {
    managed_fields::restore(&as_value(service)?, remembered, &SELECTOR)
}

/// The foreign manager that last wrote the selector, else the spec; `unknown` when the object does not tell.
pub fn last_writer(service: &Service) -> String {
    as_value(service).map_or_else(|| "unknown".to_owned(), |s| managed_fields::last_writer(&s, &SELECTOR))
}

fn as_value(service: &Service) -> Option<Value> {
    serde_json::to_value(service).ok()
}

#[cfg(test)]
mod tests;
