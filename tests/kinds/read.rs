//! An accepted object never makes the controller fail to parse: whatever the schema lets through is read.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use understudy::api::{ModelRollout, ModelVersion, RolloutDecision, Span, crd::crds};

use crate::cases;

/// Which end of what a schema allows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// As little as possible: what may be left out is left out.
    Least,
    /// Everything set, smallest values.
    Low,
    /// Everything set, largest values.
    High,
}

/// A value at one end of what a schema allows. Rules are not looked at, so this is more than the API accepts.
fn extreme(schema: &JSONSchemaProps, end: End, turn: usize) -> Value {
    let high = end == End::High;
    if let Some(words) = &schema.enum_ {
        return words[turn % words.len()].0.clone();
    }
    match schema.type_.as_deref() {
        Some("object") => object(schema, end, turn),
        Some("array") => {
            let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else {
                panic!("a list without items")
            };
            let count =
                if high { schema.max_items.unwrap_or(3).min(130) } else { schema.min_items.unwrap_or(0) };
            (0..count).map(|i| extreme(item, end, turn + i as usize)).collect()
        }
        Some("string") => json!(string(schema, end, turn)),
        Some("integer") => {
            let (min, max) = (schema.minimum.unwrap(), schema.maximum.unwrap());
            json!(if high { max as i64 } else { min as i64 })
        }
        Some("number") => json!(if high { f64::MAX } else { f64::MIN }),
        Some("boolean") => json!(high),
        other => panic!("a schema of type {other:?}"),
    }
}

fn string(schema: &JSONSchemaProps, end: End, turn: usize) -> String {
    if schema.format.as_deref() == Some("date-time") {
        let moments = [
            "0000-01-01T00:00:00Z",
            "8999-12-31T23:59:59.999999999Z",
            "2024-02-29T23:59:59.1+23:59",
            "1969-12-31T00:00:00-23:59",
        ];
        return moments[turn % moments.len()].to_owned();
    }
    let length =
        if end == End::High { schema.max_length.unwrap_or(20) } else { schema.min_length.unwrap_or(0) };
    "9é ".chars().cycle().take(length as usize).collect()
}

fn object(schema: &JSONSchemaProps, end: End, turn: usize) -> Value {
    let mut object = Map::new();
    for (name, property) in schema.properties.iter().flatten() {
        let required = schema.required.iter().flatten().any(|r| r == name);
        if required || end != End::Least {
            object.insert(name.clone(), extreme(property, end, turn));
        } else if let Some(default) = &property.default {
            // The API server fills defaults in, level by level.
            object.insert(name.clone(), default.0.clone());
        }
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &schema.additional_properties
        && end == End::High
    {
        object.insert("key".to_owned(), extreme(value, end, turn));
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        object.insert("any".to_owned(), json!([1e300, u64::MAX, i64::MIN, null, {"": []}]));
    }
    Value::Object(object)
}

fn reads<K: DeserializeOwned + Serialize>(schema: &JSONSchemaProps, kind: &str) {
    for end in [End::Least, End::Low, End::High] {
        for turn in 0..12 {
            let mut object = extreme(schema, end, turn);
            object["apiVersion"] = json!("understudy.dev/v1alpha1");
            object["kind"] = json!(kind);
            object["metadata"] = json!({"name": "n"});
            let read: K = serde_json::from_value(object.clone())
                .unwrap_or_else(|e| panic!("{kind} at {end:?}/{turn} cannot be read: {e}"));
            let written = serde_json::to_value(&read).unwrap();
            serde_json::from_value::<K>(written)
                .unwrap_or_else(|e| panic!("{kind}: what we write we read: {e}"));
        }
    }
}

#[test]
fn both_ends_of_every_field_are_read() {
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        match crd.spec.names.kind.as_str() {
            "ModelVersion" => reads::<ModelVersion>(schema, "ModelVersion"),
            "ModelRollout" => reads::<ModelRollout>(schema, "ModelRollout"),
            "RolloutDecision" => reads::<RolloutDecision>(schema, "RolloutDecision"),
            other => panic!("no case for {other}"),
        }
    }
}

#[test]
fn odd_but_accepted_objects_are_read_and_understood() {
    for case in cases::accepted() {
        for patch in &case.create {
            let object = without_nulls(cases::patched(&case.kind, patch));
            cases::understood(&case.kind, object).unwrap_or_else(|e| panic!("{}: {patch}: {e}", case.kind));
        }
    }
}

/// The API server drops nulls, and gives whole floats back as whole numbers.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| if k == "parameters" { (k, v) } else { (k, without_nulls(v)) })
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() < 1e18 => json!(f as i64),
            _ => Value::Number(n),
        },
        other => other,
    }
}

#[test]
fn sums_of_the_longest_spans_do_not_overflow() {
    let longest = Span::from("99999h999999m999999s999999ms").get();
    assert!(longest > chrono::Duration::days(4000));
    assert!(longest.checked_mul(20).is_some());
    assert_eq!(Span::from("0s").get(), chrono::Duration::zero());
}
