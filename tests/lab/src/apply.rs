//! Applying and deleting manifests of any kind.

use crate::wait::wait_for;
use anyhow::{Context, Result, bail};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Applies manifests; remembers what the API server said about kinds.
pub struct Applier {
    client: Client,
    kinds: Mutex<HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>>,
}

impl Applier {
    /// An applier with this client's rights.
    pub fn new(client: Client) -> Self {
        Self { client, kinds: Mutex::default() }
    }

    /// Applies every document of a YAML text, in order, as field manager `manager` (server-side, forced).
    /// Objects without a namespace go to `default`. Returns them as the API server stored them.
    ///
    /// # Errors
    /// For the first document that is refused, with its kind and name.
    pub async fn apply(&self, yaml: &str, manager: &str) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for object in parse(yaml)? {
            let label = label(&object);
            let api = self.api(&object).await.with_context(|| format!("could not apply {label}"))?;
            let params = PatchParams::apply(manager).force();
            let stored = api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await;
            applied.push(stored.with_context(|| format!("could not apply {label}"))?);
        }
        Ok(applied)
    }

    /// Deletes every object of a YAML text (in the background; what is gone already is fine).
    ///
    /// # Errors
    /// For the first object that cannot be deleted.
    pub async fn delete(&self, yaml: &str) -> Result<()> {
        for object in parse(yaml)? {
            let label = label(&object);
            let api = self.api(&object).await.with_context(|| format!("could not delete {label}"))?;
            match api.delete(&object.name_any(), &DeleteParams::background()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error).with_context(|| format!("could not delete {label}")),
            }
        }
        Ok(())
    }

    /// The API for an object's kind and namespace.
    ///
    /// # Errors
    /// When the API server does not know the kind (a kind just defined gets five seconds).
    pub async fn api(&self, object: &DynamicObject) -> Result<Api<DynamicObject>> {
        let types = object.types.as_ref().context("the object has no apiVersion and kind")?;
        let kind = GroupVersionKind::try_from(types.clone())?;
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        let (resource, capabilities) = match known {
            Some(known) => known,
            None => {
                let found =
                    wait_for(&format!("the kind {}", kind.kind), Duration::from_secs(5), async || {
                        pinned_kind(&self.client, &kind).await.map_err(|error| error.to_string())
                    })
                    .await?;
                self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, found.clone());
                found
            }
        };
        let namespace = object.namespace().unwrap_or_else(|| "default".into());
        Ok(match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &namespace, &resource),
        })
    }
}

/// The objects of a YAML text; empty documents are skipped.
///
/// # Errors
/// For a document that is not YAML or not an object with kind and name.
pub fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(yaml).context("the text is not YAML")?;
    let mut objects = Vec::new();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        let object: DynamicObject =
            serde_json::from_value(document).context("a document is not a Kubernetes object")?;
        if object.types.is_none() || object.metadata.name.is_none() {
            bail!("a document has no apiVersion, kind or metadata.name");
        }
        objects.push(object);
    }
    Ok(objects)
}

fn label(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
        None => format!("{kind} {}", object.name_any()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_order_and_empty_ones_are_skipped() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: \
                    ConfigMap\nmetadata: {name: b, namespace: a}\ndata: {x: \"1\"}\n";
        let objects = parse(text).unwrap();
        assert_eq!(objects.iter().map(label).collect::<Vec<_>>(), ["Namespace a", "ConfigMap a/b"]);
        assert!(parse("kind: Namespace\n").is_err());
    }
}
