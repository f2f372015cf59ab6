//! While requests are mirrored: what they cost so far, and the mirror off as soon as the limit is reached.
//!
//! What was mirrored is what the metrics have counted, which stands in the state of their tests and moves on with it in one
//! write: nothing is counted twice, and nothing is lost to a crash. What no look has counted yet is taken to go on as before,
//! so that the limit is met between two looks, and also while Prometheus is away.

use chrono::Duration;

use crate::analysis::cost::{Counted, Price, Spent, amount, amount_at_least};
use crate::analysis::verdict::group;
use crate::api::{MirrorOff, OffReason, Shadow, ShadowStatus};
use crate::rollout::evidence::{self, Judged};
use crate::rollout::phases::gate::{self, Gate};
use crate::rollout::{Action, Draft, capacity, provider, route, world};

use super::{NOT_COUNTED, counts, expected_per_second, price};

/// Looks for which the rest of a budget must last, so that the mirror is worth being switched on again.
const WORTH: f64 = 2.0;

/// Two passes that wait for the limit are so far apart at least, however the numbers are rounded.
const SOON: Duration = Duration::milliseconds(50);

/// The stage begins.
pub fn begin(d: &mut Draft<'_>, percent: i32) {
    let forecast = d.status.shadow.take().and_then(|s| s.forecast);
    d.status.shadow = Some(ShadowStatus { percent, forecast, ..ShadowStatus::default() });
}

/// Percent that is to be mirrored now, as decided; nothing while the mirror is off.
pub fn mirror_in_force(d: &Draft<'_>) -> Option<i32> {
    match &d.status.shadow {
        Some(ShadowStatus { off: Some(_), .. }) => None,
        Some(s) => Some(s.percent),
        // An older operator began the stage.
        None => Some(world::reading(d.obs).and_then(|r| r.mirror).unwrap_or(100)),
    }
}

/// The same, after the spec: less counts at once, more as soon as the pods for it are there.
pub fn mirror(d: &mut Draft<'_>, shadow: &Shadow) -> Option<i32> {
    let decided = mirror_in_force(d)?;
    let wanted = shadow.percent;
    if wanted == decided {
        return Some(decided);
    }
    if let Err(message) = route::mirrors(d, wanted) {
        d.stall("MirrorUnsupported", message);
        return Some(decided);
    }
    if wanted > decided && evidence::candidate_endpoints(d) < capacity::need_of_step(d) {
        return Some(decided);
    }
    d.event(false, "ShadowEdited", format!("{wanted} % of the requests are mirrored, not {decided} %"));
    d.status.shadow.get_or_insert_default().percent = wanted;
    rewrite(d);
    Some(wanted)
}

/// What is mirrored has been decided anew and is to be written.
fn rewrite(d: &mut Draft<'_>) {
    let now = d.now();
    if let Some(step) = &mut d.status.step {
        step.set_at = now;
        step.written = false;
    }
}

/// After the look of a pass: what was mirrored so far, and whether the mirror stays on.
pub fn keep(d: &mut Draft<'_>, shadow: &Shadow, judged: &Judged) {
    let percent = mirror_in_force(d).unwrap_or(shadow.percent);
    let mut status = d.status.shadow.clone().unwrap_or(ShadowStatus { percent, ..ShadowStatus::default() });
    let found = so_far(d, shadow, judged);
    let requests = found.as_ref().map(Spent::counted);
    if let Some(requests) = requests {
        status.requests = requests.ceil() as i64;
    }
    let price = shadow.budget.as_ref().map(price);
    status.cost = price.map(|p| amount(p.cost(requests.unwrap_or(status.requests as f64))));
    status.limit = shadow.budget.as_ref().map(|b| b.limit.to_string());
    let before = status.off.clone();
    let reason = match (price, &before) {
        (None, _) => None,
        (Some(price), None) => exhausted(d, price, found.as_ref()),
        (Some(price), Some(off)) => still_off(d, price, found.as_ref(), off, judged),
    };
    let since = before.as_ref().map_or(d.now(), |before| before.since);
    status.off = reason.map(|reason| MirrorOff { reason, since });
    let (requests, cost) = (status.requests, status.cost.clone().unwrap_or_default());
    let (is_off, limit) = (status.off.is_some(), status.limit.clone().unwrap_or_default());
    d.status.shadow = Some(status);
    if before.is_some() == is_off {
        return;
    }
    evidence::mirror_switched(d, !is_off);
    let so_far = format!("{} mirrored requests so far", group(requests as f64));
    match reason {
        Some(OffReason::BudgetSpent) => {
            let message = format!(
                "the mirror is switched off: {so_far} cost {cost}, and with those that no look has counted yet the limit of {limit} is \
                 reached"
            );
            d.event(true, "ShadowBudgetSpent", message);
        }
        Some(OffReason::Uncounted) => {
            d.event(true, "ShadowUncounted", "the mirror is switched off: what it sends cannot be counted")
        }
        None => {
            d.event(false, "ShadowResumed", format!("the mirror is switched on again, {so_far}"));
        }
    }
    rewrite(d);
    let wanted = mirror_in_force(d);
    // A pass writes the route once; a write that it has already decided is followed by another pass.
    if !d.actions.iter().any(|a| matches!(a, Action::PatchRoute { .. })) {
        provider::keep(d, wanted, judged.looked);
    }
    d.wake_in(Duration::zero());
}

/// The counts of the metrics that count requests.
fn so_far(d: &Draft<'_>, shadow: &Shadow, judged: &Judged) -> Option<Spent> {
    let found = d.status.evidence.as_ref()?;
    let (share, since) = (f64::from(shadow.percent) / 100.0, d.status.step.as_ref()?.set_at);
    let look = found.interval_ms as f64 / 1000.0;
    let expected = expected_per_second(d, shadow).unwrap_or(0.0);
    let counting = judged.states.iter().filter(|(plan, _)| counts(plan));
    let counts = counting.map(|(_, state)| {
        let per_second = match state.recent.of_late() {
            (0, _, _) => expected,
            (looks, stable, 0.0) => stable * share / (f64::from(looks) * look),
            (looks, _, candidate) => candidate / (f64::from(looks) * look),
        };
        Counted { at: state.cursor.at, mirrored: state.mirrored, per_second }
    });
    Spent::of(counts.collect(), share, since)
}

/// Why the mirror is to be switched off; while it is not, a later pass is asked for.
fn exhausted(d: &mut Draft<'_>, price: Price, found: Option<&Spent>) -> Option<OffReason> {
    let now = d.now();
    let Some(spent) = found else { return Some(OffReason::Uncounted) };
    if spent.by(now) >= price.requests() {
        return Some(OffReason::BudgetSpent);
    }
    // Estimates are as good as the traffic is steady: what nobody has counted for long is not paid for.
    let since = d.status.step.as_ref().map_or(now, |s| s.set_at);
    let patience = spent.counted_to().max(since) + d.spec().analysis.no_data.after.get();
    if now >= patience {
        return Some(OffReason::Uncounted);
    }
    d.wake_at(spent.reached_at(price.requests()).min(patience).max(now + SOON));
    None
}

/// A mirror that is off stays so until all that it sent has been counted and the rest of the budget is worth it.
fn still_off(
    d: &Draft<'_>,
    price: Price,
    found: Option<&Spent>,
    off: &MirrorOff,
    judged: &Judged,
) -> Option<OffReason> {
    let Some(spent) = found else { return Some(OffReason::Uncounted) };
    if spent.counted_to() < off.since || judged.missing_source() {
        return Some(off.reason);
    }
    let left = price.requests() - spent.counted();
    if left < enough(d, spent).max(1.0) { Some(OffReason::BudgetSpent) } else { None }
}

fn enough(d: &Draft<'_>, spent: &Spent) -> f64 {
    let look = d.status.evidence.as_ref().map_or(0, |e| e.interval_ms) as f64 / 1000.0;
    WORTH * look * spent.per_second()
}

/// The mirror is off. Once all that it sent has been judged, the stage goes on to the canary with what it has seen, or holds.
/// Nothing while the mirror is on.
pub fn spent(d: &mut Draft<'_>, shadow: &Shadow, judged: &Judged) -> Option<Gate> {
    let status = d.status.shadow.clone()?;
    let off = status.off.clone()?;
    if off.reason == OffReason::Uncounted {
        let why = match so_far(d, shadow, judged) {
            None => NOT_COUNTED.to_owned(),
            Some(_) => "the mirror is off, for what it sends has not been counted for analysis.noData.after, and it is paid for; it is switched on again when it can be counted".to_owned(),
        };
        d.hold("ShadowUncounted", why);
        return Some(Gate::Hold);
    }
    let judged_to = d.status.evidence.as_ref().map(|e| e.t_k);
    if judged_to.is_none_or(|t| t < off.since) {
        d.wait("the last of the mirrored requests to be counted");
        return Some(Gate::Look);
    }
    let gate = gate::shadow(true, shadow.min_requests, judged);
    if let Gate::Evidence(missing) = &gate {
        let message = out_of_money(d, shadow, &status, judged, missing);
        d.hold("ShadowBudgetSpent", message);
    }
    Some(gate)
}

fn out_of_money(
    d: &Draft<'_>,
    shadow: &Shadow,
    status: &ShadowStatus,
    judged: &Judged,
    missing: &str,
) -> String {
    let (cost, limit) = (status.cost.as_deref().unwrap_or("?"), status.limit.as_deref().unwrap_or("?"));
    let short = shadow.min_requests as f64 - gate::mirrored(judged);
    let more = so_far(d, shadow, judged).map_or(0.0, |spent| {
        let warm_up = evidence::warm_up(d).num_milliseconds() as f64 / 1000.0 * spent.per_second();
        spent.counted() + warm_up + short.max(enough(d, &spent))
    });
    let would = shadow.budget.as_ref().map_or_else(String::new, |b| amount_at_least(price(b).cost(more)));
    format!(
        "the shadow stage has spent its budget, and the mirror is off: {} mirrored requests cost {cost}, the limit is {limit}; still asked \
         for: {missing}; raise spec.strategy.shadow.budget.limit (to '{would}' or more), ask for less, or take the stage out to go on \
         without it",
        group(status.requests as f64)
    )
}
