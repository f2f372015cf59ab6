//! Who may do what, and who did.

use crate::support::{SOON, Space};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, ServiceAccount};
use kube::Api;
use kube::api::ListParams;
use lab::Lab;
use lab::client::{User, connect};
use lab::controller::Controller;
use lab::wait::wait_for;
use std::time::Duration;

pub async fn a_ready_lab_has_what_a_cluster_has(lab: &Lab) -> Result<()> {
    for component in lab.components() {
        component.ready(Duration::from_secs(5)).await?;
    }
    let nodes: Api<Node> = Api::all(lab.admin());
    let node = nodes.get(lab::node::NODE_NAME).await?;
    ensure!(node.spec.and_then(|spec| spec.taints).is_none(), "the node has taints");
    let space = Space::new(lab, "ready").await?;
    let maps: Api<ConfigMap> = Api::namespaced(lab.admin(), "ready");
    let accounts: Api<ServiceAccount> = Api::namespaced(lab.admin(), "ready");
    wait_for("the namespace's own objects", SOON, async || {
        maps.get("kube-root-ca.crt").await.map_err(|error| error.to_string())?;
        accounts.get("default").await.map_err(|error| error.to_string())
    })
    .await?;
    space.done().await
}

pub async fn a_service_account_has_its_own_rights_and_no_others(lab: &Lab) -> Result<()> {
    let space = Space::new(lab, "rights").await?;
    lab.apply(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: rights}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: rights}
rules:
- {apiGroups: [''], resources: [pods], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: rights}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: reader, namespace: rights}
",
    )
    .await?;
    let kubeconfig = lab.service_account_kubeconfig("rights", "reader").await?;
    let client = connect(&kubeconfig, &User::Admin).await?;
    let pods = |namespace: &str| Api::<Pod>::namespaced(client.clone(), namespace);
    // The authorizer learns of a new binding through a watch.
    wait_for("the binding", SOON, async || {
        pods("rights").list(&ListParams::default()).await.map_err(|error| error.to_string())
    })
    .await?;
    let refused = pods("default").list(&ListParams::default()).await;
    ensure!(
        matches!(&refused, Err(kube::Error::Api(status)) if status.is_forbidden()),
        "listing another namespace's pods was not refused: {refused:?}"
    );
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "rights");
    ensure!(maps.list(&ListParams::default()).await.is_err(), "config maps were not in the role");
    space.done().await
}

pub async fn the_audit_log_counts_requests_by_user(lab: &Lab) -> Result<()> {
    let name = "system:serviceaccount:default:counted";
    let user = User::ServiceAccount { namespace: "default".into(), name: "counted".into() };
    let audit = lab.audit()?;
    let pods: Api<Pod> = Api::namespaced(lab.client(&user).await?, "default");
    for _ in 0..3 {
        ensure!(pods.list(&ListParams::default()).await.is_err(), "this account has no rights");
    }
    let requests = audit.requests_of(name)?;
    ensure!(requests.len() == 3, "expected 3 requests: {requests:?}");
    ensure!(requests.iter().all(|request| request.code == 403 && request.verb == "list"), "{requests:?}");
    ensure!(lab.audit()?.requests_of(name)?.is_empty(), "a new mark starts at nothing");
    Ok(())
}

pub async fn a_controller_is_killed_and_started_again(lab: &Lab) -> Result<()> {
    let controller = lab.start_controller(Controller {
        name: "sleeper".into(),
        program: "/bin/sh".into(),
        args: ["-c", "echo with $KUBECONFIG; exec sleep 600"].map(String::from).to_vec(),
        env: Vec::new(),
        kubeconfig: lab.kubeconfig(),
    })?;
    let line = format!("with {}", lab.kubeconfig().display());
    let said = async |times: usize| {
        wait_for(&format!("{times} lines in its log"), SOON, async || {
            let log = controller.log_tail(10);
            if log.lines().filter(|one| *one == line).count() == times { Ok(()) } else { Err(log) }
        })
        .await
    };
    said(1).await?;
    let first = controller.pid().context("it does not run")?;
    controller.kill9();
    ensure!(controller.pid().is_none(), "it survived SIGKILL");
    controller.restart()?;
    ensure!(controller.pid().is_some_and(|pid| pid != first), "it was not started again");
    said(2).await
}
