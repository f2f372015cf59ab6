//! The PodDisruptionBudget of a slot.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{For, Kind, is_copy, name};
use crate::workload::labels::own_selector;
use crate::workload::selector::admits;

type Labels = BTreeMap<String, String>;

/// The user's budget that counts pods with these labels: the first by name, should there be several, which the eviction
/// API refuses to work with.
pub fn of<'a>(pods: &Labels, all: &'a [Value]) -> Option<&'a Value> {
    all_of(pods, all).into_iter().next()
}

/// The user's budgets that count pods with these labels, by name.
pub fn all_of<'a>(pods: &Labels, all: &'a [Value]) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = all.iter().filter(|pdb| !is_copy(pdb) && counts(pdb, pods)).collect();
    found.sort_by_key(|pdb| name(pdb));
    found
}

/// Whether it counts pods with these labels.
pub fn counts(pdb: &Value, pods: &Labels) -> bool {
    admits(pdb.pointer("/spec/selector"), pods)
}

/// The slot's: as the user's, for the slot's own pods.
pub fn copy(user: &Value, of: &For<'_>) -> Value {
    let mut spec = user["spec"].clone();
    spec["selector"] = json!({"matchLabels": own_selector(of.slot, of.workload)});
    of.copy(Kind::Budget, user, spec)
}
