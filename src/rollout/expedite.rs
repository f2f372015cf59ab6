//! A rollback after the watch: an earlier version is released again, straight to all traffic. Nothing about novelty is
//! judged; it takes a model load, and says so.

use crate::api::{Rejected, ReleaseKind, Slot};
use crate::workload::slot::{SlotSpec, deployment};

use super::phases::pending;
use super::{Action, Draft, adoption, rejected, target, world};

/// Begins the release of an earlier version on a person's word.
pub fn begin(d: &mut Draft<'_>, version: &str, why: &str) -> Result<String, String> {
    let Some(active) = d.status.active.clone() else { return Err("nothing is active yet".into()) };
    if active.version == version {
        return Err(format!("{version} is already active"));
    }
    let target = target::of_version(d.obs, version).map_err(|(_, message)| message)?;
    // It may be the first release of all: then the slots' label has not been chosen yet.
    adoption::ensure(d).map_err(|(_, message)| message)?;
    let left = Rejected {
        version: active.version.clone(),
        bundle_digest: active.bundle_digest.clone(),
        template_hash: None,
        reason: "RolledBackByDecision".into(),
        message: why.to_owned(),
        at: d.now(),
        retry: d.spec().retry,
        attempt: 1,
        retried: false,
    };
    rejected::add(d, left);
    pending::start(d, &target, ReleaseKind::Expedited, why);
    Ok(format!("going back to {version}: its pods are started and its model loaded first"))
}

/// Somebody deleted the active slot's Deployment: it is made again, with the template that its version has today.
pub fn recreate(d: &mut Draft<'_>, slot: Slot, replicas: i32) {
    let (Some(active), Some(origin), Some(adoption)) =
        (d.status.active.clone(), d.obs.origin.clone(), d.status.adoption.clone())
    else {
        return;
    };
    let Ok(target) = target::of_version(d.obs, &active.version) else { return };
    let mut made = deployment(&SlotSpec {
        origin: &origin,
        template: &target.template,
        template_hash: &target.template_hash,
        version: &target.version,
        adoption: &adoption,
        slot,
        mark: world::mark(d.obs),
    });
    let name = slot.deployment(&d.spec().workload.deployment);
    if d.creates(&name) {
        return;
    }
    // In one write: cut in two, it could be left at 0, where an autoscaler does nothing.
    if let Some(spec) = &mut made.spec {
        spec.replicas = Some(replicas);
    }
    if d.act(Action::CreateDeployment(Box::new(made))) {
        let message = format!("Deployment {name} of the active version was gone; it is made again");
        d.event(true, "SlotRecreated", message);
    }
    if let Some(a) = &mut d.status.active {
        a.template_hash = target.template_hash;
    }
}
