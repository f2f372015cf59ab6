//! The registry entry of a version.

use crate::api::ModelVersion;

/// Name of the `ModelVersion` of a model's version.
pub fn name(model: &str, version: &str) -> String {
    format!("{model}-{version}")
}

/// The `ModelVersion` of that model and version. The objects are of one namespace.
///
/// The name alone would do, because the API refuses any other; the spec is compared as well, so that an object made
/// before that rule, or with another operator's definition of the kind, is never taken for what it is not.
pub fn find<'a>(
    versions: impl IntoIterator<Item = &'a ModelVersion>,
    model: &str,
    version: &str,
) -> Option<&'a ModelVersion> {
    let name = name(model, version);
    versions.into_iter().find(|v| {
        v.metadata.name.as_deref() == Some(name.as_str())
            && v.metadata.deletion_timestamp.is_none()
            && v.spec.model == model
            && v.spec.version == version
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str, model: &str, version: &str) -> ModelVersion {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": name},
            "spec": {"model": model, "version": version, "weights": {}},
        }))
        .unwrap()
    }

    #[test]
    fn a_version_is_found_by_name_and_spec() {
        let versions = [version("m-1.0.0", "m", "1.0.0"), version("m-1.1.0", "m", "1.1.0")];
        assert_eq!(find(&versions, "m", "1.1.0"), Some(&versions[1]));
        assert_eq!(find(&versions, "m", "1.2.0"), None);
        assert_eq!(find(&versions, "n", "1.1.0"), None);
    }

    #[test]
    fn an_object_whose_spec_is_another_version_is_not_it() {
        assert_eq!(find(&[version("m-1.0.0", "m", "1.1.0")], "m", "1.0.0"), None);
        assert_eq!(find(&[version("other", "m", "1.0.0")], "m", "1.0.0"), None);
    }
}
