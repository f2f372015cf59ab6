//! Readings of the observed world that several phases need: names, roles, selectors, ready pods, the actual share.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use crate::api::{ModelRolloutStatus, ModelVersion, Slot, SlotStatus};
use crate::api::{Role, keys};
use crate::traffic::{self, http_route, replicas};
use crate::workload::both::{self, Reach};
use crate::workload::slot::Mark;

use super::Observed;
use super::observed::PodFacts;
use super::provider::{self, Provider};

/// `<service>-candidate`.
pub fn candidate_service(obs: &Observed) -> String {
    format!("{}-candidate", obs.rollout.spec.traffic.service)
}

/// `<service>-understudy`.
pub fn warm_route(obs: &Observed) -> String {
    format!("{}-understudy", obs.rollout.spec.traffic.service)
}

/// Name of the user's HTTPRoute that was observed; empty without a gateway, which admission refuses.
pub fn route_name(obs: &Observed) -> &str {
    obs.rollout.route_name().unwrap_or_default()
}

/// Our mark on objects.
pub fn mark(obs: &Observed) -> Mark<'_> {
    Mark { rollout: obs.name(), rollout_uid: obs.uid() }
}

/// What the route says of the two Services; `None` while there is no route.
pub fn reading(obs: &Observed) -> Option<http_route::Reading> {
    let candidate = candidate_service(obs);
    let names = traffic::Names {
        namespace: obs.namespace(),
        service: &obs.rollout.spec.traffic.service,
        candidate: &candidate,
    };
    obs.route.as_ref().map(|route| http_route::read(route, &names))
}

/// The slot of the active version; the origin while nothing is known.
pub fn active_slot(status: &ModelRolloutStatus) -> Slot {
    status.active.as_ref().map_or(Slot::Origin, |a| a.slot)
}

/// The slot of the candidate: where it is, or where the next one will be.
pub fn candidate_slot(status: &ModelRolloutStatus) -> Slot {
    status.candidate.as_ref().map_or_else(|| active_slot(status).next(), |c| c.slot)
}

/// The slot that a Service selects, by its selector.
pub fn selects(service: &Service, status: &ModelRolloutStatus) -> Option<Slot> {
    match leads(service, status, None)? {
        Reach::Slot(slot) => Some(slot),
        Reach::Both => None,
    }
}

fn leads(
    service: &Service,
    status: &ModelRolloutStatus,
    both: Option<&BTreeMap<String, String>>,
) -> Option<Reach> {
    let adoption = status.adoption.as_ref()?;
    let name = service.metadata.name.as_deref()?;
    let of = name.strip_suffix("-candidate").unwrap_or(name);
    let original = adoption.services.iter().find(|s| s.name == name || s.name == of)?;
    let none = BTreeMap::new();
    let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref()).unwrap_or(&none);
    both::reached(adoption, &original.selector, both, selector)
}

/// What a following Service leads to: one slot, or both arms.
pub fn reach(obs: &Observed, status: &ModelRolloutStatus, service: &Service) -> Option<Reach> {
    let named = service.metadata.name.as_deref() == Some(&obs.rollout.spec.traffic.service);
    leads(service, status, status.candidate.as_ref().and_then(|c| c.both.as_ref()).filter(|_| named))
}

/// Percent of the traffic that reaches the candidate's slot.
pub fn share(obs: &Observed, status: &ModelRolloutStatus) -> i32 {
    match provider::of(obs, status) {
        Provider::Gateway => share_by_route(obs, status),
        Provider::Replicas => share_by_count(obs, status),
    }
}

/// By the Service's selector, which is as good as a weight; where it selects both arms, the candidate's part of the ready pods.
fn share_by_count(obs: &Observed, status: &ModelRolloutStatus) -> i32 {
    let slot = candidate_slot(status);
    let Some(service) = obs.service(&obs.rollout.spec.traffic.service) else { return 0 };
    match reach(obs, status, service) {
        Some(Reach::Slot(at)) if at == slot => 100,
        Some(Reach::Slot(_)) => 0,
        Some(Reach::Both) => {
            replicas::percent(ready_pods(obs, slot, None), ready_pods(obs, active_slot(status), None))
        }
        None => {
            let (ours, others) = endpoints_by_arm(obs, status);
            replicas::percent(ours, others)
        }
    }
}

/// Ready endpoints of the user's Service: the candidate's pods, and all others.
pub fn endpoints_by_arm(obs: &Observed, status: &ModelRolloutStatus) -> (i32, i32) {
    let slot = candidate_slot(status);
    let ready = ready_endpoints(obs, &obs.rollout.spec.traffic.service);
    let ours = ready.iter().filter(|pod| obs.pods_of(slot).any(|p| p.name == **pod)).count();
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    (count(ours), count(ready.len() - ours))
}

/// Over the route's backends, the weight of those whose
/// Service selects it. Selectors count, because they are as good as a weight.
fn share_by_route(obs: &Observed, status: &ModelRolloutStatus) -> i32 {
    let Some(route) = &obs.route else { return 0 };
    let candidate = candidate_service(obs);
    let service = obs.rollout.spec.traffic.service.as_str();
    let names = traffic::Names { namespace: obs.namespace(), service, candidate: &candidate };
    let slot = candidate_slot(status);
    let selects_candidate = |name: &str| obs.service(name).is_some_and(|s| selects(s, status) == Some(slot));
    http_route::share(route, &names, selects_candidate(service), selects_candidate(&candidate))
}

/// Ready pods of a slot that run the given template and are not going away. The origin's pods do not carry our hash: there
/// all of them count.
pub fn ready_pods(obs: &Observed, slot: Slot, template_hash: Option<&str>) -> i32 {
    i32::try_from(takes_traffic(obs, slot, template_hash).count()).unwrap_or(i32::MAX)
}

/// Whether the stable version has a pod that could take more.
pub fn stable_ready(obs: &Observed, status: &ModelRolloutStatus) -> bool {
    ready_pods(obs, active_slot(status), None) > 0
}

/// Pods of the candidate that its share can reach: ready, of its template, and ready endpoints of our Service. Without the
/// Service there are none, however many pods are ready.
pub fn candidate_endpoints(obs: &Observed, status: &ModelRolloutStatus) -> i32 {
    let Some(c) = &status.candidate else { return 0 };
    let served = ready_endpoints(obs, &candidate_service(obs));
    let hash = Some(c.template_hash.as_str());
    let reached = takes_traffic(obs, c.slot, hash).filter(|p| served.contains(&p.name));
    i32::try_from(reached.count()).unwrap_or(i32::MAX)
}

/// The pods that `ready_pods` counts.
fn takes_traffic<'a>(
    obs: &'a Observed,
    slot: Slot,
    template_hash: Option<&'a str>,
) -> impl Iterator<Item = &'a PodFacts> {
    let template_hash = template_hash.filter(|_| slot != Slot::Origin);
    let of_template = move |hash: &str| template_hash.is_none_or(|wanted| wanted == hash);
    obs.pods_of(slot).filter(move |p| p.ready && !p.deleting && of_template(&p.template_hash))
}

/// Ready endpoints of a Service.
pub fn ready_endpoints(obs: &Observed, service: &str) -> Vec<String> {
    let endpoints = obs.endpoints.get(service).into_iter().flatten();
    endpoints.filter(|e| e.ready).map(|e| e.pod.clone()).collect()
}

/// Wanted pods of a Deployment; one that does not exist wants none.
pub fn replicas(deployment: Option<&Deployment>) -> i32 {
    deployment.and_then(|d| d.spec.as_ref()).map_or(0, |s| s.replicas.unwrap_or(1))
}

/// The hash of the template in a slot of ours, from its annotation.
pub fn slot_hash(deployment: &Deployment) -> &str {
    annotation(deployment, keys::TEMPLATE_HASH)
}

/// The version in a slot of ours, from its annotation.
pub fn slot_version(deployment: &Deployment) -> &str {
    annotation(deployment, keys::SLOT_VERSION)
}

fn annotation<'a>(deployment: &'a Deployment, key: &str) -> &'a str {
    deployment.metadata.annotations.as_ref().and_then(|a| a.get(key)).map_or("", String::as_str)
}

/// The registered version of that number.
pub fn version<'a>(obs: &'a Observed, version: &str) -> Option<&'a ModelVersion> {
    let mut all = obs.versions.iter().map(AsRef::as_ref);
    all.find(|v| v.spec.version == version && v.spec.model == obs.rollout.spec.model)
}

/// Digest of a registered version's bundle.
pub fn digest(version: &ModelVersion) -> String {
    crate::registry::bundle::digest(&version.spec)
}

/// What stands in status about the Deployments.
pub fn slots(obs: &Observed, status: &ModelRolloutStatus) -> Vec<SlotStatus> {
    let origin = obs.rollout.spec.workload.deployment.as_str();
    let active = active_slot(status);
    let candidate = status.candidate.as_ref().map(|c| c.slot);
    [Slot::Origin, Slot::A, Slot::B]
        .into_iter()
        .filter_map(|slot| obs.deployment(slot).map(|d| (slot, d)))
        .filter(|(slot, d)| *slot == Slot::Origin || crate::workload::slot::is_ours(&d.metadata, &mark(obs)))
        .map(|(slot, d)| {
            let role = match slot {
                s if s == active => Role::Active,
                s if Some(s) == candidate => Role::Candidate,
                _ => Role::Idle,
            };
            let (version, hash) = match (slot, &status.active) {
                (Slot::Origin, Some(a)) if a.slot == Slot::Origin => {
                    (a.version.clone(), a.template_hash.clone())
                }
                (Slot::Origin, _) => (String::new(), String::new()),
                (Slot::A | Slot::B, _) => (slot_version(d).to_owned(), slot_hash(d).to_owned()),
            };
            SlotStatus {
                deployment: slot.deployment(origin),
                role,
                version,
                template_hash: hash,
                ready: ready_pods(obs, slot, None),
                replicas: replicas(Some(d)),
            }
        })
        .collect()
}

/// The port of the user's Service that the route's backendRefs name; the first when none does.
pub fn service_port(obs: &Observed) -> String {
    let service = obs.rollout.spec.traffic.service.as_str();
    let rules = obs.route.as_ref().and_then(|r| r["spec"]["rules"].as_array());
    let backends = rules.into_iter().flatten().filter_map(|r| r["backendRefs"].as_array()).flatten();
    let named = backends.filter(|b| b["name"] == service).find_map(|b| b["port"].as_i64());
    let first = || {
        let spec = obs.service(service).and_then(|s| s.spec.as_ref());
        spec.and_then(|s| s.ports.as_ref()).and_then(|p| p.first()).map(|p| i64::from(p.port))
    };
    named.or_else(first).map_or_else(String::new, |p| p.to_string())
}
