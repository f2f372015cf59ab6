//! Which pod had which address and served which version. Pods come and go while load is on, so they are noted as seen.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::{Deserialize, Serialize};

/// A pod that serves a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// The version its template names in `MODEL_VERSION`.
    pub version: String,
}

impl Pod {
    /// From the API's object; none while it has no address or names no version.
    pub fn from_object(pod: &core::Pod) -> Option<Self> {
        let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
        let mut env =
            pod.spec.as_ref()?.containers.iter().flat_map(|container| container.env.iter().flatten());
        let version = env.find(|variable| variable.name == "MODEL_VERSION")?.value.clone()?;
        Some(Self { name: pod.name_any(), address, version })
    }
}

/// Reads pods from JSON: a list of [`Pod`], or what `kubectl get pods -o json` prints.
///
/// # Errors
/// When it is neither.
pub fn pods_from_json(text: &[u8]) -> serde_json::Result<Vec<Pod>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Ours(Vec<Pod>),
        Kubectl { items: Vec<core::Pod> },
    }
    Ok(match serde_json::from_slice(text)? {
        Form::Ours(pods) => pods,
        Form::Kubectl { items } => items.iter().filter_map(Pod::from_object).collect(),
    })
}

/// Notes every pod of a namespace for as long as it lives.
pub struct Pods {
    seen: Arc<Mutex<BTreeMap<String, Pod>>>,
    watching: tokio::task::JoinHandle<()>,
}

impl Pods {
    /// Starts to watch. Pods that are there already are noted too.
    pub fn watch(client: Client, namespace: &str) -> Self {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let noted = Arc::clone(&seen);
        let pods: Api<core::Pod> = Api::namespaced(client, namespace);
        let watching = tokio::spawn(async move {
            let mut changes =
                std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff().touched_objects());
            while let Some(change) = changes.next().await {
                match change {
                    Ok(object) => note(&noted, &object),
                    Err(error) => tracing::warn!(%error, "watching pods; trying again"),
                }
            }
        });
        Self { seen, watching }
    }

    /// Every pod seen so far, gone or not.
    pub fn seen(&self) -> Vec<Pod> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn note(seen: &Mutex<BTreeMap<String, Pod>>, object: &core::Pod) {
    if let (Some(uid), Some(pod)) = (object.uid(), Pod::from_object(object)) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, pod);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_read_as_kubectl_prints_them_and_as_we_do() {
        let list = r#"{"kind": "List", "items": [
            {"metadata": {"name": "digits-a-1"}, "status": {"podIP": "10.244.0.7"}, "spec": {"containers": [
                {"name": "sidecar"}, {"name": "server", "env": [{"name": "MODEL_VERSION", "value": "1.2.0"}]}]}},
            {"metadata": {"name": "no-address-yet"}, "status": {}, "spec": {"containers": [
                {"name": "server", "env": [{"name": "MODEL_VERSION", "value": "1.2.0"}]}]}},
            {"metadata": {"name": "no-model"}, "status": {"podIP": "10.244.0.8"}, "spec": {"containers": []}}]}"#;
        let pods = pods_from_json(list.as_bytes()).expect("a list");
        let expected = r#"[{"name": "digits-a-1", "address": "10.244.0.7", "version": "1.2.0"}]"#;
        assert_eq!(pods, pods_from_json(expected.as_bytes()).expect("pods"));
        assert_eq!(pods.len(), 1);
        assert!(pods_from_json(b"{}").is_err());
    }
}
