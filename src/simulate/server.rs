//! The API server: what the operator writes, one call for each action, refused when it is stale.

use std::fmt;
use std::sync::Arc;

use json_patch::Patch;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::api::{ModelRollout, ModelRolloutStatus, RolloutDecision, keys, time};
use crate::rollout::Action;
use crate::workload::companions::{Kind, name as name_of};

use super::companions;
use super::fields::{self, RULES, SELECTOR};
use super::setup::{json_of, typed};
use super::world::{NAMESPACE, World};

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The object has changed, or the name is taken.
    Conflict(String),
    /// There is no such object.
    NotFound(String),
    /// The server does not do it.
    Unavailable(String),
    /// The server refuses it, until somebody changes a permission or a policy.
    Forbidden(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(what) => write!(f, "409 {what}"),
            Self::NotFound(what) => write!(f, "404 {what}"),
            Self::Unavailable(what) => write!(f, "503 {what}"),
            Self::Forbidden(what) => write!(f, "403 {what}"),
        }
    }
}

type Written = Result<(), Refused>;

impl World {
    /// The rollout's status, on the condition that nobody has written the rollout since it was observed. True when
    /// something was written.
    pub fn write_status(
        &mut self,
        observed: &ModelRollout,
        status: &ModelRolloutStatus,
    ) -> Result<bool, Refused> {
        if observed.status.as_ref() == Some(status) {
            return Ok(false);
        }
        let mut present = self.same_rollout(observed)?;
        if self.status_refused {
            return Err(Refused::Unavailable("modelrollouts/status".into()));
        }
        // Through JSON, as the API server keeps it.
        present.status = Some(if self.follows { status.clone() } else { typed(json_of(status)) });
        self.put_rollout(present);
        Ok(true)
    }

    /// The rollout as it is, if it is as it was observed.
    pub fn same_rollout(&self, observed: &ModelRollout) -> Result<ModelRollout, Refused> {
        let name = observed.metadata.name.clone().unwrap_or_default();
        let present = self.objects.rollouts.get(&name).ok_or_else(|| Refused::NotFound(name.clone()))?;
        if present.metadata.resource_version != observed.metadata.resource_version {
            return Err(Refused::Conflict(name));
        }
        Ok(present.as_ref().clone())
    }

    /// Stores a rollout under a new resourceVersion.
    pub fn put_rollout(&mut self, mut rollout: ModelRollout) {
        rollout.metadata.resource_version = Some(self.next_version());
        let name = rollout.metadata.name.clone().unwrap_or_default();
        self.objects.rollouts.insert(name, Arc::new(rollout));
    }

    /// Carries out one action of the operator.
    pub fn act(&mut self, rollout: &ModelRollout, action: &Action) -> Written {
        let (verb, resource) = action.verb_and_resource();
        let call = format!("{verb} {resource}");
        if self.refused_writes.contains(&call) {
            return Err(Refused::Forbidden(call));
        }
        match action {
            Action::SetFinalizers(list) => self.finalizers(rollout, list),
            Action::CreateDeployment(d) => self.create_deployment(d),
            Action::ReplaceDeployment(d) => self.replace_deployment(d),
            Action::DeleteDeployment { name, uid } => self.delete_deployment(name, uid),
            Action::Scale { deployment, replicas } => self.scale(deployment, *replicas),
            Action::CreateService(s) => self.create_service(s),
            Action::PatchService { name, patch, .. } => self.patch_service(name, patch),
            Action::DeleteService { name, uid } => self.delete_service(name, uid),
            Action::CreateRoute(route) => self.create_route(route),
            Action::PatchRoute { name, patch, what: _ } => self.patch_route(name, patch),
            Action::DeleteRoute { name, uid } => self.delete_route(name, uid),
            Action::CreateCompanion { kind, object } => self.create_companion(*kind, object),
            Action::PatchCompanion { kind, name, patch, what: _ } => self.patch_companion(*kind, name, patch),
            Action::DeleteCompanion { kind, name, uid } => self.delete_companion(*kind, name, uid),
            Action::CreateGuard(g) => self.create_guard(g),
            Action::PatchGuard { name, patch, what: _ } => self.patch_guard(name, patch),
            Action::DeleteGuard { name, uid } => self.delete_guard(name, uid),
            Action::RecordOutcome { name, status } => {
                let Some(found) = self.objects.decisions.get(name) else { return Ok(()) };
                let mut decision = RolloutDecision::clone(found);
                decision.status = Some(status.clone());
                decision.metadata.resource_version = Some(self.next_version());
                self.objects.decisions.insert(name.clone(), Arc::new(decision));
                Ok(())
            }
        }
    }

    fn finalizers(&mut self, rollout: &ModelRollout, list: &[String]) -> Written {
        let mut present = self.same_rollout(rollout)?;
        present.metadata.finalizers = Some(list.to_vec());
        let name = present.metadata.name.clone().unwrap_or_default();
        let gone = list.is_empty() && present.metadata.deletion_timestamp.is_some();
        self.put_rollout(present);
        if gone {
            self.objects.rollouts.remove(&name);
        }
        Ok(())
    }

    /// Metadata of a new object.
    pub fn born(&mut self, meta: &mut ObjectMeta) {
        let name = meta.name.clone().unwrap_or_default();
        meta.namespace = Some(NAMESPACE.to_owned());
        meta.uid = Some(format!("uid-{name}-{}", self.next_serial()));
        meta.resource_version = Some(self.next_version());
        meta.generation = Some(1);
        meta.creation_timestamp = Some(time::to_api(self.now));
    }

    fn create_deployment(&mut self, wanted: &Deployment) -> Written {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        if let Some(found) = self.objects.deployments.get(&name) {
            return taken(&found.metadata, &wanted.metadata);
        }
        let mut made: Deployment = typed(json_of(wanted));
        self.born(&mut made.metadata);
        self.objects.deployments.insert(name, Arc::new(made));
        Ok(())
    }

    fn replace_deployment(&mut self, wanted: &Deployment) -> Written {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let found =
            self.objects.deployments.get(&name).cloned().ok_or_else(|| Refused::NotFound(name.clone()))?;
        if found.metadata.resource_version != wanted.metadata.resource_version {
            return Err(Refused::Conflict(name));
        }
        let mut new: Deployment = typed(json_of(wanted));
        new.status = found.status.clone();
        new.metadata.uid = found.metadata.uid.clone();
        new.metadata.creation_timestamp = found.metadata.creation_timestamp.clone();
        new.metadata.generation = found.metadata.generation.map(|g| g + 1);
        self.put_deployment(new);
        Ok(())
    }

    /// Stores a Deployment under a new resourceVersion.
    pub fn put_deployment(&mut self, mut deployment: Deployment) {
        deployment.metadata.resource_version = Some(self.next_version());
        let name = deployment.metadata.name.clone().unwrap_or_default();
        self.objects.deployments.insert(name, Arc::new(deployment));
    }

    fn delete_deployment(&mut self, name: &str, uid: &str) -> Written {
        let Some(found) = self.objects.deployments.get(name) else { return Ok(()) };
        same_uid(name, found.metadata.uid.as_deref(), uid)?;
        self.next_version();
        self.objects.deployments.remove(name);
        Ok(())
    }

    /// Writes a Deployment's scale.
    pub fn scale(&mut self, name: &str, replicas: i32) -> Written {
        let found = self.objects.deployments.get(name).ok_or_else(|| Refused::NotFound(name.to_owned()))?;
        let mut new = Deployment::clone(found);
        if let Some(spec) = &mut new.spec
            && spec.replicas != Some(replicas)
        {
            spec.replicas = Some(replicas);
            new.metadata.generation = new.metadata.generation.map(|g| g + 1);
        }
        self.put_deployment(new);
        Ok(())
    }

    fn create_service(&mut self, wanted: &Service) -> Written {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        if let Some(found) = self.objects.services.get(&name) {
            return taken(&found.metadata, &wanted.metadata);
        }
        let mut made = wanted.clone();
        self.born(&mut made.metadata);
        self.objects.services.insert(name, Arc::new(made));
        Ok(())
    }

    fn patch_service(&mut self, name: &str, patch: &Patch) -> Written {
        let found = self.objects.services.get(name).ok_or_else(|| Refused::NotFound(name.to_owned()))?;
        let old = json_of(found.as_ref());
        let mut new = patched(&old, patch, name)?;
        if new["spec"]["selector"] != old["spec"]["selector"] {
            let stamp = self.stamp();
            fields::taken(&mut new, keys::FIELD_MANAGER, "Update", SELECTOR, &stamp);
        }
        new["metadata"]["resourceVersion"] = self.next_version().into();
        self.objects.services.insert(name.to_owned(), Arc::new(typed(new)));
        Ok(())
    }

    fn delete_service(&mut self, name: &str, uid: &str) -> Written {
        let Some(found) = self.objects.services.get(name) else { return Ok(()) };
        same_uid(name, found.metadata.uid.as_deref(), uid)?;
        self.next_version();
        self.objects.services.remove(name);
        Ok(())
    }

    fn create_route(&mut self, wanted: &Value) -> Written {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if let Some(found) = self.objects.routes.get(&name) {
            return taken(&typed(found["metadata"].clone()), &typed(wanted["metadata"].clone()));
        }
        let mut meta: ObjectMeta = typed(wanted["metadata"].clone());
        self.born(&mut meta);
        let mut made = wanted.clone();
        made["metadata"] = json_of(&meta);
        self.objects.routes.insert(name, Arc::new(made));
        Ok(())
    }

    fn patch_route(&mut self, name: &str, patch: &Patch) -> Written {
        let old = self.objects.routes.get(name).cloned().ok_or_else(|| Refused::NotFound(name.to_owned()))?;
        let mut new = patched(&old, patch, name)?;
        if new["spec"] != old["spec"] {
            // What a patch says about managedFields counts only when it changes nothing else.
            new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
            if new["spec"]["rules"] != old["spec"]["rules"] {
                let stamp = self.stamp();
                fields::taken(&mut new, keys::FIELD_MANAGER, "Update", RULES, &stamp);
            }
            new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        self.put_route(new);
        Ok(())
    }

    /// Stores a route under a new resourceVersion.
    pub fn put_route(&mut self, mut route: Value) {
        route["metadata"]["resourceVersion"] = self.next_version().into();
        let name = route["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.objects.routes.insert(name, Arc::new(route));
    }

    fn delete_route(&mut self, name: &str, uid: &str) -> Written {
        let Some(found) = self.objects.routes.get(name) else { return Ok(()) };
        same_uid(name, found["metadata"]["uid"].as_str(), uid)?;
        self.next_version();
        self.objects.routes.remove(name);
        Ok(())
    }

    fn create_companion(&mut self, kind: Kind, wanted: &Value) -> Written {
        let key = (kind, name_of(wanted).to_owned());
        if let Some(found) = self.objects.companions.get(&key) {
            return taken(&typed(found["metadata"].clone()), &typed(wanted["metadata"].clone()));
        }
        companions::put_new(self, kind, wanted);
        Ok(())
    }

    fn patch_companion(&mut self, kind: Kind, name: &str, patch: &Patch) -> Written {
        let key = (kind, name.to_owned());
        let old = self.objects.companions.get(&key).ok_or_else(|| Refused::NotFound(name.to_owned()))?;
        let new = patched(old, patch, name)?;
        companions::put(self, kind, new);
        Ok(())
    }

    fn delete_companion(&mut self, kind: Kind, name: &str, uid: &str) -> Written {
        let key = (kind, name.to_owned());
        let Some(found) = self.objects.companions.get(&key) else { return Ok(()) };
        same_uid(name, found["metadata"]["uid"].as_str(), uid)?;
        self.next_version();
        self.objects.companions.remove(&key);
        Ok(())
    }
}

/// The object with the patch applied; a resourceVersion in it that is not the object's is a conflict.
pub fn patched(old: &Value, patch: &Patch, name: &str) -> Result<Value, Refused> {
    let mut new = old.clone();
    json_patch::patch(&mut new, patch).map_err(|e| Refused::Conflict(format!("{name}: {e}")))?;
    if new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
        return Err(Refused::Conflict(name.to_owned()));
    }
    Ok(new)
}

/// The name is taken: fine when it is our own object, whose answer was lost.
pub fn taken(found: &ObjectMeta, wanted: &ObjectMeta) -> Written {
    let mark = |m: &ObjectMeta| {
        let label = m.labels.as_ref().and_then(|l| l.get(keys::ROLLOUT_UID)).cloned();
        let hash = m.annotations.as_ref().and_then(|a| a.get(keys::TEMPLATE_HASH)).cloned();
        label.map(|l| (l, hash))
    };
    match mark(found) {
        Some(found) if Some(&found) == mark(wanted).as_ref() => Ok(()),
        _ => Err(Refused::Conflict(wanted.name.clone().unwrap_or_default())),
    }
}

pub fn same_uid(name: &str, found: Option<&str>, meant: &str) -> Written {
    if found == Some(meant) { Ok(()) } else { Err(Refused::Conflict(name.to_owned())) }
}
