//! The template changes in Git: resources, a sidecar, a volume. Each change ends as a release of its own, or voids one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::PodSpec;
use kube::api::{Patch, PatchParams};
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase, Slot};

use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

const PART: &str = "Template changes";

/// Before the first promotion the origin serves: Kubernetes rolls the change out in place, and the next release has it.
pub async fn resources_before_the_first_promotion(world: &World) -> Result<()> {
    let space = Space::adopted(world, "tresources").await?;
    let load = space.load(60.0).await?;
    let before = space.status().active.context("nothing is active")?.template_hash;
    change(&space, resources("60m")).await?;
    let look = |rollout: &ModelRollout| {
        let active = rollout.status.as_ref()?.active.clone()?;
        (active.template_hash != before).then_some(active)
    };
    let active = space.rollout.wait("the changed template to be active", SOON, look).await?;
    ensure!(active.version == "1.0.0" && active.slot == Slot::Origin, "active is {active:?}");
    ensure!(space.deployments().get_opt("digits-a").await?.is_none(), "a slot was made for it");
    space.promote("1.1.0").await?;
    let pods = pods_of(&space, "digits-a").await?;
    ensure!(requests_cpu(&pods).as_deref() == Some("60m"), "the slot asks for {:?}", requests_cpu(&pods));
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "Kubernetes rolls it out in place; the version stays active, and the next release has it";
    space.measured(PART, "resources, before the first promotion", Some(&report), None, end)?;
    space.done().await
}

/// In mid-canary: the evidence is void, the candidate goes to weight 0 and comes back as a new plan with the sidecar.
pub async fn a_sidecar_in_mid_canary(world: &World) -> Result<()> {
    let space = Space::new(world, "tsidecar").await?;
    let mut rollout = manifests::rollout(&space.namespace);
    rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"weight": 20, "hold": "8s"}, {"weight": 50, "hold": "3s"}]);
    space.adopt(&rollout).await?;
    let load = space.load(60.0).await?;
    space.release("1.1.0").await?;
    let first = written_plan(&space, None).await?;
    change(&space, sidecar()).await?;
    let second = written_plan(&space, Some(&first)).await?;
    ensure!(first != second, "the plan is the same");
    let shares: Vec<u32> = space.route.versions().iter().map(|seen| seen.object.share.candidate).collect();
    let down = shares.iter().skip_while(|share| **share == 0).skip_while(|share| **share > 0).count();
    ensure!(down > 0, "the candidate kept its traffic under the old plan: {shares:?}");
    space.wait_active("1.1.0").await?;
    let pods = pods_of(&space, "digits-a").await?;
    ensure!(pods.containers.iter().any(|one| one.name == "logs"), "the slot has no sidecar");
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "evidence void, weight 0, a new plan; promoted with it";
    space.measured(PART, "a sidecar, in mid-canary", Some(&report), None, end)?;
    space.done().await
}

/// While watching: the plan is frozen and a full new watch is due; afterwards the change is a release of its own, to the
/// other slot.
pub async fn a_volume_while_watching(world: &World) -> Result<()> {
    // Kubernetes ends pods of the origin while callers come to it with new connections: their drain has to outlast the
    // news of it, on a busy machine too.
    let serving = manifests::serving(&world.cluster().models, "tvolume")?;
    let patient =
        serving.replace("{name: DRAIN_MILLIS, value: \"1000\"}", "{name: DRAIN_MILLIS, value: \"2500\"}");
    ensure!(patient != serving, "the template has no drain to change");
    let space = Space::with_pods(world, "tvolume", patient, 2).await?;
    let mut rollout = manifests::rollout(&space.namespace);
    rollout["spec"]["strategy"]["watch"]["duration"] = json!("8s");
    space.adopt(&rollout).await?;
    let load = space.load(60.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Watching).await?;
    let plan = plan(&space).context("no plan while watching")?;
    change(&space, volume()).await?;
    let changed = space.event("StableChanged").await?;
    ensure!(changed.contains("rollback"), "the event says {changed}");
    ensure!(plan_of(&space.status()).as_deref() == Some(plan.as_str()), "the plan was not frozen");
    let look = |rollout: &ModelRollout| {
        let status = rollout.status.as_ref()?;
        let active = status.active.as_ref()?;
        let rests = status.phase == Some(Phase::Active) && status.candidate.is_none();
        (active.version == "1.1.0" && active.slot == Slot::B && rests).then_some(())
    };
    space.rollout.wait("1.1.0 in slot b", RELEASE, look).await?;
    let pods = pods_of(&space, "digits-b").await?;
    ensure!(pods.volumes.iter().flatten().any(|one| one.name == "scratch"), "the slot has no volume");
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "`StableChanged`, a full new watch; then released by itself, to the other slot";
    space.measured(PART, "a volume, while watching", Some(&report), None, end)?;
    space.done().await
}

/// While the version in the spec is rejected nothing is rolled out, and status says so; with a good version it is.
pub async fn resources_while_the_version_is_rejected(world: &World) -> Result<()> {
    let space = Space::adopted(world, "trejected").await?;
    let load = space.load(100.0).await?;
    space.promote("1.1.0").await?;
    space.release("1.2.0").await?;
    space.wait_rejected("1.2.0").await?;
    let attempts = plans(&space);
    change(&space, resources("70m")).await?;
    let look = |rollout: &ModelRollout| {
        let status = rollout.status.as_ref()?;
        let told = status.conditions.iter().find(|one| one.message.contains("template"))?;
        Some(told.message.clone())
    };
    let told = space.rollout.wait("status to name the template", SOON, look).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(plans(&space) == attempts, "the template was rolled out with a rejected version");
    space.note(&told);
    space.release("1.1.0").await?;
    let look = |rollout: &ModelRollout| {
        let status = rollout.status.as_ref()?;
        let slot = status.active.as_ref()?.slot;
        (slot == Slot::B && status.phase == Some(Phase::Active) && status.candidate.is_none()).then_some(())
    };
    space.rollout.wait("1.1.0 in slot b", RELEASE, look).await?;
    let pods = pods_of(&space, "digits-b").await?;
    ensure!(requests_cpu(&pods).as_deref() == Some("70m"), "the slot asks for {:?}", requests_cpu(&pods));
    let report = space.ensure_no_failures(load, &["1.2.0"]).await?;
    let end = "not rolled out, and status says so; released with the next good version";
    space.measured(PART, "resources, while the version is rejected", Some(&report), None, end)?;
    space.done().await
}

fn resources(cpu: &str) -> Value {
    json!({"containers": [{"name": "server", "resources": {"requests": {"cpu": cpu}}}]})
}

fn sidecar() -> Value {
    json!({"containers": [{"name": "logs", "image": "lab/model-server", "command": ["sleep", "1000000"]}]})
}

fn volume() -> Value {
    json!({"volumes": [{"name": "scratch", "emptyDir": {}}],
        "containers": [{"name": "server", "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}]})
}

/// Merges a change into the origin's pod template, as the user's tool does.
async fn change(space: &Space<'_>, pods: Value) -> Result<()> {
    let params = PatchParams { field_manager: Some("team".to_owned()), ..PatchParams::default() };
    let patch = json!({"spec": {"template": {"spec": pods}}});
    space.deployments().patch("digits", &params, &Patch::Strategic(patch)).await?;
    Ok(())
}

fn plan_of(status: &understudy::api::ModelRolloutStatus) -> Option<String> {
    status.candidate.as_ref().map(|candidate| candidate.plan_hash.clone())
}

fn plan(space: &Space<'_>) -> Option<String> {
    plan_of(&space.status())
}

/// Waits for a plan, another than `not`, whose first share has been read back.
async fn written_plan(space: &Space<'_>, not: Option<&str>) -> Result<String> {
    let look = |rollout: &ModelRollout| {
        let status = rollout.status.as_ref()?;
        status.step.as_ref().filter(|step| step.written)?;
        plan_of(status).filter(|plan| Some(plan.as_str()) != not)
    };
    space.rollout.wait("a plan with traffic", RELEASE, look).await
}

/// How many plans there have been.
fn plans(space: &Space<'_>) -> usize {
    let mut all: Vec<String> =
        space.rollout.versions().iter().filter_map(|seen| plan_of(seen.object.status.as_ref()?)).collect();
    all.sort();
    all.dedup();
    all.len()
}

async fn pods_of(space: &Space<'_>, deployment: &str) -> Result<PodSpec> {
    let deployments = space.deployments();
    wait_for(&format!("the template of {deployment}"), SOON, async || {
        let found = deployments.get(deployment).await.map_err(|error| error.to_string())?;
        found.spec.and_then(|spec| spec.template.spec).ok_or("no template".to_owned())
    })
    .await
}

fn requests_cpu(pods: &PodSpec) -> Option<String> {
    let server = pods.containers.iter().find(|one| one.name == "server")?;
    Some(server.resources.as_ref()?.requests.as_ref()?.get("cpu")?.0.clone())
}
