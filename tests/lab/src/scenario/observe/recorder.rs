//! Notes every version of the objects of a watch, with the time at which it was seen.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One version of an object, as seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen<T> {
    /// When this process got it: within milliseconds of the write.
    pub at: DateTime<Utc>,
    /// The object was deleted; `object` is its last state.
    pub deleted: bool,
    /// What it was.
    pub object: T,
}

/// Notes what a watch delivers, in order, for as long as it lives.
pub struct Recorder<T> {
    seen: Arc<Mutex<Vec<Seen<T>>>>,
    count: watch::Receiver<usize>,
    watching: JoinHandle<()>,
}

impl<T: Clone + Send + 'static> Recorder<T> {
    /// Starts to watch; each object is noted as what `read` makes of it, none where it makes nothing.
    ///
    /// A lost watch is taken up again. Versions in between are then missing: a watch never promises each of them.
    pub fn start<K>(
        api: Api<K>,
        config: watcher::Config,
        read: impl Fn(K) -> Option<T> + Send + 'static,
    ) -> Self
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let noted = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            let mut events = std::pin::pin!(watch_objects(api, config).default_backoff());
            while let Some(event) = events.next().await {
                let (deleted, object) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (false, object),
                    Ok(Event::Delete(object)) => (true, object),
                    Ok(Event::Init | Event::InitDone) => continue,
                    Err(error) => {
                        tracing::debug!(%error, "a watch was lost; trying again");
                        continue;
                    }
                };
                let at = Utc::now();
                if let Some(object) = read(object) {
                    let mut all: MutexGuard<'_, Vec<Seen<T>>> =
                        noted.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(Seen { at, deleted, object });
                    // Nobody may be listening.
                    let _ = counter.send(all.len());
                }
            }
        });
        Self { seen, count, watching }
    }

    /// Everything so far, oldest first.
    pub fn all(&self) -> Vec<Seen<T>> {
        self.lock().clone()
    }

    /// What came from a place in the order on, for readers that go on where they stopped.
    pub fn since(&self, place: usize) -> Vec<Seen<T>> {
        self.lock().get(place..).unwrap_or_default().to_vec()
    }

    /// The last one.
    pub fn latest(&self) -> Option<Seen<T>> {
        self.lock().last().cloned()
    }

    /// Changes with every version that is noted.
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.count.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen<T>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Recorder<T> {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
