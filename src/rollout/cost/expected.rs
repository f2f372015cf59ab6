//! Before the mirror is on: what the stage would cost, from stable's requests of the hour before.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::analysis::cost::{Fits, Planned, Price, amount, amount_at_least};
use crate::analysis::verdict::group;
use crate::api::{Metric, Shadow, ShadowBudget};
use crate::rollout::evidence::{self, Past};
use crate::rollout::{Draft, draft, questions, route};

use super::{NOT_COUNTED, SECONDS_PER_DAY, counts, price};

/// Stable's requests per day, as the gateway counts them; where no metric is of the gateway, as its pods do. What is mirrored
/// comes through the gateway.
pub fn measured(metrics: &[Metric], histories: &BTreeMap<String, Past>) -> Option<i64> {
    let per_day = |m: &Metric| Some(histories.get(&m.name)?.per_second()? * SECONDS_PER_DAY);
    let most = |at_gateway: bool| {
        let counting = metrics.iter().filter(|m| m.counts_requests());
        let of = counting.filter(|m| !m.observe_only && questions::gateway(m).is_some() == at_gateway);
        of.filter_map(per_day).reduce(f64::max)
    };
    most(true).or_else(|| most(false)).map(|n| n.round() as i64)
}

/// Whether the stage is within its budget, as far as can be reckoned. What it would cost is said once, and again when the spec
/// has changed it; more than the limit is not begun.
pub fn affordable(d: &mut Draft<'_>, shadow: &Shadow) -> bool {
    let Some(found) = d.status.evidence.clone().filter(|e| !e.tests.metrics.is_empty()) else { return true };
    let Some(budget) = &shadow.budget else {
        d.status.shadow = None;
        return true;
    };
    if !found.tests.metrics.iter().filter_map(evidence::unpack).any(|(plan, _)| counts(&plan)) {
        d.stall("ShadowNotCounted", NOT_COUNTED);
        return false;
    }
    let mirrors = |percent| route::mirrors(d, percent).is_ok();
    let Reckoned { sentence, over } =
        reckon(shadow, budget, found.requests_per_day, evidence::warm_up(d), mirrors);
    let mut status = d.status.shadow.clone().unwrap_or_default();
    if status.forecast.as_ref() != Some(&sentence) {
        let reason = if over { "ShadowOverBudget" } else { "ShadowCost" };
        d.event(over, reason, sentence.clone());
    }
    status.limit = Some(budget.limit.to_string());
    status.forecast = Some(sentence.clone());
    d.status.shadow = Some(status);
    if over {
        d.stall("ShadowOverBudget", sentence);
    }
    !over
}

/// A stage with a budget before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reckoned {
    /// What it would cost; when that is too much, with what would do.
    pub sentence: String,
    /// It would cost more than its limit.
    pub over: bool,
}

/// What the stage would cost. `a_day`: stable's requests per day, where they are known; `mirrors`: whether the gateways can
/// mirror so many percent.
pub fn reckon(
    shadow: &Shadow,
    budget: &ShadowBudget,
    a_day: Option<i64>,
    warm_up: Duration,
    mirrors: impl Fn(i32) -> bool,
) -> Reckoned {
    let price = price(budget);
    let planned = a_day.map(|a_day| planned(shadow, a_day, warm_up));
    let sentence = sentence(shadow, budget, price, a_day, planned);
    let over = planned.filter(|p| p.requests() > price.requests());
    let sentence = match over {
        None => sentence,
        Some(p) => format!("{sentence}; {}", what_would_do(p, price, mirrors)),
    };
    Reckoned { sentence: draft::cut(sentence, 600), over: over.is_some() }
}

/// The stage as it is planned. `a_day`: stable's requests per day.
pub fn planned(shadow: &Shadow, a_day: i64, warm_up: Duration) -> Planned {
    let seconds = |span: Duration| span.num_milliseconds() as f64 / 1000.0;
    Planned {
        per_second: a_day as f64 / SECONDS_PER_DAY,
        share: f64::from(shadow.percent) / 100.0,
        seconds: seconds(shadow.duration.get()),
        warm_up: seconds(warm_up),
        min_requests: shadow.min_requests as f64,
    }
}

fn sentence(
    shadow: &Shadow,
    budget: &ShadowBudget,
    price: Price,
    a_day: Option<i64>,
    planned: Option<Planned>,
) -> String {
    let limit = &budget.limit;
    let (Some(a_day), Some(planned)) = (a_day, planned) else {
        return format!(
            "the hour before does not say how many requests the stable version gets, so the cost of the shadow stage is not known; its \
             limit of {limit} pays for {} mirrored requests",
            group(price.requests().floor())
        );
    };
    let (percent, requests) = (shadow.percent, planned.requests());
    format!(
        "the stable version gets {} requests per day; to mirror {percent} % of them costs {} per day, and the shadow stage at least \
         {} ({} requests), {} its limit of {limit}",
        group(a_day as f64),
        amount(price.cost(a_day as f64 * planned.share)),
        amount(price.cost(requests)),
        group(requests.ceil()),
        if requests > price.requests() { "more than" } else { "within" },
    )
}

/// What would bring it within the limit. A part is proposed only where the gateways can mirror one.
fn what_would_do(planned: Planned, price: Price, mirrors: impl Fn(i32) -> bool) -> String {
    let Fits { percent, seconds, min_requests } = planned.fits(price.requests());
    let mut ways = Vec::new();
    ways.extend(percent.filter(|p| mirrors(*p)).map(|p| format!("percent: {p}")));
    ways.extend(seconds.map(|s| format!("duration: {}", span(s))));
    ways.extend(
        min_requests.filter(|n| *n < planned.min_requests as i64).map(|n| format!("minRequests: {n}")),
    );
    ways.push(format!("budget.limit: '{}'", amount_at_least(price.cost(planned.requests()))));
    format!(
        "nothing is mirrored until it fits: in spec.strategy.shadow set {}, or take the stage out",
        ways.join(", or ")
    )
}

/// Seconds as they are written in a manifest, rounded down.
fn span(seconds: i64) -> String {
    if seconds < 120 { format!("{seconds}s") } else { format!("{}m", seconds / 60) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::Counts;

    fn metric(name: &str, more: serde_json::Value) -> Metric {
        let mut metric = json!({"name": name});
        metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(metric).unwrap()
    }

    fn per_day(metrics: &[Metric], requests: &[(&str, f64)]) -> Option<i64> {
        let past =
            |n: f64| Past { hour: Counts { n, ..Counts::default() }, seconds: 1800.0, ..Past::default() };
        measured(metrics, &requests.iter().map(|(name, n)| ((*name).to_owned(), past(*n))).collect())
    }

    #[test]
    fn requests_per_day_are_the_gateways_where_it_counts_them() {
        let ratio = json!({"bad": "b", "total": "t"});
        let arms = json!({"gateway": {"label": "cluster", "value": "$(SERVICE)"}});
        let pods = metric("pods", json!({"ratio": ratio}));
        let edge = metric("edge", json!({"ratio": ratio, "arms": arms}));
        let shown = metric("shown", json!({"ratio": ratio, "arms": arms, "observeOnly": true}));
        let scores = metric("scores", json!({"mean": {"histogram": "h"}}));
        let seen = [("pods", 900.0), ("edge", 600.0), ("shown", 9000.0), ("scores", 9000.0)];
        let all = [pods.clone(), edge, shown, scores.clone()];
        assert_eq!(per_day(&all, &seen), Some(600 * 48), "in half an hour");
        assert_eq!(per_day(&[pods, scores.clone()], &seen), Some(900 * 48));
        assert_eq!(per_day(&[scores], &seen), None, "scores are no requests");
    }

    #[test]
    fn a_span_is_never_longer_than_its_seconds() {
        assert_eq!([59, 119, 120, 3599].map(span), ["59s", "119s", "2m", "59m"]);
    }
}
