//! What brings traffic back: a metric's breach, silence, crashing or missing pods. Only signals; the phase decides.

use chrono::{DateTime, Utc};

use crate::analysis::pods;
use crate::analysis::silence::{self, Silence};
use crate::analysis::{Arm, Breach, BreachKind, MetricVerdict};
use crate::analysis::{MetricPlan, MetricState};
use crate::api::{Metric, RollbackOrHold};
use crate::rollout::{Draft, questions, world};

use super::judge::{Judged, candidate_endpoints};
use super::{asked, exits};

/// Something that says the candidate is bad.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Reason in CamelCase.
    pub reason: &'static str,
    /// The numbers, in a sentence.
    pub message: String,
    /// End of the interval that showed it, or now.
    pub at: DateTime<Utc>,
    /// Whether traffic is brought back or the rollout holds.
    pub then: RollbackOrHold,
}

/// The signals of this pass, the ones that roll back first. `per_stable` is the candidate's requests for each request of
/// stable that the route gives; 0 while it gives none.
pub fn signals(d: &Draft<'_>, judged: &Judged, per_stable: f64) -> Vec<Signal> {
    let mut all: Vec<Signal> = judged.verdicts.iter().filter_map(|v| breach(d, v)).collect();
    let silent = silent(d, judged, per_stable);
    if silent.is_none() {
        all.extend(short(d, judged, per_stable));
    }
    all.extend(silent);
    all.extend(crashing(d));
    all.extend(not_ready(d));
    all.sort_by_key(|s| s.then == RollbackOrHold::Hold);
    all
}

fn metric_of(d: &Draft<'_>, name: &str) -> Option<Metric> {
    let state = d.status.evidence.iter().flat_map(|e| &e.tests.metrics).find(|m| m.name == name)?;
    asked(d.obs, state)
}

/// What a breach does: the metric and the rollout must both say that it rolls back.
pub fn on_breach(metric: Option<RollbackOrHold>, rollout: RollbackOrHold) -> RollbackOrHold {
    match (metric, rollout) {
        (Some(RollbackOrHold::Hold), _) | (_, RollbackOrHold::Hold) => RollbackOrHold::Hold,
        (Some(RollbackOrHold::Rollback) | None, RollbackOrHold::Rollback) => RollbackOrHold::Rollback,
    }
}

fn breach(d: &Draft<'_>, v: &MetricVerdict) -> Option<Signal> {
    let Breach { by, at, log_e: _, bar: _ } = v.breach()?;
    let metric = metric_of(d, &v.metric);
    let then = on_breach(metric.map(|m| m.on_breach), d.spec().on_breach);
    let test = match by {
        BreachKind::Limit => "",
        BreachKind::CoarseGuard => " (coarse guard)",
        BreachKind::Range => {
            let message = format!("{}: {}", v.metric, v.sentence);
            return Some(Signal { reason: "MetricBreach", message, at: *at, then });
        }
        BreachKind::AbsoluteGuard => " (coarse guard without a baseline)",
        BreachKind::AbsoluteGuardControlThin => {
            " (coarse guard without a baseline; the control arm was too thin to tell)"
        }
    };
    let value =
        |a: &crate::analysis::verdict::ArmNumbers| a.value.map_or("?".to_owned(), |x| format!("{:.4}", x.0));
    let message = format!(
        "{}{test}: candidate {} of {} requests, stable {} of {}, limit {}. {}",
        v.metric,
        value(&v.candidate),
        v.candidate.n,
        value(&v.stable),
        v.stable.n,
        v.limit.map_or("?".to_owned(), |l| format!("{:.4}", l.0)),
        v.sentence
    );
    Some(Signal { reason: "MetricBreach", message, at: *at, then })
}

fn silent(d: &Draft<'_>, judged: &Judged, per_stable: f64) -> Option<Signal> {
    if per_stable <= 0.0 || candidate_endpoints(d) == 0 || judged.missing_source() {
        return None;
    }
    let metrics: Vec<_> = judged.states.iter().map(|(plan, _)| metric_of(d, &plan.name)).collect();
    let states = judged.states.iter().zip(&metrics);
    let found =
        silence(states.filter_map(|((plan, state), m)| Some((plan, state, m.as_ref()?))), per_stable)?;
    let (reason, then) = match found.confirmed {
        true => ("CandidateSilent", d.spec().analysis.silent),
        false => ("CandidateSilentUnconfirmed", RollbackOrHold::Hold),
    };
    Some(Signal { reason, message: found.message, at: d.now(), then })
}

/// A candidate that finishes no requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// The gateway says so; pods alone cannot.
    pub confirmed: bool,
    /// With the numbers.
    pub message: String,
}

/// Whether the candidate is silent, by the metrics that count requests. `per_stable` as in [`silence::judge`].
pub fn silence<'a>(
    metrics: impl Iterator<Item = (&'a MetricPlan, &'a MetricState, &'a Metric)>,
    per_stable: f64,
) -> Option<Silent> {
    // Scores come when they come; only counts of requests tell that a candidate finishes none. Where the gateway counts,
    // the pods' own word is not needed.
    let counts: Vec<_> = metrics
        .filter(|(_, _, m)| m.counts_requests())
        .map(|(plan, state, m)| (plan, state, questions::gateway(m).is_some()))
        .collect();
    let any_gateway = counts.iter().any(|(_, _, at_gateway)| *at_gateway);
    let mut unconfirmed = None;
    for (plan, state, at_gateway) in counts.into_iter().filter(|(_, _, g)| *g || !any_gateway) {
        match silence::judge(&state.recent, per_stable, at_gateway) {
            Silence::Unknown => {}
            // One source that hears the candidate is enough.
            Silence::Speaking => return None,
            Silence::Silent(s) => {
                let message = format!(
                    "{}: the candidate finished {:.0} requests in the last looks where its share predicts {:.0}",
                    plan.name, s.counted, s.predicted
                );
                return Some(Silent { confirmed: true, message });
            }
            Silence::Unconfirmed(s) => {
                let message = format!(
                    "{}: the candidate's pods finished {:.0} requests in the last looks where its share predicts {:.0}; a metric of the gateway would tell whether it is silent",
                    plan.name, s.counted, s.predicted
                );
                unconfirmed = Some(Silent { confirmed: false, message });
            }
        }
    }
    unconfirmed
}

/// The gateway gives the candidate far less than its share: what is compared is not what was decided, so it holds.
fn short(d: &Draft<'_>, judged: &Judged, per_stable: f64) -> Option<Signal> {
    if per_stable <= 0.0 || judged.missing_source() {
        return None;
    }
    let mut at_gateway = judged.states.iter().filter(|(plan, _)| {
        metric_of(d, &plan.name).is_some_and(|m| m.counts_requests() && questions::gateway(&m).is_some())
    });
    let (plan, found) =
        at_gateway.find_map(|(plan, state)| Some((plan, silence::short(&state.recent, per_stable)?)))?;
    let message = format!(
        "{}: the gateway gave the candidate {:.0} requests in the last ten looks, where its share predicts {:.0}; look for what \
         else routes them",
        plan.name, found.counted, found.predicted
    );
    Some(Signal { reason: "ShareNotMet", message, at: d.now(), then: RollbackOrHold::Hold })
}

fn crashing(d: &Draft<'_>) -> Option<Signal> {
    let c = d.status.candidate.as_ref()?;
    let found = pods::crashing(&exits::of(c, Arm::Candidate), &exits::of(c, Arm::Stable), d.now())?;
    signal(d, found)
}

fn not_ready(d: &Draft<'_>) -> Option<Signal> {
    let (c, step) = (d.status.candidate.as_ref()?, d.status.step.as_ref()?);
    let disrupted = d.obs.living_pods_of(c.slot).any(|p| p.disrupted);
    let deadline = d.spec().strategy.deadlines.ready.get();
    // Pods, not endpoints: that our Service is missing is not the version's fault.
    let ready = world::ready_pods(d.obs, c.slot, Some(&c.template_hash));
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let short = step.short_since.and_then(|since| {
        let missing = pods::Missing {
            need: count(crate::rollout::capacity::need_of_step(d)),
            ready: count(ready),
            since,
            explained: disrupted,
        };
        pods::not_ready(missing, deadline, d.now())
    });
    // Pods for the next share are new ones that load the model first: they have the whole deadline.
    // Where the API server refuses what they need, that says nothing about the version.
    let refused = d.obs.failed_write.as_ref().is_some_and(|failed| failed.is_refused_at(d.now()));
    let late =
        step.awaited.filter(|a| ready < a.pods && !disrupted && !refused && d.now() - a.since >= deadline);
    let awaited =
        late.map(|a| pods::PodBreach::NotReady { need: count(a.pods), ready: count(ready), since: a.since });
    signal(d, short.or(awaited)?)
}

fn signal(d: &Draft<'_>, found: pods::PodBreach) -> Option<Signal> {
    let (reason, message) = match found {
        pods::PodBreach::Crashing { exits, out_of_memory, pod } => {
            let oom = if out_of_memory > 0 {
                format!(", {out_of_memory} of them out of memory")
            } else {
                String::new()
            };
            (
                "PodsCrashing",
                format!(
                    "{exits} containers of the candidate ended badly within 5 min{oom}, the last in pod {pod}; stable's do not"
                ),
            )
        }
        pods::PodBreach::NotReady { need, ready, since: _ } => (
            "NotReady",
            format!(
                "only {ready} of the {need} pods that the step needs are ready, for longer than the deadline allows"
            ),
        ),
    };
    Some(Signal { reason, message, at: d.now(), then: d.spec().on_breach })
}
