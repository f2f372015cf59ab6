//! What all tests share: the lab, the operator under its own rights, the trained models.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use lab::apply::Applier;
use lab::audit::Request;
use lab::process::Process;
use lab::scenario::{Cluster, OPERATOR_ADDRESS, OPERATOR_USER};
use lab::suite::Failures;
use lab::{Options, wait::wait_for};

/// Longest wait for anything that does not depend on evidence: many times what it takes on a quiet machine.
pub const SOON: Duration = Duration::from_secs(60);
/// Longest wait for the end of a release.
pub const RELEASE: Duration = Duration::from_secs(180);

/// One lab with one operator.
pub struct World {
    cluster: Cluster,
    /// Those that were there before any test.
    namespaces: Vec<String>,
    /// Applies as the user's own tool.
    pub applier: Applier,
    /// What failed tests said.
    pub failures: Failures,
}

impl World {
    /// Brings all of it up. The scenario's own workload, in namespace `base`, serves and is left alone.
    pub async fn create() -> Result<Self> {
        let mut cluster = Cluster::create(Options::default(), "base").await?;
        cluster.start_operator().await?;
        let applier = Applier::new(cluster.client());
        let namespaces: Api<Namespace> = Api::all(cluster.client());
        let namespaces = namespaces.list(&ListParams::default()).await?.items;
        let namespaces = namespaces.into_iter().filter_map(|one| one.metadata.name).collect();
        Ok(Self { cluster, namespaces, applier, failures: Failures::default() })
    }

    /// Removes what failed tests left behind: it would count in the tests after them.
    pub async fn clear(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let left = async || -> Result<Vec<String>> {
            let all = namespaces.list(&ListParams::default()).await?;
            let names = all.items.into_iter().filter_map(|one| one.metadata.name);
            Ok(names.filter(|name| !self.namespaces.contains(name)).collect())
        };
        for name in left().await? {
            namespaces.delete(&name, &DeleteParams::background()).await?;
        }
        wait_for("the namespaces of failed tests to be gone", SOON, async || {
            let left = left().await.map_err(|error| format!("{error:#}"))?;
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        })
        .await
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.cluster.client()
    }

    /// The scenario that the world is made of.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The operator's process.
    pub fn operator(&self) -> Result<&Process> {
        self.cluster.operator.as_ref().context("the operator was not started")
    }

    /// Starts the killed operator again and waits until it answers.
    pub async fn restart_operator(&self) -> Result<()> {
        self.operator()?.restart()?;
        wait_for("the operator to be ready", SOON, async || {
            lab::components::healthy(&format!("http://{OPERATOR_ADDRESS}/readyz")).await
        })
        .await
    }

    /// The operator's requests to the API server while `during` runs.
    pub async fn requests_during(&self, during: impl Future<Output = Result<()>>) -> Result<Vec<Request>> {
        let audit = self.cluster.lab().context("the lab is this process' own")?.audit()?;
        during.await?;
        // The API server writes its log a moment after it answered.
        tokio::time::sleep(Duration::from_millis(300)).await;
        audit.requests_of(OPERATOR_USER)
    }

    /// The end of the operator's log, for a failed run.
    pub fn print_log(&self) {
        if let Ok(operator) = self.operator() {
            eprintln!("the end of the operator's log:\n{}", operator.log_tail(60));
        }
    }
}
