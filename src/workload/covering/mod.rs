//! Objects of the user's that cover the origin's pods or its Service by what they are called: policies, monitors, rules. A
//! slot's pods and the candidate's Service are called otherwise, so each such object needs one beside it that covers them.

mod network;
mod references;
mod selectors;

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Labels.
pub type Labels = BTreeMap<String, String>;

/// Kinds of objects that cover others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Which traffic pods may get and send; by pod labels, also as a peer.
    NetworkPolicy,
    /// Which pods are scraped; by pod labels.
    PodMonitor,
    /// Which Services' pods are scraped; by the labels of the Service.
    ServiceMonitor,
    /// How the gateway speaks TLS to a Service; by its name.
    BackendTlsPolicy,
    /// How a mesh speaks to a Service; by its host name.
    DestinationRule,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NetworkPolicy,
        Self::PodMonitor,
        Self::ServiceMonitor,
        Self::BackendTlsPolicy,
        Self::DestinationRule,
    ];

    /// API group, kind and plural.
    pub fn resource(self) -> [&'static str; 3] {
        match self {
            Self::NetworkPolicy => ["networking.k8s.io", "NetworkPolicy", "networkpolicies"],
            Self::PodMonitor => ["monitoring.coreos.com", "PodMonitor", "podmonitors"],
            Self::ServiceMonitor => ["monitoring.coreos.com", "ServiceMonitor", "servicemonitors"],
            Self::BackendTlsPolicy => ["gateway.networking.k8s.io", "BackendTLSPolicy", "backendtlspolicies"],
            Self::DestinationRule => ["networking.istio.io", "DestinationRule", "destinationrules"],
        }
    }

    /// The versions that clusters serve, the newest first; what is read of them is the same in all.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::NetworkPolicy | Self::PodMonitor | Self::ServiceMonitor => &["v1"],
            Self::BackendTlsPolicy => &["v1", "v1alpha3"],
            Self::DestinationRule => &["v1", "v1beta1"],
        }
    }
}

/// One object that covers others, as it is, with its apiVersion.
#[derive(Clone, Debug, PartialEq)]
pub struct Cover {
    /// Its kind.
    pub kind: Kind,
    /// All of it.
    pub object: Value,
}

impl Cover {
    /// Its name.
    pub fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
    }

    /// Its spec.
    fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    /// What the user can add beside it: the same with another spec, under another name.
    fn beside(&self, spec: &Value) -> Value {
        let [_, kind, _] = self.kind.resource();
        json!({
            "apiVersion": self.object["apiVersion"], "kind": kind,
            "metadata": {"name": format!("{}-understudy", self.name()), "namespace": self.namespace()},
            "spec": spec,
        })
    }
}

/// What is to be covered, and how it is called.
#[derive(Clone, Debug)]
pub struct Served<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Labels of the origin's pods.
    pub origin: Labels,
    /// Labels of the pods of each slot.
    pub slots: Vec<Labels>,
    /// A selector of the pods of both slots, and of no others.
    pub both_slots: Labels,
    /// The user's Service.
    pub service: &'a str,
    /// Its labels.
    pub service_labels: Labels,
    /// The candidate's Service.
    pub candidate: String,
    /// Its labels.
    pub candidate_labels: Labels,
    /// Labels by which the candidate's Service alone is found.
    pub candidate_selector: Labels,
}

/// Something that covers what the user has and would not cover what serves beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// `<kind>/<name>`, by which it can be accepted.
    pub object: String,
    /// Its namespace, when it is another one than the rollout's.
    pub elsewhere: Option<String>,
    /// What is left out, for people.
    pub what: String,
    /// An object that closes the gap: the same with another spec.
    pub add: Value,
    /// In what it differs.
    pub by: Value,
}

/// What is not covered, in the order of the objects.
pub fn gaps(covers: &[Cover], served: &Served<'_>) -> Vec<Gap> {
    covers
        .iter()
        .filter_map(|cover| {
            let others = || covers.iter().filter(|other| other.kind == cover.kind);
            let (what, spec) = match cover.kind {
                Kind::NetworkPolicy => network::gap(cover, others(), served),
                Kind::PodMonitor => selectors::pods(cover, others(), served),
                Kind::ServiceMonitor => selectors::services(cover, others(), served),
                Kind::BackendTlsPolicy => references::targets(cover, others(), served),
                Kind::DestinationRule => references::host(cover, others(), served),
            }?;
            let elsewhere = (cover.namespace() != served.namespace).then(|| cover.namespace().to_owned());
            let object = format!("{}/{}", cover.kind.resource()[1], cover.name());
            let by = match cover.kind {
                Kind::NetworkPolicy => json!({"podSelector": selector(&served.both_slots)}),
                Kind::PodMonitor => json!({"selector": selector(&served.both_slots)}),
                Kind::ServiceMonitor => json!({"selector": selector(&served.candidate_selector)}),
                Kind::BackendTlsPolicy => json!({"targetRefs": spec["targetRefs"]}),
                Kind::DestinationRule => json!({"host": spec["host"]}),
            };
            Some(Gap { object, elsewhere, what, add: cover.beside(&spec), by })
        })
        .collect()
}

/// A label selector for exactly these labels.
fn selector(labels: &Labels) -> Value {
    json!({"matchLabels": labels})
}

#[cfg(test)]
mod tests;
