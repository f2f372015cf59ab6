//! A shelf that tells of its changes, and how far its watches are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use tokio::sync::mpsc::UnboundedSender;

use super::shelf::{Change, Key, Shelf};
use super::topics::Topic;

/// Receives the topics of every change.
pub type Changed = UnboundedSender<Vec<Topic>>;

/// The objects of one kind, from its watches and from the answers to our own writes.
pub struct Store<T> {
    shelf: Shelf<T>,
    /// How far the watches are.
    pub progress: Progress,
    topics: fn(&Change<T>) -> Vec<Topic>,
    kept: fn(T) -> T,
    changed: Changed,
}

impl<T> std::ops::Deref for Store<T> {
    type Target = Shelf<T>;

    fn deref(&self) -> &Shelf<T> {
        &self.shelf
    }
}

impl<T> Store<T> {
    /// An empty store of a kind.
    pub fn new(kind: &'static str, topics: fn(&Change<T>) -> Vec<Topic>, changed: Changed) -> Self {
        let (shelf, progress) = (Shelf::default(), Progress::new(kind));
        Self { shelf, progress, topics, kept: |object| object, changed }
    }

    /// Of each object only that is kept, wherever it comes from.
    #[must_use]
    pub fn keeping(self, kept: fn(T) -> T) -> Self {
        Self { kept, ..self }
    }

    /// An empty store of a kind that the operator can do without: that it may not be read is said, and holds nothing up.
    pub fn optional(kind: &'static str, topics: fn(&Change<T>) -> Vec<Topic>, changed: Changed) -> Self {
        let mut store = Self::new(kind, topics, changed);
        store.progress.optional = true;
        store
    }

    /// Takes in an object: from the watch, or as a write of ours returned it.
    pub fn put(&self, meta: &ObjectMeta, value: T) {
        self.tell(self.shelf.put(meta, (self.kept)(value)));
    }

    /// The watch says that the object is no more.
    pub fn remove(&self, meta: &ObjectMeta) {
        self.tell(self.shelf.remove(meta));
    }

    /// We deleted the object.
    pub fn forget(&self, key: Key, uid: &str) {
        self.tell(self.shelf.forget(key, uid));
    }

    /// A full list of a namespace, or of all.
    pub fn replace(&self, namespace: Option<&str>, listed: Vec<(ObjectMeta, T)>) {
        let kept = listed.into_iter().map(|(meta, value)| (meta, (self.kept)(value)));
        self.tell(self.shelf.replace(namespace, kept.collect()));
    }

    fn tell(&self, changes: impl IntoIterator<Item = Change<T>>) {
        for change in changes {
            let topics = (self.topics)(&change);
            if !topics.is_empty() {
                // Nobody listens any more only when the process is ending.
                let _ = self.changed.send(topics);
            }
        }
    }
}

/// Without which field each of its writers wrote, which is most of an object: for kinds where nobody asks. Who wrote when is kept.
pub fn lean<K: Resource>(mut object: K) -> K {
    for entry in object.meta_mut().managed_fields.iter_mut().flatten() {
        (entry.fields_type, entry.fields_v1) = (None, None);
    }
    object
}

/// A watch that cannot be begun for so long is said to fail.
const FAILS_AFTER: Duration = Duration::from_secs(35);
/// A watch that goes on says nothing of it while no object changes. One that cannot be begun says so again within the longest
/// pause between two tries, a minute, and the longest silence of a connection.
const SAYS_AGAIN: Duration = Duration::from_secs(100);

/// A watch whose tries to begin have been failing.
#[derive(Debug)]
struct Broken {
    since: Instant,
    last: Instant,
    why: String,
    refused: bool,
}

/// A watch that has failed for long: what its store holds may be out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Plural name of the kind.
    pub kind: &'static str,
    /// The error of the first try that failed.
    pub why: String,
    /// For how long it has failed.
    pub lasted: Duration,
}

/// How far the watches of a kind are.
#[derive(Debug)]
pub struct Progress {
    /// Plural name of the kind.
    pub kind: &'static str,
    optional: bool,
    absent: AtomicBool,
    /// Refused before it had a list: a start does not wait for it.
    forbidden: AtomicBool,
    wanted: AtomicU64,
    listed: AtomicU64,
    failures: AtomicU64,
    error: Mutex<String>,
    /// By namespace, or by nothing for all.
    broken: Mutex<BTreeMap<String, Broken>>,
}

impl Progress {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            optional: false,
            absent: AtomicBool::new(false),
            forbidden: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            error: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// One more watch of this kind was started.
    pub fn started(&self) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// A watch has its full list; `first` when it had none before.
    pub fn synced(&self, first: bool) {
        if first {
            self.listed.fetch_add(1, Ordering::Relaxed);
        }
        self.failures.store(0, Ordering::Relaxed);
        self.absent.store(false, Ordering::Relaxed);
        self.forbidden.store(false, Ordering::Relaxed);
    }

    /// The kind is not installed. True when that is news.
    pub fn absent(&self) -> bool {
        !self.absent.swap(true, Ordering::Relaxed)
    }

    /// The API server's words, where the operator may not read a kind of that namespace, or of any, that it can do without.
    pub fn forbidden(&self, namespace: Option<&str>, now: Instant) -> Option<String> {
        let broken = self.broken();
        let refused = |(scope, b): &(&String, &Broken)| {
            self.optional
                && b.refused
                && concerns(scope, namespace)
                && now.duration_since(b.last) <= SAYS_AGAIN
        };
        broken.iter().find(refused).map(|(_, b)| b.why.clone())
    }

    /// The watch failed; returns how often since it last had a full list.
    pub fn failed(&self, error: String) -> u64 {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The watch has failed since it last had a full list.
    pub fn has_failed(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// The watch of a namespace, or of all, could not be begun; `refused`: it may not be.
    pub fn not_begun(&self, scope: &str, why: String, refused: bool, now: Instant) {
        if refused && self.optional {
            self.forbidden.store(true, Ordering::Relaxed);
        }
        let mut broken = self.broken();
        match broken.get_mut(scope).filter(|b| now.duration_since(b.last) <= SAYS_AGAIN) {
            Some(broken) => (broken.last, broken.refused) = (now, refused),
            None => drop(broken.insert(scope.to_owned(), Broken { since: now, last: now, why, refused })),
        }
    }

    /// The watch of a namespace, or of all, has brought something, or broke after it had begun.
    pub fn begun(&self, scope: &str) {
        self.broken().remove(scope);
    }

    /// The watch that a namespace, or any, depends on and that has failed for long.
    pub fn failing(&self, namespace: Option<&str>, now: Instant) -> Option<Failing> {
        let broken = self.broken();
        let mut long = broken.iter().filter(|(scope, b)| {
            // What can be done without and may not be read is said in another place.
            let fails = b.last.duration_since(b.since) >= FAILS_AFTER && !(self.optional && b.refused);
            concerns(scope, namespace) && fails && now.duration_since(b.last) <= SAYS_AGAIN
        });
        let (_, first) = long.next()?;
        let lasted = now.duration_since(first.since);
        Some(Failing { kind: self.kind, why: first.why.clone(), lasted })
    }

    fn broken(&self) -> MutexGuard<'_, BTreeMap<String, Broken>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kind is not installed.
    pub fn is_absent(&self) -> bool {
        self.absent.load(Ordering::Relaxed)
    }

    /// What is still missing, for people; `None` when every watch has had its first list.
    pub fn missing(&self) -> Option<String> {
        let (wanted, listed) = (self.wanted.load(Ordering::Relaxed), self.listed.load(Ordering::Relaxed));
        if listed >= wanted || self.is_absent() || self.forbidden.load(Ordering::Relaxed) {
            return None;
        }
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match error.is_empty() {
            true => format!("{}: not listed yet", self.kind),
            false => format!("{}: {error}", self.kind),
        })
    }
}

/// Whether a watch of a namespace, or of all, is one that a namespace, or any, depends on.
fn concerns(scope: &str, namespace: Option<&str>) -> bool {
    scope.is_empty() || namespace.is_none_or(|n| n == scope)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::cluster::topics;

    #[test]
    fn who_wrote_when_is_kept_without_the_fields_wherever_an_object_comes_from() {
        let (told, _listens) = unbounded_channel();
        let store = Store::new("deployments", topics::deployment, told).keeping(lean);
        let object = |name: &str| -> Deployment {
            let entry = json!({"manager": "other", "operation": "Update", "time": "2026-11-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}});
            let metadata = json!({"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1", "managedFields": [entry]});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let (written, listed) = (object("written"), object("listed"));
        store.replace(None, vec![(listed.metadata.clone(), listed)]);
        store.put(&written.metadata.clone(), written);
        for name in ["written", "listed"] {
            let kept = store.get(&Key::new("shop", name)).unwrap();
            let entry = &kept.metadata.managed_fields.as_ref().unwrap()[0];
            assert_eq!(entry.manager.as_deref(), Some("other"), "{name}");
            assert!(entry.time.is_some() && entry.fields_v1.is_none(), "{name}");
        }
    }

    #[test]
    fn a_refusal_counts_for_its_namespace_and_while_it_is_said_again() {
        let (progress, start) = (Progress { optional: true, ..Progress::new("pods") }, Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        progress.not_begun("shop", "no".into(), true, at(0));
        assert_eq!(progress.forbidden(Some("shop"), at(1)).as_deref(), Some("no"));
        assert_eq!(progress.forbidden(Some("other"), at(1)), None);
        assert_eq!(progress.forbidden(Some("shop"), at(101)), None, "it goes on in silence");
        progress.not_begun("shop", "no".into(), true, at(150));
        progress.begun("shop");
        assert_eq!(progress.forbidden(Some("shop"), at(151)), None);
    }

    #[test]
    fn a_watch_that_cannot_be_begun_fails_after_a_while_and_for_its_namespace_only() {
        let (progress, start) = (Progress::new("pods"), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        for s in [0, 2, 5, 12, 30] {
            progress.not_begun("shop", format!("forbidden, request {s}"), true, at(s));
        }
        assert_eq!(progress.failing(Some("shop"), at(34)), None);
        progress.not_begun("shop", "forbidden, request 40".into(), true, at(40));
        let failing = progress.failing(Some("shop"), at(41)).unwrap();
        assert_eq!((failing.kind, failing.why.as_str()), ("pods", "forbidden, request 0"));
        assert_eq!(failing.lasted, Duration::from_secs(41));
        assert_eq!(progress.failing(Some("other"), at(41)), None);
        assert!(progress.failing(None, at(41)).is_some());
        progress.begun("shop");
        assert_eq!(progress.failing(Some("shop"), at(42)), None);
    }

    #[test]
    fn failures_that_pass_are_no_lasting_one() {
        let (progress, start) = (Progress::new("pods"), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        for s in [0, 3, 150, 153] {
            progress.not_begun("", "busy".into(), false, at(s));
            assert_eq!(progress.failing(Some("shop"), at(s + 1)), None);
        }
        progress.not_begun("", "busy".into(), false, at(200));
        assert!(progress.failing(Some("shop"), at(201)).is_some());
        assert_eq!(
            progress.failing(Some("shop"), at(301)),
            None,
            "nothing more was heard: it goes on in silence"
        );
    }
}
