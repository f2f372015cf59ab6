//! Without a gateway: the candidate's share is its part of the pods behind the Service, as kube-proxy deals connections out.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use kube::Api;
use kube::api::DeleteParams;
use lab::load::{self, Images, Mode, Recording, Report, Target};
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use super::autoscalers::{autoscalers, bounds_only};
use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

const PART: &str = "Without a gateway";
/// "At once" on a machine that does other things too.
const CORRECTED: Duration = Duration::from_secs(6);
/// Standard deviations that kube-proxy's choices may be off, of as many as were counted.
const OFF: f64 = 5.0;
/// The nodes follow a selector a second later, and more on a machine that does other things too.
const FOLLOWED: chrono::TimeDelta = chrono::TimeDelta::seconds(3);
/// Callers that keep a connection each: that none of so many led to one of five pods, nobody will see.
const KEPT: u32 = 40;
/// Before the Service's address is known.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Two promotions, from the origin and between two slots: the shares are those of the counts, and nobody notices.
pub async fn counts_of_pods_make_the_share(world: &World) -> Result<()> {
    let held = json!([{"weight": 20, "hold": "15s"}, {"weight": 50, "hold": "15s"}]);
    let space = adopted(world, "counts", 4, held).await?;
    let load = load(&space, 120.0).await?;
    space.release("1.1.0").await?;
    space.rollout.wait("20 %", RELEASE, |rollout| share(rollout, 20)).await?;
    wait_behind(&space, (4, 1)).await?;
    let twenty = Utc::now();
    let next = |rollout: &ModelRollout| (rollout.status.as_ref()?.step.as_ref()?.index == 1).then_some(());
    space.rollout.wait("the second step", RELEASE, next).await?;
    // From here on the pods of the next share come, one after the other.
    let more = Utc::now();
    space.rollout.wait("50 %", RELEASE, |rollout| share(rollout, 50)).await?;
    wait_behind(&space, (4, 4)).await?;
    let fifty = Utc::now();
    space.rollout.wait("everything", RELEASE, |rollout| share(rollout, 100)).await?;
    let all = Utc::now();
    let stable = space.deployments().get("digits").await?.status.and_then(|s| s.ready_replicas);
    ensure!(stable == Some(4), "the stable version stays warm, it has {stable:?} pods");
    space.wait_active("1.1.0").await?;
    space.promote("1.6.0").await?;
    let recording = finish(load).await?;
    let report = attributed(&space, &recording, &[])?;
    for (from, to, wanted) in [(twenty, more, 20.0), (fifty, all, 50.0)] {
        let (found, of) = percent(&recording, "service-new", "1.1.0", from + FOLLOWED, to)?;
        space.note(&format!("{found:.1} % of {of} new connections went to the candidate at {wanted} %"));
        let deviation = (wanted * (100.0 - wanted) / f64::from(of)).sqrt();
        ensure!(
            (found - wanted).abs() <= OFF * deviation,
            "{found:.1} % of {of} new connections at {wanted} %"
        );
    }
    let (found, of) = percent(&recording, "service-new", "1.1.0", all + FOLLOWED, all + FOLLOWED * 2)?;
    ensure!(found >= 99.9, "{found:.1} % of {of} new connections when the candidate has everything");
    let end = "20, 50 and 100 % by 1 and 4 pods beside 4, then between two slots";
    space.measured(PART, "two promotions, kept and new connections", Some(&report), None, end)?;
    space.done().await
}

/// A failing version is taken back: new connections at once, and those of before end with its pods.
pub async fn a_failing_one_loses_its_connections(world: &World) -> Result<()> {
    let space = adopted(world, "unpaired", 4, steps(60)).await?;
    let load = load(&space, 120.0).await?;
    space.release("1.4.0").await?;
    space.rollout.wait("20 %", RELEASE, |rollout| share(rollout, 20)).await?;
    // Connections of before have stayed with stable. Callers that come when the node has followed keep some to the candidate.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let late = start(&space, (0..KEPT).map(|i| kept(i, 60.0 / f64::from(KEPT)))).await?;
    let back = |rollout: &ModelRollout| {
        let last = rollout.status.as_ref()?.last_rollback.clone()?;
        (last.version == "1.4.0").then_some(last.decided_at)
    };
    let decided: DateTime<Utc> = space.rollout.wait("the rollback", RELEASE, back).await?;
    space.wait_rejected("1.4.0").await?;
    let (first, late) = (finish(load).await?, finish(late).await?);
    let report = attributed(&space, &first, &["1.4.0"])?;
    attributed(&space, &late, &["1.4.0"])?;
    let after = |at: DateTime<Utc>| (at - decided).num_milliseconds().max(0);
    let new = after(last_answer(&first, "service-new", "1.4.0").context("no new connection found it")?);
    let led = (0..KEPT).filter_map(|i| last_answer(&late, &format!("kept-{i}"), "1.4.0"));
    let led: Vec<i64> = led.map(after).collect();
    let longest = *led.iter().max().context("no kept connection led to the candidate")?;
    ensure!(new.max(longest) < 12_000, "the bad version answered {new} and {longest} ms after the decision");
    wait_behind(&space, (4, 0)).await?;
    let end = format!(
        "1.4.0 turned down; {} connections that callers kept to it ended with its pods, new ones went back after {new} ms",
        led.len()
    );
    let took = Duration::from_millis(u64::try_from(longest).unwrap_or_default());
    let case = "a failing version in mid-canary, kept and new connections";
    space.measured(PART, case, Some(&report), Some(took), &end)?;
    space.done().await
}

/// What counts cannot do is refused before a pod is started, each with what would do.
pub async fn refusals_say_what_would_do(world: &World) -> Result<()> {
    let space = Space::new(world, "uncounted").await?;
    let mut wanted = rollout("uncounted", json!([{"weight": 1, "hold": "3s"}, {"weight": 50, "hold": "3s"}]));
    wanted["spec"]["analysis"]["metrics"] = json!([manifests::errors(), manifests::gateway()]);
    space.adopt(&wanted).await?;
    space.apply(&bounds_only("uncounted", 1, 4)).await?;
    space.release("1.1.0").await?;
    ensure_says(&space, "NoGateway", "metric gateway").await?;
    space.edit(json!({"spec": {"analysis": {"metrics": [manifests::errors()]}}})).await?;
    ensure_says(&space, "AutoscalerMovesShare", "HorizontalPodAutoscaler digits").await?;
    autoscalers(&space).delete("digits", &DeleteParams::default()).await?;
    ensure_says(&space, "NoSharedLabel", "serving: digits").await?;
    let labelled = labelled(space.document("Deployment")?);
    world.applier.apply(&labelled, "team").await?;
    ensure_says(&space, "ShareNotPossible", "the smallest share is 34 %").await?;
    ensure!(
        space.deployments().get_opt("digits-a").await?.is_none(),
        "a slot was made for a refused rollout"
    );
    let taker = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "taker", "namespace": "uncounted", "labels": {"serving": "digits"}},
        "spec": {"containers": [{"name": "pause", "image": "lab/model-server"}]}});
    space.apply(&taker).await?;
    ensure_says(&space, "NoSharedLabel", "serving=digits").await?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(space.client(), "uncounted");
    pods.delete("taker", &DeleteParams::default().grace_period(0)).await?;
    ensure_says(&space, "ShareNotPossible", "34 %").await?;
    let load = load(&space, 60.0).await?;
    let steps = json!([{"weight": 34, "hold": "3s"}, {"weight": 50, "hold": "3s"}]);
    space.edit(json!({"spec": {"strategy": {"canary": {"steps": steps}}}})).await?;
    space.wait_active("1.1.0").await?;
    let report = attributed(&space, &finish(load).await?, &[])?;
    let end = "gateway metric, autoscaler, label and share refused in turn, then promoted";
    space.measured(PART, "what counts cannot do", Some(&report), None, end)?;
    space.done().await
}

/// Between two slots the real autoscaler is held still while both are selected; a stable pod that is lost takes the share along.
pub async fn autoscalers_are_held_still_and_lost_pods_count(world: &World) -> Result<()> {
    let space = adopted(world, "still", 4, steps(3)).await?;
    let load = load(&space, 90.0).await?;
    space.promote("1.1.0").await?;
    space.apply(&bounds_only("still", 4, 8)).await?;
    wait_bounds(&space, "digits-a", (4, 8)).await?;
    space.edit(json!({"spec": {"strategy": {"canary": {"steps": steps(15)}}}})).await?;
    space.release("1.6.0").await?;
    space.rollout.wait("20 %", RELEASE, |rollout| share(rollout, 20)).await?;
    for (slot, pods) in [("digits-a", 4), ("digits-b", 1)] {
        wait_bounds(&space, slot, (pods, pods)).await?;
    }
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(space.client(), "still");
    let stable: Vec<String> =
        space.endpoints("digits").await?.into_iter().filter(|pod| pod.starts_with("digits-a-")).collect();
    let lost = stable.first().context("no stable endpoint")?;
    let began = Utc::now();
    pods.delete(lost, &DeleteParams::default()).await?;
    // One of four would be a quarter: the candidate gets nothing until the fourth stable pod is back.
    wait_for("the candidate to be deselected", CORRECTED, async || {
        match behind_slots(&space, "digits-a-", "digits-b-").await.map_err(|error| error.to_string())? {
            (_, 0) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await?;
    let took = (Utc::now() - began).to_std().unwrap_or_default();
    wait_for("the share to come back", SOON, async || {
        match behind_slots(&space, "digits-a-", "digits-b-").await.map_err(|error| error.to_string())? {
            (4, 1) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await?;
    ensure!(space.status().rejected.is_empty(), "lost pods of stable are no verdict");
    space.wait_phase(Phase::Watching).await?;
    space.rollout.wait("everything", RELEASE, |rollout| share(rollout, 100)).await?;
    wait_bounds(&space, "digits-b", (4, 8)).await?;
    space.wait_active("1.6.0").await?;
    let report = attributed(&space, &finish(load).await?, &[])?;
    let end = "both held at 4 and 1 pods, free again when one is selected; deselected while stable had 3, then on to the end";
    space.measured(PART, "autoscalers between slots, a stable pod lost", Some(&report), Some(took), end)?;
    space.done().await
}

fn steps(hold: u32) -> Value {
    json!([{"weight": 20, "hold": format!("{hold}s")}, {"weight": 50, "hold": "5s"}])
}

fn rollout(namespace: &str, steps: Value) -> Value {
    let mut rollout = manifests::rollout(namespace);
    rollout["spec"]["traffic"] = json!({"service": "digits", "replicas": {}, "drain": "3s"});
    rollout["spec"]["strategy"]["canary"]["steps"] = steps;
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors(), manifests::accuracy()]);
    rollout
}

/// The pods of the origin with a label that no others have.
fn labelled(serving: &str) -> String {
    serving.replace("      labels: {app: digits}\n", "      labels: {app: digits, serving: digits}\n")
}

async fn adopted<'a>(world: &'a World, namespace: &str, pods: i32, steps: Value) -> Result<Space<'a>> {
    let serving = labelled(&manifests::serving(&world.cluster().models, namespace)?);
    let serving = serving.replace("  replicas: 2\n", &format!("  replicas: {pods}\n"));
    let space = Space::with_pods(world, namespace, serving, pods).await?;
    space.adopt(&rollout(namespace, steps)).await?;
    Ok(space)
}

/// Callers of the Service's address: two thirds open a connection for each request, the others keep theirs.
async fn load(space: &Space<'_>, rate: f64) -> Result<load::Running> {
    let new = Target { rate: rate * 2.0 / 3.0, feedback: 0.5, ..Target::service(NOWHERE, false) };
    let eight = (0..8).map(|i| kept(i, rate / 24.0));
    let load = start(space, std::iter::once(new).chain(eight)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(load)
}

/// A caller that keeps one connection.
fn kept(number: u32, rate: f64) -> Target {
    Target {
        name: format!("kept-{number}"),
        rate,
        feedback: 0.5,
        mode: Mode::KeepAlive { connections: 1 },
        ..Target::service(NOWHERE, true)
    }
}

/// Starts callers of the Service's address.
async fn start(space: &Space<'_>, targets: impl Iterator<Item = Target>) -> Result<load::Running> {
    let service = space.services().get("digits").await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("no ClusterIP")?;
    let address = SocketAddr::new(address.parse()?, 80);
    let targets = targets.map(|target| Target { address, ..target }).collect();
    let mut config = load::Config::new(targets, Duration::from_secs(600));
    config.timeout = Duration::from_secs(25);
    load::start(config, Images::read(&space.world.cluster().models.holdout)?)
}

async fn finish(load: load::Running) -> Result<Recording> {
    load.stop();
    load.finished().await
}

/// No request failed that a bad version did not fail itself.
fn attributed(space: &Space<'_>, recording: &Recording, bad: &[&str]) -> Result<Report> {
    let pods = space.pods.serving();
    let question = load::Question { pods: &pods, bad, slow_after: Duration::from_millis(50) };
    let report = load::attribute(recording, None, &question);
    let samples: Vec<String> = report.outside_samples.iter().take(8).map(ToString::to_string).collect();
    ensure!(
        report.outside == 0,
        "{} of {} requests failed that no bad version caused:\n{}",
        report.outside,
        report.requests,
        samples.join("\n")
    );
    Ok(report)
}

/// Percent of a target's answers that a version gave to requests of that time, and how many answers these were.
fn percent(
    recording: &Recording,
    target: &str,
    version: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<(f64, u32)> {
    let of_target =
        |index: u8| recording.targets.get(usize::from(index)).is_some_and(|(name, _)| name == target);
    let within = recording.records.iter().filter(|record| {
        let sent = recording.sent_at(record);
        of_target(record.target) && from <= sent && sent < to && record.version.is_some()
    });
    let (mut all, mut of) = (0_u32, 0_u32);
    for record in within {
        all += 1;
        of += u32::from(recording.name(record.version) == Some(version));
    }
    ensure!(all >= 100, "only {all} answers of {target} between {from} and {to}");
    Ok((100.0 * f64::from(of) / f64::from(all), all))
}

fn last_answer(recording: &Recording, target: &str, version: &str) -> Option<DateTime<Utc>> {
    let of = |record: &&load::Record| {
        let named = recording.targets.get(usize::from(record.target)).is_some_and(|(name, _)| name == target);
        named && recording.name(record.version) == Some(version)
    };
    recording.records.iter().filter(of).map(|record| recording.sent_at(record)).max()
}

fn share(rollout: &ModelRollout, percent: i32) -> Option<()> {
    let status = rollout.status.as_ref()?;
    let written = status.step.as_ref().is_some_and(|step| step.written);
    (written && status.weights.as_ref()?.candidate == percent).then_some(())
}

/// Ready endpoints of the Service: the origin's and those of slot a.
async fn behind(space: &Space<'_>) -> Result<(usize, usize)> {
    let all = space.endpoints("digits").await?;
    let slots = all.iter().filter(|pod| pod.starts_with("digits-a-")).count();
    Ok((all.len() - slots, slots))
}

/// Kubernetes makes the endpoints a moment after the pods are ready or the selector was written.
async fn wait_behind(space: &Space<'_>, wanted: (usize, usize)) -> Result<()> {
    wait_for(&format!("{wanted:?} endpoints of the origin and slot a"), CORRECTED, async || {
        match behind(space).await.map_err(|error| error.to_string())? {
            found if found == wanted => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await
}

async fn behind_slots(space: &Space<'_>, stable: &str, candidate: &str) -> Result<(usize, usize)> {
    let all = space.endpoints("digits").await?;
    let of = |prefix: &str| all.iter().filter(|pod| pod.starts_with(prefix)).count();
    Ok((of(stable), of(candidate)))
}

async fn ensure_says(space: &Space<'_>, reason: &str, text: &str) -> Result<()> {
    let look = |rollout: &ModelRollout| {
        let conditions = &rollout.status.as_ref()?.conditions;
        conditions.iter().find(|c| c.reason == reason && c.message.contains(text)).cloned()
    };
    let found = space.rollout.wait(&format!("{reason} with {text:?}"), SOON, look).await?;
    space.note(&format!("{reason}: {}", found.message));
    Ok(())
}

async fn wait_bounds(space: &Space<'_>, name: &str, wanted: (i64, i64)) -> Result<()> {
    wait_for(&format!("autoscaler {name} between {} and {}", wanted.0, wanted.1), SOON, async || {
        let found = autoscalers(space).get_opt(name).await.map_err(|error| error.to_string())?;
        let found = found.ok_or("there is none")?;
        let bound = |field: &str| found.data["spec"][field].as_i64().unwrap_or(0);
        match (bound("minReplicas"), bound("maxReplicas")) {
            bounds if bounds == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}
