//! Which policy guards the selectors: two policies and their bindings, watched by their names. They may be missing, and so may
//! the permission to look: that is said, and nothing waits for it.

use std::sync::Arc;

use kube::core::ApiResource;

use super::raw::{self, Raw};
use super::shelf::Key;
use super::store::{Changed, Progress, Store};
use super::topics;
use crate::rollout::observed::SelectorPolicy;
use crate::traffic::guard::{Installed, POLICY, in_force};

/// The policies and bindings of our names.
pub struct Policies {
    mutating: Pair,
    validating: Pair,
}

/// A policy and its binding.
struct Pair {
    policy: Arc<Store<Raw>>,
    binding: Arc<Store<Raw>>,
}

impl Pair {
    fn new(policy: &'static str, binding: &'static str, changed: &Changed) -> Self {
        let store = |kind| Arc::new(Store::new(kind, topics::policy, changed.clone()).keeping(raw::lean));
        Self { policy: store(policy), binding: store(binding) }
    }

    fn seen(&self) -> [Option<Arc<Raw>>; 2] {
        let key = Key::new("", POLICY);
        [self.policy.get(&key), self.binding.get(&key)]
    }

    fn unreadable(&self) -> Option<String> {
        self.policy.progress.unreadable().or_else(|| self.binding.progress.unreadable())
    }
}

impl Policies {
    /// Empty stores that tell of every change.
    pub fn new(changed: &Changed) -> Self {
        Self {
            mutating: Pair::new("mutatingadmissionpolicies", "mutatingadmissionpolicybindings", changed),
            validating: Pair::new(
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                changed,
            ),
        }
    }

    /// Each store with its kind.
    pub(super) fn stores(&self) -> [(&Arc<Store<Raw>>, ApiResource); 4] {
        [
            (&self.mutating.policy, kind("MutatingAdmissionPolicy")),
            (&self.mutating.binding, kind("MutatingAdmissionPolicyBinding")),
            (&self.validating.policy, kind("ValidatingAdmissionPolicy")),
            (&self.validating.binding, kind("ValidatingAdmissionPolicyBinding")),
        ]
    }

    /// The watches that have not been answered yet, not even by a refusal.
    pub(super) fn unheard(&self) -> Vec<String> {
        self.stores().iter().filter_map(|(store, _)| store.progress.unheard()).collect()
    }

    /// Which of them is in force.
    pub fn in_force(&self) -> SelectorPolicy {
        let (mutating, validating) = (self.mutating.seen(), self.validating.seen());
        let guard = in_force(installed(&mutating), installed(&validating));
        let why = self.mutating.unreadable().or_else(|| self.validating.unreadable());
        match (guard, why) {
            (crate::api::SelectorGuard::None, Some(why)) => SelectorPolicy::Unreadable(why),
            (guard, _) => SelectorPolicy::InForce(guard),
        }
    }
}

fn installed([policy, binding]: &[Option<Arc<Raw>>; 2]) -> Installed<'_> {
    fn value(raw: &Option<Arc<Raw>>) -> Option<&serde_json::Value> {
        raw.as_deref().map(|raw| &raw.value)
    }
    Installed { policy: value(policy), binding: value(binding) }
}

fn kind(name: &str) -> ApiResource {
    let plural = name.to_lowercase();
    let plural = match plural.strip_suffix("policy") {
        Some(stem) => format!("{stem}policies"),
        None => format!("{plural}s"),
    };
    raw::resource("admissionregistration.k8s.io", "v1", name, &plural)
}

impl Progress {
    /// A watch that has had no answer at all, for people.
    fn unheard(&self) -> Option<String> {
        self.missing().filter(|_| self.unreadable().is_none())
    }

    /// Why it has no list, when it was refused one.
    fn unreadable(&self) -> Option<String> {
        self.missing().filter(|_| self.has_failed())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::api::SelectorGuard;

    fn put(store: &Store<Raw>, spec: serde_json::Value) {
        let raw =
            Raw::new(json!({"metadata": {"name": POLICY, "uid": "u", "resourceVersion": "1"}, "spec": spec}));
        let raw = raw.unwrap();
        store.put(&raw.metadata.clone(), raw);
    }

    #[test]
    fn what_is_installed_is_known_and_a_missing_permission_is_said() {
        let policies = Policies::new(&unbounded_channel().0);
        let stores = policies.stores();
        assert_eq!(stores.clone().map(|(_, kind)| kind.plural), stores.clone().map(|(s, _)| s.progress.kind));
        stores.iter().for_each(|(store, _)| store.progress.started());
        assert_eq!(policies.unheard().len(), 4, "nothing is known yet");
        stores.iter().for_each(|(store, _)| assert_eq!(store.progress.failed("forbidden".into()), 1));
        assert!(policies.unheard().is_empty(), "a refusal is an answer");
        let SelectorPolicy::Unreadable(why) = policies.in_force() else { panic!("it was refused") };
        assert!(why.contains("mutatingadmissionpolicies: forbidden"), "{why}");
        stores.iter().for_each(|(store, _)| store.progress.synced(true));
        assert_eq!(policies.in_force(), SelectorPolicy::InForce(SelectorGuard::None));
        put(&policies.validating.policy, json!({"paramKind": {"kind": "ConfigMap"}}));
        let labels = json!({"matchLabels": {"understudy.dev/guards": "selectors"}});
        let binding =
            json!({"policyName": POLICY, "paramRef": {"selector": labels}, "validationActions": ["Deny"]});
        put(&policies.validating.binding, binding);
        assert_eq!(policies.in_force(), SelectorPolicy::InForce(SelectorGuard::Validating));
    }
}
