//! Bad input: what somebody takes away, edits or forbids is corrected or named with the next step, and nothing is lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use lab::scenario::observe::writes;
use lab::scenario::{OPERATOR_USER, POLICIES};
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::keys::SLOT_VERSION;
use understudy::api::{ModelRollout, SelectorGuard, Slot};
use understudy::traffic::guard::POLICY;

use super::autoscalers;
use crate::manifests;
use crate::promotions::EndpointsWatch;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

const PART: &str = "Bad input";
/// What rewrites the copy of an autoscaler.
const REWRITES: [(&str, &str); 2] =
    [("MutatingAdmissionPolicyBinding", "rewrites-copies"), ("MutatingAdmissionPolicy", "rewrites-copies")];
/// Requests a second.
const RATE: f64 = 120.0;
/// A permission that was taken away is noticed when the watch ends, and one that is given when it is tried again.
const NOTICED: Duration = Duration::from_secs(120);
/// A reset selector is corrected within 200 ms; the machine may be busy with other things.
const CORRECTED: Duration = Duration::from_millis(600);

/// The operator may not read autoscalers, and a budget counts both versions: a version is released all the same and both are
/// said. When the operator may, and the budget is narrowed, the slot gets its copies.
pub async fn companions_that_cannot_be_read_or_shared(world: &World) -> Result<()> {
    let space = Space::new(world, "unread").await?;
    space.adopt(&manifests::rollout("unread")).await?;
    space.apply(&autoscalers::bounds_only("unread", 1, 4)).await?;
    space.apply(&budget(&json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}))).await?;
    let role = may_read_autoscalers(&space, None).await?;
    let result = unread(&space).await;
    may_read_autoscalers(&space, Some(role)).await?;
    result?;
    let began = Utc::now();
    said(&space, "BudgetShared", "counts the pods of both versions").await?;
    let given = (Utc::now() - began).to_std().unwrap_or_default();
    as_the_users(&space, 1).await?;
    let case = "no permission on autoscalers: promotion, then it is given";
    space.measured(
        PART,
        case,
        None,
        Some(given),
        "1.1.0 active; said until given, then the slot has its copy",
    )?;
    space.apply(&budget(&json!({"matchLabels": {"app": "digits"}}))).await?;
    said(&space, "Fits", "").await?;
    wait_for("the slot's budget", SOON, async || {
        let found = budgets(&space).get_opt("digits-a").await.map_err(|error| error.to_string())?;
        found.map(drop).ok_or_else(|| "there is none".to_owned())
    })
    .await?;
    space.measured(
        PART,
        "a budget that counts both versions, narrowed later",
        None,
        None,
        "no copy, then one",
    )?;
    not_held(&space).await?;
    let result = rewritten(&space).await;
    for (kind, name) in REWRITES {
        policies(&space, kind).delete(name, &DeleteParams::default()).await?;
    }
    let allowed = Utc::now();
    result?;
    let wanted = |copy: &Value| copy["spec"]["maxReplicas"] == 4;
    copy_is(&space, wanted).await?;
    let back = (Utc::now() - allowed).to_std().unwrap_or_default();
    let case = "a mutating policy that rewrites a slot's autoscaler at each write";
    space.measured(
        PART,
        case,
        None,
        Some(back),
        "written with pauses, ObjectContested; right when it is gone",
    )?;
    space.done().await
}

/// Every write of the copy is changed on its way, as a mutating webhook does: it is written with pauses, and that is said.
async fn rewritten(space: &Space<'_>) -> Result<()> {
    let meta = json!({"name": REWRITES[0].1});
    space
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": meta,
            "spec": {
                "failurePolicy": "Fail", "reinvocationPolicy": "Never",
                "matchConstraints": {"resourceRules": [{"apiGroups": ["autoscaling"], "apiVersions": ["v2"],
                    "operations": ["CREATE", "UPDATE"], "resources": ["horizontalpodautoscalers"]}]},
                "matchConditions": [{"name": "copies",
                    "expression": "object.metadata.namespace == 'unread' && object.metadata.name == 'digits-a'"}],
                "mutations": [{"patchType": "ApplyConfiguration",
                    "applyConfiguration": {"expression": "Object{spec: Object.spec{maxReplicas: 3}}"}}],
            },
        }))
        .await?;
    space
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
            "metadata": meta, "spec": {"policyName": REWRITES[0].1},
        }))
        .await?;
    // The API server takes a moment to work with it: until then the edit is put back.
    let began = Utc::now();
    wait_for("the policy to rewrite the copy", SOON, async || {
        let autoscalers = autoscalers::autoscalers(space);
        let edit = json!({"metadata": {"annotations": {"edited": Utc::now().to_rfc3339()}}});
        let edited = autoscalers.patch("digits-a", &as_sre(), &Patch::Merge(edit)).await;
        let edited = edited.map_err(|error| error.to_string())?;
        if edited.data["spec"]["maxReplicas"] == 3 { Ok(()) } else { Err(edited.data["spec"].to_string()) }
    })
    .await?;
    said(space, "ObjectContested", "autoscaler digits-a").await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let log = space.world.cluster().files().audit_log();
    let made = writes(&log, "horizontalpodautoscalers", "unread", "digits-a")?;
    let made = made.iter().filter(|write| write.user == OPERATOR_USER && write.received > began).count();
    space.note(&format!("{made} writes of the copy in {} s", (Utc::now() - began).num_seconds()));
    ensure!((4..=9).contains(&made), "{made} writes of the copy");
    Ok(())
}

async fn unread(space: &Space<'_>) -> Result<()> {
    let look = |rollout: &ModelRollout| finding(rollout, "CompanionsUnread", "horizontalpodautoscalers");
    space.rollout.wait("CompanionsUnread", NOTICED, look).await?;
    let load = space.load(RATE).await?;
    space.promote("1.1.0").await?;
    said(space, "CompanionsUnread", "counts the pods of both versions").await?;
    let copy = autoscalers::found(space, "digits-a").await?;
    ensure!(copy.is_none(), "an autoscaler was made of one that may not be read: {copy:?}");
    let shared = budgets(space).get_opt("digits-a").await?;
    ensure!(shared.is_none(), "a second budget counts the slot's pods: {shared:?}");
    space.ensure_no_failures(load, &[]).await?;
    Ok(())
}

/// `holdCapacity: false`: somebody scales the stable slot down in mid-canary; it is said, and a rollback raises it again.
async fn not_held(space: &Space<'_>) -> Result<()> {
    let load = space.load(RATE).await?;
    let steps = json!([{"weight": 50, "hold": "90s"}]);
    space
        .edit(json!({"spec": {"version": "1.6.0", "workload": {"holdCapacity": false},
            "strategy": {"canary": {"steps": steps}}}}))
        .await?;
    let half = |rollout: &ModelRollout| (rollout.status.as_ref()?.weights?.candidate == 50).then_some(());
    space.rollout.wait("half of the traffic", RELEASE, half).await?;
    let c = space.status().capacity;
    ensure!(c == 2, "the stable version had {c} pods");
    as_the_users(space, 1).await?;
    scale(space, "digits-a", 1).await?;
    let held = space.wait_reason("CapacityNotHeld").await?;
    ensure!(held.message.contains("holdCapacity is false"), "{}", held.message);
    let decided = Utc::now();
    space.decide("Abort").await?;
    wait_for("the stable slot to be raised", SOON, async || {
        let scale = autoscalers::scale(space, "digits-a").await.map_err(|error| error.to_string())?;
        if scale >= c { Ok(()) } else { Err(format!("{scale} of {c}")) }
    })
    .await?;
    let raised = (Utc::now() - decided).to_std().unwrap_or_default();
    space.wait_rejected("1.6.0").await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let case = "holdCapacity: false, stable scaled down, then a rollback";
    space.measured(PART, case, Some(&report), Some(raised), "CapacityNotHeld; raised again by the rollback")
}

/// At rest somebody takes our annotations from the slot and points our Service and theirs at the wrong slot; then the policies
/// are deleted, one after the other. It runs last: see the note at `git::bind` about policies that were deleted once.
pub async fn things_taken_and_turned_at_rest(world: &World) -> Result<()> {
    let space = Space::adopted(world, "taken").await?;
    let load = space.load(RATE).await?;
    space.promote("1.1.0").await?;
    let before = space.endpoints("digits").await?;
    let none = json!({"metadata": {"annotations": slot_annotations(&space).await?}});
    space.deployments().patch("digits-a", &as_sre(), &Patch::Merge(none)).await?;
    let began = Utc::now();
    wait_for("the slot's annotations", SOON, async || {
        let slot = space.deployments().get("digits-a").await.map_err(|error| error.to_string())?;
        let version = slot.metadata.annotations.unwrap_or_default().remove(SLOT_VERSION);
        if version.as_deref() == Some("1.1.0") { Ok(()) } else { Err(format!("{version:?}")) }
    })
    .await?;
    let back = (Utc::now() - began).to_std().unwrap_or_default();
    space.measured(PART, "annotations taken from a slot's Deployment", None, Some(back), "put back")?;
    turned(&space, "digits-candidate", Slot::A, Slot::B).await?;
    // A policy keeps the user's: the edit changes nothing.
    let kept = point(&space, "digits", Slot::B).await?;
    ensure!(kept["app"] == "digits-a", "the policy let {kept} through");
    delete_policy(&space, "Mutating").await?;
    let result = async {
        space.wait_guard(SelectorGuard::Validating).await?;
        delete_policy(&space, "Validating").await?;
        space.wait_guard(SelectorGuard::None).await?;
        let watch = EndpointsWatch::start(&space, "digits");
        turned(&space, "digits", Slot::B, Slot::A).await?;
        Ok(watch.longest_gap())
    }
    .await;
    for policy in POLICIES {
        world.applier.apply(policy, "team").await?;
    }
    let gap: Result<Duration> = result;
    let gap = gap?;
    space.wait_guard(SelectorGuard::Mutating).await?;
    let after = space.endpoints("digits").await?;
    ensure!(before.iter().all(|pod| after.contains(pod)), "pods were restarted: {before:?}, {after:?}");
    let report = space.report(load, &[]).await?;
    let case = "both policies deleted at rest, then a Service turned to the idle slot";
    space.measured(PART, case, Some(&report), Some(gap), "selectorGuard says it each time; turned back")?;
    ensure!(gap < CORRECTED, "the Service was empty for {gap:?}");
    space.done().await
}

/// Somebody turns a Service to a slot; it is turned back.
async fn turned(space: &Space<'_>, service: &str, to: Slot, back: Slot) -> Result<()> {
    // The API server takes a moment to forget a policy.
    wait_for(&format!("{service} to be turned"), SOON, async || {
        let written = point(space, service, to).await.map_err(|error| error.to_string())?;
        if written["app"] == format!("digits-{to}") { Ok(()) } else { Err(written.to_string()) }
    })
    .await?;
    wait_for(&format!("{service} to be turned back"), SOON, async || {
        let found = space.services().get(service).await.map_err(|error| error.to_string())?;
        let selector = found.spec.and_then(|spec| spec.selector).unwrap_or_default();
        if selector.get("app") == Some(&format!("digits-{back}")) {
            Ok(())
        } else {
            Err(format!("{selector:?}"))
        }
    })
    .await
}

/// A person's edit of a selector; what came of it.
async fn point(space: &Space<'_>, service: &str, to: Slot) -> Result<Value> {
    let change = json!({"spec": {"selector": {"app": format!("digits-{to}")}}});
    let written = space.services().patch(service, &as_sre(), &Patch::Merge(change)).await?;
    Ok(serde_json::to_value(written)?["spec"]["selector"].clone())
}

/// Our annotations on the slot, each to be taken away.
async fn slot_annotations(space: &Space<'_>) -> Result<Value> {
    let slot: Deployment = space.deployments().get("digits-a").await?;
    let all = slot.metadata.annotations.unwrap_or_default();
    let ours = all.into_keys().filter(|key| key.starts_with("understudy.dev/"));
    let ours: serde_json::Map<_, _> = ours.map(|key| (key, Value::Null)).collect();
    ensure!(ours.len() >= 3, "hardly any annotation: {ours:?}");
    Ok(Value::Object(ours))
}

async fn delete_policy(space: &Space<'_>, kind: &str) -> Result<()> {
    policies(space, &format!("{kind}AdmissionPolicy")).delete(POLICY, &DeleteParams::default()).await?;
    Ok(())
}

fn policies(space: &Space<'_>, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(space.client(), &ApiResource::from_gvk(&kind))
}

/// Takes the permission on autoscalers from the operator, or gives it back; the rules as they were.
async fn may_read_autoscalers(space: &Space<'_>, rules: Option<Value>) -> Result<Value> {
    let roles: Api<ClusterRole> = Api::all(space.client());
    let before = serde_json::to_value(roles.get("understudy").await?)?["rules"].clone();
    let about = |rule: &&Value| rule["resources"][0] != "horizontalpodautoscalers";
    let without: Vec<Value> = before.as_array().context("no rules")?.iter().filter(about).cloned().collect();
    let change = json!({"rules": rules.unwrap_or(Value::Array(without))});
    roles.patch("understudy", &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(before)
}

/// Waits until the user's objects are said to fit, or why not.
async fn said(space: &Space<'_>, reason: &str, words: &str) -> Result<()> {
    let look = |rollout: &ModelRollout| finding(rollout, reason, words);
    space.rollout.wait(&format!("{reason}: {words}"), NOTICED, look).await
}

fn finding(rollout: &ModelRollout, reason: &str, words: &str) -> Option<()> {
    let conditions = &rollout.status.as_ref()?.conditions;
    conditions.iter().any(|one| one.reason == reason && one.message.contains(words)).then_some(())
}

/// Waits until the active slot's autoscaler has the user's least.
async fn as_the_users(space: &Space<'_>, least: i32) -> Result<()> {
    copy_is(space, |copy| copy["spec"]["minReplicas"] == least).await
}

async fn copy_is(space: &Space<'_>, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    wait_for("the slot's autoscaler to be as the user's", SOON, async || {
        let copy = autoscalers::found(space, "digits-a").await.map_err(|error| error.to_string())?;
        match copy {
            Some(copy) if wanted(&copy) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn scale(space: &Space<'_>, deployment: &str, pods: i32) -> Result<()> {
    let change = json!({"spec": {"replicas": pods}});
    space.deployments().patch_scale(deployment, &as_sre(), &Patch::Merge(change)).await?;
    Ok(())
}

fn as_sre() -> PatchParams {
    PatchParams { field_manager: Some("sre".to_owned()), ..PatchParams::default() }
}

fn budgets(space: &Space<'_>) -> Api<DynamicObject> {
    autoscalers::of_kind(space, "policy", "v1", "PodDisruptionBudget")
}

fn budget(selector: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "digits", "namespace": "unread"},
        "spec": {"maxUnavailable": 1, "selector": selector},
    })
}
