//! managedFields as the API server keeps them, for the two atomic fields that matter here.

use serde_json::{Map, Value, json};

/// `spec.rules` of a route.
pub const RULES: [&str; 2] = ["f:spec", "f:rules"];
/// `spec.selector` of a Service.
pub const SELECTOR: [&str; 2] = ["f:spec", "f:selector"];

/// The manager has written the field: it owns it now, and nobody else does.
pub fn taken(object: &mut Value, manager: &str, operation: &str, path: [&str; 2], time: &str) {
    let Some(meta) = object["metadata"].as_object_mut() else { return };
    let entries = meta.entry("managedFields").or_insert_with(|| json!([]));
    let Some(entries) = entries.as_array_mut() else { return };
    for entry in entries.iter_mut().filter(|e| e["manager"] != manager || e["operation"] != operation) {
        drop_field(entry, path);
    }
    entries.retain(|e| e["fieldsV1"].as_object().is_some_and(|f| !f.is_empty()));
    let own = entries.iter_mut().find(|e| e["manager"] == manager && e["operation"] == operation);
    match own {
        Some(own) => {
            own["fieldsV1"][path[0]][path[1]] = json!({});
            own["time"] = time.into();
        }
        None => entries.push(entry(manager, operation, &[path], time)),
    }
}

/// An entry of managedFields.
pub fn entry(manager: &str, operation: &str, paths: &[[&str; 2]], time: &str) -> Value {
    let mut fields = Map::new();
    for [parent, child] in paths {
        fields.entry(*parent).or_insert_with(|| json!({}))[*child] = json!({});
    }
    json!({
        "manager": manager, "operation": operation, "apiVersion": "v1", "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    })
}

fn drop_field(entry: &mut Value, path: [&str; 2]) {
    let Some(fields) = entry["fieldsV1"].as_object_mut() else { return };
    if let Some(parent) = fields.get_mut(path[0]).and_then(Value::as_object_mut) {
        parent.remove(path[1]);
        if parent.is_empty() {
            fields.remove(path[0]);
        }
    }
}
