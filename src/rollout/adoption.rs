//! Day one: nothing is touched; what the slots and Services will need is chosen once and kept.

use crate::api::{Adoption, OriginalSelector, Slot, keys};
use crate::workload::services::Relation;
use crate::workload::{labels, services, template};

use super::{Draft, world};

/// Finds the adoption record (status, else a slot's annotation), or chooses it. An error holds before the first rollout:
/// its reason and what to do.
pub fn ensure(d: &mut Draft<'_>) -> Result<(), (&'static str, String)> {
    recall(d);
    if d.status.adoption.is_some() {
        return extend(d);
    }
    let Some(origin) = d.obs.origin.clone() else { return Ok(()) };
    let user = d.spec().traffic.service.clone();
    if let Some(message) = template::not_copyable(&origin, &d.obs.claims) {
        return Err(("NotCopyable", message));
    }
    if d.obs.service(&user).is_none() {
        return Err((
            "ServiceMissing",
            format!("Service {user} does not exist; create it, it is how callers reach the model"),
        ));
    }
    let mut following = Vec::new();
    for service in &d.obs.services {
        let name = service.metadata.name.clone().unwrap_or_default();
        let relation = if name == user { services::relation_of_named } else { services::relation };
        match relation(service, &origin, &d.obs.other_pod_labels) {
            Relation::Follows => following.push(service.as_ref()),
            Relation::NotMovable(message) => return Err(("ServiceNotMovable", message)),
            Relation::Unrelated => {}
        }
    }
    let adoption = labels::choose(&origin, &following).map_err(|e| ("NotAdoptable", e.to_string()))?;
    d.status.adoption = Some(adoption);
    Ok(())
}

/// Services that came after the adoption and select exactly the origin follow the active slot as well: the origin goes to 0.
pub fn extend(d: &mut Draft<'_>) -> Result<(), (&'static str, String)> {
    let obs = d.obs;
    let (Some(origin), Some(mut adoption)) = (&obs.origin, d.status.adoption.clone()) else {
        return Ok(());
    };
    let ours = world::candidate_service(d.obs);
    let mut refused = Ok(());
    for service in &obs.services {
        let name = service.metadata.name.clone().unwrap_or_default();
        if name == ours || adoption.services.iter().any(|s| s.name == name) {
            continue;
        }
        match services::relation(service, origin, &obs.other_pod_labels) {
            Relation::Follows => {
                let selector = service.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default();
                d.event(
                    false,
                    "ServiceFollows",
                    format!("Service {name} came later; it follows the active version"),
                );
                adoption.services.push(OriginalSelector { name, selector, owners: Vec::new() });
            }
            Relation::NotMovable(message) => refused = Err(("ServiceNotMovable", message)),
            Relation::Unrelated => {}
        }
    }
    adoption.services.sort_by(|a, b| a.name.cmp(&b.name));
    d.status.adoption = Some(adoption);
    refused
}

/// The adoption record of a rollout that is gone lives on in the slots' annotations.
fn recall(d: &mut Draft<'_>) {
    if d.status.adoption.is_some() {
        return;
    }
    let kept = Slot::OURS.iter().filter_map(|s| d.obs.slots.get(s)).find_map(|slot| {
        let text = slot.metadata.annotations.as_ref()?.get(keys::ADOPTION)?;
        serde_json::from_str::<Adoption>(text).ok()
    });
    d.status.adoption = kept;
}

/// The active version of a rollout without status: the slot that the user's Service selects, else the origin.
pub fn recognise(d: &mut Draft<'_>) {
    recall(d);
    if d.status.active.is_some() {
        refresh_origin(d);
        return;
    }
    let user = d.spec().traffic.service.clone();
    let selected = d.obs.service(&user).and_then(|s| world::selects(s, &d.status));
    if let Some(both) = at_both(d, &user) {
        d.stall("ActiveUnknown", both);
        return;
    }
    d.status.active = match selected {
        Some(slot @ (Slot::A | Slot::B)) => in_slot(d, slot),
        Some(Slot::Origin) | None => super::target::running_in_origin(d.obs),
    };
}

/// The Service selects pods of a slot without leading to one slot: by it cannot be told which of two versions was verified.
fn at_both(d: &Draft<'_>, service: &str) -> Option<String> {
    let found = d.obs.service(service)?;
    let leads = |slot: &Slot| {
        let labels = d.obs.deployment(*slot).map(labels::pod_template_labels).unwrap_or_default();
        services::selects(found, &labels)
    };
    let slots: Vec<String> = Slot::OURS
        .into_iter()
        .filter(leads)
        .map(|slot| {
            format!(
                "{} (version {})",
                slot.deployment(&d.spec().workload.deployment),
                d.obs.deployment(slot).map_or("?", world::slot_version)
            )
        })
        .collect();
    let one = world::selects(found, &d.status).is_some();
    (!one && !slots.is_empty()).then(|| {
        format!(
            "the status is gone and Service {service} selects pods of {} by labels that versions share, so which of them is verified cannot \
             be told: set its selector to the labels of the one that shall serve",
            slots.join(" and ")
        )
    })
}

/// While the origin serves, Kubernetes rolls a change of its template out in place: what is active follows it.
fn refresh_origin(d: &mut Draft<'_>) {
    let Some(active) = d.status.active.clone().filter(|a| a.slot == Slot::Origin) else { return };
    let Some(running) = super::target::running_in_origin(d.obs) else { return };
    let known = |v: &str| !v.starts_with("unregistered-");
    // A version that is registered later may turn out to be what runs; one that runs never turns into nothing.
    let named = known(&running.version) && !known(&active.version);
    if running.template_hash != active.template_hash || named {
        d.status.active = Some(running);
    }
}

fn in_slot(d: &Draft<'_>, slot: Slot) -> Option<crate::api::ActiveVersion> {
    let deployment = d.obs.deployment(slot)?;
    let version = world::slot_version(deployment).to_owned();
    let digest = world::version(d.obs, &version).map(world::digest).unwrap_or_default();
    Some(crate::api::ActiveVersion {
        version,
        bundle_digest: digest,
        slot,
        template_hash: world::slot_hash(deployment).to_owned(),
        since: d.now(),
    })
}
