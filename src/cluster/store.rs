//! A shelf that tells of its changes, and how far its watches are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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
        Self { shelf: Shelf::default(), progress: Progress::new(kind), topics, changed }
    }

    /// Takes in an object: from the watch, or as a write of ours returned it.
    pub fn put(&self, meta: &ObjectMeta, value: T) {
        self.tell(self.shelf.put(meta, value));
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
        self.tell(self.shelf.replace(namespace, listed));
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

/// How far the watches of a kind are.
#[derive(Debug)]
pub struct Progress {
    /// Plural name of the kind.
    pub kind: &'static str,
    absent: AtomicBool,
    wanted: AtomicU64,
    listed: AtomicU64,
    failures: AtomicU64,
    error: Mutex<String>,
}

impl Progress {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            absent: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            error: Mutex::default(),
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
    }

    /// The kind is not installed. True when that is news.
    pub fn absent(&self) -> bool {
        !self.absent.swap(true, Ordering::Relaxed)
    }

    /// The watch failed; returns how often since it last had a full list.
    pub fn failed(&self, error: String) -> u64 {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The kind is not installed.
    pub fn is_absent(&self) -> bool {
        self.absent.load(Ordering::Relaxed)
    }

    /// What is still missing, for people; `None` when every watch has had its first list.
    pub fn missing(&self) -> Option<String> {
        let (wanted, listed) = (self.wanted.load(Ordering::Relaxed), self.listed.load(Ordering::Relaxed));
        if listed >= wanted || self.is_absent() {
            return None;
        }
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match error.is_empty() {
            true => format!("{}: not listed yet", self.kind),
            false => format!("{}: {error}", self.kind),
        })
    }
}
