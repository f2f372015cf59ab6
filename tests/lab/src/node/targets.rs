//! Tells Prometheus about the pods, in the labels that its own Kubernetes discovery would give them. (Debian's
//! Prometheus is built without that.)

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The file of targets, rewritten whole on each change.
#[derive(Debug)]
pub(super) struct Targets {
    path: PathBuf,
    pods: Mutex<BTreeMap<String, Value>>,
}

impl Targets {
    pub(super) fn new(path: PathBuf) -> Self {
        let targets = Self { path, pods: Mutex::default() };
        targets.write(&BTreeMap::new());
        targets
    }

    /// A pod with an address, running or about to.
    pub(super) fn set(&self, pod: &Pod, address: &str) {
        let target = target(pod, address);
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if pods.get(&pod.uid().unwrap_or_default()) != Some(&target) {
            pods.insert(pod.uid().unwrap_or_default(), target);
            self.write(&pods);
        }
    }

    /// A pod that is gone.
    pub(super) fn remove(&self, pod: &Pod) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if pods.remove(&pod.uid().unwrap_or_default()).is_some() {
            self.write(&pods);
        }
    }

    fn write(&self, pods: &BTreeMap<String, Value>) {
        let all: Vec<&Value> = pods.values().collect();
        let unfinished = self.path.with_extension("unfinished");
        let written = std::fs::write(&unfinished, json!(all).to_string())
            .and_then(|()| std::fs::rename(&unfinished, &self.path));
        if let Err(error) = written {
            tracing::error!(%error, path = %self.path.display(), "could not tell Prometheus about the pods");
        }
    }
}

fn target(pod: &Pod, address: &str) -> Value {
    let mut labels = Map::new();
    let mut add =
        |name: String, value: &str| labels.insert(format!("__meta_kubernetes_{name}"), json!(value));
    add("namespace".into(), &pod.namespace().unwrap_or_default());
    add("pod_name".into(), &pod.name_any());
    add("pod_ip".into(), address);
    for (name, value) in pod.labels() {
        add(format!("pod_label_{}", sanitize(name)), value);
    }
    for (name, value) in pod.annotations() {
        add(format!("pod_annotation_{}", sanitize(name)), value);
    }
    // Where a pod says nothing else: its first port.
    let ports = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .flat_map(|container| container.ports.iter().flatten());
    let port = ports.map(|port| port.container_port).next().unwrap_or(80);
    json!({"targets": [format!("{address}:{port}")], "labels": labels})
}

/// A label's name as Prometheus writes it.
fn sanitize(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_the_labels_of_kubernetes_discovery() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "m-1", "namespace": "demo", "labels": {"app.kubernetes.io/name": "m"},
                         "annotations": {"prometheus.io/scrape": "true"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 8080}]}]},
        }))
        .unwrap();
        let target = target(&pod, "10.244.0.5");
        assert_eq!(target["targets"], json!(["10.244.0.5:8080"]));
        assert_eq!(target["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_name"], "m");
        assert_eq!(target["labels"]["__meta_kubernetes_pod_annotation_prometheus_io_scrape"], "true");
    }
}
