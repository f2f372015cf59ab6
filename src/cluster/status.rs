//! Status writes, conditional on what was observed, and the look at the API server itself before what cannot be undone.

use std::time::Duration;

use kube::api::Patch;
use kube::{Api, Resource};
use serde::Serialize;
use serde_json::{Value, json};

use super::apply::{Target, Writer, patch_params};
use super::error::{Why, WriteError};
use super::merge;
use super::shelf::Key;
use crate::api::{ModelRollout, ModelRolloutStatus, ModelVersion, ModelVersionStatus};

impl Writer {
    /// Writes a rollout's status where it differs from the observed one, and only if nobody has written the object since.
    /// Fields that a newer version of this operator wrote stay. Returns the rollout as it then is, if anything was written.
    ///
    /// # Errors
    /// A conflict when the object has changed; otherwise as any call.
    pub async fn rollout_status(
        &self,
        observed: &ModelRollout,
        status: &ModelRolloutStatus,
        deadline: Duration,
    ) -> Result<Option<ModelRollout>, WriteError> {
        let key = Key::of(&observed.metadata);
        let target = Target { verb: "patch", resource: "modelrollouts/status", key: &key, deadline };
        let Some(patch) = patch(&target, observed, observed.status.as_ref(), status)? else {
            return Ok(None);
        };
        let api: Api<ModelRollout> = self.api(&key);
        let params = patch_params();
        match self.call(&target, api.patch_status(&key.name, &params, &patch)).await {
            Ok(new) => {
                self.stores.rollouts.put(&new.metadata, new.clone());
                Ok(Some(new))
            }
            Err(error) => Err(self.look_again(&target, &self.stores.rollouts, &api, error).await),
        }
    }

    /// The same for a version; says whether anything was written.
    ///
    /// # Errors
    /// As for a rollout.
    pub async fn version_status(
        &self,
        observed: &ModelVersion,
        status: &ModelVersionStatus,
        deadline: Duration,
    ) -> Result<bool, WriteError> {
        let key = Key::of(&observed.metadata);
        let target = Target { verb: "patch", resource: "modelversions/status", key: &key, deadline };
        let Some(patch) = patch(&target, observed, observed.status.as_ref(), status)? else {
            return Ok(false);
        };
        let api: Api<ModelVersion> = self.api(&key);
        let params = patch_params();
        match self.call(&target, api.patch_status(&key.name, &params, &patch)).await {
            Ok(new) => self.stores.versions.put(&new.metadata.clone(), new),
            Err(error) => return Err(self.look_again(&target, &self.stores.versions, &api, error).await),
        }
        Ok(true)
    }

    /// Reads the rollout from the API server itself (a read that a majority of etcd confirms), not from memory.
    ///
    /// # Errors
    /// When it is not as it was observed: then the plan was made for another world. Otherwise as any call.
    pub async fn confirm(&self, observed: &ModelRollout, deadline: Duration) -> Result<(), WriteError> {
        let key = Key::of(&observed.metadata);
        let target = Target { verb: "get", resource: "modelrollouts", key: &key, deadline };
        let api: Api<ModelRollout> = self.api(&key);
        let real = self.call(&target, api.get(&key.name)).await?;
        let same = real.metadata.uid == observed.metadata.uid
            && real.metadata.resource_version == observed.metadata.resource_version;
        let was = observed.metadata.resource_version.clone().unwrap_or_default();
        let is = real.metadata.resource_version.clone().unwrap_or_default();
        self.stores.rollouts.put(&real.metadata.clone(), real);
        match same {
            true => Ok(()),
            false => Err(target.error(Why::Changed(format!("it is at {is}, the plan was made at {was}")))),
        }
    }
}

fn patch<K: Resource, S: Serialize + PartialEq>(
    target: &Target<'_>,
    observed: &K,
    old: Option<&S>,
    new: &S,
) -> Result<Option<Patch<Value>>, WriteError> {
    // Most passes change nothing, and the tests in a status are packed to be compared as text.
    if old == Some(new) {
        return Ok(None);
    }
    let json = |status: &S| serde_json::to_value(status).map_err(|e| target.error(Why::Json(e)));
    let old = match old {
        Some(old) => json(old)?,
        None => json!({}),
    };
    let Some(diff) = merge::diff(&old, &json(new)?) else { return Ok(None) };
    let meta = observed.meta();
    Ok(Some(Patch::Merge(json!({
        "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": diff,
    }))))
}
