//! What status says of the evidence is what Prometheus' raw samples say, whatever the operator went through.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase};

use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, World};

/// The operator is killed outright after every look, from the shadow stage to the end of the watch. Recomputed without any
/// interruption from the samples, the evidence is the same to the last look.
pub async fn killed_at_every_look_the_evidence_is_the_same(world: &World) -> Result<()> {
    let space = Space::new(world, "everylook").await?;
    let mut rollout = manifests::rollout("everylook");
    rollout["spec"]["strategy"]["shadow"] = json!({"percent": 100, "duration": "4s", "minRequests": 100});
    rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"weight": 20, "hold": "6s"}, {"weight": 50, "hold": "6s"}]);
    rollout["spec"]["strategy"]["watch"] = json!({"duration": "8s", "controlWeight": 10});
    // Scores come slowly, and nothing is to wait for them here.
    let mut accuracy = manifests::accuracy();
    accuracy["observeOnly"] = json!(true);
    let metrics = [manifests::errors(), accuracy, manifests::gateway(), manifests::latency()];
    rollout["spec"]["analysis"]["metrics"] = json!(metrics);
    space.adopt(&rollout).await?;
    let load = space.load(120.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Shadow).await?;
    let mut kills = 0;
    let mut last = None;
    loop {
        let next = |rollout: &ModelRollout| {
            let status = rollout.status.as_ref()?;
            let done = manifests::active(rollout, "1.1.0").map(|()| None);
            let look = status.evidence.as_ref().map(|e| e.t_k).filter(|t| Some(*t) != last).map(Some);
            done.or(look)
        };
        let Some(look) = space.rollout.wait("the next look or the end", RELEASE, next).await? else { break };
        last = Some(look);
        world.operator()?.kill9();
        kills += 1;
        world.restart_operator().await?;
    }
    let audit = audit(&space, &[]).await?;
    space.note(&format!("killed {kills} times in {} looks: {}", audit["looks"], brief(&audit)));
    ensure!(kills >= 8, "there were only {kills} looks");
    space.ensure_no_failures(load, &[]).await?;
    space.done().await
}

/// A version that is taken back can be asked about afterwards; a status that was tampered with is found out.
pub async fn a_rollback_can_be_recomputed(world: &World) -> Result<()> {
    let space = Space::adopted(world, "asked").await?;
    let load = space.load(120.0).await?;
    space.release("1.7.0").await?;
    space.wait_rejected("1.7.0").await?;
    load.stop();
    load.finished().await?;
    let found = audit(&space, &[]).await?;
    let metrics = found["metrics"].as_array().context("no metrics")?;
    ensure!(
        metrics.iter().any(|m| !m["samples"]["breach"].is_null()),
        "no breach was found again: {found:#}"
    );
    space.note(&brief(&found));
    let mut rollout = space.rollouts().get("digits").await?;
    let last = rollout.status.as_mut().and_then(|status| status.last_evidence.as_mut());
    let test = last.and_then(|last| last.evidence.tests.metrics.first_mut()).context("no test in status")?;
    ensure!(test.state["candidate"]["n"].is_string(), "no sum of the candidate in status");
    test.state["candidate"]["n"] = json!("1");
    let file = world.cluster().files().config().join("tampered.json");
    std::fs::write(&file, serde_json::to_string(&rollout)?)?;
    let (code, found) = run(&space, &["--file", &file.display().to_string()]).await?;
    ensure!(code == Some(1) && found["equal"] == json!(false), "ended with {code:?}: {found:#}");
    space.done().await
}

/// Makes sure that the evidence of status is what the samples say; what that is, in short.
pub async fn recomputed(space: &Space<'_>) -> Result<String> {
    Ok(brief(&audit(space, &[]).await?))
}

/// Recomputes; it must be equal.
async fn audit(space: &Space<'_>, more: &[&str]) -> Result<Value> {
    let name = format!("{}/digits", space.namespace);
    let (code, found) = run(space, &[&[name.as_str()], more].concat()).await?;
    ensure!(code == Some(0) && found["equal"] == json!(true), "ended with {code:?}: {found:#}");
    Ok(found)
}

/// `understudy audit-evidence` as a user runs it: its exit code and what it prints.
async fn run(space: &Space<'_>, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let lab = space.world.cluster().lab().context("the lab is this process' own")?;
    let ran = tokio::process::Command::new(lab::scenario::programs::operator()?)
        .args(["audit-evidence", "--prometheus", "http://10.0.0.10:9090", "--output", "json"])
        .args(arguments)
        .env("KUBECONFIG", lab.kubeconfig())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let found = serde_json::from_str(&text)
        .with_context(|| format!("it printed {text:?} and {:?}", String::from_utf8_lossy(&ran.stderr)))?;
    Ok((ran.status.code(), found))
}

fn brief(found: &Value) -> String {
    let metric = |m: &Value| {
        let now = &m["samples"];
        format!("{} {}/{} {}", m["metric"], now["candidate"], now["stable"], now["logEvidenceWorse"])
    };
    let metrics: Vec<String> = found["metrics"].as_array().into_iter().flatten().map(metric).collect();
    format!("recomputed equal: {}", metrics.join(", "))
}
