//! What the API server of the fake namespace holds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde::Serialize;
use serde_json::Value;

use crate::api::{ModelRollout, ModelVersion, RolloutDecision};
use crate::rollout::observed::{ContainerExit, Endpoint};
use crate::workload::companions::Kind;
use crate::workload::covering::Cover;

/// All objects. Cheap to copy: a copy shares what has not been written since.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Deployments by name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// Services by name.
    pub services: BTreeMap<String, Arc<Service>>,
    /// ConfigMaps of selector guards by name.
    pub guards: BTreeMap<String, Arc<ConfigMap>>,
    /// HTTPRoutes by name, raw.
    pub routes: BTreeMap<String, Arc<Value>>,
    /// ModelRollouts by name.
    pub rollouts: BTreeMap<String, Arc<ModelRollout>>,
    /// ModelVersions by name.
    pub versions: BTreeMap<String, Arc<ModelVersion>>,
    /// RolloutDecisions by name.
    pub decisions: BTreeMap<String, Arc<RolloutDecision>>,
    /// Pods by name.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// Endpoints by Service.
    pub endpoints: BTreeMap<String, Arc<Vec<Endpoint>>>,
    /// Access modes of volume claims by name.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Autoscalers and budgets by kind and name, raw.
    pub companions: BTreeMap<(Kind, String), Arc<Value>>,
    /// Policies that cover pods.
    pub covers: Vec<Cover>,
    /// The namespace is being deleted.
    pub terminating: bool,
}

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Name.
    pub name: String,
    /// Name of its Deployment.
    pub deployment: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Hash of the template that it was made from.
    pub template: String,
    /// The version that it serves.
    pub version: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When its container started.
    pub started: Option<DateTime<Utc>>,
    /// When its container was last started again.
    pub restarted: Option<DateTime<Utc>>,
    /// It takes traffic.
    pub ready: bool,
    /// Since when it is being deleted.
    pub deleting: Option<DateTime<Utc>>,
    /// How its container ended the last time: a real status tells no more.
    pub exit: Option<ContainerExit>,
    /// Why it waits.
    pub waiting: Option<String>,
    /// Its node went away.
    pub disrupted: bool,
    /// It was evicted: its phase is Failed, and its object stays.
    pub ended: bool,
    /// Somebody made it unready; no probe brings it back before this moment.
    pub unready_until: Option<DateTime<Utc>>,
}

/// A hash of an object apart from its resourceVersion: two runs that hold the same prints hold the same world.
pub fn print(object: &impl Serialize) -> u64 {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("resourceVersion");
    }
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

impl Objects {
    /// One hash over everything.
    pub fn digest(&self, prints: &mut Prints) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.deployments.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.services.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.guards.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.routes.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.rollouts.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.versions.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.decisions.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.pods.values().for_each(|o| prints.shown(o).hash(&mut hasher));
        self.endpoints.iter().for_each(|(n, o)| (n, prints.shown(o)).hash(&mut hasher));
        self.companions.values().for_each(|o| prints.of(o).hash(&mut hasher));
        self.terminating.hash(&mut hasher);
        hasher.finish()
    }
}

/// Remembers the print of each stored object by its address, as long as it is held.
#[derive(Clone, Debug, Default)]
pub struct Prints(BTreeMap<usize, (u64, Held)>);

type Held = Arc<dyn std::any::Any + Send + Sync>;

impl Prints {
    fn of<T: Serialize + Send + Sync + 'static>(&mut self, object: &Arc<T>) -> u64 {
        self.known(object, |o| print(o))
    }

    fn shown<T: std::fmt::Debug + Send + Sync + 'static>(&mut self, object: &Arc<T>) -> u64 {
        self.known(object, |o| {
            let mut hasher = DefaultHasher::new();
            format!("{o:?}").hash(&mut hasher);
            hasher.finish()
        })
    }

    fn known<T: Send + Sync + 'static>(&mut self, object: &Arc<T>, make: impl FnOnce(&T) -> u64) -> u64 {
        let at = Arc::as_ptr(object).cast::<()>() as usize;
        if let Some((known, _)) = self.0.get(&at) {
            return *known;
        }
        let made = make(object.as_ref());
        // The object is held on to, so that its address is not used again.
        self.0.insert(at, (made, Arc::clone(object) as Held));
        made
    }
}
