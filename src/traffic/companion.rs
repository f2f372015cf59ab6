//! Putting a companion of a slot right.

use serde_json::Value;

use super::{Draft, Edit};
use crate::workload::companions::labels_to_set;

/// The write that makes a present copy of ours as wanted: its spec, and the labels by which it is ours. Nothing when it
/// is so.
pub fn renew(present: &Value, wanted: &Value) -> Option<Edit> {
    let mut draft = Draft::new(present);
    draft.set(&[], "spec", Some(wanted["spec"].clone()));
    if let Some(labels) = labels_to_set(present, wanted) {
        draft.set(&["metadata"], "labels", Some(labels));
    }
    draft.done()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::renew;

    #[test]
    fn what_somebody_edited_is_put_back_under_the_objects_version() {
        let wanted = json!({"metadata": {"name": "m-a", "labels": {"ours": "1"}}, "spec": {"minReplicas": 3, "maxReplicas": 9}});
        let mut present = wanted.clone();
        present["metadata"]["resourceVersion"] = "5".into();
        present["status"] = json!({"currentReplicas": 3});
        assert_eq!(renew(&present, &wanted), None, "a status is no edit");
        present["spec"]["minReplicas"] = 1.into();
        present["spec"]["behavior"] = json!({"scaleUp": {}});
        let edit = renew(&present, &wanted).unwrap();
        assert_eq!(edit.object["spec"], wanted["spec"]);
        let mut patched = present.clone();
        json_patch::patch(&mut patched, &edit.patch).unwrap();
        assert_eq!(patched, edit.object);
        assert_eq!(edit.patch.0[0].path().as_str(), "/metadata/resourceVersion");
    }
}
