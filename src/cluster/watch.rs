//! One watch: from the API server into a store, for ever.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::shelf::Key;
use super::store::Store;
use crate::telemetry::Metrics;

/// Seconds after which a watch is asked anew: a connection that died in silence is noticed within five seconds more.
pub const WATCH_SECONDS: u32 = 29;

/// Which objects of a kind are watched, when not all.
#[derive(Clone, Debug)]
pub enum Only {
    /// The one of this name.
    Named(String),
    /// Those with this label.
    Labelled(&'static str),
}

/// A watch of one kind, in one namespace or in all.
pub struct Watch<T> {
    /// Where the objects go.
    pub store: Arc<Store<T>>,
    /// The namespace whose objects a full list replaces; `None` for all.
    pub scope: Option<String>,
    /// Only these objects.
    pub only: Option<Only>,
    /// Counters.
    pub metrics: Metrics,
}

impl<T: Send + Sync + 'static> Watch<T> {
    /// Follows the kind until the process ends. An object that cannot be read is left out and named in the log.
    pub async fn follow<K>(self, api: Api<DeserializeGuard<K>>, keep: fn(K) -> T)
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        config = match &self.only {
            Some(Only::Named(name)) => config.fields(&format!("metadata.name={name}")),
            Some(Only::Labelled(label)) => config.labels(label),
            None => config,
        };
        let mut first = true;
        let mut listed = Vec::new();
        let mut stream = watcher(api, config).default_backoff().boxed();
        while let Some(event) = stream.next().await {
            // `Init` only says that a list will be asked for.
            if event.as_ref().is_ok_and(|e| !matches!(e, Event::Init)) {
                self.store.progress.begun(self.name());
            }
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => listed.extend(self.read(object, keep)),
                Ok(Event::InitDone) => {
                    self.store.replace(self.scope.as_deref(), std::mem::take(&mut listed));
                    self.store.progress.synced(std::mem::take(&mut first));
                }
                Ok(Event::Apply(object)) => {
                    let meta = object.meta().clone();
                    match self.read(object, keep) {
                        Some((meta, value)) => self.store.put(&meta, value),
                        None => self.store.remove(&meta),
                    }
                }
                Ok(Event::Delete(object)) => self.store.remove(object.meta()),
                Err(error) => self.failed(&error),
            }
        }
    }

    fn read<K: Resource>(&self, object: DeserializeGuard<K>, keep: fn(K) -> T) -> Option<(ObjectMeta, T)> {
        match object.0 {
            Ok(object) => {
                let mut meta = object.meta().clone();
                meta.managed_fields = None;
                Some((meta, keep(object)))
            }
            Err(invalid) => {
                let kind = self.store.progress.kind;
                self.metrics.unreadable(kind);
                tracing::error!(kind, object = %Key::of(&invalid.metadata), error = %invalid.error,
                    "an object cannot be read and is left out; the others go on");
                None
            }
        }
    }

    /// What tells it from the other watches of its kind.
    fn name(&self) -> &str {
        match &self.only {
            Some(Only::Named(name)) => name,
            Some(Only::Labelled(_)) | None => self.scope.as_deref().unwrap_or_default(),
        }
    }

    fn failed(&self, error: &watcher::Error) {
        let progress = &self.store.progress;
        let kind = progress.kind;
        match error {
            _ if is_absent(error) => progress.begun(self.name()),
            watcher::Error::InitialListFailed(_)
            | watcher::Error::WatchStartFailed(_)
            | watcher::Error::NoResourceVersion => {
                let now = Instant::now().into_std();
                progress.not_begun(self.name(), error.to_string(), is_forbidden(error), now);
            }
            watcher::Error::WatchError(_) | watcher::Error::WatchFailed(_) => progress.begun(self.name()),
        }
        if is_absent(error) {
            if progress.absent() {
                tracing::warn!(
                    kind,
                    "the API server does not know this kind; it is asked again at least every 30 s"
                );
                self.store.replace(self.scope.as_deref(), Vec::new());
            }
            return;
        }
        self.metrics.watch_failed(kind);
        match progress.failed(error.to_string()) {
            1 => tracing::warn!(kind, %error, "a watch failed; it is tried again"),
            failures => tracing::debug!(kind, %error, failures, "a watch failed again"),
        }
    }
}

/// The kind is not installed.
fn is_absent(error: &watcher::Error) -> bool {
    code(error) == Some(404)
}

/// The kind may not be read.
fn is_forbidden(error: &watcher::Error) -> bool {
    code(error) == Some(403)
}

/// With which the API server refused to begin.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use tokio::sync::mpsc::unbounded_channel;

    use crate::cluster::Stores;
    use crate::telemetry::Metrics;

    /// An API server that lists nothing and lets nobody watch; with `lists` false it does not list either.
    fn refusing(lists: bool) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let watch = request.uri().query().is_some_and(|q| q.contains("watch=true"));
            let (code, body) = match lists && !watch {
                true => (
                    200,
                    r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#,
                ),
                false => (
                    403,
                    r#"{"kind":"Status","status":"Failure","code":403,"reason":"Forbidden","message":"no"}"#,
                ),
            };
            let answer = Response::builder().status(code).body(Body::from(body.as_bytes().to_vec()));
            Ok::<_, Infallible>(answer.unwrap())
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_stay_refused_are_said_to_fail_though_their_lists_are_there() {
        for lists in [true, false] {
            let (changed, _changes) = unbounded_channel();
            let stores = Stores::new(&changed);
            stores.watch(&refusing(lists), &[], &Metrics::new());
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert_eq!(stores.missing().is_empty(), lists);
            assert_eq!(stores.failing(None), Vec::new(), "it may pass");
            // Each watch waits for up to a minute between two tries.
            tokio::time::sleep(Duration::from_secs(130)).await;
            let failing = stores.failing(Some("shop"));
            let unread: Vec<String> = stores.unread(None).into_iter().map(|u| u.kind).collect();
            assert_eq!(unread, ["horizontalpodautoscalers", "poddisruptionbudgets"], "can be done without");
            assert_eq!(failing.len(), 14, "lists: {lists}, {failing:?}");
            assert!(failing[0].why.contains("no"), "{failing:?}");
        }
    }
}
