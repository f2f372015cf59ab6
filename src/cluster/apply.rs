//! Carries out actions, one call each, with a deadline, guarded against a world that has changed meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{Class, Why, WriteError, resource_of};
use super::lease::Fence;
use super::raw::{self, Raw};
use super::rebase;
use super::shelf::Key;
use super::store::Store;
use super::stores::Stores;
use crate::api::{ModelRollout, RolloutDecision, RolloutDecisionStatus, keys};
use crate::rollout::Action;

/// Writes to the API server. What the server answers is put into the stores, so the next pass sees it.
#[derive(Clone)]
pub struct Writer {
    pub(super) client: Client,
    pub(super) stores: Arc<Stores>,
    pub(super) fence: Fence,
}

/// One write on one object: for the deadline and for the message when it fails.
pub(super) struct Target<'a> {
    pub verb: &'static str,
    pub resource: &'static str,
    pub key: &'a Key,
    pub deadline: Duration,
}

impl Writer {
    /// A writer that stops writing when the fence says that another process may lead.
    pub fn new(client: Client, stores: Arc<Stores>, fence: Fence) -> Self {
        Self { client, stores, fence }
    }

    /// Carries out one action for a rollout. An object that is there already as wanted, or gone already, is no error.
    /// Returns the rollout as it then is, if the action wrote it. `base` is the object that a patch was made from.
    ///
    /// # Errors
    /// When the API server refuses, does not answer within the deadline, or the object is not the one that was meant.
    pub async fn act(
        &self,
        rollout: &ModelRollout,
        action: &Action,
        base: Option<&Value>,
        deadline: Duration,
    ) -> Result<Option<ModelRollout>, WriteError> {
        let (verb, resource) = resource_of(action);
        let of = Key::of(&rollout.metadata);
        let key = Key::new(of.namespace, object_name(&of.name, action));
        let target = Target { verb, resource, key: &key, deadline };
        match action {
            Action::SetFinalizers(list) => return self.finalizers(&target, rollout, list).await,
            Action::CreateDeployment(wanted) => {
                self.create(&target, &self.stores.deployments, self.api(&key), wanted.as_ref()).await
            }
            Action::ReplaceDeployment(wanted) => self.replace(&target, wanted).await,
            Action::DeleteDeployment { uid, .. } => {
                self.delete(&target, &self.stores.deployments, self.api(&key), uid).await
            }
            Action::Scale { replicas, .. } => self.scale(&target, *replicas).await,
            Action::CreateService(wanted) => {
                self.create(&target, &self.stores.services, self.api::<Service>(&key), wanted.as_ref()).await
            }
            Action::PatchService { patch, .. } => {
                let api: Api<Service> = self.api(&key);
                self.json_patch(&target, &self.stores.services, &api, (patch, base)).await
            }
            Action::DeleteService { uid, .. } => {
                self.delete(&target, &self.stores.services, self.api::<Service>(&key), uid).await
            }
            Action::CreateRoute(wanted) => {
                let wanted = Raw::new(wanted.clone()).map_err(|e| target.error(Why::Json(e)))?;
                self.create(&target, &self.stores.routes, self.routes(&key), &wanted).await
            }
            Action::PatchRoute { patch, .. } => {
                self.json_patch(&target, &self.stores.routes, &self.routes(&key), (patch, base)).await
            }
            Action::DeleteRoute { uid, .. } => {
                self.delete(&target, &self.stores.routes, self.routes(&key), uid).await
            }
            Action::RecordOutcome { status, .. } => self.outcome(&target, status).await,
        }?;
        Ok(None)
    }

    pub(super) fn api<K>(&self, key: &Key) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    fn routes(&self, key: &Key) -> Api<Raw> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &raw::http_route())
    }

    /// One call, fenced and with its deadline.
    pub(super) async fn call<T>(
        &self,
        target: &Target<'_>,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        let Some(_share) = self.fence.pass().await else { return Err(target.error(Why::NotLeader)) };
        match tokio::time::timeout(target.deadline, call).await {
            Ok(answer) => answer.map_err(|e| target.error(Why::Api(Box::new(e)))),
            Err(_) => Err(target.error(Why::Deadline(target.deadline))),
        }
    }

    /// What is true after a refusal because the object has changed: the next pass must not plan on the same old view,
    /// however far the watch lags.
    pub(super) async fn look_again<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: &Api<K>,
        error: WriteError,
    ) -> WriteError
    where
        K: Resource + DeserializeOwned + Clone + std::fmt::Debug,
    {
        if error.class() == Class::Stale {
            match self.call(target, api.get_opt(&target.key.name)).await {
                Ok(Some(found)) => store.put(&found.meta().clone(), found),
                Ok(None) => {
                    if let Some(known) = store.get(target.key) {
                        store.remove(known.meta());
                    }
                }
                Err(error) => tracing::debug!(%error, "the object that has changed could not be read"),
            }
        }
        error
    }

    async fn create<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: Api<K>,
        wanted: &K,
    ) -> Result<(), WriteError>
    where
        K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let params = post();
        let made = match self.call(target, api.create(&params, wanted)).await {
            Ok(made) => made,
            Err(error) if error.code() == Some(409) => {
                // An answer that was lost, or somebody else's object: ours carries the mark of this rollout.
                let found = self.call(target, api.get(&target.key.name)).await?;
                let (ours, theirs) = (mark(wanted), mark(&found));
                store.put(&found.meta().clone(), found);
                if ours.is_none() || ours != theirs {
                    return Err(target.error(Why::Changed("the name is taken by another object".into())));
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        store.put(&made.meta().clone(), made);
        Ok(())
    }

    async fn replace(&self, target: &Target<'_>, wanted: &Deployment) -> Result<(), WriteError> {
        let api: Api<Deployment> = self.api(target.key);
        let params = post();
        match self.call(target, api.replace(&target.key.name, &params, wanted)).await {
            Ok(new) => self.stores.deployments.put(&new.metadata.clone(), new),
            Err(error) => return Err(self.look_again(target, &self.stores.deployments, &api, error).await),
        }
        Ok(())
    }

    async fn delete<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: Api<K>,
        uid: &str,
    ) -> Result<(), WriteError>
    where
        K: Resource + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::background()
        };
        let held = |k: &K| k.meta().finalizers.as_ref().is_some_and(|f| !f.is_empty());
        match self.call(target, api.delete(&target.key.name, &params)).await {
            Ok(answer) => match answer.left().filter(held) {
                // Finalizers of others keep it a while.
                Some(going) => store.put(&going.meta().clone(), going),
                None => store.forget(target.key.clone(), uid),
            },
            Err(error) if error.code() == Some(404) => store.forget(target.key.clone(), uid),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A gateway writes its status into a route a few milliseconds after each change of it. A patch that only such a write
    /// has overtaken still means what it meant, so it is made again, once, for the object as it now is.
    async fn json_patch<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: &Api<K>,
        (patch, base): (&json_patch::Patch, Option<&Value>),
    ) -> Result<(), WriteError>
    where
        K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let send = |patch: json_patch::Patch| async move {
            let patch = Patch::<Value>::Json(patch);
            self.call(target, api.patch(&target.key.name, &patch_params(), &patch)).await
        };
        let mut answer = send(patch.clone()).await;
        if let Err(error) = answer {
            let error = self.look_again(target, store, api, error).await;
            let found = store.get(target.key).filter(|_| error.class() == Class::Stale);
            match found.and_then(|found| rebase::onto(patch, base?, &serde_json::to_value(&*found).ok()?)) {
                Some(rebased) => answer = send(rebased).await,
                None => return Err(error),
            }
        }
        let new = answer?;
        store.put(&new.meta().clone(), new);
        Ok(())
    }

    async fn scale(&self, target: &Target<'_>, replicas: i32) -> Result<(), WriteError> {
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

    async fn finalizers(
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

    async fn outcome(&self, target: &Target<'_>, status: &RolloutDecisionStatus) -> Result<(), WriteError> {
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

impl Target<'_> {
    pub(super) fn error(&self, why: Why) -> WriteError {
        WriteError {
            verb: self.verb,
            resource: self.resource,
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            why,
        }
    }
}

/// Which rollout an object belongs to, and which template it was made from.
fn mark<K: Resource>(object: &K) -> Option<(String, Option<String>)> {
    let meta = object.meta();
    let uid = meta.labels.as_ref().and_then(|l| l.get(keys::ROLLOUT_UID))?;
    let hash = meta.annotations.as_ref().and_then(|a| a.get(keys::TEMPLATE_HASH));
    Some((uid.clone(), hash.cloned()))
}

fn object_name(rollout: &str, action: &Action) -> String {
    match action {
        Action::SetFinalizers(_) => rollout.to_owned(),
        Action::CreateDeployment(d) | Action::ReplaceDeployment(d) => {
            d.metadata.name.clone().unwrap_or_default()
        }
        Action::CreateService(s) => s.metadata.name.clone().unwrap_or_default(),
        Action::CreateRoute(v) => v["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        Action::Scale { deployment, .. } => deployment.clone(),
        Action::DeleteDeployment { name, .. }
        | Action::PatchService { name, .. }
        | Action::DeleteService { name, .. }
        | Action::PatchRoute { name, .. }
        | Action::DeleteRoute { name, .. }
        | Action::RecordOutcome { name, .. } => name.clone(),
    }
}

pub(super) fn post() -> PostParams {
    PostParams { field_manager: Some(keys::FIELD_MANAGER.into()), ..PostParams::default() }
}

pub(super) fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(keys::FIELD_MANAGER.into()), ..PatchParams::default() }
}
