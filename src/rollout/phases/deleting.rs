//! Deleting: traffic is left on the active version, what was only for the candidate goes, and the finalizer last.

use crate::api::{Phase, RollbackIntent, Slot, keys};
use crate::rollout::clean::{Cleaned, clean};
use crate::rollout::{Action, Draft, companions, guard, selectors, world};

use super::settling;

/// One pass.
pub fn run(d: &mut Draft<'_>) {
    if d.obs.namespace_terminating || !has_finalizer(d) {
        return release(d);
    }
    if d.status.phase == Some(Phase::Settling) || settling::turned(d) {
        // Forward first: what the Services select is the active version.
        if settling::turned(d) {
            return forward(d);
        }
    }
    if d.status.phase != Some(Phase::Deleting) {
        let decided_at = d.now();
        d.status.rollback = Some(RollbackIntent {
            reason: "Deleting".into(),
            message: "the ModelRollout is being deleted".into(),
            decided_at,
            reject: false,
            route_clean_at: None,
        });
        d.transition(Phase::Deleting, "Deleting", "Deleting", "traffic is left on the active version");
    }
    let slot = world::candidate_slot(&d.status);
    if clean(d, slot) == Cleaned::Done {
        finish(d);
    }
}

fn forward(d: &mut Draft<'_>) {
    settling::run(d);
    if d.status.phase == Some(Phase::Active) {
        d.transition(Phase::Deleting, "Deleting", "Deleting", "the new version is active and stays");
    }
}

/// Nothing of the candidate gets traffic: its objects go. With the origin active the namespace is as before adoption; with
/// a slot active that slot stays, and an Event says how to take it over.
fn finish(d: &mut Draft<'_>) {
    let active = world::active_slot(&d.status);
    let origin = d.spec().workload.deployment.clone();
    let mut gone = true;
    for ours in Slot::OURS.into_iter().filter(|s| *s != active) {
        let Some(found) = d.obs.deployment(ours).filter(|x| selectors::owned_or_orphaned(d, &x.metadata))
        else {
            continue;
        };
        gone = false;
        let uid = found.metadata.uid.clone().unwrap_or_default();
        if found.metadata.deletion_timestamp.is_none() {
            d.act(Action::DeleteDeployment { name: ours.deployment(&origin), uid });
        }
    }
    let name = world::candidate_service(d.obs);
    if let Some(service) = d.obs.service(&name).filter(|s| selectors::owned_or_orphaned(d, &s.metadata)) {
        gone = false;
        let uid = service.metadata.uid.clone().unwrap_or_default();
        if service.metadata.deletion_timestamp.is_none() {
            d.act(Action::DeleteService { name, uid });
        }
    }
    gone &= companions::leave(d);
    if active == Slot::Origin && !guard::remove(d) {
        gone = false;
    }
    if !gone {
        d.wait("the candidate's objects to go");
        return;
    }
    if active != Slot::Origin {
        let message = format!(
            "Deployment {} keeps serving and the Services keep selecting it. To hand back: give Deployment {origin} the version's image, env and args, scale it up, and delete ConfigMap {} if it is there, and set the Services' selectors to its labels; then delete {}",
            active.deployment(&origin),
            guard::name(d),
            active.deployment(&origin)
        );
        d.event(false, "HandBack", message);
    }
    release(d);
}

fn has_finalizer(d: &Draft<'_>) -> bool {
    d.obs.rollout.metadata.finalizers.iter().flatten().any(|f| f == keys::FINALIZER)
}

fn release(d: &mut Draft<'_>) {
    let rest: Vec<String> = d
        .obs
        .rollout
        .metadata
        .finalizers
        .iter()
        .flatten()
        .filter(|f| *f != keys::FINALIZER)
        .cloned()
        .collect();
    if has_finalizer(d) {
        d.act(Action::SetFinalizers(rest));
    }
}
