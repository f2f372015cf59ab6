//! Turning a Service to another slot by its selector.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::{Draft, Edit, managed_fields};
use crate::api::FieldOwner;

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

/// Who owns a Service's selector, to be remembered before each edit of ours: others than us, and while we own it too,
/// those that were remembered before.
pub fn owners(service: &Service, remembered: &[FieldOwner]) -> Vec<FieldOwner> {
    let Some(service) = as_value(service) else { return remembered.to_vec() };
    let present = managed_fields::owners(&service, &SELECTOR);
    let all = match managed_fields::we_own(&service, &SELECTOR) {
        true => managed_fields::joined(&entries(remembered), present),
        false => present,
    };
    all.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

/// The second write at hand-back: the selector belongs again to whoever wrote it; nothing when it is not ours.
pub fn give_back(service: &Service, remembered: &[FieldOwner]) -> Option<Edit> {
    let service = as_value(service)?;
    managed_fields::we_own(&service, &SELECTOR)
        .then(|| managed_fields::restore(&service, &entries(remembered), &SELECTOR))
        .flatten()
}

/// Entries of managedFields that own the selector and nothing else.
fn entries(owners: &[FieldOwner]) -> Vec<Value> {
    let entry = |owner: &FieldOwner| {
        let FieldOwner { manager, operation, api_version, time } = owner;
        let mut entry = json!({
            "manager": manager, "operation": operation, "apiVersion": api_version, "fieldsType": "FieldsV1",
            "fieldsV1": {SELECTOR[0]: {SELECTOR[1]: {}}},
        });
        if let Some(time) = time {
            entry["time"] = time.to_rfc3339_opts(SecondsFormat::Secs, true).into();
        }
        entry
    };
    owners.iter().map(entry).collect()
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
