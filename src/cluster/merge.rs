//! JSON merge patches (RFC 7386) that say only what changed, so fields that a newer version wrote stay.

use serde_json::{Map, Number, Value};

/// The merge patch from one value to another; `None` when they say the same.
///
/// Lists are replaced whole. Two things that the API server rewrites are no change: it turns `1.0` into `1`, and a merge
/// patch drops every null, also inside lists.
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let mut patch = Map::new();
            for (key, value) in present(to) {
                match from.get(key) {
                    Some(old) => patch.extend(diff(old, value).map(|d| (key.clone(), d))),
                    None => drop(patch.insert(key.clone(), value.clone())),
                }
            }
            let removed = present(from).filter(|(key, _)| to.get(*key).is_none_or(Value::is_null));
            patch.extend(removed.map(|(key, _)| (key.clone(), Value::Null)));
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (from, to) => (!same(from, to)).then(|| to.clone()),
    }
}

/// Whether two values say the same.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let alike = present(a).all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)));
            alike && present(a).count() == present(b).count()
        }
        (a, b) => a == b,
    }
}

/// The fields that have a value.
fn present(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    fields.iter().filter(|(_, value)| !value.is_null())
}

fn same_number(a: &Number, b: &Number) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_said() {
        let from = json!({"phase": "Canary", "step": {"index": 0, "weight": 5}, "pause": {"by": "x"}, "list": [1.0, 2]});
        let to = json!({"phase": "Canary", "step": {"index": 1, "weight": 5}, "list": [1, 2]});
        assert_eq!(diff(&from, &to), Some(json!({"step": {"index": 1}, "pause": null})));
        assert_eq!(diff(&to, &to), None);
    }

    #[test]
    fn a_number_that_the_server_rewrote_is_no_change() {
        assert_eq!(diff(&json!({"m": [{"log_e": -1}]}), &json!({"m": [{"log_e": -1.0}]})), None);
        assert!(diff(&json!({"m": [{"log_e": -1}]}), &json!({"m": [{"log_e": -1.5}]})).is_some());
    }

    #[test]
    fn a_null_is_as_good_as_nothing() {
        let (stored, ours) =
            (json!({"m": [{"n": 1}], "a": 1}), json!({"m": [{"n": 1, "guard": null}], "a": 1}));
        assert_eq!(diff(&stored, &ours), None);
        assert_eq!(diff(&ours, &stored), None);
        let without = json!({"m": [{"n": 1}], "a": null});
        assert_eq!(diff(&stored, &without), Some(json!({"a": null})));
        assert_eq!(diff(&without, &stored), Some(json!({"a": 1})));
        assert!(diff(&stored, &json!({"m": [{"n": 1, "guard": {}}], "a": 1})).is_some());
    }
}
