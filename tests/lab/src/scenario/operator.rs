//! The operator as a user installs it: kinds, namespace, rights; and its process under its own service account.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use super::{manifests, programs};
use crate::apply::Applier;
use crate::client;
use crate::net;
use crate::paths::RunDir;
use crate::pki::{self, Pki};
use crate::process::{Process, Spec};
use crate::wait::wait_for;

/// Namespace and service account, from `deploy/`.
const NAMESPACE: &str = "understudy-system";
const ACCOUNT: &str = "understudy";
/// Who the API server says the operator is.
pub const USER: &str = "system:serviceaccount:understudy-system:understudy";
/// Where it serves its health and its metrics. Its default port is the gateway's here.
pub const ADDRESS: &str = "10.0.0.10:9464";
/// The same of a second operator.
pub const STANDBY: &str = "10.0.0.10:9465";

/// Applies the kinds that the operator's binary prints, and the manifests in `deploy/` except its Deployment.
pub(super) async fn install(applier: &Applier) -> Result<()> {
    let program = programs::operator()?;
    let printed = tokio::process::Command::new(&program).arg("crds").output().await;
    let printed = printed.with_context(|| format!("cannot run {}", program.display()))?;
    if !printed.status.success() {
        bail!("`understudy crds` failed: {}", String::from_utf8_lossy(&printed.stderr).trim());
    }
    applier.apply(&String::from_utf8(printed.stdout)?, "install").await?;
    for manifest in manifests::OPERATOR.into_iter().chain(manifests::POLICIES) {
        applier.apply(manifest, "install").await?;
    }
    Ok(())
}

/// Starts it with exactly the rights of its service account; the name is that of its log, the address its endpoints'.
pub(super) async fn start(admin: &Client, run: &RunDir, name: &str, address: &str) -> Result<Process> {
    let token = client::token(admin, NAMESPACE, ACCOUNT).await?;
    let kubeconfig = run.kubeconfig(USER);
    pki::private(&kubeconfig, &pki::kubeconfig(&Pki::of(run).ca(), USER, &token)?)?;
    let spec = Spec::new(name, programs::operator()?, run.log(name))
        .args(["controller".to_owned(), format!("--prometheus=default={}", net::PROMETHEUS)])
        .args([format!("--bind={address}"), format!("--lease-namespace={NAMESPACE}")])
        // A killed operator's successor should not have to wait for long.
        .args(["--lease-duration=6s", "--lease-renew-deadline=4s", "--lease-retry=500ms"])
        .env("KUBECONFIG", kubeconfig.to_string_lossy())
        // As in `deploy/30-deployment.yaml`.
        .env("MALLOC_ARENA_MAX", "1");
    Process::start(spec)
}

/// Waits until the process is ready and the Lease has a holder.
pub(super) async fn wait_leading(admin: &Client, process: &Process) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(admin.clone(), NAMESPACE);
    let leading = wait_for("the operator to lead", Duration::from_secs(30), async || {
        if let Some(status) = process.exited() {
            return Ok(Err(status));
        }
        crate::components::healthy(&format!("http://{ADDRESS}/readyz")).await?;
        let lease = leases.get(ACCOUNT).await.map_err(|error| error.to_string())?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        if holder.is_empty() { Err("the Lease has no holder".to_owned()) } else { Ok(Ok(())) }
    });
    match leading.await.with_context(|| format!("the end of its log:\n{}", process.log_tail(12)))? {
        Ok(()) => Ok(()),
        Err(status) => {
            bail!("the operator ended with {status}; the end of its log:\n{}", process.log_tail(12))
        }
    }
}
