//! Deletion and re-creation in every phase, and what else a namespace may hold: shared routes, many ports, many rules.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::{ModelRollout, Phase, Slot};

use crate::coming_and_going::{delete, everything, same};
use crate::manifests;
use crate::space::Space;
use crate::world::{RELEASE, SOON, World};

const PART: &str = "Take-over";

/// Before Settling the namespace is as it was before adoption; in Settling the release is ended first.
pub async fn deleted_in_each_phase_and_made_again(world: &World) -> Result<()> {
    let space = Space::new(world, "tphases").await?;
    let mut rollout = manifests::rollout(&space.namespace);
    rollout["spec"]["version"] = json!("1.1.0");
    rollout["spec"]["strategy"]["shadow"] = json!({"percent": 100, "duration": "5s", "minRequests": 100});
    let before = everything(&space).await?;
    let load = space.load(60.0).await?;
    for phase in [Phase::Preparing, Phase::Shadow, Phase::Canary, Phase::Watching] {
        space.apply(&rollout).await?;
        space.wait_phase(phase).await?;
        delete(&space).await?;
        wait_for(&format!("the namespace to be as before, after {phase}"), SOON, async || {
            let now = everything(&space).await.map_err(|error| format!("{error:#}"))?;
            same(&before, &now).map_err(|error| error.to_string())
        })
        .await?;
    }
    space.apply(&rollout).await?;
    // From here on only forward: before, a deletion ends as while watching.
    let look = |rollout: &ModelRollout| {
        let status = rollout.status.as_ref()?;
        let moved = status.active.as_ref()?.version == "1.1.0" && status.phase == Some(Phase::Settling);
        moved.then_some(())
    };
    space.rollout.wait("the Services to have moved", RELEASE, look).await?;
    delete(&space).await?;
    let endpoints = space.endpoints("digits").await?;
    let of_slot = endpoints.iter().filter(|pod| pod.starts_with("digits-a-")).count();
    ensure!(of_slot > 0, "deleted in Settling, the Service leads to {endpoints:?}");
    space.apply(&rollout).await?;
    let look = |rollout: &ModelRollout| {
        let active = rollout.status.as_ref()?.active.clone()?;
        manifests::active(rollout, "1.1.0").map(|()| active.slot)
    };
    let slot = space.rollout.wait("1.1.0 to be taken over", SOON, look).await?;
    ensure!(slot == Slot::A, "taken over in {slot}");
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "as before adoption; in Settling: forward, then deleted, and taken over under the same name";
    space.measured(PART, "deleted in each phase and made again", Some(&report), None, end)?;
    space.done().await
}

/// What serves needs no origin; a new version does, and it goes on when the origin is back.
pub async fn the_origin_deleted_and_made_again(world: &World) -> Result<()> {
    let space = Space::adopted(world, "torigin").await?;
    let load = space.load(60.0).await?;
    space.promote("1.1.0").await?;
    space.deployments().delete("digits", &DeleteParams::background()).await?;
    space.release("1.6.0").await?;
    let missing = space.wait_reason("OriginMissing").await?;
    ensure!(missing.message.contains("digits"), "the origin is not named: {}", missing.message);
    space.apply_again("Deployment").await?;
    space.wait_active("1.6.0").await?;
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "the slot serves on; `OriginMissing` for a new version, which goes on when the origin is back";
    space.measured(PART, "the origin deleted, and made again", Some(&report), None, end)?;
    space.done().await
}

/// The finalizer goes at once: nothing keeps a namespace.
pub async fn the_namespace_deleted_in_mid_canary(world: &World) -> Result<()> {
    let space = Space::new(world, "tnamespace").await?;
    let mut rollout = manifests::rollout(&space.namespace);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 20, "hold": "10m"}]);
    space.adopt(&rollout).await?;
    let load = space.load(30.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    load.stop();
    let namespaces: Api<Namespace> = Api::all(space.client());
    namespaces.delete(&space.namespace, &DeleteParams::background()).await?;
    let rollouts = space.rollouts();
    wait_for("the rollout to be gone", SOON, async || {
        match rollouts.get_opt("digits").await.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(left) => Err(format!("{:?}", left.metadata.finalizers)),
        }
    })
    .await?;
    let seen = space.rollout.versions();
    let asked = seen.iter().find(|one| one.object.metadata.deletion_timestamp.is_some()).map(|one| one.at);
    let gone = space.rollout.wait_gone(SOON).await?;
    let after = (gone - asked.context("its deletion was not seen")?).to_std()?;
    ensure!(after < Duration::from_secs(15), "the rollout kept its namespace for {after:?}");
    space.measured(
        PART,
        "the namespace deleted in mid-canary",
        None,
        Some(after),
        "gone, nothing made anew",
    )?;
    space.done().await
}

/// Two rollouts split rules of one route at the same time; each only its own.
pub async fn a_second_rollout_shares_the_route(world: &World) -> Result<()> {
    let space = Space::new(world, "tshared").await?;
    // Predictions go to one model, feedback to another.
    another(&space, "other").await?;
    let rule = |path: &str, names: &[&str]| {
        let backends: Vec<Value> = names.iter().map(|name| json!({"name": name, "port": 80})).collect();
        json!({"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": backends})
    };
    let both = json!([rule("/feedback", &["other", "digits"]), rule("/", &["digits"])]);
    let space = space.with_rules(both).await?;
    let rollout = |name: &str, metrics: Value| {
        let mut rollout = manifests::rollout("tshared");
        rollout["metadata"]["name"] = json!(name);
        rollout["spec"]["workload"]["deployment"] = json!(name);
        rollout["spec"]["traffic"]["service"] = json!(name);
        rollout["spec"]["analysis"]["metrics"] = metrics;
        rollout
    };
    space.adopt(&rollout("digits", json!([manifests::errors(), manifests::gateway()]))).await?;
    // Creation times have whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut other = rollout("other", json!([manifests::accuracy(), manifests::gateway()]));
    other["spec"]["version"] = json!("1.6.0");
    space.apply(&other).await?;
    let rollouts = space.rollouts();
    // Both cannot divide one rule: the younger waits, and says for what.
    wait_for("the shared rule to be refused", SOON, async || {
        let found = rollouts.get("other").await.map_err(|error| error.to_string())?;
        let conditions = found.status.unwrap_or_default().conditions;
        let refused =
            conditions.iter().any(|one| one.reason == "RuleShared" && one.message.contains("digits"));
        if refused { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await?;
    let apart = json!([rule("/feedback", &["other"]), rule("/", &["digits"])]);
    let space = space.with_rules(apart).await?;
    let load = space.load(120.0).await?;
    space.release("1.1.0").await?;
    space.wait_active("1.1.0").await?;
    wait_for("1.6.0 to be active in the other rollout", RELEASE, async || {
        let found = rollouts.get("other").await.map_err(|error| error.to_string())?;
        manifests::active(&found, "1.6.0").ok_or_else(|| format!("{:?}", found.status.map(|s| s.message)))
    })
    .await?;
    space.ensure_route_spec_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "one rule for both: `RuleShared`; else both promoted, each in its own rules; the route at rest is the user's";
    space.measured(PART, "two rollouts share an HTTPRoute", Some(&report), None, end)?;
    space.done().await
}

/// Several ports, target ports by name, and a headless Service: all of them follow.
pub async fn services_with_several_ports_and_headless(world: &World) -> Result<()> {
    let serving = manifests::serving(&world.cluster().models, "tports")?;
    let ports =
        "  - {name: http, port: 80, targetPort: http}\n  - {name: metrics, port: 9090, targetPort: 8080}";
    let changed = serving.replace("  - {name: http, port: 80, targetPort: 8080}", ports);
    ensure!(changed != serving, "the Service has no port to change");
    let space = Space::with_pods(world, "tports", changed, 2).await?;
    let headless = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "digits-peers", "namespace": "tports"},
        "spec": {"clusterIP": "None", "selector": {"app": "digits"}, "ports": [{"name": "http", "port": 8080}]}});
    space.apply(&headless).await?;
    space.adopt(&manifests::rollout("tports")).await?;
    let load = space.load(60.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let candidate = space.services().get("digits-candidate").await?.spec.context("no spec")?;
    let ports: Vec<i32> = candidate.ports.iter().flatten().map(|port| port.port).collect();
    ensure!(ports == [80, 9090], "the candidate's Service has ports {ports:?}");
    space.wait_active("1.1.0").await?;
    for service in ["digits", "digits-peers"] {
        let endpoints = space.endpoints(service).await?;
        let follows = endpoints.len() == 2 && endpoints.iter().all(|pod| pod.starts_with("digits-a-"));
        ensure!(follows, "{service} leads to {endpoints:?}");
    }
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end = "every Service follows the active version";
    space.measured(PART, "several ports, named target ports, headless", Some(&report), None, end)?;
    space.done().await
}

/// Sixteen rules with filters, and backends that are not ours with weights of their own: each rule is split by itself, the
/// rest stays, and at rest the route is as the user wrote it.
pub async fn a_route_with_sixteen_rules(world: &World) -> Result<()> {
    let space = Space::new(world, "tsixteen").await?;
    another(&space, "extra").await?;
    let rules: Vec<Value> = (1..=15).map(tenant).chain([last()]).collect();
    let space = space.with_rules(json!(rules)).await?;
    let mut rollout = manifests::rollout(&space.namespace);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 20, "hold": "6s"}]);
    space.adopt(&rollout).await?;
    let load = space.load(60.0).await?;
    space.release("1.1.0").await?;
    space.wait_phase(Phase::Canary).await?;
    let split = wait_for("the split", SOON, async || {
        let route = serde_json::to_value(space.routes().get("digits").await.map_err(|e| e.to_string())?);
        let rules = route.map_err(|e| e.to_string())?["spec"]["rules"].take();
        if rules[0]["backendRefs"].as_array().map(Vec::len) == Some(3) { Ok(rules) } else { Err(rules) }
    })
    .await?;
    for (number, (rule, was)) in split.as_array().context("no rules")?.iter().zip(&rules).enumerate() {
        ensure!(rule["matches"] == was["matches"], "rule {number} has other matches: {rule}");
        ensure!(rule["filters"] == was["filters"], "rule {number} has other filters: {rule}");
        let weights: Vec<(&str, i64)> = rule["backendRefs"]
            .as_array()
            .context("no backends")?
            .iter()
            .map(|one| (one["name"].as_str().unwrap_or_default(), one["weight"].as_i64().unwrap_or(1)))
            .collect();
        let wanted: &[(&str, i64)] = match number {
            15 => &[("digits", 4), ("digits-candidate", 1)],
            _ => &[("digits", 12), ("digits-candidate", 3), ("extra", 5)],
        };
        ensure!(weights == wanted, "rule {number} divides {weights:?}");
    }
    space.wait_active("1.1.0").await?;
    space.ensure_route_untouched().await?;
    let report = space.ensure_no_failures(load, &[]).await?;
    let end =
        "each rule split by its own weights, filters and other backends kept; at rest as the user wrote it";
    space.measured(PART, "sixteen rules, filters, other backends", Some(&report), None, end)?;
    space.done().await
}

/// The same Deployment and Service once more, under another name.
async fn another(space: &Space<'_>, name: &str) -> Result<()> {
    for kind in ["Deployment", "Service"] {
        let text = space.document(kind)?.replace("name: digits\n", &format!("name: {name}\n"));
        let text = text.replace("app: digits}", &format!("app: {name}}}"));
        space.world.applier.apply(&text, "team").await?;
    }
    space.wait_ready(name, 2).await
}

/// A rule for one tenant: a filter, and three quarters of the traffic.
fn tenant(number: u32) -> Value {
    json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/"},
            "headers": [{"type": "Exact", "name": "x-tenant", "value": format!("t{number}")}]}],
        "filters": [{"type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "x-rule", "value": number.to_string()}]}}],
        "backendRefs": [{"name": "digits", "port": 80, "weight": 3}, {"name": "extra", "port": 80, "weight": 1}],
    })
}

/// The rule that everybody else gets.
fn last() -> Value {
    json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": "digits", "port": 80}]})
}
