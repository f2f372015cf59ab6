//! Pods: how many the candidate needs for a share, and that the stable version keeps what it had.

use crate::api::Slot;
use crate::api::condition::{ConditionType, Finding};
use crate::workload::capacity;
use crate::workload::companions::autoscaler;

use super::provider::{self, Provider};
use super::{Action, Draft, companions, expedite, replicas, world};

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
    match provider::of_draft(d) {
        Provider::Gateway => capacity::need(d.status.capacity, weight, mirror),
        Provider::Replicas => replicas::need_of_step(d),
    }
}

/// Pods that a share needs.
pub fn need(d: &Draft<'_>, weight: i32, mirror: i32) -> i32 {
    match provider::of_draft(d) {
        Provider::Replicas if weight < 100 => replicas::first_pods(d),
        Provider::Gateway | Provider::Replicas => capacity::need(d.status.capacity, weight, mirror),
    }
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

/// Gives a slot at least `wanted` pods; never fewer than it has. With an autoscaler it is the autoscaler's floor that rises:
/// the scale is written only where an autoscaler does nothing, which is at 0.
pub fn raise(d: &mut Draft<'_>, slot: Slot, wanted: i32) {
    if d.obs.deployment(slot).is_none() {
        return;
    }
    let have = world::replicas(d.obs.deployment(slot));
    let wanted = match companions::scaler(d, slot) {
        Some(_) if have > 0 => return hold(d, slot, wanted),
        Some(_) => from_nothing(d, slot, wanted),
        None => wanted,
    };
    scale_up(d, slot, wanted);
}

/// Pods with which a slot starts that has none: what is needed, and at least what its autoscaler would make of it at once.
pub fn from_nothing(d: &mut Draft<'_>, slot: Slot, wanted: i32) -> i32 {
    hold(d, slot, wanted);
    if provider::held_still(d).iter().any(|(still, _)| *still == slot) {
        return wanted;
    }
    companions::scaler(d, slot).map_or(wanted, |user| wanted.max(autoscaler::floor(user)))
}

/// Remembers what the candidate's autoscaler must not go below. It is not lowered before the attempt is over: pods that a
/// next step waits for would be taken away before it comes.
fn hold(d: &mut Draft<'_>, slot: Slot, wanted: i32) {
    let scaled = companions::scaler(d, slot).is_some();
    if let Some(c) = d.status.candidate.as_mut().filter(|c| scaled && c.slot == slot) {
        c.floor = c.floor.max(wanted);
    }
}

/// Writes a scale that is higher than the present one.
fn scale_up(d: &mut Draft<'_>, slot: Slot, wanted: i32) {
    if d.obs.deployment(slot).is_none() || world::replicas(d.obs.deployment(slot)) >= wanted {
        return;
    }
    let name = slot.deployment(&d.spec().workload.deployment);
    d.act_once(Action::Scale { deployment: name, replicas: wanted });
}

/// An autoscaler of which no floor is ours scales the slot: the origin's, or any when capacity is not to be held.
fn gives_way(d: &Draft<'_>, slot: Slot) -> bool {
    companions::users_scaler(d).is_some() && (slot == Slot::Origin || !d.spec().workload.hold_capacity)
}

/// Keeps the stable arm at C until the watch has ended. The origin's scale is the user's: when it shrinks while traffic
/// does not depend on it, status says so.
pub fn hold_stable(d: &mut Draft<'_>) {
    let slot = world::active_slot(&d.status);
    let c = d.status.capacity;
    let wanted = world::replicas(d.obs.deployment(slot));
    match slot {
        Slot::A | Slot::B if gives_way(d, slot) && 0 < wanted && wanted < c => {
            let message = format!(
                "an autoscaler scaled Deployment {} to {wanted}, the stable version had {c} ready pods, and \
                 spec.workload.holdCapacity is false; a rollback raises it again",
                slot.deployment(&d.spec().workload.deployment)
            );
            d.condition(ConditionType::StableCapacity, Finding::no("CapacityNotHeld", message));
        }
        Slot::A | Slot::B => {
            restore_stable(d, slot, c);
            d.condition(ConditionType::StableCapacity, Finding::yes("Held", format!("{c} pods are kept")));
        }
        Slot::Origin if wanted < c => {
            let by = companions::users_scaler(d).map(|hpa| crate::workload::companions::name(hpa).to_owned());
            let by = by.map_or_else(String::new, |name| {
                format!(" (HorizontalPodAutoscaler {name} is yours and is left alone; raise its minReplicas to keep the pods)")
            });
            let message = format!(
                "Deployment {} was scaled to {wanted}{by}, the stable version had {c} ready pods; a rollback raises it again",
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
    // An autoscaler without a floor of ours would take it back each time: it is raised until the route is the user's again,
    // then the traffic itself keeps it up.
    let clean = d.status.rollback.as_ref().is_some_and(|r| r.route_clean_at.is_some());
    if clean && gives_way(d, slot) && world::replicas(d.obs.deployment(slot)) > 0 {
        return;
    }
    restore_stable(d, slot, c);
    if companions::scaler(d, slot).is_some() {
        scale_up(d, slot, c);
    }
}
