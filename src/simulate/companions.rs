//! Autoscalers and disruption budgets: what people do with them, what the operator writes, and the controller that scales.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::rollout::observed::Unread;
use crate::workload::companions::{self, Kind};

use super::check::share;
use super::setup::{json_of, typed};
use super::world::{NAME, NAMESPACE, World};

/// What people do with companions, theirs or ours.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// `autoscaler create MIN MAX`: the user's, for the origin.
    Autoscaler(i64, i64),
    /// `autoscaler NAME FIELD N`: somebody writes `minReplicas` or `maxReplicas`.
    Bound(String, String, i64),
    /// `autoscaler second NAME` and `budget second NAME`: one more of the user's that does the same as the first.
    Second(Kind, String),
    /// `budget create own|broad`: the user's, for the origin's pods, or for those of its whole team.
    Budget(String),
    /// `budget NAME least N`: somebody writes `minAvailable`.
    Least(String, i64),
    /// `autoscaler NAME delete` and `budget NAME delete`.
    Delete(Kind, String),
    /// `load PODS`: pods that all of the traffic keeps busy; the autoscalers measure it from now on.
    Load(f64),
    /// `companions unread` and `companions read`: whether the operator may read them.
    Unread(bool),
}

impl Deed {
    /// Reads one; nothing when the words are about something else.
    pub fn parse(words: &[&str]) -> Option<Result<Self, String>> {
        let number = |s: &str| s.parse::<i64>().map_err(|_| format!("{s} is no number"));
        let own = |s: &str| s.to_owned();
        let deed = match words {
            ["autoscaler", "create", min, max] => {
                number(min).and_then(|min| Ok(Self::Autoscaler(min, number(max)?)))
            }
            ["autoscaler", "second", name] => Ok(Self::Second(Kind::Autoscaler, own(name))),
            ["budget", "second", name] => Ok(Self::Second(Kind::Budget, own(name))),
            ["autoscaler", name, "delete"] => Ok(Self::Delete(Kind::Autoscaler, own(name))),
            ["autoscaler", name, field @ ("minReplicas" | "maxReplicas"), n] => {
                number(n).map(|n| Self::Bound(own(name), own(field), n))
            }
            ["budget", "create", word @ ("own" | "broad")] => Ok(Self::Budget(own(word))),
            ["budget", name, "delete"] => Ok(Self::Delete(Kind::Budget, own(name))),
            ["budget", name, "least", n] => number(n).map(|n| Self::Least(own(name), n)),
            ["load", pods] => pods.parse().map(Self::Load).map_err(|_| format!("{pods} is no number")),
            ["companions", "unread"] => Ok(Self::Unread(true)),
            ["companions", "read"] => Ok(Self::Unread(false)),
            _ => return None,
        };
        Some(deed)
    }
}

/// Somebody does it. An object that is not there cannot be edited; the script sees it by its expectations.
pub fn perform(world: &mut World, deed: &Deed) {
    match deed {
        Deed::Autoscaler(min, max) => create(world, Kind::Autoscaler, autoscaler(*min, *max)),
        Deed::Budget(word) => {
            let selector = if word == "broad" { json!({ "team": "fraud" }) } else { json!({ "app": NAME }) };
            let spec = json!({ "maxUnavailable": 1, "selector": { "matchLabels": selector } });
            create(world, Kind::Budget, spec);
        }
        Deed::Bound(name, field, n) => {
            edit(world, Kind::Autoscaler, name, |spec| spec[field.as_str()] = (*n).into());
        }
        Deed::Least(name, n) => edit(world, Kind::Budget, name, |spec| {
            *spec = json!({ "minAvailable": n, "selector": spec["selector"] });
        }),
        Deed::Second(kind, name) => {
            let Some(first) = world.objects.companions.get(&(*kind, NAME.to_owned())) else { return };
            let mut second = Value::clone(first);
            second["metadata"] = json!({ "name": name });
            put_new(world, *kind, &second);
        }
        Deed::Delete(kind, name) => {
            world.next_version();
            world.objects.companions.remove(&(*kind, name.clone()));
        }
        Deed::Load(pods) => world.load = Some(*pods),
        Deed::Unread(unread) => {
            world.next_version();
            let kinds = if *unread { &Kind::ALL[..] } else { &[] };
            let why = || "forbidden".to_owned();
            world.unread =
                kinds.iter().map(|k| Unread { kind: k.resource().to_owned(), why: why() }).collect();
        }
    }
}

fn autoscaler(min: i64, max: i64) -> Value {
    json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": NAME },
        "minReplicas": min, "maxReplicas": max,
        "metrics": [{ "type": "ContainerResource", "containerResource": {
            "name": "cpu", "container": "server", "target": { "type": "Utilization", "averageUtilization": 60 } } }],
    })
}

fn create(world: &mut World, kind: Kind, spec: Value) {
    let metadata = json!({ "name": NAME, "labels": { "argocd.argoproj.io/instance": "shop" } });
    let object = json!({ "apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": metadata, "spec": spec });
    put_new(world, kind, &object);
}

/// Stores a new object.
pub fn put_new(world: &mut World, kind: Kind, object: &Value) {
    let mut meta: ObjectMeta = typed(object["metadata"].clone());
    world.born(&mut meta);
    let mut made = object.clone();
    made["metadata"] = json_of(&meta);
    made["metadata"]["namespace"] = NAMESPACE.into();
    world.objects.companions.insert((kind, companions::name(object).to_owned()), Arc::new(made));
}

/// Stores an object under a new resourceVersion.
pub fn put(world: &mut World, kind: Kind, mut object: Value) {
    object["metadata"]["resourceVersion"] = world.next_version().into();
    world.objects.companions.insert((kind, companions::name(&object).to_owned()), Arc::new(object));
}

fn edit(world: &mut World, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
    let Some(found) = world.objects.companions.get(&(kind, name.to_owned())) else { return };
    let mut object = Value::clone(found);
    change(&mut object["spec"]);
    put(world, kind, object);
}

/// Objects of a kind, as the operator reads them.
pub fn all(world: &World, objects: &super::objects::Objects, kind: Kind) -> Vec<Value> {
    if !world.unread.is_empty() {
        return Vec::new();
    }
    objects.companions.iter().filter(|((k, _), _)| *k == kind).map(|(_, o)| Value::clone(o)).collect()
}

/// One second of the controller that scales: within the bounds, and to what the load asks for, down as well as up. It
/// does nothing with a Deployment that somebody scaled to 0.
pub fn scale(world: &mut World) {
    let scalers: Vec<Arc<Value>> = world
        .objects
        .companions
        .iter()
        .filter(|((kind, _), _)| *kind == Kind::Autoscaler)
        .map(|(_, object)| object.clone())
        .collect();
    for hpa in scalers {
        let bound = |name: &str| hpa["spec"][name].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(1);
        let target = hpa["spec"]["scaleTargetRef"]["name"].as_str().unwrap_or_default();
        let deployment = world.objects.deployments.get(target);
        let Some(have) = deployment.and_then(|d| d.spec.as_ref()?.replicas).filter(|n| *n > 0) else {
            continue;
        };
        let rollout = world.objects.rollouts.get(NAME);
        let busy = world.load.zip(rollout).map(|(load, rollout)| {
            let percent = f64::from(share::to(world, rollout, target));
            (load * percent / 100.0).ceil() as i32
        });
        let wanted = busy.unwrap_or(have).max(bound("minReplicas")).min(bound("maxReplicas"));
        if wanted != have {
            // The Deployment was there just now.
            let _ = world.scale(target, wanted);
        }
    }
}
