//! PodMonitors and ServiceMonitors: what is scraped, by labels.

use serde_json::Value;

use super::{Cover, Served, selector};
use crate::workload::selector::admits;

/// A PodMonitor that scrapes the origin's pods, where none scrapes the slots'.
pub(super) fn pods<'a>(
    cover: &Cover,
    mut others: impl Iterator<Item = &'a Cover>,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    let covers = |one: &Cover, labels| reaches(one, served) && admits(one.spec().get("selector"), labels);
    let all = |one: &Cover| served.slots.iter().all(|labels| covers(one, labels));
    if !covers(cover, &served.origin) || others.any(all) {
        return None;
    }
    let mut spec = cover.spec().clone();
    spec["selector"] = selector(&served.both_slots);
    Some(("the pods of the slots are not scraped".to_owned(), spec))
}

/// A ServiceMonitor that scrapes by the user's Service, where none scrapes by the candidate's.
pub(super) fn services<'a>(
    cover: &Cover,
    mut others: impl Iterator<Item = &'a Cover>,
    served: &Served<'_>,
) -> Option<(String, Value)> {
    let covers = |one: &Cover, labels| reaches(one, served) && admits(one.spec().get("selector"), labels);
    if !covers(cover, &served.service_labels) || others.any(|one| covers(one, &served.candidate_labels)) {
        return None;
    }
    let mut spec = cover.spec().clone();
    spec["selector"] = selector(&served.candidate_selector);
    Some((format!("Service {} is not scraped", served.candidate), spec))
}

/// Whether a monitor looks into the namespace.
fn reaches(monitor: &Cover, served: &Served<'_>) -> bool {
    let namespaces = &monitor.spec()["namespaceSelector"];
    let named = namespaces["matchNames"].as_array().filter(|names| !names.is_empty());
    match named {
        _ if namespaces["any"] == true => true,
        Some(names) => names.iter().any(|name| name == served.namespace),
        None => monitor.namespace() == served.namespace,
    }
}
