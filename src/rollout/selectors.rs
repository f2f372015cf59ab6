//! Services: the user's always select the active version, ours the candidate or the idle slot.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

use crate::api::{FollowingService, OriginalSelector, Slot};
use crate::traffic::selector as edits;
use crate::workload::both::{self, Reach};
use crate::workload::{labels, services};

use super::provider::{self, Provider};
use super::{Action, Draft, guard, replicas, world};

/// Where a following Service is to lead while the Services lead to that slot.
fn reach(d: &Draft<'_>, original: &OriginalSelector, slot: Slot) -> Reach {
    if replicas::governs(d, &original.name) { replicas::reach(d) } else { Reach::Slot(slot) }
}

/// The selector by which a following Service leads there.
pub fn selector(
    d: &Draft<'_>,
    original: &OriginalSelector,
    reach: Reach,
) -> Option<BTreeMap<String, String>> {
    let both = d.status.candidate.as_ref().and_then(|c| c.both.as_ref());
    both::wanted(d.status.adoption.as_ref()?, &original.selector, reach, both)
}

/// Whether a Service leads to a slot of ours: by a selector that we write, or, while counts of pods split the traffic, by
/// whatever it selects.
pub fn leads_to_ours(d: &Draft<'_>, service: &Service) -> bool {
    match world::reach(d.obs, &d.status, service) {
        Some(Reach::Slot(slot)) => slot != Slot::Origin,
        Some(Reach::Both) => true,
        None => {
            let pods = |slot| d.obs.deployment(slot).map(labels::pod_template_labels).unwrap_or_default();
            provider::of_draft(d) == Provider::Replicas
                && Slot::OURS.into_iter().any(|slot| services::selects(service, &pods(slot)))
        }
    }
}

/// The edit that brings a following Service to a slot, or to both arms. Who owns its selector now is remembered with the
/// intent. `gives`: it leads traffic to a candidate that is not verified. True when there is something to write, and it is.
pub fn turn(d: &mut Draft<'_>, name: &str, reach: Reach, what: &str, gives: bool) -> bool {
    let found = d.status.adoption.as_ref().and_then(|a| a.services.iter().find(|s| s.name == name));
    let Some(wanted) = found.and_then(|original| selector(d, original, reach)) else { return false };
    let (Some(service), Some(adoption)) = (d.obs.service(name), &mut d.status.adoption) else { return false };
    let Some(at) = adoption.services.iter().position(|s| s.name == name) else { return false };
    let Some(edit) = edits::selector_edit(service, &wanted) else { return false };
    let original = &mut adoption.services[at];
    original.owners = edits::owners(service, &original.owners);
    d.act(Action::PatchService { name: name.to_owned(), patch: edit.patch, what: what.to_owned(), gives })
}

/// While the Services select the origin, their selectors belong to whoever wrote them, as before the first edit.
pub fn give_back(d: &mut Draft<'_>) {
    let Some(adoption) = d.status.adoption.clone() else { return };
    for original in &adoption.services {
        let Some(service) = d.obs.service(&original.name) else { continue };
        if world::selects(service, &d.status) != Some(Slot::Origin) {
            continue;
        }
        if let Some(edit) = edits::give_back(service, &original.owners) {
            let (name, what) = (original.name.clone(), "field owners as before".to_owned());
            d.act_once(Action::PatchService { name, patch: edit.patch, what, gives: false });
        }
    }
}

/// Brings every following Service to a slot. True when all of them select it, as observed.
pub fn point_all(d: &mut Draft<'_>, slot: Slot, what: &str) -> bool {
    let Some(adoption) = d.status.adoption.clone() else { return true };
    guard::keep(d, slot);
    let mut done = true;
    for original in &adoption.services {
        let Some(service) = d.obs.service(&original.name) else { continue };
        let present = service.spec.as_ref().and_then(|s| s.selector.as_ref());
        let reach = reach(d, original, slot);
        if present.is_some() && present == selector(d, original, reach).as_ref() {
            continue;
        }
        done = false;
        turn(d, &original.name, reach, what, false);
    }
    done
}

/// Whether every following Service's ready endpoints are pods of that slot, and there are some.
pub fn endpoints_follow(d: &Draft<'_>, slot: Slot) -> bool {
    let Some(adoption) = &d.status.adoption else { return true };
    let of_slot = |pod: &String| d.obs.pods_of(slot).any(|p| p.name == *pod);
    adoption.services.iter().filter(|s| d.obs.service(&s.name).is_some()).all(|s| {
        let ready = world::ready_endpoints(d.obs, &s.name);
        !ready.is_empty() && ready.iter().all(of_slot)
    })
}

/// The guard at rest and during a rollout: a selector that somebody reset is corrected at once. While the origin is
/// active its selectors are the user's, except that none of them may select a slot of ours.
pub fn guard(d: &mut Draft<'_>) {
    let active = world::active_slot(&d.status);
    guard::keep(d, active);
    let Some(adoption) = d.status.adoption.clone() else { return };
    for original in &adoption.services {
        let Some(service) = d.obs.service(&original.name) else { continue };
        if replicas::governs(d, &original.name) {
            continue;
        }
        let at = world::selects(service, &d.status);
        let fine = match active {
            Slot::Origin => at.is_none_or(|s| s == Slot::Origin),
            Slot::A | Slot::B => at == Some(active),
        };
        if fine {
            continue;
        }
        let what = format!("selector back to the active slot {active}");
        if turn(d, &original.name, Reach::Slot(active), &what, false) {
            d.event(true, "SelectorCorrected", format!("Service {}: {what}", original.name));
            d.urgent();
        }
    }
    if active == Slot::Origin {
        give_back(d);
    }
}

/// Our Service for the candidate: it exists, is ours, is a copy of the user's Service and selects the slot.
/// True when it is so, as observed.
pub fn candidate_service(d: &mut Draft<'_>, slot: Slot) -> bool {
    let name = world::candidate_service(d.obs);
    let Some(adoption) = d.status.adoption.clone() else { return false };
    let user = d.spec().traffic.service.clone();
    let original = adoption.services.iter().find(|s| s.name == user);
    let (Some(service), Some(original)) = (d.obs.service(&user), original) else { return false };
    let wanted = labels::selector_for(&adoption, &original.selector, slot);
    let wanted = services::candidate_service(service, wanted, &world::mark(d.obs));
    let Some(existing) = d.obs.service(&name) else {
        d.act(Action::CreateService(Box::new(wanted)));
        return false;
    };
    if !is_ours_or_orphaned(d, existing) {
        d.stall("NameTaken", format!("Service {name} exists and is somebody else's; rename or remove it"));
        return false;
    }
    match edits::renew_service(existing, &wanted) {
        None => true,
        Some(edit) => {
            let what = format!("a copy of {user}, selecting slot {slot}");
            d.act(Action::PatchService { name, patch: edit.patch, what, gives: false });
            false
        }
    }
}

fn is_ours_or_orphaned(d: &Draft<'_>, service: &Service) -> bool {
    owned_or_orphaned(d, &service.metadata)
}

/// Ours, or left behind by a rollout that no longer exists.
pub fn owned_or_orphaned(
    d: &Draft<'_>,
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> bool {
    match crate::workload::slot::owner_uid(meta) {
        Some(uid) => uid == d.obs.uid() || !d.obs.rollout_uids.contains(uid),
        None => false,
    }
}

/// What stands in status about the Services.
pub fn report(d: &mut Draft<'_>) {
    let Some(adoption) = d.status.adoption.clone() else { return };
    let following = adoption.services.iter().filter_map(|s| d.obs.service(&s.name).map(|found| (s, found)));
    let listed: Vec<FollowingService> = following
        .map(|(s, found)| FollowingService { name: s.name.clone(), slot: world::selects(found, &d.status) })
        .collect();
    d.status.services = listed;
}
