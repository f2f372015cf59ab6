//! What the plan can find out at today's traffic, said before any of it moves.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::analysis::forecast::{Outlook, Step, Traffic, When, default_detect, detect_text, outlook};
use crate::analysis::verdict::{group, one_digit};
use crate::analysis::{Limit, MetricPlan, MetricState};
use crate::api::duration::in_words;
use crate::api::{Forecast, MetricForecast};
use crate::rollout::{Draft, draft};

use super::history::Past;
use super::start::filled;
use super::warm_up;

/// Weights that are proposed for a last step which is too slow, in percent.
const WEIGHTS: [i32; 4] = [5, 10, 25, 50];

/// One metric with what can be expected of it.
struct Expected<'a> {
    plan: &'a MetricPlan,
    detect: Limit,
    traffic: Traffic<'a>,
    outlook: Outlook,
}

/// The forecast for all metrics over the canary's steps. `None` when nothing can be reckoned of any.
pub fn forecast(
    d: &Draft<'_>,
    plans: &[(MetricPlan, MetricState)],
    histories: &BTreeMap<String, Past>,
    interval: Duration,
    scrape_ms: Option<i64>,
) -> Option<Forecast> {
    let steps = steps(d, interval);
    let look = seconds(interval);
    let metrics = &d.spec().analysis.metrics;
    let expect = |(plan, _): &'_ (MetricPlan, MetricState)| {
        let user = metrics.iter().find(|m| m.name == plan.name)?;
        let past = histories.get(&plan.name).filter(|past| past.seconds > 0.0)?;
        let traffic = Traffic { per_look: past.hour.n / past.seconds * look, hour: &past.hour };
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
    let mut parts: Vec<String> = expected.iter().map(|e| in_a_sentence(e, look)).collect();
    if let Some(scrape) = scrape_ms {
        parts.push(format!("Looks every {}, scraped every {} s", in_words(interval), scrape as f64 / 1000.0));
    }
    let message =
        if slow.is_empty() { parts.join(". ") } else { format!("{}. {}", slow.join(". "), parts.join(". ")) };
    Some(Forecast {
        in_time: slow.is_empty(),
        message: draft::cut(message, 1000),
        metrics: expected.iter().map(|e| row(e, look)).collect(),
    })
}

fn seconds(interval: Duration) -> f64 {
    interval.num_milliseconds() as f64 / 1000.0
}

fn steps(d: &Draft<'_>, interval: Duration) -> Vec<Step> {
    let looks = |span: Duration| seconds(span) / seconds(interval).max(0.001);
    let strategy = &d.spec().strategy;
    let warm_up = looks(warm_up(d)).ceil() + 1.0;
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

/// Seconds in words, to one digit.
pub fn about(seconds: f64) -> String {
    in_words(Duration::seconds(i64::try_from(one_digit(seconds)).unwrap_or(i64::MAX / 1000)))
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
