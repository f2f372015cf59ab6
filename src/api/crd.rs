//! The three kinds as `CustomResourceDefinition`s, as they are installed.
//!
//! The derive gives the types' own schema; this adds what makes an accepted object one that we can always read: nulls
//! are dropped by the API server, numbers fit our types, and moments are moments.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use super::rules::MOMENT;
use super::{ModelRollout, ModelVersion, RolloutDecision};

/// The definitions of the three kinds.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [ModelVersion::crd(), ModelRollout::crd(), RolloutDecision::crd()].map(finished).into()
}

fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            walk(schema, &mut finish);
        }
    }
    crd
}

/// Calls `f` on a schema and on every schema below it.
pub fn walk(schema: &mut JSONSchemaProps, f: &mut impl FnMut(&mut JSONSchemaProps)) {
    f(schema);
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        walk(property, f);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => walk(item, f),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(|item| walk(item, f)),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        walk(value, f);
    }
}

fn finish(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|v| v.0 != Value::Null);
    }
    if let Some(description) = &mut schema.description {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    explain_values(schema);
    bound_numbers(schema);
    if schema.format.as_deref() == Some("date-time") {
        // The API's own check of the format lets odd offsets and fractions pass that we cannot read.
        schema.pattern = Some(MOMENT.to_owned());
    }
}

/// The values of an enum are explained in the description: the schema has no other place that people see.
fn explain_values(schema: &mut JSONSchemaProps) {
    let Some(values) = schema.title.take() else { return };
    if schema.enum_.is_none() {
        return;
    }
    schema.description = Some(match schema.description.take() {
        Some(description) => format!("{description} {values}"),
        None => values,
    });
}

/// Whole numbers fit the type that reads them.
fn bound_numbers(schema: &mut JSONSchemaProps) {
    let bound = match (schema.type_.as_deref(), schema.format.as_deref()) {
        (Some("integer"), Some("int32")) => f64::from(i32::MAX),
        // The largest whole number that every JSON reader keeps exact.
        (Some("integer"), Some("int64")) => 9_007_199_254_740_991.0,
        (Some("number"), _) => {
            schema.format = None;
            return;
        }
        _ => return,
    };
    schema.maximum = Some(schema.maximum.unwrap_or(bound));
    schema.minimum = Some(schema.minimum.unwrap_or(-bound));
}
