//! Carries out actions, one call each, with a deadline, guarded against a world that has changed meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde_json::Value;

use super::error::{Why, WriteError};
use super::lease::Fence;
use super::raw::{self, Raw};
use super::shelf::Key;
use super::store::Store;
use super::stores::Stores;
use crate::api::{ModelRollout, keys};
use crate::rollout::Action;
use crate::workload::companions::Kind;

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
        let (verb, resource) = action.verb_and_resource();
        let of = Key::of(&rollout.metadata);
        let key = Key::new(of.namespace, object_name(&of.name, action));
        let target = Target { verb, resource, key: &key, deadline };
        let (guards, maps) = (&self.stores.guards, self.api::<ConfigMap>(&key));
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
            Action::CreateCompanion { kind, object } => {
                let wanted = Raw::new(object.clone()).map_err(|e| target.error(Why::Json(e)))?;
                let (store, api) = self.companions(*kind, &key);
                self.create(&target, store, api, &wanted).await
            }
            Action::PatchCompanion { kind, patch, .. } => {
                let (store, api) = self.companions(*kind, &key);
                self.json_patch(&target, store, &api, (patch, base)).await
            }
            Action::DeleteCompanion { kind, uid, .. } => {
                let (store, api) = self.companions(*kind, &key);
                self.delete(&target, store, api, uid).await
            }
            Action::CreateGuard(wanted) => self.create(&target, guards, maps, wanted.as_ref()).await,
            Action::PatchGuard { patch, .. } => self.json_patch(&target, guards, &maps, (patch, base)).await,
            Action::DeleteGuard { uid, .. } => self.delete(&target, guards, maps, uid).await,
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

    fn companions(&self, kind: Kind, key: &Key) -> (&Store<Raw>, Api<Raw>) {
        let store = match kind {
            Kind::Autoscaler => &self.stores.autoscalers,
            Kind::Budget => &self.stores.budgets,
        };
        (store, Api::namespaced_with(self.client.clone(), &key.namespace, &raw::companion(kind)))
    }

    /// One call, fenced and with its deadline. It gets no more time than the lease surely lasts: after that another
    /// process may lead.
    pub(super) async fn call<T>(
        &self,
        target: &Target<'_>,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        let Some(_share) = self.fence.pass().await else { return Err(target.error(Why::NotLeader)) };
        let deadline = target.deadline.min(self.fence.left());
        match tokio::time::timeout(deadline, call).await {
            Ok(answer) => answer.map_err(|e| target.error(Why::Api(Box::new(e)))),
            Err(_) => Err(target.error(Why::Deadline(deadline))),
        }
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

/// What a [`WriteError`] calls an action of a rollout when it fails, see [`WriteError::what`].
pub fn what(rollout: &Key, action: &Action) -> String {
    let (verb, resource) = action.verb_and_resource();
    super::error::what(verb, resource, &rollout.namespace, &object_name(&rollout.name, action))
}

fn object_name(rollout: &str, action: &Action) -> String {
    match action {
        Action::SetFinalizers(_) => rollout.to_owned(),
        other => other.object().to_owned(),
    }
}

pub(super) fn post() -> PostParams {
    PostParams { field_manager: Some(keys::FIELD_MANAGER.into()), ..PostParams::default() }
}

pub(super) fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(keys::FIELD_MANAGER.into()), ..PatchParams::default() }
}
