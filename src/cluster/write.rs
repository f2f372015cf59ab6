//! The kinds of write, for any kind of object: create, JSON patch, delete, and the look again after a refusal.

use kube::api::{DeleteParams, Patch, Preconditions};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::apply::{Target, Writer, patch_params, post};
use super::error::{Class, Why, WriteError};
use super::rebase;
use super::store::Store;
use crate::api::keys;

impl Writer {
    /// What is true after a refusal because the object has changed: the next pass must not plan on the same old view,
    /// however far the watch lags.
    pub(super) async fn look_again<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: &Api<K>,
        error: WriteError,
    ) -> WriteError
    where
        K: Resource + DeserializeOwned + Clone + std::fmt::Debug,
    {
        if error.class() == Class::Stale {
            match self.call(target, api.get_opt(&target.key.name)).await {
                Ok(Some(found)) => store.put(&found.meta().clone(), found),
                Ok(None) => {
                    if let Some(known) = store.get(target.key) {
                        store.remove(known.meta());
                    }
                }
                Err(error) => tracing::debug!(%error, "the object that has changed could not be read"),
            }
        }
        error
    }

    pub(super) async fn create<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: Api<K>,
        wanted: &K,
    ) -> Result<(), WriteError>
    where
        K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let params = post();
        let made = match self.call(target, api.create(&params, wanted)).await {
            Ok(made) => made,
            Err(error) if error.code() == Some(409) => {
                // An answer that was lost, or somebody else's object: ours carries the mark of this rollout.
                let found = self.call(target, api.get(&target.key.name)).await?;
                let (ours, theirs) = (mark(wanted), mark(&found));
                store.put(&found.meta().clone(), found);
                if ours.is_none() || ours != theirs {
                    return Err(target.error(Why::Changed("the name is taken by another object".into())));
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        store.put(&made.meta().clone(), made);
        Ok(())
    }

    pub(super) async fn delete<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: Api<K>,
        uid: &str,
    ) -> Result<(), WriteError>
    where
        K: Resource + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::background()
        };
        let held = |k: &K| k.meta().finalizers.as_ref().is_some_and(|f| !f.is_empty());
        match self.call(target, api.delete(&target.key.name, &params)).await {
            Ok(answer) => match answer.left().filter(held) {
                // Finalizers of others keep it a while.
                Some(going) => store.put(&going.meta().clone(), going),
                None => store.forget(target.key.clone(), uid),
            },
            Err(error) if error.code() == Some(404) => store.forget(target.key.clone(), uid),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A gateway writes its status into a route a few milliseconds after each change of it. A patch that only such a write
    /// has overtaken still means what it meant, so it is made again, once, for the object as it now is.
    pub(super) async fn json_patch<K>(
        &self,
        target: &Target<'_>,
        store: &Store<K>,
        api: &Api<K>,
        (patch, base): (&json_patch::Patch, Option<&Value>),
    ) -> Result<(), WriteError>
    where
        K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let send = |patch: json_patch::Patch| async move {
            let patch = Patch::<Value>::Json(patch);
            self.call(target, api.patch(&target.key.name, &patch_params(), &patch)).await
        };
        let mut answer = send(patch.clone()).await;
        if let Err(error) = answer {
            let error = self.look_again(target, store, api, error).await;
            let found = store.get(target.key).filter(|_| error.class() == Class::Stale);
            match found.and_then(|found| rebase::onto(patch, base?, &serde_json::to_value(&*found).ok()?)) {
                Some(rebased) => answer = send(rebased).await,
                None => return Err(error),
            }
        }
        let new = answer?;
        store.put(&new.meta().clone(), new);
        Ok(())
    }
}

/// Which rollout an object belongs to, and which template it was made from.
fn mark<K: Resource>(object: &K) -> Option<(String, Option<String>)> {
    let meta = object.meta();
    let uid = meta.labels.as_ref().and_then(|l| l.get(keys::ROLLOUT_UID))?;
    let hash = meta.annotations.as_ref().and_then(|a| a.get(keys::TEMPLATE_HASH));
    Some((uid.clone(), hash.cloned()))
}
