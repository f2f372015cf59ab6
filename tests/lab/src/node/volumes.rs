//! Volumes as directories. There is no mounting: `LAB_VOLUME_<NAME>` names the directory of each.

use super::env::{Sources, Variables};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use std::fs;
use std::path::Path;

/// Makes the directories of a pod's volumes (emptyDir, configMap, secret) below `directory`, and returns the
/// variables that name them.
pub(super) fn create(pod: &Pod, directory: &Path, sources: &Sources) -> Result<Variables> {
    let mut variables = Variables::new();
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let path = directory.join(&volume.name);
        fs::create_dir_all(&path).with_context(|| format!("could not create {}", path.display()))?;
        if let Some(map) = volume.config_map.as_ref().and_then(|source| sources.config_maps.get(&source.name))
        {
            for (name, text) in map.data.iter().flatten() {
                fs::write(path.join(name), text)?;
            }
        }
        let secret = volume.secret.as_ref().and_then(|source| source.secret_name.as_ref());
        if let Some(secret) = secret.and_then(|name| sources.secrets.get(name)) {
            for (name, bytes) in secret.data.iter().flatten() {
                fs::write(path.join(name), &bytes.0)?;
            }
        }
        let name = volume.name.to_uppercase().replace(['-', '.'], "_");
        variables.insert(format!("LAB_VOLUME_{name}"), path.display().to_string());
    }
    Ok(variables)
}
