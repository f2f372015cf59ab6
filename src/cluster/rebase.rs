//! Whether a JSON patch that was overtaken by another write still means what it meant.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// The patch for the object as it now is, if since `base` only its status was written. `None` when anything else has
/// changed, or when the patch says who owns which field, which every write changes.
pub fn onto(patch: &Patch, base: &Value, found: &Value) -> Option<Patch> {
    let owners = |op: &PatchOperation| op.path().as_str().starts_with("/metadata/managedFields");
    if substance(base) != substance(found) || patch.0.iter().any(owners) {
        return None;
    }
    let mut patch = patch.clone();
    match patch.0.first_mut() {
        Some(PatchOperation::Replace(guard)) if guard.path.as_str() == "/metadata/resourceVersion" => {
            guard.value = found["metadata"]["resourceVersion"].clone();
            Some(patch)
        }
        Some(_) | None => None,
    }
}

/// All of an object that people and we write: everything but its status and what the API server keeps about it.
fn substance(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        for name in ["status", "kind", "apiVersion"] {
            fields.remove(name);
        }
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(version: &str, weight: i32, status: &str) -> Value {
        json!({"metadata": {"uid": "u", "generation": 3, "resourceVersion": version}, "spec": {"weight": weight}, "status": status})
    }

    fn patch(path: &str) -> Patch {
        let ops = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "replace", "path": path, "value": 0},
        ]);
        serde_json::from_value(ops).unwrap()
    }

    #[test]
    fn a_status_written_meanwhile_does_not_matter_and_anything_else_does() {
        let base = route("7", 10, "old");
        let rebased = onto(&patch("/spec/weight"), &base, &route("8", 10, "new")).unwrap();
        let mut object = route("8", 10, "new");
        json_patch::patch(&mut object, &rebased).unwrap();
        assert_eq!(
            (object["metadata"]["resourceVersion"].as_str(), object["spec"]["weight"].as_i64()),
            (Some("8"), Some(0))
        );
        assert_eq!(
            onto(&patch("/spec/weight"), &base, &route("8", 11, "new")),
            None,
            "somebody changed the spec"
        );
        assert_eq!(onto(&patch("/metadata/managedFields"), &base, &route("8", 10, "new")), None);
    }
}
