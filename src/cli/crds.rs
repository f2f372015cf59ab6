//! `understudy crds`: the kinds, to be applied to a cluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::api::crd::crds;

/// Why a definition could not be written out.
#[derive(Debug, thiserror::Error)]
#[error("could not write the definition of {kind} as YAML: {source}")]
pub struct CrdsError {
    kind: String,
    source: serde_saphyr::ser::Error,
}

/// All definitions as one YAML stream.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn all() -> Result<String, CrdsError> {
    crds().iter().map(|crd| Ok(format!("---\n{}", yaml(crd)?))).collect()
}

/// One definition as YAML: two spaces, long texts folded, no anchors, always the same.
///
/// # Errors
/// When the definition cannot be written as YAML.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, CrdsError> {
    serde_saphyr::to_string(crd).map_err(|source| CrdsError { kind: crd.spec.names.kind.clone(), source })
}
