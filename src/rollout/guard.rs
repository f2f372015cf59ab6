//! What keeps the Services' selectors while the operator is away: the ConfigMap that the admission policies read, and what is
//! to be done when none of them is installed.

use std::collections::BTreeMap;

use crate::api::{OriginalSelector, SelectorGuard, Slot};
use crate::traffic::guard::{guard, guard_name, renew_guard};
use crate::workload::both::Reach;
use crate::workload::services;

use super::accepted::accepted;
use super::observed::SelectorPolicy;
use super::{Action, Draft, replicas, selectors, world};

/// Name of the ConfigMap.
pub fn name(d: &Draft<'_>) -> String {
    guard_name(&d.spec().traffic.service)
}

/// The selectors are kept as those of a slot; with the origin there is nothing to keep. Asked for before the Services are
/// turned: a policy that does not know the operator would otherwise take its own write back.
pub fn keep(d: &mut Draft<'_>, slot: Slot) {
    keep_with(d, slot, replicas::kept(d));
}

/// The same, and where the Service leads whose selector makes the candidate's share.
pub fn keep_with(d: &mut Draft<'_>, slot: Slot, governed: Reach) {
    d.actions.retain(|action| !action.is_about_guard());
    let Some(adoption) = d.status.adoption.clone().filter(|_| slot != Slot::Origin) else {
        remove(d);
        return;
    };
    let selector = |s: &OriginalSelector| {
        let reach = if replicas::governs(d, &s.name) { governed } else { Reach::Slot(slot) };
        Some((s.name.clone(), selectors::selector(d, s, reach)?))
    };
    let selectors: BTreeMap<_, _> = adoption.services.iter().filter_map(selector).collect();
    let mark = world::mark(d.obs);
    let wanted = guard(d.obs.namespace(), &d.spec().traffic.service, &mark, &selectors);
    let Some(present) = &d.obs.guard else {
        d.act(Action::CreateGuard(Box::new(wanted)));
        return;
    };
    if !selectors::owned_or_orphaned(d, &present.metadata) {
        let message = format!("ConfigMap {} belongs to another rollout; remove one of the two", name(d));
        return d.warn("NameTaken", message);
    }
    if let Some(edit) = renew_guard(present, &wanted) {
        let shared = replicas::governs(d, &d.spec().traffic.service) && governed != Reach::Slot(slot);
        let share = if shared { format!(", with {governed} behind the Service") } else { String::new() };
        let what = format!("the selectors of slot {slot}{share}");
        d.act(Action::PatchGuard { name: name(d), patch: edit.patch, what });
    }
}

/// Nothing is to be kept. True when the ConfigMap is gone, as observed.
pub fn remove(d: &mut Draft<'_>) -> bool {
    let Some(present) = &d.obs.guard else { return true };
    let going = present.metadata.deletion_timestamp.is_some();
    if going || !selectors::owned_or_orphaned(d, &present.metadata) {
        return true;
    }
    let uid = present.metadata.uid.clone().unwrap_or_default();
    d.act_once(Action::DeleteGuard { name: name(d), uid });
    false
}

/// A Service whose selector a declarative owner will set again, where no policy keeps it and the user has not accepted
/// that: what is so and what to do.
pub fn contested(d: &Draft<'_>) -> Option<String> {
    // A policy keeps nothing without the ConfigMap that it reads.
    let kept = d.obs.guard.as_ref().is_some_and(|present| selectors::owned_or_orphaned(d, &present.metadata));
    contested_unless(d, kept)
}

fn contested_unless(d: &Draft<'_>, kept: bool) -> Option<String> {
    let unread = match &d.obs.selector_policy {
        SelectorPolicy::InForce(SelectorGuard::Mutating | SelectorGuard::Validating) if kept => return None,
        SelectorPolicy::InForce(SelectorGuard::Mutating | SelectorGuard::Validating) => {
            format!(" (they are, but ConfigMap {} that they read could not be written)", name(d))
        }
        SelectorPolicy::InForce(SelectorGuard::None) => String::new(),
        SelectorPolicy::Unreadable(why) => {
            format!(" (whether they are installed cannot be read: {why})")
        }
    };
    d.status.adoption.iter().flat_map(|a| &a.services).find_map(|original| {
        let name = &original.name;
        let owner = services::selector_owner(d.obs.service(name)?, &original.owners)?;
        let finding = format!("SelectorContested/{name}");
        (!accepted(d.obs, &finding)).then(|| {
            format!(
                "{owner} also sets the selector of Service {name}, and at its next sync calls would find no pod until it is corrected: install deploy/policies{unread}, or accept it with the annotation understudy.dev/accept: {finding}"
            )
        })
    })
}

/// While a slot is active: a warning, for each sync is corrected after the fact only.
pub fn warn_contested(d: &mut Draft<'_>) {
    if world::active_slot(&d.status) == Slot::Origin {
        return;
    }
    if let Some(message) = contested_unless(d, true) {
        d.warn("SelectorContested", message);
    }
}

/// What stands in status about it.
pub fn report(d: &mut Draft<'_>) {
    d.status.selector_guard = match &d.obs.selector_policy {
        SelectorPolicy::InForce(guard) => Some(*guard),
        SelectorPolicy::Unreadable(_) => None,
    };
}
