//! The `ModelRollout` of a manifest. Other documents in it are passed over; what the kind does not know is refused, because a
//! misspelt field would be studied as its default.

use serde_json::Value;

use crate::api::ModelRollout;

/// Why a manifest gives no rollout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not YAML.
    #[error("this is not YAML: {0}")]
    Yaml(String),
    /// No rollout in it.
    #[error("there is no ModelRollout in it{}; kinds found: {found}", .name.as_ref().map_or(String::new(), |n| format!(" named {n}")))]
    None {
        /// The name that was asked for.
        name: Option<String>,
        /// What is there.
        found: String,
    },
    /// Several rollouts.
    #[error("there are several ModelRollouts in it: say --name with one of {0}")]
    Several(String),
    /// A field that is missing, misspelt or of the wrong type.
    #[error("ModelRollout {name}: {what}")]
    Field {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// The rollout in a manifest of one or several documents; `name` chooses where there are several.
///
/// # Errors
/// What is wrong, with the field's path.
pub fn rollout(text: &str, name: Option<&str>) -> Result<ModelRollout, ManifestError> {
    read(&object(text, name)?)
}

/// The same with its status, as the API server gave it out.
///
/// # Errors
/// What is wrong, with the field's path.
pub fn stored(text: &str, name: Option<&str>) -> Result<ModelRollout, ManifestError> {
    let object = object(text, name)?;
    let wrong = |what: String| ManifestError::Field { name: name_of(&object).to_owned(), what };
    let mut found = read(&object)?;
    let status = object.get("status").cloned();
    found.status =
        status.map(serde_path_to_error::deserialize).transpose().map_err(|e| wrong(format!("status.{e}")))?;
    Ok(found)
}

fn object(text: &str, name: Option<&str>) -> Result<Value, ManifestError> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| ManifestError::Yaml(e.to_string()))?;
    let objects: Vec<&Value> = documents.iter().flat_map(listed).collect();
    let ours: Vec<&Value> = objects.iter().copied().filter(|o| o["kind"] == "ModelRollout").collect();
    let wanted: Vec<&Value> =
        ours.iter().copied().filter(|o| name.is_none_or(|name| name_of(o) == name)).collect();
    match wanted[..] {
        [one] => Ok(one.clone()),
        [] => {
            let kinds: Vec<&str> = objects.iter().map(|o| o["kind"].as_str().unwrap_or("none")).collect();
            let found = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
            Err(ManifestError::None { name: name.map(str::to_owned), found })
        }
        _ => Err(ManifestError::Several(wanted.iter().map(|o| name_of(o)).collect::<Vec<_>>().join(", "))),
    }
}

/// The objects of a document: itself, or the items of a List.
fn listed(document: &Value) -> Vec<&Value> {
    match document["items"].as_array() {
        Some(items) => items.iter().collect(),
        None if document.is_object() => vec![document],
        None => Vec::new(),
    }
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("without a name")
}

fn read(object: &Value) -> Result<ModelRollout, ManifestError> {
    let wrong = |what: String| ManifestError::Field { name: name_of(object).to_owned(), what };
    let spec = object.get("spec").ok_or_else(|| wrong("there is no spec".to_owned()))?;
    let found: ModelRollout =
        serde_path_to_error::deserialize(without_status(object)).map_err(|e| wrong(e.to_string()))?;
    let known = serde_json::to_value(&found.spec).map_err(|e| wrong(e.to_string()))?;
    if let Some(path) = unknown(spec, &known, "spec") {
        return Err(wrong(format!("{path} is not a field: `kubectl explain modelrollout.spec` lists them")));
    }
    let mut spans = Vec::new();
    unreadable(&known, "spec", &mut spans);
    match spans.first() {
        Some(path) => {
            Err(wrong(format!("{path} is not a length of time such as 30s, 10m, 1h30m: units h, m, s, ms")))
        }
        None => Ok(found),
    }
}

fn without_status(object: &Value) -> Value {
    let mut copy = object.clone();
    if let Some(map) = copy.as_object_mut() {
        map.remove("status");
    }
    copy
}

/// The first field that is not in what was read from it.
fn unknown(written: &Value, known: &Value, path: &str) -> Option<String> {
    match (written, known) {
        (Value::Object(fields), Value::Object(known)) => fields.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match known.get(key) {
                Some(known) => unknown(value, known, &path),
                None => (!value.is_null()).then_some(path),
            }
        }),
        (Value::Array(items), Value::Array(known)) => {
            let pairs = items.iter().zip(known).enumerate();
            pairs.into_iter().find_map(|(i, (item, known))| unknown(item, known, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

/// Fields that hold lengths of time.
const SPANS: [&str; 7] = ["hold", "duration", "interval", "warmUp", "ready", "evidence", "after"];

fn unreadable(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            let path = format!("{path}.{key}");
            match value.as_str() {
                Some(text) if SPANS.contains(&key.as_str()) && !is_span(text) => out.push(path),
                _ => unreadable(value, &path, out),
            }
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| unreadable(item, &format!("{path}[{i}]"), out));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whole numbers with units, largest first, each once.
fn is_span(text: &str) -> bool {
    let (mut rest, mut last) = (text, 0);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let tail = &rest[digits..];
        let unit = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let rank = ["h", "m", "s", "ms"].iter().position(|u| *u == &tail[..unit]).map_or(0, |i| i + 1);
        if digits == 0 || rank <= last {
            return false;
        }
        (rest, last) = (&tail[unit..], rank);
    }
    last > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: v1
kind: Service
metadata: {name: fraud}
---
apiVersion: understudy.dev/v1alpha1
kind: ModelRollout
metadata: {name: fraud}
spec:
  model: fraud
  version: 1.2.0
  workload: {deployment: fraud}
  traffic: {service: fraud, gatewayAPI: {httpRoute: fraud}}
  strategy: {canary: {steps: [{weight: 5, hold: 1h30m}]}}
  analysis: {metrics: [{name: errors, ratio: {bad: failed, total: requests}}]}
";

    #[test]
    fn the_rollout_is_found_among_other_documents() {
        let found = rollout(GOOD, None).unwrap();
        assert_eq!((found.spec.version.as_str(), found.spec.strategy.canary.steps[0].weight), ("1.2.0", 5));
        assert_eq!(found.spec.analysis.false_rollback_rate, 0.01, "defaults are there");
        let two = format!("{GOOD}---\n{}", GOOD.replace("fraud", "other"));
        assert!(rollout(&two, None).unwrap_err().to_string().contains("fraud, other"));
        assert_eq!(rollout(&two, Some("other")).unwrap().spec.model, "other");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let said = |from: &str, to: &str| {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            rollout(&text, None).unwrap_err().to_string()
        };
        assert!(
            said("hold: 1h30m", "hold: 1h30m, wieght: 5").contains("spec.strategy.canary.steps[0].wieght")
        );
        assert!(said("hold: 1h30m", "hold: 1d").contains("steps[0].hold is not a length of time"));
        assert!(said("weight: 5", "weight: five").contains("steps[0].weight"));
        assert!(said("kind: ModelRollout", "kind: Rollout").contains("kinds found: Service, Rollout"));
        assert!(said("spec:", "spec: [").contains("not YAML"));
        assert!(rollout("", None).unwrap_err().to_string().contains("no ModelRollout"));
    }
}
