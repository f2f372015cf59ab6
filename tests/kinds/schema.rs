//! The schemas: everything is described, every rule has a case that breaks it, and the
//! documentation lists what is refused. The cases themselves run against an API server, in the lab's tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use understudy::api::crd::crds;

use crate::cases;

fn schema(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()
}

/// Calls `f` with the path of every schema of a kind. An item of a list is `[]`, a value of a map `{}`.
fn visit<'a>(path: &str, schema: &'a JSONSchemaProps, f: &mut impl FnMut(&str, &'a JSONSchemaProps)) {
    f(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        visit(format!("{path}.{name}").trim_start_matches('.'), property, f);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        visit(&format!("{path}[]"), item, f);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &schema.additional_properties {
        visit(&format!("{path}{{}}"), value, f);
    }
}

/// Message of every rule, by kind, with the fields that it is on.
fn rules() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for crd in crds() {
        visit("", schema(&crd), &mut |path, schema| {
            for rule in schema.x_kubernetes_validations.iter().flatten() {
                let message =
                    rule.message.clone().unwrap_or_else(|| panic!("{path}: a rule without a message"));
                let field = if path.is_empty() { "(whole object)" } else { path };
                found.entry((crd.spec.names.kind.clone(), message)).or_default().insert(field.to_owned());
            }
        });
    }
    found
}

#[test]
fn every_field_is_described_and_every_word_explained() {
    let mut lacking = Vec::new();
    for crd in crds() {
        visit("", schema(&crd), &mut |path, schema| {
            let described = schema.description.as_deref().is_some_and(|d| d.len() > 3);
            let named = !path.ends_with("[]") && !path.ends_with("{}");
            if named && !described {
                lacking.push(format!("{}: {path} has no description", crd.spec.names.kind));
            }
            for word in schema.enum_.iter().flatten() {
                // The conditions' own words are Kubernetes', and explained by it.
                let word = word.0.as_str().unwrap();
                let explained =
                    schema.description.as_deref().is_some_and(|d| d.contains(&format!("{word}: ")));
                if !explained && !path.contains("conditions[]") {
                    lacking.push(format!("{}: {path} does not explain {word}", crd.spec.names.kind));
                }
            }
        });
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn what_a_person_writes_is_bounded() {
    let mut unbounded = Vec::new();
    for crd in crds() {
        let spec = &schema(&crd).properties.as_ref().unwrap()["spec"];
        visit("spec", spec, &mut |path, schema| {
            let bounded = match schema.type_.as_deref() {
                Some("string") => schema.max_length.is_some() || schema.enum_.is_some(),
                Some("array") => schema.max_items.is_some(),
                Some("integer") => schema.minimum.is_some() && schema.maximum.is_some(),
                // One for which nothing is declared keeps nothing: the API server drops what is in it.
                Some("object") => schema.max_properties.is_some() || !is_open(schema),
                _ => true,
            };
            if !bounded {
                unbounded.push(format!("{}: {path}", crd.spec.names.kind));
            }
        });
    }
    assert!(unbounded.is_empty(), "no limit on\n{}", unbounded.join("\n"));
}

/// Whether an object keeps members that are not declared.
fn is_open(schema: &JSONSchemaProps) -> bool {
    schema.additional_properties.is_some() || schema.x_kubernetes_preserve_unknown_fields == Some(true)
}

#[test]
fn nothing_is_nullable_so_that_null_is_the_same_as_left_out() {
    for crd in crds() {
        visit("", schema(&crd), &mut |path, schema| {
            assert!(schema.nullable.is_none(), "{}: {path} is nullable", crd.spec.names.kind);
        });
    }
}

#[test]
fn every_rule_has_a_case_that_breaks_it() {
    let cases = cases::refused();
    let tried: BTreeSet<_> = cases.into_iter().map(|c| (c.kind, c.says)).collect();
    // The same rule on several fields or kinds is the same code: one case will do.
    let messages: BTreeSet<_> = tried.iter().map(|(_, says)| says.as_str()).collect();
    let untried: Vec<_> =
        rules().into_keys().filter(|(_, message)| !messages.contains(message.as_str())).collect();
    assert!(untried.is_empty(), "add a case to tests/kinds/refused.yaml for\n{untried:#?}");
}

#[test]
fn every_case_changes_the_valid_object() {
    for case in cases::refused() {
        for patch in case.create.iter().chain(&case.update) {
            let mut changed = cases::valid(&case.kind);
            json_patch::merge(&mut changed, patch);
            assert_ne!(changed, cases::valid(&case.kind), "{}: {patch} changes nothing", case.kind);
        }
    }
}

#[test]
fn the_documentation_lists_what_is_refused() {
    const BEGIN: &str = "<!-- refusals: written by `UPDATE=1 cargo test --test kinds` -->\n";
    const END: &str = "<!-- end of refusals -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kinds.md");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let (before, rest) = text.split_once(BEGIN).expect("docs/kinds.md has the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("docs/kinds.md has the mark where the table ends");
    let current = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &current).unwrap();
        return;
    }
    assert!(
        text == current,
        "docs/kinds.md is not current: run `UPDATE=1 cargo test --test kinds` and commit the change"
    );
}

fn table() -> String {
    let mut lines = String::new();
    let mut kind = String::new();
    for ((of, message), fields) in rules() {
        if of != kind {
            lines += &format!("\n**{of}**\n\n| field | refused with |\n| --- | --- |\n");
            kind = of;
        }
        let fields: Vec<_> = fields.iter().map(|f| format!("`{f}`")).collect();
        lines +=
            &format!("| {} | {} |\n", fields.join("<br>"), message.replace('|', "\\|").replace('<', "&lt;"));
    }
    lines + "\n"
}
