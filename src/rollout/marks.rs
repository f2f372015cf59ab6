//! What is written on the Deployments of the slots: which version is in them, and how they are told from the origin. Somebody
//! may take it away; without it a way back would not know where it leads, and a rollout that takes over would find nothing.

use crate::api::{Phase, Slot, keys};
use crate::workload::slot;

use super::{Action, Draft, world};

/// Puts back the annotations that somebody took from a slot's Deployment. Its spec stays as it is, so no pod is restarted.
pub fn keep(d: &mut Draft<'_>) {
    for (slot, version, template_hash) in known(d) {
        let (Some(found), Some(adoption)) = (d.obs.deployment(slot), &d.status.adoption) else { continue };
        let name = slot.deployment(&d.spec().workload.deployment);
        if found.metadata.deletion_timestamp.is_some() || d.writes_deployment(&name) {
            continue;
        }
        if slot::owner_uid(&found.metadata).is_none() {
            let (key, uid) = (keys::ROLLOUT_UID, d.obs.uid());
            d.warn(
                "MarkMissing",
                format!(
                    "Deployment {name} is in use and somebody took the label {key} from it, so it is not written any more; if it \
                     is still the slot, put it back: kubectl label deployment {name} {key}={uid}"
                ),
            );
            continue;
        }
        let mut wanted = found.clone();
        let annotations = wanted.metadata.annotations.get_or_insert_default();
        let before = annotations.len();
        for (key, value) in slot::annotations(adoption, &version, &template_hash) {
            annotations.entry(key).or_insert(value);
        }
        if annotations.len() > before && slot::is_ours(&wanted.metadata, &world::mark(d.obs)) {
            d.act(Action::ReplaceDeployment(Box::new(wanted)));
        }
    }
}

/// The slots of ours of which status knows what is in them.
fn known(d: &Draft<'_>) -> Vec<(Slot, String, String)> {
    let active = d.status.active.iter().map(|a| (a.slot, a.version.clone(), a.template_hash.clone()));
    // Before that the candidate's slot may still have the template of an earlier one.
    let there = matches!(d.phase(), Phase::Shadow | Phase::Canary | Phase::Watching);
    let candidate = d.status.candidate.iter().filter(|_| there);
    let candidate = candidate.map(|c| (c.slot, c.version.clone(), c.template_hash.clone()));
    active.chain(candidate).filter(|(slot, ..)| *slot != Slot::Origin).collect()
}
