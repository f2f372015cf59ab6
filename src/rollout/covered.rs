//! Before the first rollout: what covers the origin and would not cover what serves beside it, and whose selector would find
//! the slots' pods though nobody meant them.

use chrono::Duration;

use crate::api::keys;
use crate::api::{ActiveVersion, Adoption, Phase, Rejected, Slot};
use crate::workload::covering::{self, Gap, Labels, Served};
use crate::workload::{labels, services};

use super::accepted::accepted;
use super::{Draft, Observed, target, world};

/// How often is looked again while somebody is to add what is missing.
const LOOK_AGAIN: Duration = Duration::seconds(30);
/// Longest text of objects that is printed: a condition's message is bounded.
const PRINTED: usize = 1_000;

/// Whether a pass needs to know what covers the workload: a first release is wanted and none has begun.
pub fn is_asked(obs: &Observed) -> bool {
    let spec = &obs.rollout.spec;
    let status = obs.rollout.status.clone().unwrap_or_default();
    let refuses = |one: &Rejected| one.version == spec.version && !one.retried && spec.retry <= one.retry;
    let first = |active: &ActiveVersion| active.slot == Slot::Origin && active.version != spec.version;
    // What cannot begin needs no look.
    let begins = match target::of_version(obs, &spec.version) {
        Ok(target) => {
            status.active.as_ref().is_none_or(|active| active.template_hash != target.template_hash)
        }
        Err(_) => false,
    };
    begins
        && status.rollback.is_none()
        && matches!(status.phase, None | Some(Phase::Active | Phase::RolledBack | Phase::Pending))
        && status.active.as_ref().is_none_or(first)
        && !status.rejected.iter().any(refuses)
        && obs.rollout.metadata.deletion_timestamp.is_none()
        && !obs.namespace_terminating
}

/// What holds the first rollout: reason and what to do.
pub fn first(d: &mut Draft<'_>) -> Result<(), (&'static str, String)> {
    let Some(adoption) = d.status.adoption.clone().filter(|_| world::active_slot(&d.status) == Slot::Origin)
    else {
        return Ok(());
    };
    if let Some(message) = taken(d, &adoption) {
        return Err(("LabelTaken", message));
    }
    let (Some(covering), Some(served)) = (&d.obs.covering, served(d, &adoption)) else { return Ok(()) };
    let gaps = covering::gaps(&covering.covers, &served);
    let gaps: Vec<Gap> = gaps.into_iter().filter(|gap| !accepted(d.obs, &finding(&gap.object))).collect();
    if !covering.unread.is_empty() {
        let message = format!("not looked at, for want of a permission: {}", covering.unread.join(", "));
        d.warn("CoverUnknown", message);
    }
    if gaps.is_empty() {
        return Ok(());
    }
    d.wake_in(LOOK_AGAIN);
    Err(("SlotNotCovered", message(&gaps)))
}

fn finding(object: &str) -> String {
    format!("SlotNotCovered/{object}")
}

/// Objects are printed whole or not at all, and those of other namespaces never: who reads this may not read them.
fn message(gaps: &[Gap]) -> String {
    let accept: Vec<String> = gaps.iter().map(|gap| finding(&gap.object)).collect();
    let mut text = format!(
        "add what is named here, or accept it with the annotation understudy.dev/accept: {}. It is looked at again every 30 s",
        accept.join(",")
    );
    let mut room = PRINTED;
    for gap in gaps {
        let add = gap.add.to_string();
        let add = match &gap.elsewhere {
            Some(namespace) => format!("add one like it to namespace {namespace}, with {}", gap.by),
            None if add.len() <= room => {
                room -= add.len();
                format!("add {add}")
            }
            None => format!("add one like it, with {}", gap.by),
        };
        text.push_str(&format!(". {}: {}; {add}", gap.object, gap.what));
    }
    text
}

/// A Service of somebody else's that would find a slot's pods.
fn taken(d: &Draft<'_>, adoption: &Adoption) -> Option<String> {
    let (origin, candidate) = (d.obs.origin.as_ref()?, world::candidate_service(d.obs));
    let slots = slots(d, adoption, &labels::pod_template_labels(origin));
    let known =
        |name: &str| name == candidate || adoption.services.iter().any(|following| following.name == name);
    d.obs.services.iter().find_map(|service| {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let found = slots.iter().find(|pods| services::selects(service, pods))?;
        if known(name) || accepted(d.obs, &format!("LabelTaken/{name}")) {
            return None;
        }
        let changed: Vec<String> =
            adoption.labels.keys().filter_map(|key| Some(format!("{key}={}", found.get(key)?))).collect();
        Some(format!(
            "Service {name} would select the pods of a version that is being tried (they have {}); narrow its selector, or accept it \
             with the annotation understudy.dev/accept: LabelTaken/{name}",
            changed.join(",")
        ))
    })
}

fn slots(d: &Draft<'_>, adoption: &Adoption, pods: &Labels) -> Vec<Labels> {
    let workload = &d.spec().workload.deployment;
    Slot::OURS.iter().map(|slot| labels::pod_labels(adoption, pods, *slot, workload)).collect()
}

fn served<'a>(d: &Draft<'a>, adoption: &Adoption) -> Option<Served<'a>> {
    let obs = d.obs;
    let pods = labels::pod_template_labels(obs.origin.as_ref()?);
    let service = obs.service(&obs.rollout.spec.traffic.service)?;
    // By the name: the UID changes when the rollout is made again.
    let candidate = world::mark(obs).labels();
    let own = |(key, value): (&String, &String)| (key.clone(), value.clone());
    Some(Served {
        namespace: obs.namespace(),
        slots: slots(d, adoption, &pods),
        origin: pods,
        both_slots: [(keys::WORKLOAD.to_owned(), obs.rollout.spec.workload.deployment.clone())].into(),
        service: &obs.rollout.spec.traffic.service,
        service_labels: service.metadata.labels.clone().unwrap_or_default(),
        candidate: world::candidate_service(obs),
        candidate_selector: candidate.iter().filter(|(key, _)| *key == keys::ROLLOUT).map(own).collect(),
        candidate_labels: candidate,
    })
}
