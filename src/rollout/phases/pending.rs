//! Pending: a release has been found necessary; the world is made clean for it, what it needs is checked, and its plan
//! is fixed.

use crate::api::{Candidate, Phase, ReleaseKind, RollbackIntent, Slot};
use crate::rollout::clean::{self, Cleaned};
use crate::rollout::target::{self, Target, Wanted};
use crate::rollout::{
    Draft, adoption, capacity, covered, evidence, provider, questions, rejected, route, world,
};

use super::{preparing, resting};

/// Most characters of all metrics' selectors together: an attempt keeps them in its status, which is bounded.
const SELECTORS: usize = 12 * 1024;

/// Cleans up what an earlier plan left, then fixes the plan of what the spec asks for now.
pub fn run(d: &mut Draft<'_>) {
    let slot = world::candidate_slot(&d.status);
    if d.status.rollback.is_some() {
        if clean::clean(d, slot) != Cleaned::Done {
            return;
        }
        d.status.rollback = None;
        d.status.candidate = None;
        d.status.evidence = None;
        d.status.shadow = None;
        d.status.step = None;
        d.status.route = None;
        if d.spec().route_name().is_some_and(|named| named != world::route_name(d.obs)) {
            // The old route is the user's again; the one that the spec names has not been observed yet.
            d.wait("the route that the spec names now");
            return d.wake_in(chrono::Duration::seconds(1));
        }
    }
    if let Some(c) = d.status.candidate.clone() {
        // An expedited release was decided by a person; it does not follow the spec.
        if c.kind == ReleaseKind::Expedited {
            d.status.phase = Some(Phase::Preparing);
            preparing::run(d);
            return;
        }
    }
    d.status.candidate = None;
    match target::wanted(d) {
        Wanted::Nothing => resting::arrive(d),
        Wanted::Refused((reason, message)) => {
            d.stall(reason, message);
            resting::keep(d);
        }
        Wanted::Release(target, kind) => match rejected::refuses(d, &target, kind) {
            Some(_) => resting::arrive(d),
            None => release(d, &target, kind),
        },
    }
}

fn release(d: &mut Draft<'_>, target: &Target, kind: ReleaseKind) {
    if let Err((reason, message)) = requirements(d) {
        d.stall(reason, message);
        resting::keep(d);
        return;
    }
    start(d, target, kind, "its plan is fixed");
    preparing::run(d);
}

/// What every release needs of the user's objects.
fn requirements(d: &mut Draft<'_>) -> Result<(), (&'static str, String)> {
    let spec = d.spec();
    if spec.traffic.gateway_api.is_none() && spec.traffic.replicas.is_none() {
        let message = "spec.traffic names no provider; name the HTTPRoute that the traffic comes through in gatewayAPI, or                        set replicas: {} where there is no gateway";
        return Err(("NoProvider", message.into()));
    }
    adoption::ensure(d)?;
    covered::first(d)?;
    let service = &spec.traffic.service;
    if d.obs.service(service).is_none() {
        return Err((
            "ServiceMissing",
            format!("Service {service} does not exist; create it, it is how callers reach the model"),
        ));
    }
    provider::requirements(d)?;
    if spec.analysis.metrics.iter().all(|m| m.observe_only) {
        return Err(("NoMetrics", "spec.analysis.metrics has no metric that decides; a step never advances without evidence, so add one".into()));
    }
    let metrics = &spec.analysis.metrics;
    let twice = metrics.iter().enumerate().find(|(i, m)| metrics.iter().take(*i).any(|n| n.name == m.name));
    if let Some((_, metric)) = twice {
        let message =
            format!("two metrics are named {}, one of them by a preset; give one another name", metric.name);
        return Err(("MetricNameTwice", message));
    }
    let length: usize = spec.analysis.metrics.iter().map(questions::length).sum();
    if length > SELECTORS {
        let message = format!(
            "the selectors of spec.analysis.metrics have {length} characters together; an attempt keeps them, up to {SELECTORS}: \
             shorten them, or record the long ones as rules in Prometheus"
        );
        return Err(("MetricsTooLong", message));
    }
    Ok(())
}

/// Fixes a plan: the candidate, its slot, its hash, its attempt; the grid of looks begins.
pub fn start(d: &mut Draft<'_>, target: &Target, kind: ReleaseKind, why: &str) {
    let slot = world::active_slot(&d.status).next();
    start_in(d, target, kind, slot, why);
}

/// The same, in a given slot.
pub fn start_in(d: &mut Draft<'_>, target: &Target, kind: ReleaseKind, slot: Slot, why: &str) {
    let Some(active) = d.status.active.clone() else { return };
    let attempt = rejected::next_attempt(d, target, kind);
    let plan_hash = target::plan_hash(d.obs, &active, target, kind, attempt);
    d.status.candidate = Some(Candidate {
        version: target.version.clone(),
        bundle_digest: target.bundle_digest.clone(),
        slot,
        template_hash: target.template_hash.clone(),
        plan_hash,
        attempt,
        kind,
        since: d.now(),
        floor: 0,
        both: None,
        exits: Vec::new(),
    });
    d.status.route = d.status.route.take().or_else(|| d.spec().route_name().map(str::to_owned));
    provider::remember(d);
    d.status.capacity = 0;
    capacity::remember(d);
    if d.status.capacity == 0 {
        d.status.capacity = world::replicas(d.obs.deployment(active.slot)).max(1);
    }
    d.status.last_evidence = None;
    d.status.evidence = (kind != ReleaseKind::Expedited).then(|| evidence::begin(d));
    d.status.shadow = None;
    d.status.ab_test = None;
    d.status.analysis.clear();
    d.status.step = None;
    d.status.rollback = None;
    d.status.settling = None;
    d.status.overridden = None;
    d.status.conflict = None;
    d.transition(Phase::Preparing, "Preparing", "PlanFixed", format!("{why}; it goes to slot {slot}"));
}

/// A newer version, template or baseline before the promotion: weight 0, drain, evidence void, new plan.
pub fn supersede(d: &mut Draft<'_>, message: &str) {
    let now = d.now();
    d.status.rollback = Some(RollbackIntent {
        reason: "Superseded".into(),
        message: message.to_owned(),
        decided_at: now,
        reject: false,
        route_clean_at: None,
    });
    d.status.evidence = None;
    d.status.shadow = None;
    d.status.ab_test = None;
    d.status.analysis.clear();
    d.status.step = None;
    d.status.overridden = None;
    d.status.conflict = None;
    d.transition(Phase::Pending, "Pending", "Superseded", message);
    let slot = world::candidate_slot(&d.status);
    clean::clean(d, slot);
}

/// Whether what the candidate was planned on still holds; if not, why. From the promotion on the plan is frozen.
pub fn overtaken(d: &Draft<'_>) -> Option<Overtaken> {
    let c = d.status.candidate.as_ref()?;
    let active = d.status.active.as_ref()?;
    if c.kind == ReleaseKind::Expedited {
        return None;
    }
    if d.spec().version == active.version && c.version != active.version {
        return Some(Overtaken::SetBack);
    }
    if let Some((old, new)) = route::renamed(d) {
        return Some(Overtaken::Newer(format!(
            "the spec names HTTPRoute {new} now: {old} is put back first, the evidence so far is void, a new plan begins"
        )));
    }
    if let Some(message) = provider::changed(d) {
        return Some(Overtaken::Newer(message));
    }
    let now = match target::wanted(d) {
        Wanted::Nothing => return Some(Overtaken::SetBack),
        Wanted::Refused((_, message)) if d.spec().version != c.version => {
            return Some(Overtaken::Newer(message));
        }
        // The object of a version that is already running was deleted, or the origin is away: nothing is judged by that.
        Wanted::Refused(_) => return None,
        Wanted::Release(target, kind) => (target, kind),
    };
    let (target, kind) = now;
    let hash = target::plan_hash(d.obs, active, &target, kind, c.attempt);
    if hash == c.plan_hash {
        return None;
    }
    let what = if target.version != c.version {
        format!("spec.version is now {}", target.version)
    } else if target.bundle_digest != c.bundle_digest {
        "the version was registered again with other content".to_owned()
    } else if target.template_hash != c.template_hash {
        "the origin's template was changed".to_owned()
    } else {
        "the baseline or the metrics were changed".to_owned()
    };
    Some(Overtaken::Newer(format!("{what}: the evidence so far is void, a new plan begins")))
}

/// What has become of the wish that a plan was made for.
pub enum Overtaken {
    /// The spec names the active version again.
    SetBack,
    /// The spec asks for something else; in words.
    Newer(String),
}
