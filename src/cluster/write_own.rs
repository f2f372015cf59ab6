//! The writes that are particular to a kind: a slot's template and scale, our finalizer, a decision's outcome.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::Patch;
use serde_json::json;

use super::apply::{Target, Writer, patch_params, post};
use super::error::WriteError;
use crate::api::{ModelRollout, RolloutDecision, RolloutDecisionStatus};

impl Writer {
    pub(super) async fn replace(&self, target: &Target<'_>, wanted: &Deployment) -> Result<(), WriteError> {
        let api: Api<Deployment> = self.api(target.key);
        let params = post();
        // Who wrote which field is not known here in full, and a write without it leaves it as it is.
        let mut wanted = wanted.clone();
        wanted.metadata.managed_fields = None;
        match self.call(target, api.replace(&target.key.name, &params, &wanted)).await {
            Ok(new) => self.stores.deployments.put(&new.metadata.clone(), new),
            Err(error) => return Err(self.look_again(target, &self.stores.deployments, &api, error).await),
        }
        Ok(())
    }

    pub(super) async fn scale(&self, target: &Target<'_>, replicas: i32) -> Result<(), WriteError> {
        let api: Api<Deployment> = self.api(target.key);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let params = patch_params();
        let scale = self.call(target, api.patch_scale(&target.key.name, &params, &patch)).await?;
        // The answer is a Scale. The Deployment as it now is: new count, new generation, same status.
        if let Some(known) = self.stores.deployments.get(target.key)
            && known.metadata.uid == scale.metadata.uid
        {
            let mut new = Deployment::clone(&known);
            new.metadata.resource_version = scale.metadata.resource_version;
            if let Some(spec) = new.spec.as_mut()
                && spec.replicas != Some(replicas)
            {
                spec.replicas = Some(replicas);
                new.metadata.generation = new.metadata.generation.map(|g| g + 1);
            }
            self.stores.deployments.put(&new.metadata.clone(), new);
        }
        Ok(())
    }

    pub(super) async fn finalizers(
        &self,
        target: &Target<'_>,
        rollout: &ModelRollout,
        list: &[String],
    ) -> Result<Option<ModelRollout>, WriteError> {
        let meta = &rollout.metadata;
        let patch = Patch::Merge(json!({"metadata": {
            "uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": list,
        }}));
        let api: Api<ModelRollout> = self.api(target.key);
        let params = patch_params();
        let gone = || {
            self.stores.rollouts.forget(target.key.clone(), meta.uid.as_deref().unwrap_or_default());
            Ok(None)
        };
        match self.call(target, api.patch(&target.key.name, &params, &patch)).await {
            Ok(new) if list.is_empty() && new.metadata.deletion_timestamp.is_some() => gone(),
            Ok(new) => {
                self.stores.rollouts.put(&new.metadata, new.clone());
                Ok(Some(new))
            }
            Err(error) if error.code() == Some(404) => gone(),
            Err(error) => Err(self.look_again(target, &self.stores.rollouts, &api, error).await),
        }
    }

    pub(super) async fn outcome(
        &self,
        target: &Target<'_>,
        status: &RolloutDecisionStatus,
    ) -> Result<(), WriteError> {
        let patch = Patch::Merge(json!({ "status": status }));
        let api: Api<RolloutDecision> = self.api(target.key);
        let params = patch_params();
        match self.call(target, api.patch_status(&target.key.name, &params, &patch)).await {
            Ok(new) => self.stores.decisions.put(&new.metadata.clone(), new),
            // A decision that was deleted needs no outcome.
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
