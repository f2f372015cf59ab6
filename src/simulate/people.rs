//! What people and their tools do to the namespace.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::api::{DecisionAction, ModelRollout, time};
use crate::rollout::observed::WatchFailing;
use crate::workload::companions::Kind;
use crate::workload::covering::{self, Cover};

use super::companions;
use super::controllers;
use super::guard;
use super::routes;
use super::script::Command;
use super::setup::{self, json_of, typed};
use super::slots;
use super::world::{Behaviour, NAME, NAMESPACE, World};

/// Does one thing. What belongs to the operator's process is left to the caller.
pub fn perform(world: &mut World, command: &Command) {
    match command {
        Command::Spec(path, value) => spec(world, path, value),
        Command::Metrics(names) => {
            let metrics = names.iter().map(|n| setup::metric(n)).collect();
            spec(world, "analysis.metrics", &Value::Array(metrics));
        }
        Command::CreateRollout(name) => create_rollout(world, name),
        Command::DeleteRollout(name) => delete_rollout(world, name),
        Command::Behave(version, word, n) => behave(world, version, word, *n),
        Command::RouteCandidate(..)
        | Command::RouteMirror(..)
        | Command::RouteSessions(..)
        | Command::RouteReapply(_)
        | Command::RouteRule(..)
        | Command::RouteCopy(_)
        | Command::Route(_) => routes::perform(world, command),
        Command::SelectorReset(..)
        | Command::SelectorPoint(..)
        | Command::ServiceRecreate(..)
        | Command::Policy(_)
        | Command::Guard(_)
        | Command::Accept(_) => guard::perform(world, command),
        Command::Prometheus(mood) => world.prometheus.mood = *mood,
        Command::Watch(kind) => watch(world, kind.as_deref()),
        Command::Evidence(text) => evidence(world, text),
        Command::Template(change) => template(world, change),
        Command::Decision(action, version, old, who) => decide(world, *action, version.as_deref(), *old, who),
        Command::VersionDelete(v) => version_delete(world, v),
        Command::VersionRegister(v, content) => version_register(world, v, content),
        Command::PodsLose(deployment, n, disrupted) => {
            lose(world, &ready_pods(world, deployment, *n), *disrupted)
        }
        Command::PodsEvict(deployment, n) => pods_evict(world, deployment, *n),
        Command::ServiceCreate(name) => service_create(world, name),
        Command::PodsUnready(deployment, n, seconds) => {
            unready(world, &ready_pods(world, deployment, *n), *seconds)
        }
        Command::Scale(deployment, n) => {
            world.meant.scaled.insert(deployment.clone());
            // A Deployment that is not there cannot be scaled; the script sees it by its expectations.
            let _ = world.scale(deployment, *n);
        }
        Command::Gateway(word, features) => gateway(world, word, features),
        Command::Take(there, kind, name) => (if *there { take } else { free })(world, kind, name),
        Command::Volume(mode) => volume(world, mode),
        Command::Cover(key, value) => cover(world, key, value),
        Command::Api(None) => {
            world.status_refused = false;
            world.refused_writes.clear();
        }
        Command::Api(Some(what)) if what == "status" => world.status_refused = true,
        Command::Api(Some(what)) => drop(world.refused_writes.insert(what.clone())),
        Command::Traffic(rate) => world.shares.route = *rate,
        Command::Companion(deed) => companions::perform(world, deed),
        Command::Strip(name, labels) => slots::strip(world, name, *labels),
        Command::Terminate => {
            world.next_version();
            world.objects.terminating = true;
        }
        // These are about the run, not about the world.
        Command::Kill(_) | Command::Crash(_) | Command::Allow(_) | Command::Undo(_) => {}
    }
}

fn watch(world: &mut World, kind: Option<&str>) {
    let why = "the script says so".to_owned();
    world.watch_failing = kind.map(|kind| WatchFailing { kind: kind.to_owned(), why, since: world.now });
}

fn gateway(world: &mut World, word: &str, features: &[String]) {
    world.gateway.absent = word == "absent";
    world.gateway.refuses = word == "refuses";
    world.gateway.plain = word == "plain";
    world.gateway.mute = word == "mute";
    if word == "features" {
        world.gateway.features = Some(features.to_vec());
    }
}

fn lose(world: &mut World, pods: &[String], disrupted: bool) {
    for name in pods {
        controllers::change(world, name, |p| p.disrupted = disrupted);
        controllers::delete(world, name);
    }
}

fn unready(world: &mut World, pods: &[String], seconds: i64) {
    let until = world.now + chrono::Duration::seconds(seconds);
    for name in pods {
        controllers::change(world, name, |p| {
            p.ready = false;
            p.unready_until = Some(until);
        });
    }
}

fn version_delete(world: &mut World, version: &str) {
    world.next_version();
    world.objects.versions.remove(&format!("{NAME}-{version}"));
}

fn version_register(world: &mut World, version: &str, content: &str) {
    let made = typed(setup::model_version(version, content, &world.stamp()));
    world.next_version();
    world.objects.versions.insert(format!("{NAME}-{version}"), Arc::new(made));
}

fn pods_evict(world: &mut World, deployment: &str, n: usize) {
    for name in ready_pods(world, deployment, n) {
        controllers::change(world, &name, |p| (p.ready, p.disrupted, p.ended) = (false, true, true));
    }
}

fn service_create(world: &mut World, name: &str) {
    let made = setup::service(name, NAME, 9100, &world.stamp());
    world.next_version();
    world.objects.services.insert(name.to_owned(), Arc::new(made));
}

fn ready_pods(world: &World, deployment: &str, n: usize) -> Vec<String> {
    let pods = world.objects.pods.values().filter(|p| p.deployment == deployment && p.ready);
    pods.take(n).map(|p| p.name.clone()).collect()
}

/// Sets a field of a JSON object by a path with dots; `null` takes it away.
fn set(object: &mut Value, path: &str, value: &Value) {
    let mut at = object;
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        if keys.peek().is_some() {
            at = &mut at[key];
        } else if value.is_null() {
            at.as_object_mut().map(|m| m.remove(key));
        } else {
            at[key] = value.clone();
        }
    }
}

fn spec(world: &mut World, path: &str, value: &Value) {
    let Some(found) = world.objects.rollouts.get(NAME) else { return };
    let mut json = json_of(found.as_ref());
    set(&mut json["spec"], path, value);
    let mut new: ModelRollout = typed(json);
    if new.spec != found.spec {
        new.metadata.generation = new.metadata.generation.map(|g| g + 1);
        world.put_rollout(new);
    }
}

fn evidence(world: &mut World, text: &str) {
    let Some(found) = world.objects.rollouts.get(NAME) else { return };
    let mut json = json_of(found.as_ref());
    if json["status"]["evidence"].is_object() {
        json["status"]["evidence"]["tests"] = text.into();
        world.put_rollout(typed(json));
    }
}

fn create_rollout(world: &mut World, name: &str) {
    let mut made: ModelRollout = typed(setup::rollout(name, &world.stamp()));
    world.born(&mut made.metadata);
    world.objects.rollouts.insert(name.to_owned(), Arc::new(made));
}

fn delete_rollout(world: &mut World, name: &str) {
    let Some(found) = world.objects.rollouts.get(name) else { return };
    let mut new = ModelRollout::clone(found);
    let held = new.metadata.finalizers.as_ref().is_some_and(|f| !f.is_empty());
    if !held {
        world.next_version();
        world.objects.rollouts.remove(name);
        return;
    }
    new.metadata.deletion_timestamp = Some(time::to_api(world.now));
    new.metadata.generation = new.metadata.generation.map(|g| g + 1);
    world.put_rollout(new);
}

fn behave(world: &mut World, version: &str, word: &str, n: f64) {
    let mut b = world.behaviour(version);
    match word {
        "errors" => b.errors = n,
        "slow" => b.slow = n,
        "score" => b.score = n,
        "silent" => b.silent = true,
        "unfinished" => b.unfinished = n,
        "crashing" => b.crashing = true,
        "never-ready" => b.never_ready = true,
        "start" => b.start = n as i64,
        "unscraped" => b.unscraped = true,
        _ => b = Behaviour::default(),
    }
    world.behaviours.insert(version.to_owned(), b);
}

/// Git changes the origin: `cpu=2` its resources, `image=x` its image, `version=1.2.0` the version in it.
fn template(world: &mut World, change: &str) {
    let Some(found) = world.objects.deployments.get(NAME) else { return };
    let mut json = json_of(found.as_ref());
    let container = &mut json["spec"]["template"]["spec"]["containers"][0];
    match change.split_once('=') {
        Some(("cpu", n)) => container["resources"]["requests"]["cpu"] = n.into(),
        Some(("image", image)) => container["image"] = image.into(),
        Some(("version", v)) => container["env"][0]["value"] = v.into(),
        Some(("container", name)) => container["name"] = name.into(),
        Some(_) | None => {}
    }
    world.meant.template = Some(json["spec"]["template"].clone());
    let mut new: Deployment = typed(json);
    new.metadata.generation = new.metadata.generation.map(|g| g + 1);
    world.put_deployment(new);
}

fn decide(world: &mut World, action: DecisionAction, version: Option<&str>, old_plan: bool, who: &str) {
    let status = world.objects.rollouts.get(NAME).and_then(|r| r.status.clone()).unwrap_or_default();
    // Nobody wants to write a hash in a script.
    let version = version.map(|v| v.replace("HASH", &origin_hash(world)));
    let plan = if old_plan { Some("sha256:old".to_owned()) } else { status.candidate.map(|c| c.plan_hash) };
    let name = format!("decision-{:03}", world.next_serial());
    let made = json!({
        "apiVersion": "understudy.dev/v1alpha1", "kind": "RolloutDecision", "metadata": { "name": name },
        "spec": { "rollout": NAME, "action": action, "by": who, "reason": "because", "version": version, "planHash": plan },
    });
    let mut decision: crate::api::RolloutDecision = typed(made);
    world.born(&mut decision.metadata);
    world.objects.decisions.insert(name, Arc::new(decision));
}

fn origin_hash(world: &World) -> String {
    let template = world.objects.deployments.get(NAME).and_then(|d| d.spec.as_ref()).map(|s| &s.template);
    template.map(crate::workload::template::hash).unwrap_or_default()
}

/// Somebody else's object with a name that is ours by right.
fn take(world: &mut World, kind: &str, name: &str) {
    let stamp = world.stamp();
    let version = world.next_version();
    let meta = json!({
        "name": name, "namespace": NAMESPACE, "uid": format!("uid-taken-{name}"), "resourceVersion": version, "generation": 1,
        "creationTimestamp": stamp,
    });
    match kind {
        "deployment" => {
            let template =
                json!({ "metadata": { "labels": { "app": "theirs" } }, "spec": { "containers": [] } });
            let spec = json!({ "replicas": 0, "selector": { "matchLabels": { "app": "theirs" } }, "template": template });
            let made = typed(json!({ "metadata": meta, "spec": spec }));
            world.objects.deployments.insert(name.to_owned(), Arc::new(made));
        }
        "service" => {
            let made = typed(json!({ "metadata": meta, "spec": { "selector": { "app": "theirs" } } }));
            world.objects.services.insert(name.to_owned(), Arc::new(made));
        }
        "autoscaler" => {
            let made = json!({ "metadata": meta, "spec": { "scaleTargetRef": { "name": "theirs" } } });
            world.objects.companions.insert((Kind::Autoscaler, name.to_owned()), Arc::new(made));
        }
        _ => {
            let made = json!({ "metadata": meta, "spec": { "rules": [] } });
            world.objects.routes.insert(name.to_owned(), Arc::new(made));
        }
    }
}

fn free(world: &mut World, kind: &str, name: &str) {
    world.next_version();
    match kind {
        "deployment" => drop(world.objects.deployments.remove(name)),
        "service" => drop(world.objects.services.remove(name)),
        "autoscaler" => drop(world.objects.companions.remove(&(Kind::Autoscaler, name.to_owned()))),
        _ => drop(world.objects.routes.remove(name)),
    }
}

fn cover(world: &mut World, key: &str, value: &str) {
    world.next_version();
    let spec = json!({ "podSelector": { "matchLabels": { key: value } }, "policyTypes": ["Egress"] });
    let object = json!({ "apiVersion": "networking.k8s.io/v1", "metadata": { "name": value, "namespace": NAMESPACE }, "spec": spec });
    world.objects.covers.push(Cover { kind: covering::Kind::NetworkPolicy, object });
}

fn volume(world: &mut World, mode: &str) {
    world.objects.claims.insert("data".to_owned(), vec![mode.to_owned()]);
    let Some(found) = world.objects.deployments.get(NAME) else { return };
    let mut json = json_of(found.as_ref());
    json["spec"]["template"]["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
    world.meant.template = Some(json["spec"]["template"].clone());
    let mut new: Deployment = typed(json);
    new.metadata.generation = new.metadata.generation.map(|g| g + 1);
    world.put_deployment(new);
}
