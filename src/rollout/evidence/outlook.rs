//! What the plan can find out at today's traffic, said before any of it moves.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::analysis::forecast::{Outlook, Step, Traffic, When, default_detect, detect_text, outlook};
use crate::analysis::verdict::{group, one_digit};
use crate::analysis::{Limit, MetricPlan, MetricState};
use crate::api::duration::in_words;
use crate::api::{Forecast, MetricForecast, ModelRolloutSpec};
use crate::rollout::draft;

use super::history::Past;
use super::start::filled;

/// Weights that are proposed for a last step which is too slow, in percent.
const WEIGHTS: [i32; 4] = [5, 10, 25, 50];

/// What a forecast is reckoned for.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// The rollout, its presets written out.
    pub spec: &'a ModelRolloutSpec,
    /// Length of a look.
    pub interval: Duration,
    /// Time that is dropped after each change of the share.
    pub warm_up: Duration,
    /// The scrape interval, where it is known.
    pub scrape_ms: Option<i64>,
}

/// A forecast, and what makes it too slow.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// As status has it.
    pub forecast: Forecast,
    /// In words, metric by metric; an Event has room for them.
    pub said: String,
    /// A sentence for each metric that is too slow, with what would do.
    pub slow: Vec<String>,
    /// What status has no room for, in the order of the forecast's metrics.
    pub details: Vec<Detail>,
}

/// More of what can be expected of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detail {
    /// The candidate's requests until it is proven, to one digit.
    pub proof_requests: Option<i64>,
    /// A candidate as bad as `detect` is good enough by the metric's proof.
    pub passes: bool,
}

/// One metric with what can be expected of it.
struct Expected<'a> {
    plan: &'a MetricPlan,
    detect: Limit,
    traffic: Traffic<'a>,
    outlook: Outlook,
}

/// The forecast for all metrics over the canary's steps. `None` when nothing can be reckoned of any.
pub fn forecast(
    of: &Schedule<'_>,
    plans: &[(MetricPlan, MetricState)],
    histories: &BTreeMap<String, Past>,
) -> Option<Foreseen> {
    let steps = steps(of);
    let look = seconds(of.interval);
    let metrics = &of.spec.analysis.metrics;
    let expect = |(plan, _): &'_ (MetricPlan, MetricState)| {
        let user = metrics.iter().find(|m| m.name == plan.name)?;
        let past = histories.get(&plan.name)?;
        let traffic = Traffic { per_look: past.per_second()? * look, hour: &past.hour };
        let detect = filled(default_detect(plan.kind), user.detect.as_ref());
        Some((detect, traffic, outlook(plan, detect, traffic, &steps)?))
    };
    let mut expected = Vec::new();
    for one in plans {
        if let Some((detect, traffic, outlook)) = expect(one) {
            expected.push(Expected { plan: &one.0, detect, traffic, outlook });
        }
    }
    if expected.is_empty() {
        return None;
    }
    let slow: Vec<String> =
        expected.iter().filter(|e| !e.plan.observe_only).filter_map(|e| too_slow(e, &steps, look)).collect();
    let pace = of.scrape_ms.map(|scrape| {
        format!("Looks every {}, scraped every {} s", in_words(of.interval), scrape as f64 / 1000.0)
    });
    let each = expected.iter().map(|e| in_a_sentence(e, look));
    let said = slow.iter().cloned().chain(each).chain(pace.clone()).collect::<Vec<_>>().join(". ");
    let short = match &slow[..] {
        [] => vec!["Every metric that decides can be proven in time".to_owned()],
        slow => slow.to_vec(),
    };
    let message = short.into_iter().chain(pace).collect::<Vec<_>>().join(". ");
    let forecast = Forecast {
        in_time: slow.is_empty(),
        message: draft::cut(message, 1000),
        metrics: expected.iter().map(|e| row(e, look)).collect(),
    };
    let said = draft::cut(said, 1000);
    Some(Foreseen { forecast, said, slow, details: expected.iter().map(detail).collect() })
}

fn seconds(interval: Duration) -> f64 {
    interval.num_milliseconds() as f64 / 1000.0
}

fn steps(of: &Schedule<'_>) -> Vec<Step> {
    let looks = |span: Duration| seconds(span) / seconds(of.interval).max(0.001);
    let strategy = &of.spec.strategy;
    let warm_up = looks(of.warm_up).ceil() + 1.0;
    let patience = looks(strategy.deadlines.evidence.get());
    let step = |s: &crate::api::Step| Step {
        share: f64::from(s.weight) / 100.0,
        warm_up,
        hold: looks(s.hold.get()),
        patience,
    };
    strategy.canary.steps.iter().map(step).collect()
}

/// Looks as a time, to one digit.
fn time(looks: f64, look: f64) -> String {
    about(looks * look)
}

/// Seconds in words, to one digit of the unit in which they are read.
pub fn about(seconds: f64) -> String {
    let rounded = |unit: u64| one_digit(seconds / unit as f64).saturating_mul(unit);
    let found = match (rounded(1), rounded(60)) {
        (seconds, _) if seconds < 120 => seconds,
        (_, minutes) if minutes < 7200 => minutes,
        _ => rounded(3600),
    };
    // A thousand million hours are never.
    in_words(Duration::seconds(found.min(1_000_000_000 * 3600) as i64))
}

fn row(e: &Expected<'_>, look: f64) -> MetricForecast {
    let whole = |x: f64| x.min(1e15) as i64;
    let found = e.outlook.detection.filter(|_| !e.outlook.passes);
    MetricForecast {
        metric: e.plan.name.clone(),
        per_second: format!("{:.2}", e.traffic.per_look / look),
        proof_seconds: e.outlook.proof.map(|w| whole(w.looks * look)),
        detect: detect_text(e.plan, e.detect),
        detection_seconds: found.map(|w| whole(w.looks * look)),
        detection_requests: found.map(|w| whole(one_digit(w.requests) as f64)),
        outright_looks: e.outlook.outright.map(whole),
    }
}

fn detail(e: &Expected<'_>) -> Detail {
    let proof = e.outlook.proof.map(|w| one_digit(w.requests) as i64);
    Detail { proof_requests: proof, passes: e.outlook.passes }
}

fn in_a_sentence(e: &Expected<'_>, look: f64) -> String {
    let at = |w: &When| format!("about {}", time(w.looks, look));
    let proof = e.outlook.proof.as_ref().map_or_else(
        || "never proven".to_owned(),
        |w| format!("proven after {} when it is like stable", at(w)),
    );
    let what = detect_text(e.plan, e.detect);
    let found = match &e.outlook.detection {
        _ if e.outlook.passes => format!("{what}: good enough by its proof"),
        None => format!("{what}: not found"),
        Some(w) => {
            format!("{what}: found after {} ({} requests)", at(w), group(one_digit(w.requests) as f64))
        }
    };
    let outright = e.outlook.outright.map_or_else(String::new, |looks| {
        format!(
            "; 9 of 10 failing: {} looks ({})",
            group(looks),
            in_words(Duration::seconds((looks * look) as i64))
        )
    });
    format!(
        "{} at {:.1}/s: {proof}; {what_found}{outright}",
        e.plan.name,
        e.traffic.per_look / look,
        what_found = found
    )
}

/// What makes the metric too slow for its deadlines, and what would do.
fn too_slow(e: &Expected<'_>, steps: &[Step], look: f64) -> Option<String> {
    let name = &e.plan.name;
    if let Some((needed, index)) = e.outlook.samples
        && let Some(step) = steps.get(index)
        && needed > step.hold + step.patience
    {
        let there = step.hold + step.patience;
        let weight = (100.0 * f64::from(e.plan.min_samples) / (e.traffic.per_look * there)).ceil();
        let raise = if weight <= 50.0 { format!("a weight of {weight} %, or ") } else { String::new() };
        return Some(format!(
            "{name}: the {} samples of step {} ({} %) take about {}, longer than its hold and deadlines.evidence; {raise}deadlines.evidence: {} would do",
            e.plan.min_samples,
            index + 1,
            (step.share * 100.0).round(),
            time(needed, look),
            span((needed - step.hold) * look),
        ));
    }
    let (last, before) = steps.split_last()?;
    let late = match e.outlook.proof {
        Some(when) if when.in_time() => return None,
        Some(when) => when,
        None => {
            return Some(format!(
                "{name}: proof does not come at this traffic; register more traffic or a wider proof"
            ));
        }
    };
    let with = |weight: &i32| {
        let mut changed = before.to_vec();
        changed.push(Step { share: f64::from(*weight) / 100.0, ..*last });
        let then = outlook(e.plan, e.detect, e.traffic, &changed).and_then(|o| o.proof);
        f64::from(*weight) / 100.0 > last.share && then.is_some_and(|w| w.in_time())
    };
    let weight = WEIGHTS.iter().find(|weight| with(weight));
    let raise = weight.map_or_else(String::new, |w| format!("a last weight of {w} %, or "));
    Some(format!(
        "{name}: the proof takes about {}, longer than the last step's hold and deadlines.evidence; {raise}deadlines.evidence: {} would do",
        time(late.looks, look),
        span((last.patience - late.spare) * look),
    ))
}

/// Seconds as they are written in a manifest, generously rounded up.
fn span(seconds: f64) -> String {
    let minutes = one_digit(1.2 * seconds / 60.0);
    if minutes >= 120 { format!("{}h", minutes.div_ceil(60)) } else { format!("{minutes}m") }
}

#[cfg(test)]
mod tests {
    use super::about;

    #[test]
    fn a_time_has_one_digit_of_its_own_unit() {
        let said = [0.2, 41.0, 100.0, 101.0, 1960.0, 3599.0, 5400.0, 6100.0, 11_848.0, 4e5].map(about);
        let wanted = ["1 s", "50 s", "100 s", "2 min", "40 min", "60 min", "90 min", "2 h", "4 h", "200 h"];
        assert_eq!(said, wanted);
        assert!(about(1e300).ends_with(" h"));
    }
}
