//! Pods: which there were, what they served, and whether any was started anew.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};

use super::{Recorder, Seen};
use crate::load;

/// What is noted of one state of a pod.
#[derive(Clone, Debug, PartialEq)]
struct State {
    uid: String,
    pod: Option<load::Pod>,
    name: String,
    ready: bool,
    deleting: bool,
    restarts: i32,
}

/// One pod over the time that it was watched.
#[derive(Clone, Debug, PartialEq)]
pub struct PodRecord {
    /// Its UID: a pod that is made anew has another one.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// The version that its template names; empty for pods that serve no model.
    pub version: String,
    /// When it was seen first.
    pub seen: DateTime<Utc>,
    /// When it was seen ready for the first time.
    pub ready: Option<DateTime<Utc>>,
    /// When its deletion was seen to be asked for.
    pub deleting: Option<DateTime<Utc>>,
    /// Times at which its count of restarts was seen to rise.
    pub restarts: Vec<DateTime<Utc>>,
}

impl PodRecord {
    /// Whether it was ready and not being deleted at that moment.
    pub fn served_at(&self, at: DateTime<Utc>) -> bool {
        self.ready.is_some_and(|ready| ready <= at) && self.deleting.is_none_or(|deleting| deleting > at)
    }
}

/// Notes every pod of a namespace.
pub struct PodWatch(Recorder<State>);

impl PodWatch {
    /// Starts to watch. Pods that are there already are noted too.
    pub fn start(client: Client, namespace: &str) -> Self {
        Self(Recorder::start(Api::<Pod>::namespaced(client, namespace), watcher::Config::default(), |pod| {
            state(&pod)
        }))
    }

    /// Every pod so far, gone or not, in the order in which they were seen.
    pub fn records(&self) -> Vec<PodRecord> {
        records(&self.0.all())
    }

    /// Every pod that serves a version, for attributing requests.
    pub fn serving(&self) -> Vec<load::Pod> {
        let by_uid: BTreeMap<String, load::Pod> =
            self.0.all().into_iter().filter_map(|seen| Some((seen.object.uid, seen.object.pod?))).collect();
        by_uid.into_values().collect()
    }
}

fn state(pod: &Pod) -> Option<State> {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    Some(State {
        uid: pod.uid()?,
        pod: load::Pod::from_object(pod),
        name: pod.name_any(),
        ready: conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True"),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        restarts: containers.map(|container| container.restart_count).sum(),
    })
}

fn records(all: &[Seen<State>]) -> Vec<PodRecord> {
    let mut records: Vec<(PodRecord, i32)> = Vec::new();
    for Seen { at, deleted, object } in all {
        let known = records.iter().position(|(record, _)| record.uid == object.uid);
        let index = known.unwrap_or_else(|| {
            let (uid, name) = (object.uid.clone(), object.name.clone());
            let new = PodRecord {
                uid,
                name,
                version: String::new(),
                seen: *at,
                ready: None,
                deleting: None,
                restarts: Vec::new(),
            };
            // Restarts before the watch began are not ours to count.
            records.push((new, object.restarts));
            records.len() - 1
        });
        let (record, restarts) = &mut records[index];
        if let Some(pod) = &object.pod {
            record.version.clone_from(&pod.version);
        }
        if object.ready {
            record.ready.get_or_insert(*at);
        }
        if object.deleting || *deleted {
            record.deleting.get_or_insert(*at);
        }
        if object.restarts > *restarts {
            record.restarts.push(*at);
            *restarts = object.restarts;
        }
    }
    records.into_iter().map(|(record, _)| record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: i64, uid: &str, ready: bool, deleting: bool, restarts: i32) -> Seen<State> {
        let at = DateTime::from_timestamp(second, 0).expect("a time");
        let (uid, name) = (uid.to_owned(), "m-1".to_owned());
        Seen { at, deleted: false, object: State { uid, pod: None, name, ready, deleting, restarts } }
    }

    #[test]
    fn a_restart_and_a_pod_made_anew_are_told_apart() {
        let all = [
            seen(1, "a", false, false, 0),
            seen(2, "a", true, false, 0),
            seen(3, "a", false, false, 1),
            seen(4, "a", true, true, 1),
            seen(5, "b", true, false, 0),
        ];
        let records = records(&all);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].restarts, [all[2].at]);
        assert_eq!(records[0].ready, Some(all[1].at));
        assert!(records[0].served_at(all[1].at) && !records[0].served_at(all[4].at));
        assert!(records[1].served_at(all[4].at) && records[1].restarts.is_empty());
    }
}
