//! Lists what covers pods and Services: once for a plan, never in a pass at rest.

use std::time::Duration;

use futures::future::join_all;
use kube::api::ListParams;
use kube::{Api, Client};

use super::raw::{self, Raw};
use crate::rollout::observed::Covering;
use crate::workload::covering::{Cover, Kind};

/// Longest wait for all lists.
const WITHIN: Duration = Duration::from_secs(5);

/// Reads policies, monitors and rules.
#[derive(Clone)]
pub struct Covers {
    client: Client,
    /// Of all namespaces: a policy of any may name a workload's pods.
    everywhere: bool,
}

impl Covers {
    /// A reader. Without rights for the whole cluster only the workload's own namespace is looked at.
    pub fn new(client: Client, everywhere: bool) -> Self {
        Self { client, everywhere }
    }

    /// What there is. A kind that is not installed has no objects; one that cannot be read is named.
    pub async fn read(&self, namespace: &str) -> Covering {
        let lists = join_all(Kind::ALL.map(|kind| self.list(kind, namespace))).await;
        let mut covering = Covering::default();
        for (kind, list) in Kind::ALL.into_iter().zip(lists) {
            match list {
                Ok(objects) => covering.covers.extend(objects),
                Err(why) => covering.unread.push(format!("{} ({why})", kind.resource()[2])),
            }
        }
        covering
    }

    async fn list(&self, kind: Kind, namespace: &str) -> Result<Vec<Cover>, String> {
        for version in kind.versions() {
            if let Some(objects) = self.list_version(kind, version, namespace).await? {
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }

    /// Nothing where the API server does not serve the version.
    async fn list_version(
        &self,
        kind: Kind,
        version: &str,
        namespace: &str,
    ) -> Result<Option<Vec<Cover>>, String> {
        let [group, name, plural] = kind.resource();
        let resource = raw::resource(group, version, name, plural);
        let api: Api<Raw> = match self.everywhere {
            true => Api::all_with(self.client.clone(), &resource),
            false => Api::namespaced_with(self.client.clone(), namespace, &resource),
        };
        match tokio::time::timeout(WITHIN, api.list(&ListParams::default())).await {
            Err(_) => Err("no answer".to_owned()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(list)) => {
                let cover = |mut raw: Raw| {
                    // Items of a list do not say it themselves.
                    raw.value["apiVersion"] = resource.api_version.clone().into();
                    Cover { kind, object: raw.value }
                };
                Ok(Some(list.items.into_iter().map(cover).collect()))
            }
        }
    }
}
