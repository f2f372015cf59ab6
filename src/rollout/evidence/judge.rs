//! One look at all metrics: the answers in, verdicts out, the test states moved on together with the time of the look.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{
    Cursor, Discard, Interval, Kind, Looks, MetricPlan, MetricState, MetricVerdict, Outcome, RawSeries,
    Reason, Span, Stage, Window, advance, intervals, sample, value,
};
use crate::api::condition::{ConditionType, Finding};
use crate::api::{ArmNumbers, Evidence, MarkKind, MetricEvidence, MetricStatus};
use crate::rollout::questions::{self, Answer, Answers, Question};
use crate::rollout::{Draft, world};

use super::outlook::about;
use super::{journal, moved, prune, unpack};

/// How all metrics stand after this pass.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// One verdict for each metric whose state can be read.
    pub verdicts: Vec<MetricVerdict>,
    /// Looks of this pass in which both arms had fresh samples and the weight was as planned.
    pub counted: Duration,
    /// This pass moved the grid on.
    pub looked: bool,
    /// Why there is no evidence, when there is none: reason and message.
    pub missing: Option<(String, String)>,
    /// The candidate's and stable's recent requests by metric, for the rule about silence.
    pub states: Vec<(MetricPlan, MetricState)>,
}

impl Judged {
    /// Every metric that decides speaks for "not worse" and has its samples in this step.
    pub fn may_advance(&self) -> bool {
        let deciding: Vec<_> = self.verdicts.iter().filter(|v| !v.observe_only).collect();
        !deciding.is_empty()
            && self.missing.is_none()
            && deciding.iter().all(|v| v.may_advance && v.step_has_samples)
    }

    /// Why a metric that decides gives no evidence, for a reason of its own: reason and message.
    pub fn unusable(&self) -> Option<(String, String)> {
        self.verdicts.iter().filter(|v| !v.observe_only).find_map(unusable)
    }

    /// The source could not be read, so that what it did not say means nothing.
    pub fn missing_source(&self) -> bool {
        let sources = ["PrometheusUnavailable", "QueryRefused", "EvidenceUnreadable"];
        self.missing.as_ref().is_some_and(|(reason, _)| sources.contains(&reason.as_str()))
    }

    /// What is still missing for an advance, in words.
    pub fn still_needed(&self, proof: bool) -> String {
        let deciding = || self.verdicts.iter().filter(|v| !v.observe_only);
        if proof && !deciding().any(|v| v.provable) {
            return "a metric that can prove something: those of this rollout only report, or have values without bounds".to_owned();
        }
        let need = deciding().filter_map(|v| {
            if !v.step_has_samples {
                return Some(format!("{}: more samples in this step", v.metric));
            }
            if !v.may_advance {
                return Some(format!("{}: evidence that does not speak against the candidate", v.metric));
            }
            let samples = match &v.outcome {
                Outcome::Inconclusive { samples_needed: Some(n), .. } => {
                    format!(" (about {n} more requests)")
                }
                _ => String::new(),
            };
            (proof && v.provable && v.outcome != Outcome::Pass)
                .then(|| format!("{}: proof{samples}", v.metric))
        });
        need.collect::<Vec<_>>().join(", ")
    }
}

/// Judges all metrics at the present stage. Answers of an earlier pass never come twice: a metric's cursor only moves on.
pub fn judge(d: &mut Draft<'_>, stage: Stage) -> Judged {
    let Some(mut found) = d.status.evidence.clone() else { return Judged::default() };
    let asked = d.obs.answers.given.iter().any(|(q, _)| q.to > found.t0);
    if asked {
        found.asked_at = Some(d.now());
        found.scrape_ms = d.obs.answers.scrape.map(|s| s.num_milliseconds()).or(found.scrape_ms);
    }
    let unpacked = entered(&mut found, stage, d.now());
    let mut out = Judged::default();
    let tests = found.tests.clone();
    for (at, (metric, unpacked)) in tests.metrics.iter().zip(unpacked).enumerate() {
        let Some((plan, before)) = unpacked else {
            out.missing = Some((
                "EvidenceUnreadable".into(),
                format!("the saved evidence of {} cannot be read", metric.name),
            ));
            continue;
        };
        let (looks, trouble) = if asked {
            let until = d.now() - questions::scrape(&found);
            read(&d.obs.answers, &found, metric, (plan.kind, &before.cursor), until)
        } else {
            (Looks::none(&before.cursor), None)
        };
        let (state, mut verdict) = advance(&plan, &before, &looks);
        if let Some((reason, message)) = trouble {
            verdict = verdict.unavailable(Reason::Problem(message.clone()));
            // A metric that only reports holds nothing up.
            if !plan.observe_only {
                out.missing.get_or_insert((reason, message));
            }
        }
        // A watch that began again because stable changed counts nothing from before.
        let since = d.status.step.as_ref().map_or(found.t0, |s| s.set_at.max(s.started_at));
        let paired = stage != Stage::Watch || plan.paired_watch;
        // A value is no evidence, and no time of a hold counts on it.
        if plan.kind != Kind::Value {
            count(&mut out, &mut found, &looks, paired, since);
        }
        if state != before {
            found.tests.metrics[at] = moved(metric, &state);
        }
        out.verdicts.push(verdict);
        out.states.push((plan, state));
    }
    // A metric that only reports keeps nobody waiting either.
    let deciding = out.states.iter().filter(|(p, _)| !p.observe_only);
    if let Some(t_k) = deciding.map(|(_, s)| s.cursor.at).min() {
        out.looked = t_k > found.t_k;
        found.t_k = t_k.max(found.t_k);
    }
    prune(&mut found);
    // Tests that cannot be read ask nothing, so that no look would ever be the last one.
    if !out.states.is_empty() {
        d.wake_at(questions::next_look(&found));
    }
    d.status.evidence = Some(found);
    if asked {
        d.status.analysis =
            out.verdicts.iter().zip(&out.states).map(|(v, (_, state))| shown(v, state)).collect();
    }
    availability(d, &mut out, asked);
    out
}

/// The plan and state of each metric, with new ledgers where the stage is another one than at the last look.
fn entered(found: &mut Evidence, stage: Stage, now: DateTime<Utc>) -> Vec<Option<(MetricPlan, MetricState)>> {
    let all = |found: &Evidence| found.tests.metrics.iter().map(unpack).collect::<Vec<_>>();
    let unpacked = all(found);
    let what = match stage {
        // The first stage of all: the states begin there.
        Stage::Shadow => return unpacked,
        Stage::Canary => MarkKind::Canary,
        Stage::Watch => MarkKind::Watch,
    };
    if unpacked.iter().flatten().all(|(_, state)| state.stage == stage) {
        return unpacked;
    }
    journal::note(found, what, now, None);
    all(found)
}

/// Time that counts towards a hold: the longest of the metrics, since all share one grid.
fn count(out: &mut Judged, found: &mut Evidence, looks: &Looks, paired: bool, since: DateTime<Utc>) {
    let length = Duration::milliseconds(found.interval_ms);
    let fresh: Vec<_> = looks.intervals.iter().filter(|i| counts(i, paired, since)).collect();
    if let Some(last) = fresh.last() {
        found.fresh_at = found.fresh_at.max(Some(last.end));
    }
    let steps: u32 = fresh.iter().map(|i| i.looks).sum();
    out.counted = out.counted.max(length * i32::try_from(steps).unwrap_or(i32::MAX));
}

/// An interval that counts towards a hold: after the step was set (`since`), nobody interfered, and both arms gained
/// requests; where there is nothing to compare with, the candidate.
pub fn counts(i: &Interval, paired: bool, since: DateTime<Utc>) -> bool {
    let stable = i.stable.n > 0.0 || !paired;
    i.start >= since && i.discarded != Some(Discard::ForeignEdit) && i.candidate.n > 0.0 && stable
}

/// The intervals up to `until` that the answers close for a metric, and why there are none when there was trouble.
pub(super) fn read(
    answers: &Answers,
    found: &Evidence,
    metric: &MetricEvidence,
    (kind, cursor): (Kind, &Cursor),
    until: DateTime<Utc>,
) -> (Looks, Option<(String, String)>) {
    let interval = Duration::milliseconds(found.interval_ms);
    let scrape = questions::scrape(found);
    let started: BTreeMap<String, DateTime<Utc>> = found
        .tests
        .pods
        .stable
        .iter()
        .chain(&found.tests.pods.candidate)
        .filter_map(|p| p.started.map(|t| (p.name.clone(), t)))
        .collect();
    let spans: Vec<Span> = found
        .tests
        .discarded
        .iter()
        .map(|s| Span {
            from: s.from,
            to: s.to.unwrap_or(until + interval),
            why: if s.foreign { Discard::ForeignEdit } else { Discard::WarmUp },
        })
        .collect();
    let grid = Grid { interval, scrape, until, started: &started, discarded: &spans };
    let given: Vec<_> = answers.given.iter().filter(|(q, _)| q.metric == metric.name).collect();
    match looks(&given, kind, cursor, &grid) {
        Ok(looks) => (looks, None),
        Err(trouble) => (Looks::none(cursor), Some(trouble)),
    }
}

/// What is known beside the answers when looks are closed.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// Length of a look.
    pub interval: Duration,
    /// The scrape interval.
    pub scrape: Duration,
    /// Up to here every target has been scraped.
    pub until: DateTime<Utc>,
    /// When pods of both arms started, by name.
    pub started: &'a BTreeMap<String, DateTime<Utc>>,
    /// Stretches that are not judged.
    pub discarded: &'a [Span],
}

/// The looks that a metric's answers close after the cursor.
///
/// # Errors
/// Reason and message, when one of its questions was not answered.
pub fn looks(
    given: &[&(Question, Answer)],
    kind: Kind,
    cursor: &Cursor,
    grid: &Grid<'_>,
) -> Result<Looks, (String, String)> {
    let mut series: Vec<RawSeries> = Vec::new();
    for (question, answer) in given {
        match answer {
            Answer::Series(of) => series.extend(of.iter().cloned()),
            Answer::NoData => {}
            Answer::Failed { transient, message } => {
                let reason = if *transient { "PrometheusUnavailable" } else { "QueryRefused" };
                let message = format!("metric {}, query {}: {message}", question.metric, question.selector);
                return Err((reason.to_owned(), message));
            }
        }
    }
    without_sums(given, &mut series);
    let window = Window {
        interval: grid.interval,
        until: grid.until,
        lookback: sample::lookback(grid.interval, grid.scrape),
        series: &series,
        started: grid.started,
        discarded: grid.discarded,
        birth: Default::default(),
    };
    Ok(if kind == Kind::Value { value::readings(cursor, &window) } else { intervals(cursor, &window) })
}

/// An arm whose scores have no sum has no evidence at all: its counts alone would look like scores of 0.
fn without_sums(given: &[&(Question, Answer)], series: &mut Vec<RawSeries>) {
    let sums = [questions::Field::Sum, questions::Field::SumSquares];
    let missing = given.iter().filter(|(q, answer)| sums.contains(&q.field) && *answer == Answer::NoData);
    for (question, _) in missing {
        series.retain(|one| one.arm != question.arm);
    }
}

/// The condition, and the policy for long silence of all sources.
fn availability(d: &mut Draft<'_>, out: &mut Judged, asked: bool) {
    if !asked && out.missing.is_none() {
        // Between two looks it stands as the last look left it.
        let said = crate::api::condition::get(&d.status.conditions, ConditionType::EvidenceAvailable);
        out.missing = said.filter(|c| c.status == "False").map(|c| (c.reason.clone(), c.message.clone()));
        if said.is_some() {
            return;
        }
    }
    if out.missing.is_none() {
        out.missing = out.unusable();
    }
    let since = d.status.evidence.as_ref().and_then(|e| e.fresh_at);
    let finding = match (&out.missing, since) {
        (Some((reason, message)), _) => Finding::no(reason.clone(), message.clone()),
        (None, Some(_)) => Finding::yes("Fresh", "both arms have fresh samples"),
        (None, None) => Finding::unknown("Waiting", "waiting for the first look with samples of both arms"),
    };
    if let Some((reason, message)) = &out.missing {
        let before = crate::api::condition::get(&d.status.conditions, ConditionType::EvidenceAvailable);
        if before.is_none_or(|c| c.reason != *reason) {
            d.event(true, reason, format!("{message}; the weight stays as it is"));
        }
    }
    d.condition(ConditionType::EvidenceAvailable, finding);
}

/// Why a metric gives no evidence for a reason of its own, as reason and message. That an unpaired watch has nothing to
/// compare with is no trouble.
fn unusable(v: &MetricVerdict) -> Option<(String, String)> {
    let Outcome::Unavailable(reason) = &v.outcome else { return None };
    let (name, text) = match reason {
        Reason::NoData => {
            ("NoData", "no new requests of both arms in the last looks; is there traffic, and is it scraped?")
        }
        Reason::NoBounds => (
            "NoBounds",
            "stable has had fewer than 200 requests so far, too few to choose the bounds of latency from",
        ),
        Reason::BucketMismatch => (
            "BucketMismatch",
            "the two versions have no bucket bound in common, or one of them lost the bound that was chosen; give both the same buckets",
        ),
        Reason::BothArmsMoved => (
            "BothArmsMoved",
            "the candidate fails, and so does the stable version: what fails both is elsewhere; look for it, or create an Abort decision",
        ),
        Reason::ScoreOutOfRange => {
            ("ScoreOutOfRange", "there are scores below 0 or above 1; export them between 0 and 1")
        }
        Reason::Problem(text) => ("SamplesUnusable", text.as_str()),
        Reason::Unpaired => return None,
    };
    Some((name.to_owned(), format!("metric {}: {text}", v.metric)))
}

/// How long so many requests take at the candidate's traffic of this step.
fn time_needed(samples: i64, state: &MetricState) -> Option<String> {
    let seconds = (state.cursor.at - state.step_since?).num_milliseconds() as f64 / 1000.0;
    if seconds <= 0.0 || state.step_candidate <= 0.0 {
        return None;
    }
    Some(about(samples as f64 * seconds / state.step_candidate))
}

/// A verdict as status shows it.
fn shown(v: &MetricVerdict, state: &MetricState) -> MetricStatus {
    let number = |x: f64| format!("{x:.4}");
    let (verdict, samples_needed) = match &v.outcome {
        Outcome::Pass => ("Pass", None),
        Outcome::Breach(_) => ("Breach", None),
        Outcome::Inconclusive { samples_needed, .. } => {
            ("Inconclusive", samples_needed.and_then(|n| i64::try_from(n).ok()))
        }
        Outcome::Unavailable(_) => ("Unavailable", None),
        Outcome::WarmUp => ("WarmUp", None),
    };
    let arm = |a: &crate::analysis::verdict::ArmNumbers| ArmNumbers {
        n: a.n as i64,
        value: a.value.map(|x| number(x.0)),
    };
    let odds = |log: f64, bar: f64| {
        let odds = crate::analysis::verdict::odds;
        format!("{} of {}", odds(log), odds(bar))
    };
    MetricStatus {
        metric: v.metric.clone(),
        verdict: verdict.to_owned(),
        stable: arm(&v.stable),
        candidate: arm(&v.candidate),
        ratio: v.ratio.map(|r| format!("{:.2}", r.0)),
        limit: v.limit.map(|l| number(l.0)),
        evidence_worse: v.tested().then(|| odds(v.log_bad, v.bar_bad)),
        evidence_good: v.tested().then(|| odds(v.log_ok, v.bar_ok)),
        samples_needed,
        time_needed: samples_needed.and_then(|n| time_needed(n, state)),
        message: reason_text(v),
    }
}

fn reason_text(v: &MetricVerdict) -> String {
    let prefix = match &v.outcome {
        Outcome::Unavailable(reason) => format!("{reason:?}. "),
        Outcome::Pass | Outcome::Breach(_) | Outcome::Inconclusive { .. } | Outcome::WarmUp => String::new(),
    };
    let hint = v.hint.as_ref().map_or_else(String::new, |hint| format!(" {hint}"));
    crate::rollout::draft::cut(format!("{prefix}{}{hint}", v.sentence), 600)
}

/// Ready endpoints of the candidate's Service that run the candidate.
pub fn candidate_endpoints(d: &Draft<'_>) -> i32 {
    world::candidate_endpoints(d.obs, &d.status)
}
