//! Git all day: the user's unchanged manifests are applied again and again, in every way that tools do it, through a
//! rollout, a rollback and at rest.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use lab::apply::Applier;
use lab::wait::wait_for;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use understudy::api::keys::GUARDS;
use understudy::api::{ModelRollout, Phase, SelectorGuard, Slot};
use understudy::traffic::guard::POLICY;

use super::autoscalers;
use crate::manifests;
use crate::promotions::EndpointsWatch;
use crate::space::Space;
use crate::world::{SOON, World};

/// Headings of `docs/fits.md`.
const PART: &str = "Git all day";
const GUARD: &str = "The selector guard";
/// Requests a second through the gateway; a third of it comes in the cluster besides.
const RATE: f64 = 300.0;
/// Bounds of the user's autoscaler.
const MIN: i32 = 2;
const MAX: i32 = 4;
/// From one sync to the next.
const EVERY: Duration = Duration::from_secs(5);
/// A reset selector is corrected within 200 ms; the machine may be busy with other things.
const CORRECTED: Duration = Duration::from_millis(600);

/// A way in which a tool writes what stands in Git.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `kubectl apply`.
    ClientSide,
    /// `kubectl apply --server-side --force-conflicts --field-manager=argocd`.
    Forced,
    /// The Service is deleted and made again, the rest is applied.
    Recreated,
}

/// Applies manifests every few seconds until it is stopped.
struct Sync {
    task: Option<JoinHandle<Result<u32>>>,
    stop: Arc<Notify>,
}

impl Sync {
    async fn start(space: &Space<'_>, form: Form, documents: Vec<String>, every: Duration) -> Result<Self> {
        let kubeconfig = space.world.cluster().files().kubeconfig("admin");
        let stop = Arc::new(Notify::new());
        let (stopped, services) = (stop.clone(), space.services());
        let applier = Applier::new(space.client());
        let runtime = tokio::runtime::Handle::current();
        let task = tokio::task::spawn_blocking(move || {
            // A thread of its own: the applier's future cannot change threads.
            runtime.block_on(async move {
                let mut times = 0;
                loop {
                    let text = documents.join("\n---\n");
                    match form {
                        Form::ClientSide => kubectl(&kubeconfig, &["apply", "-f", "-"], &text).await?,
                        Form::Forced => drop(applier.apply(&text, "argocd").await?),
                        Form::Recreated => {
                            services.delete("digits", &DeleteParams::default()).await?;
                            applier.apply(&text, "argocd").await?;
                        }
                    }
                    times += 1;
                    tokio::select! {
                        () = tokio::time::sleep(every) => {}
                        () = stopped.notified() => return Ok(times),
                    }
                }
            })
        });
        Ok(Self { task: Some(task), stop })
    }

    /// How often it was applied.
    async fn stop(mut self) -> Result<u32> {
        self.stop.notify_one();
        let task = self.task.take().context("it is stopped once")?;
        task.await?.context("a sync failed")
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

/// The lab's own kubectl, with a text on its standard input.
async fn kubectl(kubeconfig: &std::path::Path, arguments: &[&str], text: &str) -> Result<()> {
    let program = tokio::task::spawn_blocking(lab::build::build).await??.kube("kubectl");
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The user's manifests as the recipe has them: the route without its rules.
fn by_the_recipe(space: &Space<'_>) -> Result<Vec<String>> {
    let route = space.document("HTTPRoute")?;
    let (head, _) = route.split_once("  rules:\n").context("a route without rules")?;
    let hpa = autoscalers::bounds_only(&space.namespace, MIN, MAX).to_string();
    Ok(vec![
        space.document("Deployment")?.to_owned(),
        space.document("Service")?.to_owned(),
        head.to_owned(),
        hpa,
    ])
}

/// Ends a run in which a sync was going on: the outcome is the same as without, and no request failed.
async fn same_outcome(space: &Space<'_>, version: &str, slot: Slot) -> Result<()> {
    let status = space.status();
    let active = status.active.context("nothing is active")?;
    ensure!(
        active.version == version && active.slot == slot,
        "active is {} in {}",
        active.version,
        active.slot
    );
    ensure!(status.selector_guard == Some(SelectorGuard::Mutating), "guarded by {:?}", status.selector_guard);
    let endpoints = space.endpoints("digits").await?;
    let of_slot = |name: &String| name.starts_with(&format!("digits-{slot}-"));
    ensure!(!endpoints.is_empty() && endpoints.iter().all(of_slot), "digits has {endpoints:?}");
    same_autoscaler(space, slot).await?;
    same_route(space).await
}

/// The user's autoscaler is nobody else's work, and that of the active slot has its bounds again: what the rollout needed is
/// given back a moment after status says that it is over.
async fn same_autoscaler(space: &Space<'_>, slot: Slot) -> Result<()> {
    autoscalers::ensure_users_own(space).await?;
    wait_for("the slot's autoscaler to be as the user's", SOON, async || {
        let copy = autoscalers::copy(space, &format!("digits-{slot}")).await;
        let spec = &copy.map_err(|error| error.to_string())?["spec"];
        let same = spec["minReplicas"] == MIN && spec["maxReplicas"] == MAX;
        if same { Ok(()) } else { Err(spec.to_string()) }
    })
    .await
}

/// At rest the route's content is the user's; kubectl keeps an annotation of its own.
async fn same_route(space: &Space<'_>) -> Result<()> {
    let now = serde_json::to_value(space.route_now().await?)?;
    let then = serde_json::to_value(&space.user_route)?;
    ensure!(now["spec"] == then["spec"], "the route at rest is not the user's: {}", now["spec"]);
    Ok(())
}

/// Client-side, through a promotion, at rest, and through a rollback.
pub async fn kubectl_apply_all_day(world: &World) -> Result<()> {
    let space = Space::new(world, "gitkubectl").await?;
    let documents = by_the_recipe(&space)?;
    let sync = Sync::start(&space, Form::ClientSide, documents, EVERY).await?;
    space.adopt(&manifests::rollout(&space.namespace)).await?;
    let load = space.load(RATE).await?;
    space.promote("1.1.0").await?;
    tokio::time::sleep(EVERY * 2).await;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    space.release("1.4.0").await?;
    space.wait_rejected("1.4.0").await?;
    tokio::time::sleep(EVERY).await;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    sync.stop().await?;
    let report = space.ensure_no_failures(load, &["1.4.0"]).await?;
    let end = "1.1.0 active, 1.4.0 turned down; selector and route as they must be";
    space.measured(PART, "kubectl apply every 5 s: promotion, rest, rollback", Some(&report), None, end)?;
    space.done().await
}

/// Server-side by force under another manager, through a promotion, at rest, and through a rollback. Then the user's own apply of a changed rule,
/// without force, goes through: the route's rules are theirs.
pub async fn forced_apply_all_day(world: &World) -> Result<()> {
    let space = Space::new(world, "gitforced").await?;
    let documents = by_the_recipe(&space)?;
    let sync = Sync::start(&space, Form::Forced, documents, EVERY).await?;
    space.adopt(&manifests::rollout(&space.namespace)).await?;
    let load = space.load(RATE).await?;
    space.promote("1.1.0").await?;
    tokio::time::sleep(EVERY * 2).await;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    space.release("1.4.0").await?;
    space.wait_rejected("1.4.0").await?;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    sync.stop().await?;
    // What the sync has taken is the sync's.
    let mut changed: Value = serde_saphyr::from_str(space.document("HTTPRoute")?)?;
    changed["spec"] = json!({"rules": changed["spec"]["rules"]});
    changed["spec"]["rules"][0]["timeouts"] = json!({"request": "20s"});
    let applied = space.routes().patch("digits", &PatchParams::apply("team"), &Patch::Apply(&changed)).await;
    let applied = applied.context("the user's own apply of a changed rule")?;
    ensure!(applied.data["spec"]["rules"][0]["timeouts"]["request"] == "20s", "{}", applied.data["spec"]);
    let report = space.ensure_no_failures(load, &["1.4.0"]).await?;
    let end = "1.1.0 active, 1.4.0 turned down; the user's own apply of a changed rule goes through";
    let case = "forced server-side apply every 5 s: promotion, rest, rollback";
    space.measured(PART, case, Some(&report), None, end)?;
    space.done().await
}

/// The Service is deleted and made again, through a promotion, at rest, and through a rollback. Without a Service and until Kubernetes has made its
/// endpoints anew requests fail, with or without a rollout: no more of them than before there was one.
pub async fn service_made_again_all_day(world: &World) -> Result<()> {
    let space = Space::new(world, "gitagainsvc").await?;
    let documents = by_the_recipe(&space)?;
    let before = {
        let load = space.load_at_gateway(RATE).await?;
        let sync = Sync::start(&space, Form::Recreated, documents.clone(), Duration::from_secs(2)).await?;
        tokio::time::sleep(Duration::from_secs(9)).await;
        let times = sync.stop().await?;
        f64::from(u32::try_from(space.report(load, &[]).await?.outside)?) / f64::from(times)
    };
    space.adopt(&manifests::rollout(&space.namespace)).await?;
    let load = space.load_at_gateway(RATE).await?;
    let sync = Sync::start(&space, Form::Recreated, documents, EVERY).await?;
    space.promote("1.1.0").await?;
    tokio::time::sleep(EVERY * 2).await;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    space.release("1.4.0").await?;
    space.wait_rejected("1.4.0").await?;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    let times = sync.stop().await?;
    let report = space.report(load, &["1.4.0"]).await?;
    let during = f64::from(u32::try_from(report.outside)?) / f64::from(times);
    let end = format!(
        "1.1.0 active, 1.4.0 turned down; {during:.0} failed each time, {before:.0} without any rollout"
    );
    let case = "Service deleted and made again every 5 s: promotion, rest, rollback";
    space.measured(PART, case, Some(&report), None, &end)?;
    ensure!(during < before.max(10.0) * 3.0, "{during:.1} failed each time, {before:.1} without a rollout");
    space.done().await
}

/// The route's rules are in the sync: the rollout holds and names the writer, and goes on after the sync and a Resume.
pub async fn the_route_in_the_sync(world: &World) -> Result<()> {
    let space = Space::new(world, "gitroute").await?;
    let mut documents = by_the_recipe(&space)?;
    documents[2] = space.document("HTTPRoute")?.to_owned();
    space.adopt(&manifests::rollout(&space.namespace)).await?;
    let load = space.load(RATE).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let sync = Sync::start(&space, Form::Forced, documents, Duration::from_secs(3)).await?;
    let held = space.wait_reason("RouteOverridden").await?;
    ensure!(held.message.contains("argocd"), "the writer is not named: {}", held.message);
    tokio::time::sleep(Duration::from_secs(7)).await;
    let status = space.status();
    ensure!(status.phase == Some(Phase::Canary), "it went on to {:?}", status.phase);
    ensure!(status.weights.is_some_and(|w| w.candidate == 0), "the candidate has traffic again");
    sync.stop().await?;
    space.decide("Resume").await?;
    space.wait_active("1.1.0").await?;
    same_outcome(&space, "1.1.0", Slot::A).await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "RouteOverridden names the writer; after the sync a Resume: 1.1.0 active";
    space.measured(PART, "the route's rules in the sync", Some(&report), None, end)?;
    space.done().await
}

/// Without a policy: held before the origin is let go; accepted, each sync is corrected at once, and the next version gets no
/// more than its step. With the validating policy a sync is refused with the recipe.
pub async fn without_the_guard(world: &World) -> Result<()> {
    let space = Space::new(world, "gitbare").await?;
    space.adopt(&manifests::rollout(&space.namespace)).await?;
    for kind in ["Mutating", "Validating"] {
        bind(&space, kind, "nothing").await?;
    }
    let result = unguarded(&space).await;
    for kind in ["Mutating", "Validating"] {
        bind(&space, kind, "selectors").await?;
    }
    result?;
    space.wait_guard(SelectorGuard::Mutating).await?;
    space.done().await
}

async fn unguarded(space: &Space<'_>) -> Result<()> {
    space.wait_guard(SelectorGuard::None).await?;
    let load = space.load(120.0).await?;
    space.release("1.1.0").await?;
    space.wait_reason_for("SelectorContested", Duration::from_secs(120)).await?;
    let origin = space.deployments().get("digits").await?;
    ensure!(origin.spec.and_then(|spec| spec.replicas) == Some(2), "the origin was let go");
    space
        .edit(json!({"metadata": {"annotations": {"understudy.dev/accept": "SelectorContested/digits"}}}))
        .await?;
    space.wait_active("1.1.0").await?;
    space.ensure_no_failures(load, &[]).await?;
    let watch = EndpointsWatch::start(space, "digits");
    let service = space.document("Service")?.to_owned();
    let load = space.load(120.0).await?;
    let sync = Sync::start(space, Form::Forced, vec![service.clone()], Duration::from_secs(2)).await?;
    space.release("1.6.0").await?;
    space.wait_active("1.6.0").await?;
    sync.stop().await?;
    let longest = watch.longest_gap();
    let report = space.report(load, &[]).await?;
    let end = "held with the origin warm until accepted; 1.6.0 active";
    let case = "no policy: forced apply every 2 s at rest and through a promotion";
    space.measured(GUARD, case, Some(&report), Some(longest), end)?;
    ensure!(longest < CORRECTED, "the Service was empty for {longest:?}");
    same_route(space).await?;
    bind(space, "Validating", "selectors").await?;
    space.wait_guard(SelectorGuard::Validating).await?;
    let refused = wait_for("the policy to refuse", SOON, async || {
        match space.world.applier.apply(&service, "argocd").await {
            Ok(_) => Err("it was let through".to_owned()),
            Err(error) => Ok(format!("{error:#}")),
        }
    })
    .await?;
    ensure!(refused.contains("leave spec.selector out of what is synced"), "{refused}");
    Ok(())
}

/// Gives a binding a label that no ConfigMap has, or ours back. It is not deleted: an API server (seen: 1.36.3) that has once
/// dropped a policy's last binding reads no new parameters for it until it is restarted.
async fn bind(space: &Space<'_>, kind: &str, guards: &str) -> Result<()> {
    let kind =
        GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &format!("{kind}AdmissionPolicyBinding"));
    let bindings: Api<DynamicObject> = Api::all_with(space.client(), &ApiResource::from_gvk(&kind));
    let labels = json!({"matchLabels": {GUARDS: guards}});
    let change = json!({"spec": {"paramRef": {"selector": labels}}});
    bindings.patch(POLICY, &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}

impl Space<'_> {
    /// Waits until status says which policy guards the selectors.
    pub async fn wait_guard(&self, guard: SelectorGuard) -> Result<()> {
        let look =
            |rollout: &ModelRollout| (rollout.status.as_ref()?.selector_guard == Some(guard)).then_some(());
        self.rollout.wait(&format!("selectorGuard {guard:?}"), SOON, look).await
    }
}
