//! The controllers of the cluster: Deployments make pods, pods start, become ready, crash and go.

use std::sync::Arc;

use chrono::Duration;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use crate::api::keys;
use crate::rollout::observed::ContainerExit;
use crate::workload::template;

use super::objects::Pod;
use super::world::World;

/// Grace period of all pods.
pub const GRACE: i64 = 2;
/// Seconds that a crashing container lives.
const LIVES: i64 = 6;

/// One second of the cluster's controllers.
pub fn step(world: &mut World) {
    let deployments: Vec<Arc<Deployment>> = world.objects.deployments.values().cloned().collect();
    for deployment in &deployments {
        replicate(world, deployment);
    }
    orphans(world);
    let names: Vec<String> = world.objects.pods.keys().cloned().collect();
    for name in names {
        live(world, &name);
    }
    for deployment in &deployments {
        report(world, deployment);
    }
}

fn name_of(deployment: &Deployment) -> &str {
    deployment.metadata.name.as_deref().unwrap_or_default()
}

/// The Deployment's pods of the present template, and those of older ones that go once enough are ready.
fn replicate(world: &mut World, deployment: &Deployment) {
    let Some(spec) = &deployment.spec else { return };
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    let key = (deployment.metadata.uid.clone(), deployment.metadata.generation);
    let hash = world.templates.entry(key).or_insert_with(|| template::hash(&spec.template)).clone();
    let of = |world: &World, current: bool| -> Vec<Arc<Pod>> {
        let pods = world.objects.pods.values();
        let alive = pods.filter(|p| p.deployment == name_of(deployment) && p.deleting.is_none() && !p.ended);
        alive.filter(|p| (p.template == hash) == current).cloned().collect()
    };
    let current = of(world, true);
    for _ in current.len()..wanted {
        create(world, deployment, &hash);
    }
    for surplus in current.iter().rev().take(current.len().saturating_sub(wanted)) {
        delete(world, &surplus.name);
    }
    let ready = current.iter().filter(|p| p.ready).count();
    if ready >= wanted {
        for old in of(world, false) {
            delete(world, &old.name);
        }
    }
}

fn create(world: &mut World, deployment: &Deployment, hash: &str) {
    let Some(spec) = &deployment.spec else { return };
    let containers = spec.template.spec.iter().flat_map(|s| &s.containers);
    let version = containers
        .flat_map(|c| c.env.iter().flatten())
        .find(|e| e.name == "MODEL_VERSION")
        .and_then(|e| e.value.clone())
        .unwrap_or_default();
    let name = format!("{}-{:03}", name_of(deployment), world.next_serial());
    let pod = Pod {
        name: name.clone(),
        deployment: name_of(deployment).to_owned(),
        labels: spec.template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default(),
        template: hash.to_owned(),
        version,
        created: world.now,
        started: None,
        restarted: None,
        ready: false,
        deleting: None,
        exit: None,
        waiting: Some("ContainerCreating".to_owned()),
        disrupted: false,
        ended: false,
        unready_until: None,
    };
    put(world, pod);
}

fn put(world: &mut World, pod: Pod) {
    world.next_version();
    world.objects.pods.insert(pod.name.clone(), Arc::new(pod));
}

/// Begins the deletion of a pod: it is no endpoint any more.
pub fn delete(world: &mut World, name: &str) {
    let Some(found) = world.objects.pods.get(name).filter(|p| p.deleting.is_none()) else { return };
    let pod = Pod { deleting: Some(world.now), ready: false, ..found.as_ref().clone() };
    put(world, pod);
}

/// Changes a pod.
pub fn change(world: &mut World, name: &str, f: impl FnOnce(&mut Pod)) {
    let Some(found) = world.objects.pods.get(name) else { return };
    let mut pod = found.as_ref().clone();
    f(&mut pod);
    if pod != **found {
        put(world, pod);
    }
}

/// Pods of Deployments that are gone.
fn orphans(world: &mut World) {
    let lost: Vec<String> = world
        .objects
        .pods
        .values()
        .filter(|p| !world.objects.deployments.contains_key(&p.deployment))
        .map(|p| p.name.clone())
        .collect();
    lost.iter().for_each(|name| delete(world, name));
}

/// One second of one pod.
fn live(world: &mut World, name: &str) {
    let Some(pod) = world.objects.pods.get(name).cloned() else { return };
    let now = world.now;
    if let Some(since) = pod.deleting {
        if now - since >= Duration::seconds(GRACE) {
            world.next_version();
            world.objects.pods.remove(name);
        }
        return;
    }
    if pod.ended {
        return;
    }
    let behaviour = world.behaviour(&pod.version);
    change(world, name, |p| {
        let Some(started) = p.started else {
            if now > p.created {
                p.started = Some(now);
                p.waiting = None;
            }
            return;
        };
        let alive_since = p.restarted.unwrap_or(started);
        if behaviour.crashing && now - alive_since >= Duration::seconds(LIVES) {
            let (reason, container) = ("Error".to_owned(), "server".to_owned());
            p.exit = Some(ContainerExit { at: now, code: 1, reason, container });
            p.restarted = Some(now);
            p.ready = false;
            p.waiting = Some("CrashLoopBackOff: the container ended with code 1".to_owned());
            return;
        }
        let held = p.unready_until.is_some_and(|t| now < t);
        let up = now - alive_since >= Duration::seconds(behaviour.start);
        p.ready = up && !held && !behaviour.never_ready;
        if p.ready {
            p.waiting = None;
        }
    });
}

fn report(world: &mut World, deployment: &Deployment) {
    let name = name_of(deployment);
    let Some(present) = world.objects.deployments.get(name).cloned() else { return };
    let key = (present.metadata.uid.clone(), present.metadata.generation);
    let hash = world.templates.get(&key).cloned().unwrap_or_default();
    let pods: Vec<_> = world
        .objects
        .pods
        .values()
        .filter(|p| p.deployment == name && p.deleting.is_none() && !p.ended)
        .collect();
    let count = |n: usize| i32::try_from(n).ok().filter(|n| *n > 0);
    let status = DeploymentStatus {
        observed_generation: present.metadata.generation,
        replicas: count(pods.len()),
        updated_replicas: count(pods.iter().filter(|p| p.template == hash).count()),
        ready_replicas: count(pods.iter().filter(|p| p.ready).count()),
        ..DeploymentStatus::default()
    };
    if present.status.as_ref() != Some(&status) {
        world.put_deployment(Deployment { status: Some(status), ..present.as_ref().clone() });
    }
}

/// The label of a pod that says which template it was made from, as the operator sees it.
pub fn template_label(pod: &Pod) -> String {
    // The origin's pods carry what their ReplicaSet made up.
    pod.labels.get(keys::TEMPLATE_HASH).cloned().unwrap_or_else(|| format!("rs-{}", &pod.template[..8]))
}
