//! The selector guard: the ConfigMap that the operator writes, what an admission policy makes of other people's writes, and
//! what people do to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use json_patch::Patch;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde_json::{Value, json};

use crate::api::{ModelRollout, SelectorGuard, keys};
use crate::rollout::observed::SelectorPolicy;

use super::fields::{self, SELECTOR};
use super::script::Command;
use super::server::{Refused, patched, same_uid, taken};
use super::setup::{json_of, typed};
use super::world::{NAME, World};

impl World {
    pub(super) fn create_guard(&mut self, wanted: &ConfigMap) -> Result<(), Refused> {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        if let Some(found) = self.objects.guards.get(&name) {
            return taken(&found.metadata, &wanted.metadata);
        }
        let mut made = wanted.clone();
        self.born(&mut made.metadata);
        self.objects.guards.insert(name, Arc::new(made));
        Ok(())
    }

    pub(super) fn patch_guard(&mut self, name: &str, patch: &Patch) -> Result<(), Refused> {
        let found = self.objects.guards.get(name).ok_or_else(|| Refused::NotFound(name.to_owned()))?;
        let mut new = patched(&json_of(found.as_ref()), patch, name)?;
        new["metadata"]["resourceVersion"] = self.next_version().into();
        self.objects.guards.insert(name.to_owned(), Arc::new(typed(new)));
        Ok(())
    }

    pub(super) fn delete_guard(&mut self, name: &str, uid: &str) -> Result<(), Refused> {
        let Some(found) = self.objects.guards.get(name) else { return Ok(()) };
        same_uid(name, found.metadata.uid.as_deref(), uid)?;
        self.next_version();
        self.objects.guards.remove(name);
        Ok(())
    }
}

/// Does what a line says about selectors and what guards them; anything else is none of this module's.
pub fn perform(world: &mut World, command: &Command) {
    match command {
        Command::SelectorReset(service, who) => selector_written(world, service, "scorer", who),
        Command::SelectorPoint(service, slot, who) => {
            selector_written(world, service, &format!("scorer-{slot}"), who);
        }
        Command::ServiceRecreate(service, who) => recreated(world, service, who),
        Command::Policy(policy) => {
            world.next_version();
            world.selector_policy = policy.clone();
        }
        Command::Guard(edit) => meddled(world, *edit),
        Command::Accept(finding) => accept(world, finding),
        _ => {}
    }
}

/// The selector that the guards in the namespace say a Service has.
fn guarded(world: &World, service: &str) -> Option<Value> {
    let text = world.objects.guards.values().find_map(|g| g.data.as_ref()?.get(service))?;
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    Some(json!(pairs.collect::<BTreeMap<_, _>>()))
}

/// Somebody writes a Service's selector, and a policy may have a word in it.
fn selector_written(world: &mut World, service: &str, app: &str, who: &str) {
    let Some(found) = world.objects.services.get(service) else { return };
    let mut new = json_of(found.as_ref());
    let mut wanted = json!({ "app": app });
    match (&world.selector_policy, guarded(world, service)) {
        (SelectorPolicy::InForce(SelectorGuard::Mutating), Some(kept)) => wanted = kept,
        (SelectorPolicy::InForce(SelectorGuard::Validating), Some(kept)) if kept != wanted => return,
        (SelectorPolicy::InForce(_) | SelectorPolicy::Unreadable(_), _) => {}
    }
    if new["spec"]["selector"] != wanted {
        new["spec"]["selector"] = wanted;
        let stamp = world.stamp();
        fields::taken(&mut new, who, "Update", SELECTOR, &stamp);
    }
    new["metadata"]["resourceVersion"] = world.next_version().into();
    world.objects.services.insert(service.to_owned(), Arc::new(typed(new)));
}

/// Somebody deletes a Service and makes it again as it stands in Git. A validating policy lets that through.
fn recreated(world: &mut World, service: &str, who: &str) {
    let Some(found) = world.objects.services.get(service) else { return };
    let mut made = Service::clone(found);
    world.born(&mut made.metadata);
    let mut new = json_of(&made);
    let kept = guarded(world, service)
        .filter(|_| world.selector_policy == SelectorPolicy::InForce(SelectorGuard::Mutating));
    new["spec"]["selector"] = kept.unwrap_or_else(|| json!({ "app": "scorer" }));
    let stamp = world.stamp();
    let owned = fields::entry(who, "Update", &[SELECTOR, ["f:spec", "f:ports"]], &stamp);
    new["metadata"]["managedFields"] = json!([owned]);
    world.objects.services.insert(service.to_owned(), Arc::new(typed(new)));
}

/// Somebody takes the guards' ConfigMaps away, or changes what is in them.
fn meddled(world: &mut World, edit: bool) {
    let version = world.next_version();
    if !edit {
        world.objects.guards.clear();
        return;
    }
    for guard in world.objects.guards.values_mut() {
        let guard = Arc::make_mut(guard);
        guard.metadata.resource_version = Some(version.clone());
        guard.data.iter_mut().flatten().for_each(|(_, selector)| *selector = "app=scorer".to_owned());
    }
}

/// The user's annotation on the rollout.
fn accept(world: &mut World, finding: &str) {
    let Some(found) = world.objects.rollouts.get(NAME) else { return };
    let mut new = ModelRollout::clone(found);
    let annotations = new.metadata.annotations.get_or_insert_default();
    annotations.insert(keys::ACCEPT.to_owned(), finding.to_owned());
    world.put_rollout(new);
}
