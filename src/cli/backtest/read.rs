//! The history of both arms, in as few queries as the controller sends, in stretches that Prometheus can answer.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use chrono::{DateTime, Duration, Utc};

use super::{BacktestArgs, BacktestError, arms, shown};
use crate::analysis::Arm;
use crate::api::Metric;
use crate::api::duration::in_words;
use crate::backtest::{History, Setup, interval};
use crate::controller::queries::{grouped, matcher};
use crate::measure::{ErrorClass, Query, Reading, Series, Source, SourceError, scope, scope_expression};
use crate::rollout::questions::{self, Answer, ArmMatch, Field, HISTORY, Question, Stretch};

/// The longest stretch of one read.
const LONGEST: Duration = Duration::hours(3);

/// The shortest that is tried when an answer is too large.
const SHORTEST: Duration = Duration::minutes(1);

/// Everything that the rollout would have asked between its history and `--to`, and what is odd about it.
pub async fn history(
    args: &BacktestArgs,
    setup: &Setup<'_>,
    source: &dyn Source,
) -> Result<(History, Vec<String>), BacktestError> {
    let mut metrics: Vec<&Metric> = setup.rollout.spec.analysis.metrics.iter().collect();
    metrics.sort_by_key(|metric| metric.value.is_some());
    let (mut given, mut scrape) = (Vec::new(), None);
    let (mut seen, mut odd) = (arms::Seen::new(), Vec::new());
    for metric in metrics {
        progress(&format!("reading {}", metric.name));
        let both = arms::of(args, setup, metric, source, &mut seen).await?;
        let asked = asked(args, setup, metric, &both);
        let (queries, refused) = grouped(&asked);
        for (question, answer) in refused {
            if let Answer::Failed { message, .. } = answer {
                return Err(SourceError { class: ErrorClass::BadQuery, message }.into());
            }
            given.push((question, answer));
        }
        for one in queries {
            let series = all(&metric.name, &one.query, source).await?;
            let reading = if series.is_empty() { Reading::NoData } else { Reading::Series(series) };
            for (question, answer, measured) in one.answers(&reading) {
                match present(setup, &question, &answer) {
                    // What decides nothing holds nothing up.
                    Err(error) if question.arm == Arm::Candidate && metric.observe_only => {
                        odd.push(error.to_string());
                    }
                    other => other?,
                }
                scrape = scrape.max(measured.filter(|_| question.arm == Arm::Stable));
                given.push((question, answer));
            }
        }
    }
    progress("");
    let history = History::new(given, scrape);
    odd.extend(notes(setup, &history, scrape)?);
    Ok((history, odd))
}

fn asked(args: &BacktestArgs, setup: &Setup<'_>, metric: &Metric, both: &[ArmMatch; 2]) -> Vec<Question> {
    let stretch = Stretch {
        server: &args.prometheus,
        drop_labels: &args.drop_label,
        interval: interval(setup.rollout),
        from: setup.from - questions::past(metric),
        to: setup.to,
    };
    let of = |(arm, matcher)| questions::of_arm(metric, arm, matcher, &stretch);
    [Arm::Stable, Arm::Candidate].into_iter().zip(both).flat_map(of).collect()
}

/// A counter that must be there is not there at all.
fn present(setup: &Setup<'_>, question: &Question, answer: &Answer) -> Result<(), BacktestError> {
    if *answer != Answer::NoData || question.field.may_be_absent() {
        return Ok(());
    }
    let (arm, differing) = (matcher(question), &question.drop_labels);
    let scoped = match question.field {
        Field::Value => scope_expression(&question.selector, &arm, differing),
        Field::Total | Field::Bad | Field::BadOfAll | Field::Sum | Field::SumSquares | Field::Buckets => {
            scope(&question.selector, "", &arm, differing)
        }
    };
    Err(BacktestError::NoSeries {
        metric: question.metric.clone(),
        arm: arms::word(question.arm),
        query: scoped.map_or_else(|_| question.selector.clone(), |scoped| scoped.selector),
        from: question.from,
        to: setup.to,
    })
}

/// All samples of a query, read in stretches. One that is too large for an answer is halved, down to a minute.
pub async fn all(metric: &str, query: &Query, source: &dyn Source) -> Result<Vec<Series>, BacktestError> {
    let mut merged: BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>> = BTreeMap::new();
    let (mut from, mut length) = (query.from, LONGEST);
    while from < query.to {
        let to = query.to.min(from + length);
        match source.read(&Query { from, to, ..query.clone() }).await {
            Reading::Series(series) => {
                for one in series {
                    merged.entry(one.labels).or_default().extend(one.samples);
                }
            }
            Reading::NoData => {}
            Reading::Error(error) if too_large(&error) => {
                length = (to - from) / 2;
                if length < SHORTEST {
                    return Err(BacktestError::TooLarge { metric: metric.to_owned(), error });
                }
                continue;
            }
            Reading::Error(error) => return Err(error.into()),
        }
        from = to;
    }
    let one = |(labels, mut samples): (_, Vec<(i64, f64)>)| {
        samples.sort_by_key(|(at, _)| *at);
        samples.dedup_by_key(|(at, _)| *at);
        Series { labels, samples }
    };
    Ok(merged.into_iter().map(one).collect())
}

/// Larger than is read, or than the server loads for one query.
fn too_large(error: &SourceError) -> bool {
    error.class == ErrorClass::TooLarge
        || (error.class == ErrorClass::BadQuery && error.message.contains("too many samples"))
}

/// What is odd about the history.
fn notes(
    setup: &Setup<'_>,
    history: &History,
    scrape: Option<Duration>,
) -> Result<Vec<String>, BacktestError> {
    let mut notes = Vec::new();
    let look = interval(setup.rollout);
    let near = |at: DateTime<Utc>| at <= setup.from + look.max(history.scrape * 2);
    if let Some(stable) = history.oldest(Arm::Stable) {
        if !near(stable.first) {
            return Err(BacktestError::TooOld { first: stable.first, from: setup.from });
        }
        let before = setup.from - stable.first;
        if before < HISTORY - history.scrape * 2 {
            notes.push(format!(
                "there are {} of stable before --from, where the controller reads an hour and more: limits chosen from it are \
                 less sure",
                in_words(before.max(Duration::zero()))
            ));
        }
    }
    if let Some(candidate) = history.oldest(Arm::Candidate) {
        if !near(candidate.first) {
            notes.push(format!(
                "the candidate's first sample is of {}, later than --from: until then there was nothing to judge",
                shown(&candidate.first)
            ));
        }
        if candidate.last < setup.to - look * 4 {
            notes.push(format!("the candidate's last sample is of {}", shown(&candidate.last)));
        }
    }
    match scrape {
        None => notes.push("the scrape interval could not be measured; 15 s are assumed".to_owned()),
        Some(scrape) if scrape > look => notes.push(format!(
            "Prometheus scrapes every {}, less often than the looks of {}: looks without new samples wait for the next scrape",
            in_words(scrape),
            in_words(look)
        )),
        Some(_) => {}
    }
    Ok(notes)
}

/// Says on a terminal what is being done.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what:60}\r");
    }
}
