//! What a real API server says of writes that it refuses, and what the operator makes of that.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use lab::client::{User, connect};
use lab::wait::wait_for;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use understudy::api::ModelRollout;
use understudy::cluster::lease::Fence;
use understudy::cluster::{Class, Stores, WriteError, Writer};
use understudy::rollout::Action;

use super::{World, cases};

const NAME: &str = "refused";

/// One patch of the Service by the operator's own writer, as somebody.
async fn patch(world: &World, user: &User, patch: Value) -> Result<Result<(), WriteError>> {
    let client = connect(&world.kubeconfig, user).await?;
    let writer = Writer::new(client, Arc::new(Stores::new(&unbounded_channel().0)), Fence::open());
    let mut rollout: ModelRollout = serde_json::from_value(cases::valid("ModelRollout"))?;
    rollout.metadata.namespace = Some("default".to_owned());
    let patch = serde_json::from_value(patch)?;
    let action =
        Action::PatchService { name: NAME.to_owned(), patch, what: "a test".to_owned(), gives: false };
    Ok(writer.act(&rollout, &action, None, Duration::from_secs(5)).await.map(|_| ()))
}

fn turned() -> Value {
    json!([{"op": "replace", "path": "/spec/selector", "value": {"app": "slot"}}])
}

/// A policy that lets nobody change this Service.
fn policy() -> String {
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: frozen}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], resources: [services], operations: [UPDATE]}}]
  validations: [{{expression: "object.metadata.name != '{NAME}'", message: "no patch before Monday"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: frozen}}
spec: {{policyName: frozen, validationActions: [Deny]}}
"#
    )
}

async fn refusal(world: &World, user: &User, with: Value) -> Result<(Class, String)> {
    let error = patch(world, user, with).await?.err().context("the write went through")?;
    Ok((error.class(), error.to_string()))
}

/// RBAC, a policy and an invalid object are told apart and say what to do; a patch for another object is looked at again.
pub async fn a_refusal_says_what_to_do(world: &World) -> Result<()> {
    let services: Api<Service> = Api::namespaced(world.client.clone(), "default");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
        "spec": {"selector": {"app": "origin"}, "ports": [{"port": 80}]},
    });
    services.patch(NAME, &PatchParams::apply("git"), &Patch::Apply(service)).await?;

    let nobody = User::Person { name: "nobody".to_owned(), groups: Vec::new() };
    let (class, said) = refusal(world, &nobody, turned()).await?;
    ensure!(class == Class::RetryLater, "RBAC is {class:?}: {said}");
    ensure!(said.starts_with("patch services default/refused: ") && said.contains("cannot patch"), "{said}");
    ensure!(said.ends_with("grant the verb to the operator's service account"), "{said}");

    let invalid = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 70_000}]);
    let (class, said) = refusal(world, &User::Admin, invalid).await?;
    ensure!(
        class == Class::RetryLater && said.contains("correct what the object is made from"),
        "{class:?}: {said}"
    );

    let gone = json!([{"op": "replace", "path": "/spec/ports/7/port", "value": 80}]);
    let (class, said) = refusal(world, &User::Admin, gone).await?;
    ensure!(class == Class::Stale, "a path that is gone is {class:?}: {said}");

    let stale = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]);
    let (class, said) = refusal(world, &User::Admin, stale).await?;
    ensure!(class == Class::Stale, "an old resourceVersion is {class:?}: {said}");

    world.kubectl(&["apply", "-f", "-"], policy().as_bytes())?;
    let frozen = json!([{"op": "add", "path": "/metadata/labels", "value": {"touched": "yes"}}]);
    let (class, said) = wait_for("the policy", Duration::from_secs(30), async || {
        refusal(world, &User::Admin, frozen.clone()).await.map_err(|e| e.to_string())
    })
    .await?;
    world.kubectl(&["delete", "-f", "-"], policy().as_bytes())?;
    ensure!(class == Class::RetryLater && said.contains("no patch before Monday"), "{class:?}: {said}");
    ensure!(said.contains("change what the policy"), "{said}");
    wait_for("the policy to be gone", Duration::from_secs(30), async || {
        let written = patch(world, &User::Admin, turned()).await.map_err(|e| e.to_string())?;
        written.map_err(|e| e.to_string())
    })
    .await
}
