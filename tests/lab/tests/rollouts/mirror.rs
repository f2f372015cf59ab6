//! Behind the mirror a candidate may be as bad as it likes: no caller waits for it, and it costs no more than its budget.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use kube::api::{DeleteParams, ListParams};
use lab::load::{Outcome, Recording};
use lab::wait::wait_for;
use serde_json::json;
use understudy::api::{ModelRollout, OffReason, Phase};

use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

/// How long each way of being bad is looked at.
const STRETCH: Duration = Duration::from_secs(8);

/// Never answers; dead, with its pods killed again and again; slow at the tail. Callers get stable's answers as fast as without a
/// mirror.
pub async fn no_reply_waits_for_a_silent_dead_or_slow_candidate(world: &World) -> Result<()> {
    let space = Space::new(world, "mirror").await?;
    let mut rollout = manifests::rollout("mirror");
    let strategy = &mut rollout["spec"]["strategy"];
    strategy["shadow"] = json!({"percent": 100, "duration": "30m", "minRequests": 1000000});
    // Nothing is to take the candidate away before it has been measured.
    rollout["spec"]["onBreach"] = json!("Hold");
    rollout["spec"]["analysis"]["silent"] = json!("Hold");
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors(), manifests::gateway()]);
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(80.0).await?;
    let without = stretch().await;
    let mut stretches = Vec::new();
    for (version, what) in [("1.5.0", "silent"), ("1.3.0", "slow")] {
        space.release(version).await?;
        mirrored(&space, version).await?;
        stretches.push((what, stretch().await));
        if what == "silent" {
            stretches.push(("dead", dead(&space, version).await?));
        }
        space.release("1.0.0").await?;
        space.wait_active("1.0.0").await?;
    }
    load.stop();
    let recording = load.finished().await?;
    let alone = Answers::of(&recording, without)?;
    space.note(&format!("no mirror: {alone:?}"));
    for (what, when) in stretches {
        let answers = Answers::of(&recording, when)?;
        space.note(&format!("{what}: {answers:?}"));
        ensure!(answers.failed == 0, "{what}: {} of {} requests failed", answers.failed, answers.requests);
        ensure!(answers.others == 0, "{what}: {} answers are not stable's", answers.others);
        // One that waited for a silent candidate would take the gateway's 15 s. The machine is busy with other things too.
        let near = |with: f64, without: f64| with <= 3.0 * without + 60.0;
        ensure!(near(answers.median, alone.median), "{what}: the median is {} ms", answers.median);
        ensure!(near(answers.p95, alone.p95), "{what}: 95 % are answered within {} ms", answers.p95);
    }
    space.ensure_route_untouched().await?;
    space.done().await
}

/// The mirror goes off by itself when its budget is spent, and what it sent is what was paid for.
pub async fn the_mirror_stops_at_its_budget(world: &World) -> Result<()> {
    const PAID: i64 = 1200;
    const RATE: f64 = 60.0;
    let space = Space::new(world, "purse").await?;
    let mut rollout = manifests::rollout("purse");
    rollout["spec"]["strategy"]["shadow"] = json!({"percent": 100, "duration": "20s", "minRequests": 1000000,
        "budget": {"costPerThousandRequests": "1", "limit": "1000"}});
    rollout["spec"]["analysis"]["metrics"] = json!([manifests::errors(), manifests::gateway()]);
    space.adopt(&rollout).await?;
    let load = space.load_at_gateway(RATE).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    space.release("1.1.0").await?;
    // A million requests at one for a thousand are more than a thousand, with the warm-up.
    let refused = space.wait_reason("ShadowOverBudget").await?;
    space.note(&refused.message);
    ensure!(
        !space.route.versions().iter().any(|seen| seen.object.share.mirrored),
        "it was mirrored all the same"
    );
    let fits = json!({"minRequests": 100, "duration": "10m", "budget": {"limit": "1000"}});
    space.edit(json!({"spec": {"strategy": {"shadow": fits}}})).await?;
    mirrored(&space, "1.1.0").await?;
    let limit = format!("{}", PAID as f64 / 1000.0);
    space.edit(json!({"spec": {"strategy": {"shadow": {"budget": {"limit": limit}}}}})).await?;
    let spent = |rollout: &ModelRollout| {
        let shadow = rollout.status.as_ref()?.shadow.clone()?;
        (shadow.off.as_ref()?.reason == OffReason::BudgetSpent).then_some(shadow)
    };
    space.rollout.wait("the budget to be spent", RELEASE, spent).await?;
    // All that was mirrored has been counted when the next stage begins.
    space.wait_phase(Phase::Canary).await?;
    let shadow = space.status().shadow.context("no word about the shadow stage")?;
    space.note(&format!("{} requests for {:?} of {:?}", shadow.requests, shadow.cost, shadow.limit));
    // A second of interval, and a machine that is busy with other things.
    let most = PAID + (5.0 * RATE) as i64;
    ensure!(
        (PAID * 8 / 10..=most).contains(&shadow.requests),
        "{} were mirrored for {PAID}",
        shadow.requests
    );
    space.decide("Abort").await?;
    space.wait_rejected("1.1.0").await?;
    space.ensure_no_failures(load, &[]).await?;
    space.ensure_route_untouched().await?;
    space.done().await
}

type Stretch = (DateTime<Utc>, DateTime<Utc>);

async fn stretch() -> Stretch {
    let from = Utc::now();
    tokio::time::sleep(STRETCH).await;
    (from, Utc::now())
}

/// Waits until a version is in the shadow stage and the route mirrors to it, and a moment more for the gateway.
async fn mirrored(space: &Space<'_>, version: &str) -> Result<()> {
    let look = |rollout: &ModelRollout| {
        let status = rollout.status.as_ref()?;
        let on_trial = status.candidate.as_ref().is_some_and(|c| c.version == version);
        (on_trial && status.weights.is_some_and(|w| w.mirror == 100)).then_some(())
    };
    space.rollout.wait(&format!("{version} to be mirrored to"), RELEASE, look).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Kills the candidate's pods for as long as a stretch lasts, so that the mirror mostly leads to nobody.
async fn dead(space: &Space<'_>, version: &str) -> Result<Stretch> {
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(space.client(), &space.namespace);
    let slot = space.status().candidate.context("no candidate")?.slot;
    let of_slot = ListParams::default().labels(&format!("understudy.dev/slot={}", slot.as_str()));
    let from = Utc::now();
    let mut killed = 0;
    while (Utc::now() - from).to_std().unwrap_or_default() < STRETCH {
        for pod in pods.list(&of_slot).await?.items {
            let name = pod.metadata.name.unwrap_or_default();
            killed += u32::from(pods.delete(&name, &DeleteParams::default().grace_period(0)).await.is_ok());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let to = Utc::now();
    space.note(&format!("{version}: {killed} pods killed"));
    ensure!(killed > 0, "no pod of {version} was found");
    wait_for("the phase after it", SOON, async || {
        let phase = space.status().phase;
        if phase == Some(Phase::Shadow) { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await?;
    Ok((from, to))
}

/// What callers got in a stretch; times in milliseconds.
#[derive(Debug)]
struct Answers {
    requests: usize,
    failed: usize,
    /// Answers that another version than 1.0.0 claims.
    others: usize,
    median: f64,
    p95: f64,
}

impl Answers {
    fn of(recording: &Recording, (from, to): Stretch) -> Result<Self> {
        let within = recording.records.iter().filter(|r| (from..to).contains(&recording.sent_at(r)));
        let sent: Vec<_> = within.collect();
        ensure!(sent.len() > 100, "hardly any load: {} requests", sent.len());
        let mut times: Vec<f64> = sent.iter().map(|r| f64::from(r.taken) / 1000.0).collect();
        times.sort_by(f64::total_cmp);
        let other = |version: Option<&str>| version.is_some_and(|v| v != "1.0.0");
        Ok(Self {
            requests: sent.len(),
            failed: sent.iter().filter(|r| r.outcome.is_failure() || r.outcome == Outcome::Pending).count(),
            others: sent.iter().filter(|r| other(recording.name(r.version))).count(),
            median: times[times.len() / 2],
            p95: times[times.len() * 95 / 100],
        })
    }
}
