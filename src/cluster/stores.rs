//! Everything that is watched, in memory.

use std::convert::identity;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::{ApiResource, DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::policies::Policies;
use super::raw::{self, Raw};
use super::rows::{ClaimRow, NamespaceRow, PodRow, ReplicaSetRow, SliceRow};
use super::store::{Changed, Failing, Progress, Store, lean};
use super::topics;
use super::watch::{Only, Watch};
use crate::api::{ModelRollout, ModelVersion, RolloutDecision, keys};
use crate::rollout::observed::Unread;
use crate::telemetry::Metrics;
use crate::traffic::guard::POLICY;
use crate::workload::companions::Kind;

/// The world as the watches and our own writes know it.
pub struct Stores {
    /// Rollouts.
    pub rollouts: Arc<Store<ModelRollout>>,
    /// Registered versions.
    pub versions: Arc<Store<ModelVersion>>,
    /// Decisions.
    pub decisions: Arc<Store<RolloutDecision>>,
    /// Deployments.
    pub deployments: Arc<Store<Deployment>>,
    /// ReplicaSets.
    pub replica_sets: Arc<Store<ReplicaSetRow>>,
    /// Pods.
    pub pods: Arc<Store<PodRow>>,
    /// Services, with who wrote which field.
    pub services: Arc<Store<Service>>,
    /// EndpointSlices.
    pub slices: Arc<Store<SliceRow>>,
    /// Volume claims.
    pub claims: Arc<Store<ClaimRow>>,
    /// HTTPRoutes, with who wrote which field.
    pub routes: Arc<Store<Raw>>,
    /// Gateways.
    pub gateways: Arc<Store<Raw>>,
    /// GatewayClasses.
    pub gateway_classes: Arc<Store<Raw>>,
    /// HorizontalPodAutoscalers, without their status.
    pub autoscalers: Arc<Store<Raw>>,
    /// PodDisruptionBudgets, without their status.
    pub budgets: Arc<Store<Raw>>,
    /// ConfigMaps of the selector guard.
    pub guards: Arc<Store<ConfigMap>>,
    /// The policies that guard selectors.
    pub policies: Policies,
    /// Namespaces.
    pub namespaces: Arc<Store<NamespaceRow>>,
}

impl Stores {
    /// Empty stores that tell of every change.
    pub fn new(changed: &Changed) -> Self {
        let tell = || changed.clone();
        Self {
            rollouts: Arc::new(Store::new("modelrollouts", topics::rollout, tell()).keeping(lean)),
            versions: Arc::new(Store::new("modelversions", topics::version, tell()).keeping(lean)),
            decisions: Arc::new(Store::new("rolloutdecisions", topics::decision, tell()).keeping(lean)),
            deployments: Arc::new(Store::new("deployments", topics::deployment, tell()).keeping(lean)),
            replica_sets: Arc::new(Store::new("replicasets", topics::replica_set, tell())),
            pods: Arc::new(Store::new("pods", topics::pod, tell())),
            services: Arc::new(Store::new("services", topics::service, tell())),
            slices: Arc::new(Store::new("endpointslices", topics::slice, tell())),
            claims: Arc::new(Store::new("persistentvolumeclaims", topics::claim, tell())),
            routes: Arc::new(Store::new("httproutes", topics::route, tell())),
            gateways: Arc::new(Store::new("gateways", topics::gateway, tell()).keeping(raw::lean)),
            gateway_classes: Arc::new(
                Store::new("gatewayclasses", topics::gateway_class, tell()).keeping(raw::lean),
            ),
            autoscalers: Arc::new(
                Store::optional(Kind::Autoscaler.resource(), topics::autoscaler, tell())
                    .keeping(raw::specs_only),
            ),
            budgets: Arc::new(
                Store::optional(Kind::Budget.resource(), topics::budget, tell()).keeping(raw::specs_only),
            ),
            guards: Arc::new(Store::new("configmaps", topics::guard, tell()).keeping(lean)),
            policies: Policies::new(changed),
            namespaces: Arc::new(Store::new("namespaces", topics::namespace, tell())),
        }
    }

    /// Starts every watch. No namespaces named: all of them.
    pub fn watch(&self, client: &Client, namespaces: &[String], metrics: &Metrics) {
        let start = Start { client, namespaces, metrics };
        start.ours(&self.rollouts);
        start.ours(&self.versions);
        start.ours(&self.decisions);
        start.ours(&self.deployments);
        start.typed(&self.replica_sets, PartialObjectMeta::<ReplicaSet>::into);
        start.typed(&self.pods, Pod::into);
        start.typed(&self.services, identity);
        start.typed(&self.slices, EndpointSlice::into);
        start.typed(&self.claims, PersistentVolumeClaim::into);
        start.raw(&self.routes, &raw::http_route());
        start.raw(&self.autoscalers, &raw::companion(Kind::Autoscaler));
        start.raw(&self.budgets, &raw::companion(Kind::Budget));
        // Gateways often live in a namespace of their own, so they are watched everywhere.
        start.everywhere(&self.gateways, &raw::gateway());
        start.everywhere(&self.gateway_classes, &raw::gateway_class());
        start.guards(&self.guards);
        for (store, kind) in self.policies.stores() {
            start.policy(store, &kind);
        }
        start.namespaces(&self.namespaces);
    }

    /// What keeps the stores from being complete, for people; empty when all is there.
    pub fn missing(&self) -> Vec<String> {
        self.progress().into_iter().filter_map(Progress::missing).chain(self.policies.unheard()).collect()
    }

    /// Watches that have failed for long, of those that a namespace, or any, depends on: the stores may be out of date.
    pub fn failing(&self, namespace: Option<&str>) -> Vec<Failing> {
        let now = Instant::now().into_std();
        self.progress().into_iter().filter_map(|p| p.failing(namespace, now)).collect()
    }

    /// Kinds that the API server does not know.
    pub fn absent(&self) -> Vec<&'static str> {
        self.progress().into_iter().filter(|p| p.is_absent()).map(|p| p.kind).collect()
    }

    /// Kinds that can be done without and that the operator may not read in a namespace, or in any.
    pub fn unread(&self, namespace: Option<&str>) -> Vec<Unread> {
        let now = Instant::now().into_std();
        let optional = [&self.autoscalers.progress, &self.budgets.progress];
        let why =
            optional.into_iter().filter_map(|p| Some((p.kind.to_owned(), p.forbidden(namespace, now)?)));
        why.map(|(kind, why)| Unread { kind, why }).collect()
    }

    fn progress(&self) -> [&Progress; 16] {
        [
            &self.rollouts.progress,
            &self.versions.progress,
            &self.decisions.progress,
            &self.deployments.progress,
            &self.replica_sets.progress,
            &self.pods.progress,
            &self.services.progress,
            &self.slices.progress,
            &self.claims.progress,
            &self.routes.progress,
            &self.gateways.progress,
            &self.gateway_classes.progress,
            &self.autoscalers.progress,
            &self.budgets.progress,
            &self.guards.progress,
            &self.namespaces.progress,
        ]
    }
}

struct Start<'a> {
    client: &'a Client,
    namespaces: &'a [String],
    metrics: &'a Metrics,
}

impl Start<'_> {
    fn ours<K>(&self, store: &Arc<Store<K>>)
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
        K::DynamicType: Default,
    {
        self.typed(store, identity);
    }

    fn typed<K, T>(&self, store: &Arc<Store<T>>, keep: fn(K) -> T)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
        K::DynamicType: Default,
        T: Send + Sync + 'static,
    {
        self.namespaced(store, None, keep);
    }

    fn namespaced<K, T>(&self, store: &Arc<Store<T>>, only: Option<Only>, keep: fn(K) -> T)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
        K::DynamicType: Default,
        T: Send + Sync + 'static,
    {
        if self.namespaces.is_empty() {
            self.spawn(store, Api::all(self.client.clone()), None, only.clone(), keep);
        }
        for namespace in self.namespaces {
            let api = Api::namespaced(self.client.clone(), namespace);
            self.spawn(store, api, Some(namespace.clone()), only.clone(), keep);
        }
    }

    fn guards(&self, store: &Arc<Store<ConfigMap>>) {
        self.namespaced(store, Some(Only::Labelled(keys::GUARDS)), identity);
    }

    fn policy(&self, store: &Arc<Store<Raw>>, kind: &ApiResource) {
        let only = Only::Named(POLICY.to_owned());
        self.spawn(store, Api::all_with(self.client.clone(), kind), None, Some(only), identity);
    }

    fn raw(&self, store: &Arc<Store<Raw>>, kind: &ApiResource) {
        if self.namespaces.is_empty() {
            self.spawn(store, Api::all_with(self.client.clone(), kind), None, None, identity);
        }
        for namespace in self.namespaces {
            let api = Api::namespaced_with(self.client.clone(), namespace, kind);
            self.spawn(store, api, Some(namespace.clone()), None, identity);
        }
    }

    fn everywhere(&self, store: &Arc<Store<Raw>>, kind: &ApiResource) {
        self.spawn(store, Api::all_with(self.client.clone(), kind), None, None, identity);
    }

    fn namespaces(&self, store: &Arc<Store<NamespaceRow>>) {
        let keep: fn(PartialObjectMeta<Namespace>) -> NamespaceRow = Into::into;
        if self.namespaces.is_empty() {
            self.spawn(store, Api::all(self.client.clone()), None, None, keep);
        }
        for name in self.namespaces {
            let api = Api::all(self.client.clone());
            // A scope that no key has: the list of one name says nothing about the others.
            self.spawn(store, api, Some("-".to_owned()), Some(Only::Named(name.clone())), keep);
        }
    }

    fn spawn<K, T>(
        &self,
        store: &Arc<Store<T>>,
        api: Api<DeserializeGuard<K>>,
        scope: Option<String>,
        only: Option<Only>,
        keep: fn(K) -> T,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        T: Send + Sync + 'static,
    {
        store.progress.started();
        let watch = Watch { store: store.clone(), scope, only, metrics: self.metrics.clone() };
        tokio::spawn(watch.follow(api, keep));
    }
}
