//! The parameter of the selector guard: one ConfigMap for each rollout from which the admission policies in
//! `deploy/policies/` read how the selectors must be. It is there while a slot of ours is active.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{Draft, Edit};
use crate::api::{SelectorGuard, keys};
use crate::workload::companions::labels_to_set;
use crate::workload::slot::Mark;

/// Name of the policies and of their bindings.
pub const POLICY: &str = "understudy-selector-guard";
/// Value of the label by which the bindings find their parameters.
const SELECTORS: &str = "selectors";

/// Name of the ConfigMap for a Service.
pub fn guard_name(service: &str) -> String {
    format!("{service}-understudy-guard")
}

/// The ConfigMap: for each Service its selector, written `key=value,key=value`. CEL reads no JSON.
pub fn guard(
    namespace: &str,
    service: &str,
    mark: &Mark,
    selectors: &BTreeMap<String, BTreeMap<String, String>>,
) -> ConfigMap {
    let mut labels = mark.labels();
    labels.insert(keys::GUARDS.to_owned(), SELECTORS.to_owned());
    let text = |selector: &BTreeMap<String, String>| {
        selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(guard_name(service)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        data: Some(selectors.iter().map(|(name, selector)| (name.clone(), text(selector))).collect()),
        ..ConfigMap::default()
    }
}

/// The write that makes a present ConfigMap as wanted; nothing when it is so.
pub fn renew_guard(present: &ConfigMap, wanted: &ConfigMap) -> Option<Edit> {
    let (present, wanted) = (serde_json::to_value(present).ok()?, serde_json::to_value(wanted).ok()?);
    let mut draft = Draft::new(&present);
    draft.set(&[], "data", Some(wanted["data"].clone()));
    // Labels that somebody adds are theirs.
    if let Some(labels) = labels_to_set(&present, &wanted) {
        draft.set(&["metadata"], "labels", Some(labels));
    }
    draft.done()
}

/// A policy and its binding, as the API server has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Installed<'a> {
    /// The policy.
    pub policy: Option<&'a Value>,
    /// Its binding.
    pub binding: Option<&'a Value>,
}

impl Installed<'_> {
    /// Both are there, belong together, and take their parameters from our ConfigMaps.
    fn works(&self) -> bool {
        let (Some(policy), Some(binding)) = (self.policy, self.binding) else { return false };
        let stays = |object: &Value| object["metadata"]["deletionTimestamp"].is_null();
        let spec = &binding["spec"];
        let actions = spec["validationActions"].as_array();
        stays(policy)
            && stays(binding)
            && policy["spec"]["paramKind"]["kind"] == "ConfigMap"
            && spec["policyName"] == POLICY
            && spec["paramRef"]["selector"]["matchLabels"][keys::GUARDS] == SELECTORS
            && actions.is_none_or(|all| all.iter().any(|action| action == "Deny"))
    }
}

/// Which of the two is in force.
pub fn in_force(mutating: Installed, validating: Installed) -> SelectorGuard {
    if mutating.works() {
        SelectorGuard::Mutating
    } else if validating.works() {
        SelectorGuard::Validating
    } else {
        SelectorGuard::None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn of(uid: &str, app: &str) -> ConfigMap {
        let mark = Mark { rollout: "m", rollout_uid: uid };
        let selector = labels(&[("app", app), ("tier", "")]);
        guard("shop", "m", &mark, &BTreeMap::from([("m".to_owned(), selector)]))
    }

    #[test]
    fn selectors_are_written_as_the_policies_read_them() {
        let made = of("u", "m-a");
        assert_eq!(made.metadata.name.as_deref(), Some("m-understudy-guard"));
        assert_eq!(made.data, Some(labels(&[("m", "app=m-a,tier=")])));
        assert_eq!(made.metadata.labels.as_ref().unwrap()[keys::GUARDS], "selectors");
        assert!(made.metadata.owner_references.is_none());
    }

    #[test]
    fn another_slot_or_another_rollout_is_a_write_and_the_same_is_none() {
        let mut present = of("u", "m-a");
        present.metadata.resource_version = Some("7".into());
        assert!(renew_guard(&present, &of("u", "m-a")).is_none());
        let edit = renew_guard(&present, &of("w", "m-b")).unwrap();
        assert_eq!(edit.object["data"]["m"], "app=m-b,tier=");
        assert_eq!(edit.object["metadata"]["labels"][keys::ROLLOUT_UID], "w");
        assert_eq!(edit.patch.0.len(), 3, "the version, the data, the labels: {:?}", edit.patch);
    }

    #[test]
    fn a_policy_works_with_its_binding_only() {
        let policy = json!({"metadata": {}, "spec": {"paramKind": {"kind": "ConfigMap"}}});
        let binding = |actions: Value| {
            json!({"metadata": {}, "spec": {"policyName": POLICY, "validationActions": actions,
                "paramRef": {"selector": {"matchLabels": {"understudy.dev/guards": "selectors"}}}}})
        };
        let (plain, audit) = (binding(Value::Null), binding(json!(["Audit"])));
        let both = Installed { policy: Some(&policy), binding: Some(&plain) };
        let alone = Installed { policy: Some(&policy), binding: None };
        let watching = Installed { policy: Some(&policy), binding: Some(&audit) };
        assert_eq!(in_force(both, Installed::default()), SelectorGuard::Mutating);
        assert_eq!(in_force(alone, both), SelectorGuard::Validating);
        assert_eq!(in_force(alone, watching), SelectorGuard::None);
        let going =
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": policy["spec"]});
        let going = Installed { policy: Some(&going), binding: Some(&plain) };
        assert_eq!(in_force(going, Installed::default()), SelectorGuard::None);
    }
}
