//! Preparing: the candidate's pods are started in its slot, and the gateway is made to know both Services before the
//! user's route names the second one.

use chrono::{DateTime, Duration, Utc};

use k8s_openapi::api::apps::v1::Deployment;

use crate::api::condition::{ConditionType, Finding};
use crate::api::{Candidate, ReleaseKind, Shadow, Slot, time};
use crate::rollout::provider::{self, Provider};
use crate::rollout::rollback::{self, Cause};
use crate::rollout::target::{self, Target};
use crate::rollout::{Action, Draft, capacity, cost, evidence, questions, route, selectors, world};
use crate::traffic::http_route::{self, Programmed};
use crate::workload::slot::{SlotSpec, deployment, is_ours};

use super::pending::{self, Overtaken};
use super::{canary, settling, shadow};

/// How long the gateway has to take our route before the rollout says that it holds.
const PROGRAMMED_WITHIN: Duration = Duration::seconds(30);

/// Brings the candidate up; when all is there, the first stage begins in the same pass.
pub fn run(d: &mut Draft<'_>) {
    match pending::overtaken(d) {
        Some(Overtaken::SetBack) => {
            let now = d.now();
            rollback::begin(d, Cause::leave("SetBack", "the spec names the active version again", now));
            return;
        }
        Some(Overtaken::Newer(message)) => {
            pending::supersede(d, &message);
            return;
        }
        None => {}
    }
    let Some(c) = d.status.candidate.clone() else { return };
    capacity::remember(d);
    evidence::remember_pods(d);
    evidence::remember_exits(d);
    let target = match target_of(d, &c) {
        Ok(target) => target,
        Err((reason, message)) => {
            d.stall(reason, message);
            return;
        }
    };
    let (weight, mirror) = first_share(d, &c);
    let need = capacity::need(d, weight, mirror);
    let slot_there = slot(d, &c, &target, need);
    let service = slot_there && selectors::candidate_service(d, c.slot);
    let by_route = c.kind != ReleaseKind::Expedited && provider::of_draft(d) == Provider::Gateway;
    let warm = slot_there && by_route && route::warm(d);
    if deadline(d, &c, need) {
        return;
    }
    let ready = slot_there && is_ready(d, &c, need);
    candidate_condition(d, &c, need, ready);
    let evidence = c.kind == ReleaseKind::Expedited || preflight(d, &c, ready);
    let programmed = !by_route || (warm && programmed(d, &c));
    let shadow = d.spec().strategy.shadow.as_ref().filter(|_| by_route);
    // Said as soon as it is known, not only when the pods are there.
    let affordable = shadow.is_none_or(|shadow| can_mirror(d, shadow) && cost::affordable(d, shadow));
    if !(ready && service && evidence && programmed && affordable && d.stalled.is_none()) {
        return;
    }
    if paused(d) {
        return;
    }
    match (c.kind, shadow) {
        (ReleaseKind::Expedited, _) => settling::begin(d, "straight to all traffic, on a person's word"),
        (ReleaseKind::Version | ReleaseKind::Template, Some(_)) => shadow::begin(d),
        (ReleaseKind::Version | ReleaseKind::Template, None) => canary::begin(d, 0, "the candidate is ready"),
    }
}

/// The percent may have been changed since the plan was fixed.
fn can_mirror(d: &mut Draft<'_>, shadow: &Shadow) -> bool {
    match route::mirrors(d, shadow.percent) {
        Ok(()) => true,
        Err(why) => {
            d.stall("MirrorUnsupported", why);
            false
        }
    }
}

/// A pause or `spec.suspend` holds every advance.
pub fn paused(d: &mut Draft<'_>) -> bool {
    if let Some(pause) = d.status.pause.clone() {
        d.hold(
            "Paused",
            format!("paused by {} (claimed): {}; create a Resume decision to go on", pause.by, pause.reason),
        );
        return true;
    }
    if d.spec().suspend {
        d.hold("Suspended", "spec.suspend is true; set it to false to go on");
        return true;
    }
    false
}

fn target_of(d: &Draft<'_>, c: &Candidate) -> Result<Target, target::Refusal> {
    let target = target::of_version(d.obs, &c.version)?;
    if target.template_hash == c.template_hash {
        return Ok(target);
    }
    let message =
        format!("the template of {} changed while it was brought up; a new plan is needed", c.version);
    Err(("TemplateChanged", message))
}

fn first_share(d: &Draft<'_>, c: &Candidate) -> (i32, i32) {
    let strategy = &d.spec().strategy;
    let first = strategy.canary.steps.first().map_or(0, |s| s.weight);
    let shadow = strategy.shadow.as_ref().filter(|_| provider::of_draft(d) == Provider::Gateway);
    match (c.kind, shadow) {
        (ReleaseKind::Expedited, _) => (100, 0),
        (_, Some(shadow)) => (0, shadow.percent),
        (_, None) => (first, 0),
    }
}

/// The slot's Deployment with exactly this template, scaled to the need. True when it is there, as observed.
fn slot(d: &mut Draft<'_>, c: &Candidate, target: &Target, need: i32) -> bool {
    let (Some(origin), Some(adoption)) = (d.obs.origin.clone(), d.status.adoption.clone()) else {
        return false;
    };
    let mut wanted = deployment(&SlotSpec {
        origin: &origin,
        template: &target.template,
        template_hash: &target.template_hash,
        version: &c.version,
        adoption: &adoption,
        slot: c.slot,
        mark: world::mark(d.obs),
    });
    let name = c.slot.deployment(&d.spec().workload.deployment);
    if c.slot == Slot::Origin {
        // The way back to the origin, whose template is the target's: only its scale is ours.
        capacity::raise(d, c.slot, need);
        return true;
    }
    let Some(existing) = d.obs.deployment(c.slot).cloned() else {
        let replicas = capacity::from_nothing(d, c.slot, need);
        if d.act(Action::CreateDeployment(Box::new(wanted))) {
            d.act(Action::Scale { deployment: name, replicas });
        }
        return false;
    };
    if !selectors::owned_or_orphaned(d, &existing.metadata) {
        d.stall("NameTaken", format!("Deployment {name} exists and is somebody else's; rename or remove it"));
        return false;
    }
    let same = is_ours(&existing.metadata, &world::mark(d.obs))
        && world::slot_hash(&existing) == c.template_hash
        && world::slot_version(&existing) == c.version;
    if same {
        capacity::raise(d, c.slot, need);
        return true;
    }
    // A slot gets another template only while it has no pods: none of them may ever serve two versions.
    if !emptied(d, c, &existing) {
        return false;
    }
    wanted.metadata.resource_version = existing.metadata.resource_version.clone();
    let replicas = capacity::from_nothing(d, c.slot, need);
    if d.act(Action::ReplaceDeployment(Box::new(wanted))) {
        d.act(Action::Scale { deployment: name, replicas });
    }
    false
}

fn emptied(d: &mut Draft<'_>, c: &Candidate, existing: &Deployment) -> bool {
    if world::replicas(Some(existing)) > 0 {
        let name = c.slot.deployment(&d.spec().workload.deployment);
        d.act(Action::Scale { deployment: name, replicas: 0 });
    }
    let empty = world::replicas(Some(existing)) == 0 && d.obs.living_pods_of(c.slot).next().is_none();
    if !empty {
        d.wait(format!("the pods of the earlier version in slot {} to stop", c.slot));
    }
    empty
}

/// Ready: the Deployment's status is current, enough pods of this template are ready, and none of another is an endpoint.
fn is_ready(d: &mut Draft<'_>, c: &Candidate, need: i32) -> bool {
    let Some(deployment) = d.obs.deployment(c.slot) else { return false };
    let current =
        deployment.status.as_ref().and_then(|s| s.observed_generation) >= deployment.metadata.generation;
    let ready = world::ready_pods(d.obs, c.slot, Some(&c.template_hash));
    let foreign =
        c.slot != Slot::Origin && d.obs.living_pods_of(c.slot).any(|p| p.template_hash != c.template_hash);
    let endpoints = world::ready_endpoints(d.obs, &world::candidate_service(d.obs)).len();
    let served = i32::try_from(endpoints).unwrap_or(0) >= need;
    current && !foreign && ready >= need && served
}

fn candidate_condition(d: &mut Draft<'_>, c: &Candidate, need: i32, ready: bool) {
    if ready {
        d.condition(
            ConditionType::CandidateReady,
            Finding::yes("Ready", format!("{need} pods of {} are ready", c.version)),
        );
        return;
    }
    let have = world::ready_pods(d.obs, c.slot, Some(&c.template_hash));
    let why = d
        .obs
        .pods_of(c.slot)
        .find_map(|p| p.waiting.clone())
        .map_or_else(String::new, |w| format!("; a pod waits: {w}"));
    let message = format!("{have} of {need} pods of {} are ready{why}", c.version);
    d.wait(message.clone());
    d.condition(ConditionType::CandidateReady, Finding::no("Starting", message));
}

/// Until when its pods have to be ready: their time begins when their Deployment is there.
fn ready_by(d: &Draft<'_>, c: &Candidate) -> DateTime<Utc> {
    let made = d
        .obs
        .deployment(c.slot)
        .map_or(Some(d.now()), |slot| slot.metadata.creation_timestamp.as_ref().map(time::from_api));
    made.map_or(c.since, |made| made.max(c.since)) + d.spec().strategy.deadlines.ready.get()
}

/// The candidate's pods did not become ready in time, or crash.
fn deadline(d: &mut Draft<'_>, c: &Candidate, need: i32) -> bool {
    let judged = evidence::Judged::default();
    let crash = evidence::signals(d, &judged, 0.0).into_iter().find(|s| s.reason == "PodsCrashing");
    let have = world::ready_pods(d.obs, c.slot, Some(&c.template_hash));
    let at = ready_by(d, c);
    let refused = d.obs.failed_write.as_ref().is_some_and(|failed| failed.is_refused_at(d.now()));
    let cause = match crash {
        Some(signal) if have < need => Some((signal.reason, signal.message)),
        // A permission that is missing says nothing about the version.
        Some(_) | None if have < need && d.now() >= at && !refused => {
            let why = d
                .obs
                .pods_of(c.slot)
                .find_map(|p| p.waiting.clone())
                .unwrap_or_else(|| "no reason given".into());
            Some((
                "NotReady",
                format!(
                    "{have} of {need} pods became ready within {}; {why}",
                    d.spec().strategy.deadlines.ready
                ),
            ))
        }
        Some(_) | None => None,
    };
    match cause {
        None => {
            if have < need && at > d.now() {
                d.wake_at(at);
            }
            false
        }
        Some((reason, message)) => {
            let now = d.now();
            rollback::begin(d, Cause::reject(reason, message, now));
            true
        }
    }
}

/// Every query has data on stable, and the candidate's pods are scraped: known before any traffic moves.
fn preflight(d: &mut Draft<'_>, c: &Candidate, ready: bool) -> bool {
    let Some(found) = d.status.evidence.clone() else { return false };
    // Asked again soon while pods usually start, then at the pace of looks; a pass that learns nothing writes nothing.
    let early = d.now() - c.since < Duration::minutes(2);
    let again = if early { Duration::seconds(1) } else { Duration::milliseconds(found.interval_ms) };
    if found.tests.metrics.is_empty() {
        d.wake_in(again);
        match evidence::plan_metrics(d, &c.version) {
            Ok(()) => {
                let waiting = Finding::unknown("Waiting", "every query has data on the stable version");
                d.condition(ConditionType::EvidenceAvailable, waiting);
            }
            Err(("EvidencePending", message)) => {
                d.wait(message);
                return false;
            }
            Err((reason, message)) => {
                d.condition(ConditionType::EvidenceAvailable, Finding::no(reason, message.clone()));
                if reason == "PrometheusUnavailable" {
                    d.hold(reason, message)
                } else {
                    d.stall(reason, message)
                }
                return false;
            }
        }
    }
    if found.candidate_scraped || !ready {
        return found.candidate_scraped;
    }
    scraped(d, if early { questions::scraped_yet(&found) } else { again })
}

/// Whether Prometheus has the candidate's pods, for every metric that is told apart by pods.
fn scraped(d: &mut Draft<'_>, again: Duration) -> bool {
    let by_pod: Vec<_> = d
        .spec()
        .analysis
        .metrics
        .iter()
        .filter(|m| questions::gateway(m).is_none() && m.value.is_none() && !m.observe_only)
        .collect();
    let seen = |m: &&&crate::api::Metric| {
        let answers = d.obs.answers.given.iter();
        let mut of = answers.filter(|(q, _)| q.metric == m.name && q.arm == crate::analysis::Arm::Candidate);
        of.any(|(q, a)| !q.field.may_be_absent() && matches!(a, questions::Answer::Series(_)))
    };
    let missing = by_pod.iter().find(|m| !seen(m)).map(|m| m.name.clone());
    match missing {
        None => {
            if let Some(e) = &mut d.status.evidence {
                e.candidate_scraped = true;
            }
            true
        }
        Some(metric) => {
            let slot = d.status.candidate.as_ref().map_or("?", |c| c.slot.as_str());
            d.hold(
                "CandidateNotScraped",
                format!("metric {metric}: Prometheus has no samples of the pods in slot {slot} yet; their names are matched exactly, check that they are scraped"),
            );
            d.wake_in(again);
            false
        }
    }
}

/// The gateway has taken the warm route and the user's.
fn programmed(d: &mut Draft<'_>, c: &Candidate) -> bool {
    let parents = d.spec().traffic.gateway_api.as_ref().map(|g| g.parents.clone()).unwrap_or_default();
    let (Some(warm), Some(user)) = (&d.obs.warm_route, &d.obs.route) else { return false };
    for (route, asks) in [(user, ""), (warm, route::needs_of_sessions(d))] {
        match http_route::programmed(route, &parents) {
            Programmed::Yes => {}
            Programmed::No(message) => return unprogrammed(d, c, message + asks),
            Programmed::Unknown => return unprogrammed(d, c, "no gateway has reported on the route".into()),
        }
    }
    d.condition(
        ConditionType::RouteProgrammed,
        Finding::yes("Accepted", "all parents have accepted the routes"),
    );
    true
}

fn unprogrammed(d: &mut Draft<'_>, c: &Candidate, message: String) -> bool {
    d.condition(ConditionType::RouteProgrammed, Finding::no("RouteNotAccepted", message.clone()));
    let since = d
        .obs
        .warm_route
        .as_ref()
        .and_then(|r| r["metadata"]["creationTimestamp"].as_str())
        .and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok())
        .map_or(c.since, |t| t.to_utc());
    if d.now() - since >= PROGRAMMED_WITHIN {
        d.hold(
            "RouteNotAccepted",
            format!("{message}; the gateway must accept the route before traffic moves"),
        );
    } else {
        d.wait(message);
        d.wake_at(since + PROGRAMMED_WITHIN);
    }
    false
}
