//! Which series were whose: matchers of people, the manifest's gateway labels, and what Prometheus remembers of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{ArmArgs, Of, PastError};
use crate::analysis::Arm;
use crate::api::{GatewayArm, Metric};
use crate::backtest::Setup;
use crate::measure::{LabelMatch, Query, Source, discover};
use crate::rollout::questions::{self, ArmMatch, Field};

use super::read;

/// The word of an arm, which is its option's too.
pub fn word(arm: Arm) -> &'static str {
    match arm {
        Arm::Stable => "stable",
        Arm::Candidate => "candidate",
    }
}

/// An arm of a metric before its values are known.
enum Given {
    /// One value of a label.
    Exactly(String, String),
    /// Whatever a matcher lets through.
    Matching(LabelMatch),
}

/// What matchers let through in metrics before, by arm and matcher. An expression has no series to look it up in.
pub type Seen = BTreeMap<(&'static str, String), BTreeSet<String>>;

/// The arms of a metric. Those with expressions come last, when others have `seen` their pods.
pub async fn of(
    args: &ArmArgs,
    arms: &[Of<'_>],
    setup: &Setup<'_>,
    metric: &Metric,
    source: &dyn Source,
    seen: &mut Seen,
) -> Result<Vec<(Arm, ArmMatch)>, PastError> {
    let from = setup.from - questions::past(metric);
    let mut all: Vec<(Arm, String, Vec<String>)> = Vec::new();
    for (arm, matchers) in arms.iter().copied() {
        let (label, values) = match given(args, setup, metric, (arm, matchers))? {
            Given::Exactly(label, value) => (label, vec![value]),
            Given::Matching(matcher) => {
                let key = (word(arm), matcher.to_string());
                let found = match seen.get(&key).filter(|_| metric.value.is_some()) {
                    Some(seen) => seen.iter().cloned().collect(),
                    None => values(args, metric, arm, &matcher, (from, setup.to), source).await?,
                };
                seen.entry(key).or_default().extend(found.iter().cloned());
                (matcher.label().to_owned(), found)
            }
        };
        all.push((arm, label, values));
    }
    apart(metric, &all)?;
    all.into_iter().map(|(arm, label, values)| Ok((arm, one(metric, arm, label, values)?))).collect()
}

/// No series may be in both arms.
fn apart(metric: &Metric, all: &[(Arm, String, Vec<String>)]) -> Result<(), PastError> {
    let [(_, a, stable), (_, b, candidate)] = all else { return Ok(()) };
    let name = || metric.name.clone();
    if a != b {
        return Err(PastError::Labels { metric: name(), stable: a.clone(), candidate: b.clone() });
    }
    let shared: Vec<String> = stable.iter().filter(|one| candidate.contains(one)).cloned().collect();
    if shared.is_empty() {
        return Ok(());
    }
    Err(PastError::Shared { metric: name(), shared: format!("{a} {}", few(&shared)) })
}

fn one(metric: &Metric, arm: Arm, label: String, mut values: Vec<String>) -> Result<ArmMatch, PastError> {
    let by_pods = questions::gateway(metric).is_none() && label == questions::pod_label(metric);
    match values.as_slice() {
        _ if by_pods => Ok(ArmMatch::Pods { label, names: values }),
        [_] => Ok(ArmMatch::Label { label, value: values.remove(0) }),
        _ => Err(PastError::Several {
            metric: metric.name.clone(),
            arm: word(arm),
            matcher: label,
            found: few(&values),
        }),
    }
}

fn given(
    args: &ArmArgs,
    setup: &Setup<'_>,
    metric: &Metric,
    (arm, matchers): Of<'_>,
) -> Result<Given, PastError> {
    let gateway = questions::gateway(metric);
    let label = gateway.map_or(questions::pod_label(metric), |g| g.label.as_str());
    let own = matchers.iter().find(|one| one.label() == label);
    // Series of pods carry other labels too, which tell the versions apart as well; a gateway's do not.
    let any = matchers.first().filter(|_| gateway.is_none());
    match (own.or(any), gateway) {
        (Some(found), _) => Ok(found.exact().map_or_else(
            || Given::Matching(found.clone()),
            |value| Given::Exactly(found.label().to_owned(), value.to_owned()),
        )),
        (None, Some(gateway)) => by_manifest(args, setup, metric, gateway, arm),
        (None, None) => {
            Err(PastError::NoArm { metric: metric.name.clone(), arm: word(arm), label: label.to_owned() })
        }
    }
}

/// As the controller has it: the user's Service, and the candidate's beside it.
fn by_manifest(
    args: &ArmArgs,
    setup: &Setup<'_>,
    metric: &Metric,
    gateway: &GatewayArm,
    arm: Arm,
) -> Result<Given, PastError> {
    let service = &setup.rollout.spec.traffic.service;
    let service = match arm {
        Arm::Stable => service.clone(),
        Arm::Candidate => format!("{service}-candidate"),
    };
    let in_manifest = setup.rollout.metadata.namespace.as_deref();
    let namespace = args.namespace.as_deref().or(in_manifest).unwrap_or("default");
    if gateway.value.contains("$(PORT)") && args.port.is_none() {
        let (label, value) = (gateway.label.clone(), gateway.value.clone());
        return Err(PastError::NoPort { metric: metric.name.clone(), arm: word(arm), label, value });
    }
    let port = args.port.map_or(String::new(), |port| port.to_string());
    let value = questions::gateway_value(gateway, namespace, &service, &port);
    Ok(Given::Exactly(gateway.label.clone(), value))
}

/// The values that a matcher let through in that time.
async fn values(
    args: &ArmArgs,
    metric: &Metric,
    arm: Arm,
    matcher: &LabelMatch,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    source: &dyn Source,
) -> Result<Vec<String>, PastError> {
    let counters = questions::fields(metric).into_iter().find(|(field, _)| *field != Field::Value);
    let Some((_, selector)) = counters else {
        let (metric, matcher) = (metric.name.clone(), matcher.to_string());
        return Err(PastError::Expression { metric, matcher });
    };
    let asked = discover::values(&selector, matcher, &args.drop_label).map_err(|error| {
        PastError::Selector { metric: metric.name.clone(), selector: selector.clone(), error }
    })?;
    // The last values are counted at the next whole minute.
    let query =
        Query { selector: asked.clone(), from, to: to + discover::EVERY, step: Some(discover::EVERY) };
    let found = read::all(&metric.name, &query, source).await?;
    let values: BTreeSet<String> = found
        .iter()
        .filter_map(|series| series.labels.get(matcher.label()))
        .filter(|value| !value.is_empty())
        .cloned()
        .collect();
    if values.is_empty() {
        let (metric, arm) = (metric.name.clone(), word(arm));
        return Err(PastError::NoSeries { metric, arm, query: asked, from, to });
    }
    Ok(values.into_iter().collect())
}

/// The first few of many.
fn few(all: &[String]) -> String {
    let shown = all.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > 3 { format!("{shown} and {} more", all.len() - 3) } else { shown }
}
