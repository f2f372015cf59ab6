//! JSON merge patches (RFC 7386) that say only what changed, so fields that a newer version wrote stay.

use serde_json::{Map, Number, Value};

/// The merge patch from one value to another; `None` when they say the same.
///
/// Lists are replaced whole. Numbers are compared as numbers: the API server turns `1.0` into `1`, which is no change.
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let mut patch = Map::new();
            for (key, value) in to {
                match from.get(key) {
                    Some(old) => patch.extend(diff(old, value).map(|d| (key.clone(), d))),
                    None => drop(patch.insert(key.clone(), value.clone())),
                }
            }
            let removed = from.keys().filter(|key| !to.contains_key(*key));
            patch.extend(removed.map(|key| (key.clone(), Value::Null)));
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
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
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
}
