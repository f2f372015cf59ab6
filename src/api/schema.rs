//! Schemas that the derive cannot express.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// Any JSON object, kept as it is.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 256, "x-kubernetes-preserve-unknown-fields": true })
}

/// Measured values by name.
pub fn measured(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 64, "additionalProperties": { "type": "number" } })
}

/// Conditions as a map list by type, as every Kubernetes kind has them.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>();
    json_schema!({
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// Turns an enum of documented words into a plain one. What the words mean goes to the title, from where
/// [`super::crd`] moves it into the field's description.
pub fn words(schema: &mut Schema) {
    let Some(variants) = schema.remove("oneOf") else { return };
    let variants = variants.as_array().cloned().unwrap_or_default();
    let word = |v: &Value| {
        v.get("const").or_else(|| v.pointer("/enum/0")).and_then(Value::as_str).map(str::to_owned)
    };
    let meaning =
        |v: &Value| v.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let values: Vec<String> = variants.iter().filter_map(word).collect();
    let meanings: Vec<String> = variants
        .iter()
        .filter_map(|v| Some(format!("{}: {}", word(v)?, uncapitalised(&meaning(v)))))
        .collect();
    schema.insert("type".into(), "string".into());
    schema.insert("enum".into(), values.into());
    schema.insert("title".into(), meanings.join(" ").into());
}

fn uncapitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
