//! Pods: how many the candidate needs for a share, and that the stable version keeps what it had.

use crate::api::Slot;
use crate::api::condition::{ConditionType, Finding};
use crate::workload::capacity;

use super::{Action, Draft, expedite, world};

/// The share that the present step gives the candidate's pods work for: its weight or its mirror.
fn load(d: &Draft<'_>) -> (i32, i32) {
    let mirror = match (d.status.phase, &d.spec().strategy.shadow) {
        (Some(crate::api::Phase::Shadow), Some(shadow)) => shadow.percent,
        _ => 0,
    };
    (d.status.step.as_ref().map_or(0, |s| s.weight), mirror)
}

/// Pods that the present step needs.
pub fn need_of_step(d: &Draft<'_>) -> i32 {
    let (weight, mirror) = load(d);
    capacity::need(d.status.capacity, weight, mirror)
}

/// Pods that a share needs.
pub fn need(d: &Draft<'_>, weight: i32, mirror: i32) -> i32 {
    capacity::need(d.status.capacity, weight, mirror)
}

/// Remembers the largest ready count of the stable arm since the attempt began: an autoscaler that follows the traffic
/// away must not shrink what all of it may land on. The surge of a rolling update is not capacity: pods beyond the scale go
/// as soon as the others are ready.
pub fn remember(d: &mut Draft<'_>) {
    let slot = world::active_slot(&d.status);
    let ready = world::ready_pods(d.obs, slot, None).min(world::replicas(d.obs.deployment(slot)));
    d.status.capacity = d.status.capacity.max(ready);
}

/// The stable arm at C at least. A slot of ours that somebody deleted is made again: the way back must not end in nothing.
fn restore_stable(d: &mut Draft<'_>, slot: Slot, wanted: i32) {
    match d.obs.deployment(slot) {
        None if slot != Slot::Origin => expedite::recreate(d, slot, wanted),
        Some(_) | None => {
            raise(d, slot, wanted);
        }
    }
}

/// Raises a Deployment's scale to at least `wanted`; never lowers it.
pub fn raise(d: &mut Draft<'_>, slot: Slot, wanted: i32) -> bool {
    let Some(deployment) = d.obs.deployment(slot) else { return false };
    if world::replicas(Some(deployment)) >= wanted {
        return false;
    }
    let name = slot.deployment(&d.spec().workload.deployment);
    d.act(Action::Scale { deployment: name, replicas: wanted });
    true
}

/// Keeps the stable arm at C until the watch has ended. The origin's scale is the user's: when it shrinks while traffic
/// does not depend on it, status says so.
pub fn hold_stable(d: &mut Draft<'_>) {
    let slot = world::active_slot(&d.status);
    let c = d.status.capacity;
    let wanted = world::replicas(d.obs.deployment(slot));
    match slot {
        Slot::A | Slot::B => {
            restore_stable(d, slot, c);
            d.condition(ConditionType::StableCapacity, Finding::yes("Held", format!("{c} pods are kept")));
        }
        Slot::Origin if wanted < c => {
            let message = format!(
                "Deployment {} was scaled to {wanted}, the stable version had {c} ready pods; a rollback raises it again",
                d.spec().workload.deployment
            );
            d.condition(ConditionType::StableCapacity, Finding::no("CapacityNotHeld", message));
        }
        Slot::Origin => {
            d.condition(ConditionType::StableCapacity, Finding::yes("Held", format!("{c} pods are there")));
        }
    }
}

/// Traffic must return to the stable arm: its scale is raised to C in the same pass, whoever shrank it.
pub fn wake_stable(d: &mut Draft<'_>) {
    let slot = world::active_slot(&d.status);
    let c = d.status.capacity.max(1);
    restore_stable(d, slot, c);
}
