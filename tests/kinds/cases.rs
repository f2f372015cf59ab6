//! The cases of `refused.yaml` and `accepted.yaml`, as objects to create and patches to apply.

use serde::Deserialize;
use serde_json::{Value, json};

/// What is refused, with what is said.
#[derive(Deserialize)]
pub struct Refused {
    /// Kind of the object.
    pub kind: String,
    /// Part of the message.
    pub says: String,
    /// Patches of the valid object: creating the result is refused.
    #[serde(default)]
    pub create: Vec<Value>,
    /// Patches of the valid object: applying them to it is refused.
    #[serde(default)]
    pub update: Vec<Value>,
}

/// What is accepted.
#[derive(Deserialize)]
pub struct Accepted {
    /// Kind of the object.
    pub kind: String,
    /// Patches of the valid object: creating the result is accepted.
    pub create: Vec<Value>,
}

/// What is refused.
pub fn refused() -> Vec<Refused> {
    serde_saphyr::from_str(include_str!("refused.yaml")).expect("refused.yaml is a list of cases")
}

/// What is accepted.
pub fn accepted() -> Vec<Accepted> {
    serde_saphyr::from_str(include_str!("accepted.yaml")).expect("accepted.yaml is a list of cases")
}

/// The valid object of a kind.
pub fn valid(kind: &str) -> Value {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(include_str!("valid.yaml")).expect("valid.yaml is objects");
    objects.into_iter().find(|o| o["kind"] == kind).expect("valid.yaml has one object of each kind")
}

/// The valid object of that kind with the patch applied. A `ModelVersion` is named after its spec, unless the patch
/// names it, because its name is a rule of its own.
pub fn patched(kind: &str, patch: &Value) -> Value {
    let mut object = valid(kind);
    json_patch::merge(&mut object, patch);
    let named = patch.pointer("/metadata/name").is_some();
    if !named {
        let name = match kind {
            "ModelVersion" if patch.pointer("/spec/version").is_none() => {
                object["spec"]["version"] = json!("9.9.9");
                format!("{}-9.9.9", object["spec"]["model"].as_str().unwrap_or_default())
            }
            "ModelVersion" => {
                format!("{}-{}", text(&object["spec"]["model"]), text(&object["spec"]["version"]))
            }
            _ => "another".to_owned(),
        };
        // Names are lower case and have no '+' or '_'; what is wrong with the spec is what the case is about.
        object["metadata"]["name"] = json!(name.to_lowercase().replace(['+', '_'], "-"));
    }
    object
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads an accepted object as the operator does, and understands what it writes as text.
///
/// # Errors
/// What cannot be read or understood.
pub fn understood(kind: &str, object: Value) -> Result<(), String> {
    use understudy::api::{ModelRollout, ModelVersion, RolloutDecision};
    use understudy::registry::{bundle, semver};
    let say = |e: &dyn std::fmt::Display| e.to_string();
    match kind {
        "ModelVersion" => {
            let mv: ModelVersion = serde_json::from_value(object).map_err(|e| say(&e))?;
            semver::parse(&mv.spec.version).map_err(|e| say(&e))?;
            for dependency in &mv.spec.dependencies {
                semver::parse_range(&dependency.version).map_err(|e| say(&e))?;
            }
            if mv.spec.evaluations.iter().any(|e| e.at.get().is_none()) {
                return Err("a moment was not understood".to_owned());
            }
            if bundle::digest(&mv.spec).len() != "sha256:".len() + 64 {
                return Err("a bundle has no digest".to_owned());
            }
        }
        "ModelRollout" => {
            let rollout: ModelRollout = serde_json::from_value(object).map_err(|e| say(&e))?;
            semver::parse(&rollout.spec.version).map_err(|e| say(&e))?;
        }
        "RolloutDecision" => {
            let decision: RolloutDecision = serde_json::from_value(object).map_err(|e| say(&e))?;
            if decision.spec.expires_at.is_some_and(|at| at.get().is_none()) {
                return Err("a moment was not understood".to_owned());
            }
        }
        other => return Err(format!("{other} is no kind of ours")),
    }
    Ok(())
}
