//! What covers the origin and not what serves beside it is found before the first rollout, with the object to add.

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

const PART: &str = "Not covered";

/// A NetworkPolicy about the origin's pods: the object in the message, added, lets the rollout begin.
pub async fn a_network_policy_about_the_origin_alone(world: &World) -> Result<()> {
    let space = Space::adopted(world, "cpolicy").await?;
    space.apply(&policy(&space, "digits", &json!({"matchLabels": {"app": "digits"}}))).await?;
    space.release("1.1.0").await?;
    let found = uncovered(&space, "NetworkPolicy/digits").await?;
    let slot = space.deployments().get_opt("digits-a").await?;
    ensure!(slot.is_none(), "a slot was made that nothing covers");
    space.apply(&added(&found, "NetworkPolicy/digits")?).await?;
    let load = space.load(60.0).await?;
    space.wait_active("1.1.0").await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "`SlotNotCovered` before anything is made; with the object from its message it begins";
    space.measured(PART, "a NetworkPolicy about the origin's pods", Some(&report), None, end)?;
    space.done().await
}

/// Kinds that find by name and by a Service's labels: printed and accepted by the annotation, one by one.
pub async fn monitors_and_policies_by_name_are_accepted_by_annotation(world: &World) -> Result<()> {
    for kind in [("PodMonitor", "podmonitors"), ("ServiceMonitor", "servicemonitors")] {
        install(world, "monitoring.coreos.com", kind).await?;
    }
    install(world, "networking.istio.io", ("DestinationRule", "destinationrules")).await?;
    let space = Space::adopted(world, "cnames").await?;
    let object = |version: &str, kind: &str, spec: Value| {
        json!({"apiVersion": version, "kind": kind,
            "metadata": {"name": "digits", "namespace": space.namespace}, "spec": spec})
    };
    let selector = json!({"selector": {"matchLabels": {"app": "digits"}}});
    let target = json!({"group": "", "kind": "Service", "name": "digits"});
    let tls = json!({"targetRefs": [target],
        "validation": {"hostname": "digits.lab", "wellKnownCACertificates": "System"}});
    let objects = [
        object("monitoring.coreos.com/v1", "PodMonitor", selector.clone()),
        object("monitoring.coreos.com/v1", "ServiceMonitor", selector),
        object("networking.istio.io/v1", "DestinationRule", json!({"host": "digits"})),
        object("gateway.networking.k8s.io/v1alpha3", "BackendTLSPolicy", tls),
    ];
    for object in &objects[..3] {
        space.apply(object).await?;
    }
    space.release("1.1.0").await?;
    let mut names = vec!["PodMonitor/digits", "ServiceMonitor/digits", "DestinationRule/digits"];
    for name in &names {
        added(&uncovered(&space, name).await?, name)?;
    }
    accept(&space, &names).await?;
    let look = |rollout: &ModelRollout| {
        rollout.status.as_ref().filter(|status| status.phase == Some(Phase::Preparing)).map(|_| ())
    };
    space.rollout.wait("the accepted rollout to begin", SOON, look).await?;
    // Set back, and the last kind: one acceptance does not accept another.
    space.release("1.0.0").await?;
    space.wait_active("1.0.0").await?;
    space.apply(&objects[3]).await?;
    space.release("1.1.0").await?;
    names.push("BackendTLSPolicy/digits");
    let found = uncovered(&space, "BackendTLSPolicy/digits").await?;
    let add = added(&found, "BackendTLSPolicy/digits")?;
    ensure!(add["spec"]["targetRefs"][0]["name"] == "digits-candidate", "it prints {add}");
    ensure!(!found.contains("DestinationRule"), "what is accepted is said again: {found}");
    accept(&space, &names).await?;
    space.rollout.wait("the rollout to begin", RELEASE, look).await?;
    let end = "each is printed with the object to add; accepted one by one by the annotation";
    space.measured(PART, "PodMonitor, ServiceMonitor, DestinationRule, BackendTLSPolicy", None, None, end)?;
    space.done().await
}

/// A Service of somebody else's that would select a slot's pods.
pub async fn a_service_that_would_find_a_slot_s_pods(world: &World) -> Result<()> {
    let space = Space::adopted(world, "clabel").await?;
    let service = |selector: Value| {
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "probe", "namespace": space.namespace},
            "spec": {"selector": selector, "ports": [{"port": 80}]}})
    };
    space.apply(&service(json!({"app": "digits-a"}))).await?;
    space.release("1.1.0").await?;
    let taken = space.wait_reason("LabelTaken").await?;
    ensure!(taken.message.contains("probe"), "the Service is not named: {}", taken.message);
    space.apply(&service(json!({"app": "probe"}))).await?;
    space.wait_phase(Phase::Preparing).await?;
    space.measured(
        PART,
        "a Service that would select a slot's pods",
        None,
        None,
        "`LabelTaken` until it does not",
    )?;
    space.done().await
}

fn policy(space: &Space<'_>, name: &str, pods: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space.namespace},
        "spec": {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": [{}]}})
}

/// The condition's message, once it names the object.
async fn uncovered(space: &Space<'_>, object: &str) -> Result<String> {
    let look = |rollout: &ModelRollout| {
        let conditions = &rollout.status.as_ref()?.conditions;
        let found = conditions.iter().find(|one| one.type_ == "Stalled" && one.reason == "SlotNotCovered")?;
        found.message.contains(object).then(|| found.message.clone())
    };
    space.rollout.wait(&format!("SlotNotCovered to name {object}"), SOON, look).await
}

/// The object that the message says to add for another.
fn added(message: &str, object: &str) -> Result<Value> {
    let of_it = message.split_once(&format!(". {object}: ")).context("the object is not in the message")?.1;
    let text = of_it.split_once("; add ").context("nothing to add")?.1;
    let mut read = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    Ok(read.next().context("no object")??)
}

async fn accept(space: &Space<'_>, objects: &[&str]) -> Result<()> {
    let findings: Vec<String> = objects.iter().map(|object| format!("SlotNotCovered/{object}")).collect();
    let change = json!({"metadata": {"annotations": {"understudy.dev/accept": findings.join(",")}}});
    space.rollouts().patch("digits", &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}

/// A kind of another project, without its rules: only what we read of it matters.
async fn install(world: &World, group: &str, (kind, plural): (&str, &str)) -> Result<()> {
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    world.applier.apply(&crd.to_string(), "team").await?;
    Ok(())
}
