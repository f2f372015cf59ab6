//! NetworkPolicies: by the pods that they are about, and by the pods that they let through.

use serde_json::{Value, json};

use super::{Cover, Labels, Served, selector};
use crate::workload::selector::admits;

/// The lists of rules, and where each names its peers.
const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// A policy that is about the origin's pods, or lets them through, and forgets the slots'.
pub(super) fn gap<'a>(
    cover: &Cover,
    others: impl Iterator<Item = &'a Cover> + Clone,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    about(cover, others.clone(), served).or_else(|| peer(cover, others, served))
}

/// It is about the origin's pods, and none with the same rules is about the slots'.
fn about<'a>(
    cover: &Cover,
    mut others: impl Iterator<Item = &'a Cover>,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    let is_about = |one: &Cover, labels: &Labels| {
        one.namespace() == served.namespace && admits(one.spec().get("podSelector"), labels)
    };
    let rules = |one: &Cover| without(one.spec(), "podSelector");
    let same_for_slots =
        |one: &Cover| served.slots.iter().all(|labels| is_about(one, labels)) && rules(one) == rules(cover);
    if !is_about(cover, &served.origin) || others.any(same_for_slots) {
        return None;
    }
    let mut spec = cover.spec().clone();
    spec["podSelector"] = selector(&served.both_slots);
    Some(("its rules are not those of the slots' pods".to_owned(), spec))
}

fn without(spec: &Value, key: &str) -> Value {
    let mut spec = spec.clone();
    spec.as_object_mut().map(|fields| fields.remove(key));
    spec
}

/// It lets the origin's pods through, and none about the same pods lets the slots' through in that direction.
fn peer<'a>(
    cover: &Cover,
    others: impl Iterator<Item = &'a Cover> + Clone,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    let same_pods = |one: &&Cover| {
        one.namespace() == cover.namespace() && one.spec()["podSelector"] == cover.spec()["podSelector"]
    };
    DIRECTIONS.into_iter().find_map(|(direction, peers)| {
        let lets = |one: &Cover, labels: &Labels| {
            peers_of(one, direction, peers).any(|peer| lets_in(one, peer, labels, served))
        };
        let slots_too = |one: &Cover| served.slots.iter().all(|labels| lets(one, labels));
        if !lets(cover, &served.origin) || others.clone().filter(same_pods).any(slots_too) {
            return None;
        }
        let mut spec =
            json!({"podSelector": cover.spec()["podSelector"], "policyTypes": cover.spec()["policyTypes"]});
        spec[direction] = Value::Array(
            rules(cover, direction).filter_map(|rule| for_slots(cover, rule, peers, served)).collect(),
        );
        Some((format!("it does not let the slots' pods through ({direction})"), spec))
    })
}

fn rules<'a>(policy: &'a Cover, direction: &str) -> impl Iterator<Item = &'a Value> {
    policy.spec()[direction].as_array().into_iter().flatten()
}

fn peers_of<'a>(policy: &'a Cover, direction: &str, peers: &'a str) -> impl Iterator<Item = &'a Value> {
    rules(policy, direction).flat_map(move |rule| rule[peers].as_array().into_iter().flatten())
}

/// Whether a peer is one of these pods. A namespace is known by its name label only.
fn lets_in(policy: &Cover, peer: &Value, labels: &Labels, served: &Served<'_>) -> bool {
    let namespace = match peer.get("namespaceSelector") {
        None => policy.namespace() == served.namespace,
        Some(of) => {
            let name = [("kubernetes.io/metadata.name".to_owned(), served.namespace.to_owned())];
            admits(Some(of), &name.into())
        }
    };
    namespace && admits(peer.get("podSelector"), labels)
}

/// The same rule for the slots' pods, without its other peers; nothing when it does not name the origin's.
fn for_slots(policy: &Cover, rule: &Value, peers: &str, served: &Served<'_>) -> Option<Value> {
    let named = rule[peers].as_array()?.iter().find(|peer| lets_in(policy, peer, &served.origin, served))?;
    let mut peer = named.clone();
    peer["podSelector"] = selector(&served.both_slots);
    let mut rule = rule.clone();
    rule[peers] = json!([peer]);
    Some(rule)
}
