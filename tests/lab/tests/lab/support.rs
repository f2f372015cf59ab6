//! What the tests share.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use lab::Lab;
use lab::wait::wait_for;
use serde_json::{Value, json};
use std::time::Duration;

/// Long enough for a machine that does other things too.
pub const SOON: Duration = Duration::from_secs(60);

/// A namespace for one test; deleted in the background when the test has passed.
pub struct Space<'a> {
    pub lab: &'a Lab,
    pub name: String,
}

impl<'a> Space<'a> {
    pub async fn new(lab: &'a Lab, name: &str) -> Result<Self> {
        lab.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string())
            .await?;
        Ok(Self { lab, name: name.into() })
    }

    pub async fn done(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.lab.admin());
        namespaces.delete(&self.name, &DeleteParams::background()).await?;
        Ok(())
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.lab.admin(), &self.name)
    }

    /// Applies an object in this namespace.
    pub async fn apply(&self, mut object: Value) -> Result<()> {
        object["metadata"]["namespace"] = json!(self.name);
        self.lab.apply(&object.to_string()).await?;
        Ok(())
    }

    /// A Deployment of echo servers, its Service, and both ready.
    pub async fn echo(&self, name: &str, version: &str, replicas: u32) -> Result<()> {
        self.apply(deployment(name, version, replicas)).await?;
        self.apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }))
        .await?;
        self.ready(name, replicas).await
    }

    /// Waits until a Deployment has exactly so many pods, all new and all ready.
    pub async fn ready(&self, name: &str, replicas: u32) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.lab.admin(), &self.name);
        let wanted = i32::try_from(replicas)?;
        wait_for(&format!("{replicas} ready pods of {}/{name}", self.name), SOON, async || {
            let found = deployments.get(name).await.map_err(|error| error.to_string())?;
            let status = found.status.clone().unwrap_or_default();
            let current = status.observed_generation == found.metadata.generation;
            let count = |value: Option<i32>| value.unwrap_or(0);
            let counts =
                [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas]
                    .map(count);
            if current && counts == [wanted; 4] {
                Ok(())
            } else {
                Err(format!("{counts:?}, current: {current}"))
            }
        })
        .await
    }

    /// The pods of an app, those being deleted too.
    pub async fn pods_of(&self, app: &str) -> Result<Vec<Pod>> {
        Ok(self.pods().list(&ListParams::default().labels(&format!("app={app}"))).await?.items)
    }

    /// Waits until the only container of a pod is seen in a state.
    pub async fn container<T>(&self, pod: &str, what: &str, look: impl Fn(&Value) -> Option<T>) -> Result<T> {
        wait_for(&format!("{what} of {}/{pod}", self.name), SOON, async || {
            let found = self.pods().get(pod).await.map_err(|error| error.to_string())?;
            let status = json!(found.status)["containerStatuses"][0].clone();
            look(&status).ok_or_else(|| status.to_string())
        })
        .await
    }
}

pub fn deployment(name: &str, version: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name},
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
                },
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [{
                    "name": "server", "image": format!("lab/echo:{version}"), "ports": [{"containerPort": 8080}],
                    "env": [{"name": "VERSION", "value": version}],
                    "readinessProbe": {"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

/// A pod of one container without a controller behind it.
pub fn pod(name: &str, annotations: Value, container: Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "lab/process:any"}]},
    });
    let target = object["spec"]["containers"][0].as_object_mut();
    if let (Some(target), Value::Object(container)) = (target, container) {
        target.extend(container);
    }
    object
}

/// GET inside the lab.
pub async fn get(url: &str, headers: &[(&str, &str)]) -> Result<lab::http::Answer> {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    lab::http::get(url, &headers, Duration::from_secs(10)).await
}

/// The address of a pod.
pub async fn address(space: &Space<'_>, pod: &str) -> Result<String> {
    let found = space.pods().get(pod).await?;
    found.status.and_then(|status| status.pod_ip).with_context(|| format!("{pod} has no address"))
}

pub fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(ResourceExt::name_any).collect()
}

/// The ends of the components' logs, for a person who looks at a failed run.
pub fn print_logs(lab: &Lab) {
    for component in lab.components() {
        eprintln!("--- {}\n{}", component.process.name(), component.process.log_tail(8));
    }
}
