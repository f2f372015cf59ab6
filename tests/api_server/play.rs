//! A small cluster around the API server in memory: what Kubernetes' own controllers, the gateway and the watches would do,
//! step by step, so that real passes can be made from adoption to a settled release.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use understudy::api::{ModelRollout, ModelVersion, Phase, RolloutDecision};
use understudy::cluster::events::Events;
use understudy::cluster::lease::Fence;
use understudy::cluster::raw::Raw;
use understudy::cluster::shelf::Key;
use understudy::cluster::{Covers, Stores, Writer};
use understudy::controller::{Context, Memory, Next, reconcile};
use understudy::measure::{ErrorClass, Query, Reading, Series, Source, SourceError, Sources};
use understudy::telemetry::Metrics;

use crate::fake::Fake;

pub const APPS: &str = "/apis/apps/v1/namespaces/shop/deployments";
pub const SERVICES: &str = "/api/v1/namespaces/shop/services";
pub const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes";
pub const OURS: &str = "/apis/understudy.dev/v1alpha1/namespaces/shop";

/// A metric source in which every pod answers 50 requests a second, all of them well.
struct Steady;

impl Source for Steady {
    fn read<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Reading> {
        let values = |label: &str| -> Vec<String> {
            let after = query.selector.split_once(&format!("{label}=")).map_or("", |(_, rest)| rest);
            after.split('"').nth(1).unwrap_or_default().split('|').map(str::to_owned).collect()
        };
        let seconds = query.from.timestamp()..=query.to.timestamp();
        let samples = |per_second: f64| -> Vec<(i64, f64)> {
            seconds.clone().map(|s| (s * 1000, (s % 1_000_000) as f64 * per_second)).collect()
        };
        let counter = |name: &str, pod: &str| Series {
            labels: [("__name__".to_owned(), name.to_owned()), ("pod".to_owned(), pod.to_owned())].into(),
            samples: samples(if name.starts_with("bad") { 0.0 } else { 50.0 }),
        };
        let (names, pods) = (values("__name__"), values("pod"));
        let series = names.iter().flat_map(|name| pods.iter().map(|pod| counter(name, pod)));
        let reading = Reading::Series(series.collect());
        Box::pin(std::future::ready(reading))
    }
}

/// The same, but every answer takes its time.
pub struct Slow(pub Duration);

impl Source for Slow {
    fn read<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Reading> {
        Box::pin(async {
            tokio::time::sleep(self.0).await;
            Steady.read(query).await
        })
    }
}

/// The same, but more than half an hour is too large for one answer.
pub struct Narrow;

impl Source for Narrow {
    fn read<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Reading> {
        if query.to - query.from <= chrono::Duration::minutes(30) {
            return Steady.read(query);
        }
        let error =
            SourceError { class: ErrorClass::TooLarge, message: "the answer is too large".to_owned() };
        Box::pin(std::future::ready(Reading::Error(error)))
    }
}

/// The cluster.
pub struct Play {
    pub api: Fake,
    pub ctx: Context,
}

impl Play {
    /// Version 1.0.0 as the user runs it, with 1.1.0 registered, and a rollout that adopts it.
    pub fn new() -> Self {
        let api = Fake::default();
        let client = api.client();
        let stores = Arc::new(Stores::new(&unbounded_channel().0));
        let metrics = Metrics::new();
        let ctx = Context {
            covers: Covers::new(client.clone(), true),
            writer: Writer::new(client.clone(), stores.clone(), Fence::open()),
            events: Events::start(client, "test".into(), metrics.clone()),
            stores,
            metrics,
            sources: Sources::default().with("default", Arc::new(Steady)),
            memory: Memory::default(),
        };
        let play = Self { api, ctx };
        play.users_objects();
        play.watches();
        play
    }

    fn users_objects(&self) {
        let put = |path: &str, object: Value| drop(self.api.put(path, object));
        put(
            &format!("{APPS}/m"),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "m", "namespace": "shop"},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "m"}}, "template": {
                    "metadata": {"labels": {"app": "m"}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [
                        {"name": "server", "image": "r/m:1", "env": [{"name": "MODEL", "value": "1.0.0"}]}]}}},
            }),
        );
        put(
            &format!("{SERVICES}/m"),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "m", "namespace": "shop"},
                "spec": {"selector": {"app": "m"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
            }),
        );
        put(
            &format!("{ROUTES}/m"),
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {"name": "m", "namespace": "shop", "managedFields": [
                    {"manager": "user", "operation": "Apply", "apiVersion": "gateway.networking.k8s.io/v1",
                     "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:rules": {}}}}]},
                "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "m", "port": 80}]}]},
            }),
        );
        for version in ["1.0.0", "1.1.0"] {
            put(
                &format!("{OURS}/modelversions/m-{version}"),
                json!({
                    "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelVersion",
                    "metadata": {"name": format!("m-{version}"), "namespace": "shop"},
                    "spec": {"model": "m", "version": version,
                        "weights": {"artifact": {"uri": format!("s3://models/m/{version}"),
                            "digest": format!("sha256:{}", version.replace('.', "").repeat(22).chars().take(64).collect::<String>())}},
                        "serving": {"container": "server", "env": [{"name": "MODEL", "value": version}]}},
                }),
            );
        }
        put(
            &format!("{OURS}/modelrollouts/m"),
            json!({
                "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout",
                "metadata": {"name": "m", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"model": "m", "version": "1.0.0", "workload": {"deployment": "m"},
                         "traffic": {"service": "m", "gatewayAPI": {"httpRoute": "m"}, "drain": "1s"},
                         "analysis": {"metrics": [{"name": "errors", "ratio": {"bad": "bad_total", "total": "all_total"}}]},
                         "strategy": {"canary": {"steps": [{"weight": 10, "hold": "10m"}]}}},
            }),
        );
    }

    pub fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_value(self.api.get(path).expect(path)).unwrap()
    }

    pub fn rollout(&self) -> ModelRollout {
        self.read(&format!("{OURS}/modelrollouts/m"))
    }

    pub fn phase(&self) -> Option<Phase> {
        self.rollout().status.and_then(|s| s.phase)
    }

    /// Changes an object as somebody else would.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.api.get(path).expect(path);
        change(&mut object);
        self.api.put(path, object);
        self.watches();
    }

    pub fn decide(&self, action: &str, version: Option<&str>) {
        self.api.put(&format!("{OURS}/rolloutdecisions/{}", action.to_lowercase()), json!({
            "apiVersion": "understudy.dev/v1alpha1", "kind": "RolloutDecision",
            "metadata": {"name": action.to_lowercase(), "namespace": "shop", "creationTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"rollout": "m", "action": action, "by": "alice", "version": version},
        }));
        self.watches();
    }

    /// One pass, and what the cluster makes of it.
    pub async fn pass(&self) -> Next {
        let next =
            reconcile(&self.ctx, &Key::new("shop", "m"), &Notify::new()).await.expect("a pass goes through");
        self.settle_in();
        next
    }

    /// What the cluster makes of the present objects, and what the watches then show.
    pub fn settle_in(&self) {
        self.controllers();
        self.watches();
    }

    /// Passes until the phase is reached; waits where the plan says so.
    pub async fn until(&self, phase: Phase) {
        for _ in 0..100 {
            let next = self.pass().await;
            if self.phase() == Some(phase) {
                return;
            }
            if let Next::Wait { wrote: false, .. } = next {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let status = self.rollout().status.unwrap();
        eprintln!("{:#?} {:#?}", self.api.requests(), serde_json::to_string(&status));
        panic!("never {phase}: {:?}, {}; waits for {:?}", status.phase, status.message, status.waiting_for);
    }

    /// Requests of the operator, Events left aside.
    pub fn requests(&self) -> Vec<String> {
        self.api.requests().into_iter().filter(|r| !r.contains(" events")).collect()
    }

    fn controllers(&self) {
        for path in self.api.paths(APPS) {
            let mut deployment = self.api.get(&path).unwrap();
            let n = &deployment["spec"]["replicas"];
            let generation = &deployment["metadata"]["generation"];
            let status = json!({"observedGeneration": generation, "replicas": n, "updatedReplicas": n,
                "readyReplicas": n, "availableReplicas": n});
            if deployment["status"] != status {
                deployment["status"] = status;
                self.api.put(&path, deployment);
            }
        }
        for path in self.api.paths(ROUTES) {
            let mut route = self.api.get(&path).unwrap();
            let generation = &route["metadata"]["generation"];
            let condition = |t: &str| {
                json!({"type": t, "status": "True", "reason": t, "message": "",
                "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
            };
            let status = json!({"parents": [{"controllerName": "test", "parentRef": {"name": "gw"},
                "conditions": [condition("Accepted"), condition("ResolvedRefs")]}]});
            if route["status"] != status {
                route["status"] = status;
                self.api.put(&path, route);
            }
        }
    }

    /// Everything into the stores, as full lists.
    fn watches(&self) {
        let s = &self.ctx.stores;
        macro_rules! bring {
            ($store:ident, $kind:ty, $path:expr) => {
                let all: Vec<$kind> = self.api.paths($path).iter().map(|p| self.read(p)).collect();
                s.$store.replace(None, all.into_iter().map(|o| (o.metadata.clone(), o.into())).collect());
            };
        }
        bring!(rollouts, ModelRollout, &format!("{OURS}/modelrollouts"));
        bring!(versions, ModelVersion, &format!("{OURS}/modelversions"));
        bring!(decisions, RolloutDecision, &format!("{OURS}/rolloutdecisions"));
        bring!(deployments, Deployment, APPS);
        bring!(services, Service, SERVICES);
        bring!(routes, Raw, ROUTES);
        self.pods_and_endpoints();
    }

    fn pods_and_endpoints(&self) {
        let s = &self.ctx.stores;
        let mut pods = Vec::new();
        for path in self.api.paths(APPS) {
            let d = self.api.get(&path).unwrap();
            let name = d["metadata"]["name"].as_str().unwrap();
            let template = &d["spec"]["template"];
            // A template of its own gives a ReplicaSet of its own.
            let hash = format!("{:x}", template.to_string().len());
            let set = json!({"metadata": {"name": format!("{name}-{hash}"), "namespace": "shop", "uid": format!("rs-{name}"),
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "d", "controller": true}]}});
            let set: PartialObjectMeta<ReplicaSet> = serde_json::from_value(set).unwrap();
            s.replica_sets.put(&set.metadata.clone(), set.into());
            for n in 0..d["spec"]["replicas"].as_i64().unwrap_or(0) {
                let mut labels = template["metadata"]["labels"].clone();
                labels["pod-template-hash"] = json!(hash);
                let pod = json!({
                    "metadata": {"name": format!("{name}-{hash}-{n}"), "namespace": "shop", "uid": format!("{name}-{hash}-{n}"),
                        "labels": labels, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                            "name": format!("{name}-{hash}"), "uid": "rs", "controller": true}]},
                    "spec": template["spec"],
                    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
                });
                pods.push(pod);
            }
        }
        let mut slices = Vec::new();
        for path in self.api.paths(SERVICES) {
            let service = self.api.get(&path).unwrap();
            let name = service["metadata"]["name"].as_str().unwrap().to_owned();
            let selector = service["spec"]["selector"].as_object().unwrap();
            let chosen =
                pods.iter().filter(|p| selector.iter().all(|(k, v)| p["metadata"]["labels"][k] == *v));
            let endpoints: Vec<Value> = chosen
                .map(|p| {
                    json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true},
                    "targetRef": {"kind": "Pod", "name": p["metadata"]["name"]}})
                })
                .collect();
            let slice = json!({"metadata": {"name": name, "namespace": "shop", "uid": name,
                "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4", "endpoints": endpoints});
            let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
            slices.push((slice.metadata.clone(), slice.into()));
        }
        let pods: Vec<Pod> = pods.into_iter().map(|p| serde_json::from_value(p).unwrap()).collect();
        s.pods.replace(None, pods.into_iter().map(|p| (p.metadata.clone(), p.into())).collect());
        s.slices.replace(None, slices);
    }
}
