//! A replay in words and as JSON.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::analysis::verdict::{ArmNumbers, group};
use crate::analysis::{Kind, MetricVerdict, Outcome};
use crate::api::ModelRolloutSpec;
use crate::course::{End, Place};
use crate::plot::axis::elapsed;

use super::replay::{Decision, Part, Replay, Setup, What};

/// The share of requests may be off from what was decided by so many times before it is said.
const OFF: f64 = 1.5;

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn after(setup: &Setup<'_>, at: DateTime<Utc>) -> String {
    elapsed((at - setup.from).num_seconds() as f64)
}

/// A place, for people.
pub fn place_text(place: Place, spec: &ModelRolloutSpec) -> String {
    match place {
        Place::Shadow => "shadow".to_owned(),
        Place::Canary(i) => format!("canary {} of {}", i + 1, spec.strategy.canary.steps.len()),
        Place::Watch => "watch".to_owned(),
    }
}

/// An end, for people.
pub fn end_text(end: &End) -> String {
    match end {
        End::RolledBack { metric, by, stage: _ } => {
            let why = by.text();
            metric.as_ref().map_or(format!("rolled back: {why}"), |m| format!("rolled back: {m}, {why}"))
        }
        End::Active => "the watch ended clean: the version is active".to_owned(),
        End::Watched => "promoted; the watch was still running".to_owned(),
        End::Undecided(true) => "not promoted: held until a person decides".to_owned(),
        End::Undecided(false) => "undecided: not promoted, and nothing to roll back for".to_owned(),
    }
}

fn what_text(what: What) -> &'static str {
    match what {
        What::Begins | What::Ends | What::Waits | What::Held | What::Evidence => "",
        What::Proven => "proven. ",
        What::Unproven => "no longer proven. ",
        What::Breach => "BREACH. ",
        What::Guard => "GUARD. ",
        What::NoEvidence => "no evidence. ",
    }
}

fn value(arm: &ArmNumbers) -> String {
    arm.value.map_or("no value".to_owned(), |v| format!("{:.4}", v.0))
}

fn numbers(v: &MetricVerdict, replay: &Replay) -> String {
    let kind =
        replay.verdicts.iter().position(|one| one.metric == v.metric).and_then(|i| replay.kinds.get(i));
    let what = match kind {
        Some(
            Kind::MeanHistogram
            | Kind::MeanSumSquares
            | Kind::MeanPassFail
            | Kind::MeanSumCount
            | Kind::MeanCounted,
        ) => "scores",
        Some(Kind::Value) => "values",
        Some(Kind::Ratio | Kind::Latency | Kind::Slo) | None => "requests",
    };
    let limit = v.limit.map_or(String::new(), |l| format!(", limit {:.4}", l.0));
    format!(
        "candidate {} of {} {what}, stable {} of {}{limit}. ",
        value(&v.candidate),
        group(v.candidate.n),
        value(&v.stable),
        group(v.stable.n)
    )
}

fn line(setup: &Setup<'_>, replay: &Replay, d: &Decision) -> String {
    let metric = d.metric.as_ref().map_or(String::new(), |m| format!("{m}: "));
    let numbers = d.verdict.as_ref().map_or(String::new(), |v| numbers(v, replay));
    format!(
        "{}  {:>9}  {:<14} {metric}{}{numbers}{}\n",
        time(d.at),
        after(setup, d.at),
        place_text(d.place, &setup.rollout.spec),
        what_text(d.what),
        d.text
    )
}

/// Where the candidate's real share was far from what was decided.
fn shares(setup: &Setup<'_>, replay: &Replay) -> Vec<String> {
    let odd = |part: &Part| {
        let all = if part.place == Place::Shadow { part.stable } else { part.stable + part.candidate };
        if all <= 0.0 {
            return None;
        }
        let (real, decided) = (100.0 * part.candidate / all, f64::from(part.weight));
        let off = real > decided * OFF || real * OFF < decided;
        let place = place_text(part.place, &setup.rollout.spec);
        off.then(|| {
            format!(
                "in {place} the candidate really had {real:.1} % of the requests, not {decided} %: with {decided} % the evidence \
                 would have come at another pace"
            )
        })
    };
    replay.parts.iter().filter_map(odd).collect()
}

/// How things stood at the end, by metric.
fn standing(v: &MetricVerdict, replay: &Replay) -> String {
    let word = match &v.outcome {
        Outcome::Pass => "proven".to_owned(),
        Outcome::Breach(_) => "breach".to_owned(),
        Outcome::Inconclusive { samples_needed: Some(n), .. } => {
            format!("inconclusive, about {} more needed", group(*n as f64))
        }
        Outcome::Inconclusive { samples_needed: None, .. } => "inconclusive".to_owned(),
        Outcome::Unavailable(_) => "no evidence".to_owned(),
        Outcome::WarmUp => "warm-up".to_owned(),
    };
    format!("  {}: {word}; {}", v.metric, numbers(v, replay).trim_end().trim_end_matches('.'))
}

/// The replay for people; `notes` is what reading the samples showed.
pub fn text(setup: &Setup<'_>, replay: &Replay, notes: &[String]) -> String {
    let mut out = String::new();
    replay.decisions.iter().for_each(|d| out += &line(setup, replay, d));
    let looks = format!("{} looks, {} of them without a sample", replay.looks.0, replay.looks.1);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{} at {}, {} after the start; {looks}",
        capital(&end_text(&replay.end)),
        time(replay.ended_at),
        after(setup, replay.ended_at)
    );
    if let Some(waits) =
        replay.waits_for.as_ref().filter(|_| matches!(replay.end, End::Undecided(_) | End::Watched))
    {
        let _ = writeln!(out, "It waited for {waits}");
    }
    replay.verdicts.iter().for_each(|v| out += &format!("{}\n", standing(v, replay)));
    for note in notes.iter().cloned().chain(shares(setup, replay)) {
        let _ = writeln!(out, "Note: {note}");
    }
    out
}

fn capital(text: &str) -> String {
    let mut all = text.chars();
    all.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + all.as_str())
}

fn word(what: What) -> &'static str {
    match what {
        What::Begins => "Begins",
        What::Proven => "Proven",
        What::Unproven => "Unproven",
        What::Breach => "Breach",
        What::Guard => "Guard",
        What::NoEvidence => "NoEvidence",
        What::Evidence => "Evidence",
        What::Waits => "Waits",
        What::Held => "Held",
        What::Ends => "Ends",
    }
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

fn verdict_json(v: &MetricVerdict) -> Value {
    let arm = |a: &ArmNumbers| json!({"n": a.n, "value": a.value.map(|x| x.0)});
    let outcome = match &v.outcome {
        Outcome::Pass => "Pass",
        Outcome::Breach(_) => "Breach",
        Outcome::Inconclusive { .. } => "Inconclusive",
        Outcome::Unavailable(_) => "Unavailable",
        Outcome::WarmUp => "WarmUp",
    };
    json!({
        "metric": v.metric, "outcome": outcome, "candidate": arm(&v.candidate), "stable": arm(&v.stable),
        "limit": v.limit.map(|x| x.0), "logEvidenceWorse": finite(v.log_bad), "barWorse": finite(v.bar_bad),
        "logEvidenceGood": finite(v.log_ok), "barGood": finite(v.bar_ok), "sentence": v.sentence,
    })
}

/// The replay as one object.
pub fn json(setup: &Setup<'_>, replay: &Replay, notes: &[String]) -> Value {
    let spec = &setup.rollout.spec;
    let seconds = |at: DateTime<Utc>| (at - setup.from).num_milliseconds() as f64 / 1000.0;
    let decision = |d: &Decision| {
        json!({
            "at": time(d.at), "seconds": seconds(d.at), "place": place_text(d.place, spec), "what": word(d.what),
            "metric": d.metric, "message": d.text, "numbers": d.verdict.as_ref().map(verdict_json),
        })
    };
    let part = |p: &Part| {
        json!({
            "place": place_text(p.place, spec), "weight": p.weight, "from": time(p.from), "candidate": p.candidate,
            "stable": p.stable,
        })
    };
    let (outcome, metric) = match &replay.end {
        End::RolledBack { metric, stage: _, by: _ } => ("RolledBack", metric.clone()),
        End::Active => ("Active", None),
        End::Watched => ("Promoted", None),
        End::Undecided(true) => ("Held", None),
        End::Undecided(false) => ("Undecided", None),
    };
    let notes: Vec<String> = notes.iter().cloned().chain(shares(setup, replay)).collect();
    json!({
        "rollout": setup.rollout.metadata.name, "version": spec.version, "from": time(setup.from), "to": time(setup.to),
        "outcome": outcome, "metric": metric, "message": end_text(&replay.end), "endedAt": time(replay.ended_at),
        "seconds": seconds(replay.ended_at), "looks": replay.looks.0, "emptyLooks": replay.looks.1,
        "waitsFor": replay.waits_for, "decisions": replay.decisions.iter().map(decision).collect::<Vec<_>>(),
        "places": replay.parts.iter().map(part).collect::<Vec<_>>(),
        "metrics": replay.verdicts.iter().map(verdict_json).collect::<Vec<_>>(), "notes": notes,
    })
}
