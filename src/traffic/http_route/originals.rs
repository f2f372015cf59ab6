//! What the user wrote in the rules that we split, kept where a restarted controller finds it.

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Names, RULES, filters, list, read, rules, sticky};
use crate::traffic::{backends, managed_fields};
use crate::workload::template::short_hash;

/// The user's own backends by rule, and the owners of the route's rules. Kept as JSON in an annotation of the warm route.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Originals {
    /// By hash of the rule's matches and of its filters without ours: one entry for each rule with that hash, in order;
    /// nothing for one that does not name the Service.
    rules: BTreeMap<String, Vec<Option<OriginalRule>>>,
    /// Entries of the route's managedFields that owned its rules.
    pub(super) managed_fields: Vec<Value>,
}

/// What the user wrote in one rule.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OriginalRule {
    pub(super) backend_refs: Vec<Value>,
    /// The rule had an empty list of filters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) empty_filters: bool,
}

/// What tells a rule from the others while its backends and our filter change.
fn key(rule: &Value, names: &Names) -> String {
    short_hash(&json!({ "matches": rule.get("matches"), "filters": filters::foreign(rule, names) }))
}

impl Originals {
    /// For each rule of the route, which has none of ours for sessions, what is stored about it.
    ///
    /// A rule whose matches or filters the user changed while it was split has lost its key. It is known again when
    /// exactly one stored list belongs to no rule any more and leads to the same places.
    pub(super) fn by_rule<'a>(&'a self, route: &Value, names: &Names) -> Vec<Option<&'a OriginalRule>> {
        let keys: Vec<String> = rules(route).iter().map(|r| key(r, names)).collect();
        let orphans: Vec<&OriginalRule> = self
            .rules
            .iter()
            .filter(|(k, _)| !keys.contains(k))
            .flat_map(|(_, v)| v.iter().flatten())
            .collect();
        let find = |(index, rule): (usize, &Value)| {
            let Some(stored) = self.rules.get(&keys[index]) else { return adopted(rule, &orphans, names) };
            let twins = keys.iter().filter(|k| **k == keys[index]).count();
            let nth = keys[..index].iter().filter(|k| **k == keys[index]).count();
            if stored.len() == twins {
                return stored[nth].as_ref();
            }
            // Twins came or went: which is which is only known when all say the same.
            stored.first().filter(|first| stored.iter().all(|s| s == *first))?.as_ref()
        };
        rules(route).iter().enumerate().map(find).collect()
    }

    /// All stored backends.
    pub(in crate::traffic) fn backends(&self) -> impl Iterator<Item = &Value> {
        self.rules.values().flatten().flatten().flat_map(|r| &r.backend_refs)
    }

    /// Whether a rule's own backends are stored, so that it has been split before.
    pub(super) fn knows(&self, rule: &Value, names: &Names) -> bool {
        self.rules.get(&key(rule, names)).is_some_and(|stored| stored.iter().any(Option::is_some))
    }
}

fn adopted<'a>(rule: &Value, orphans: &[&'a OriginalRule], names: &Names) -> Option<&'a OriginalRule> {
    let present = list(rule, "backendRefs");
    if !divided(rule, names) && !mirrored(rule, names) {
        return None;
    }
    let mut fitting = orphans.iter().filter(|o| backends::same_wholes(present, &o.backend_refs, names));
    let first = fitting.next()?;
    fitting.all(|other| other == first).then_some(*first)
}

pub(super) fn divided(rule: &Value, names: &Names) -> bool {
    list(rule, "backendRefs").iter().any(|b| backends::arm(b, names) == backends::Arm::Candidate)
}

fn mirrored(rule: &Value, names: &Names) -> bool {
    list(rule, "filters").iter().any(|f| filters::is_ours(f, names))
}

/// What is to be remembered of a route before it is split: the user's own backends of every rule that names the Service (those
/// of ours for sessions are not the user's), and who owns the rules. Rules that came since are added, and what the user has changed since is taken over. From a rule
/// that carries our edit and was not known before, nothing is learnt.
///
/// To be called with the split that it is for, not on every pass: a rule that is remembered counts as split before.
pub fn remember(route: &Value, names: &Names, old: Option<&Originals>) -> Originals {
    let none = Originals::default();
    let base = sticky::without(route, names);
    let known = old.unwrap_or(&none).by_rule(&base, names);
    let mut out = Originals::default();
    for (rule, stored) in rules(&base).iter().zip(known) {
        let entry = original(rule, stored, names);
        match out.rules.entry(key(rule, names)) {
            Entry::Occupied(mut twins) => twins.get_mut().push(entry),
            Entry::Vacant(vacant) => drop(vacant.insert(vec![entry])),
        }
    }
    out.rules.retain(|_, twins| twins.iter().any(Option::is_some));
    let owners = managed_fields::owners(route, &RULES);
    out.managed_fields = match old {
        Some(old) if !read(route, names).only_stable || managed_fields::we_own(route, &RULES) => {
            managed_fields::joined(&old.managed_fields, owners)
        }
        Some(_) | None => owners,
    };
    out
}

fn original(rule: &Value, stored: Option<&OriginalRule>, names: &Names) -> Option<OriginalRule> {
    let present = list(rule, "backendRefs");
    if stored.is_none() && divided(rule, names) {
        return None;
    }
    let backend_refs = backends::own(present, stored.map(|s| s.backend_refs.as_slice()), names);
    let empty_filters = match stored {
        Some(stored) if mirrored(rule, names) => stored.empty_filters,
        Some(_) | None => rule.get("filters").is_some_and(|f| f == &json!([])),
    };
    let names_service = backend_refs.iter().any(|b| backends::arm(b, names) == backends::Arm::Service);
    names_service.then_some(OriginalRule { backend_refs, empty_filters })
}
