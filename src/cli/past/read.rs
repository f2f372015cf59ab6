//! The history of arms, in as few queries as the controller sends, in stretches that Prometheus can answer.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use chrono::Duration;

use super::{ArmArgs, Of, PastError, arms};
use crate::analysis::Arm;
use crate::api::Metric;
use crate::api::duration::in_words;
use crate::backtest::{History, Setup, interval};
use crate::controller::queries::{grouped, matcher};
use crate::measure::{ErrorClass, Query, Reading, Series, Source, SourceError, scope, scope_expression};
use crate::rollout::questions::{self, Answer, ArmMatch, Field, Question, Stretch};

/// The longest stretch of one read.
const LONGEST: Duration = Duration::hours(3);

/// The shortest that is tried when an answer is too large.
const SHORTEST: Duration = Duration::minutes(1);

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// The samples.
    pub history: History,
    /// The scrape interval of stable, as it shows in the samples.
    pub scrape: Option<Duration>,
    /// What is odd about them.
    pub odd: Vec<String>,
}

impl Read {
    /// What is odd about the scrape interval, where looks are this long.
    pub fn scrape_note(&self, look: Duration) -> Option<String> {
        match self.scrape {
            None => Some("the scrape interval could not be measured; 15 s are assumed".to_owned()),
            Some(scrape) if scrape > look => Some(format!(
                "Prometheus scrapes every {}, less often than the looks of {}: looks without new samples wait for the next scrape",
                in_words(scrape),
                in_words(look)
            )),
            Some(_) => None,
        }
    }
}

/// Everything that the rollout would have asked about these arms between its history and the end, the scrape interval where it
/// shows, and what is odd about the answers.
pub async fn history(
    args: &ArmArgs,
    arms: &[Of<'_>],
    setup: &Setup<'_>,
    source: &dyn Source,
) -> Result<Read, PastError> {
    let mut metrics: Vec<&Metric> = setup.rollout.spec.analysis.metrics.iter().collect();
    metrics.sort_by_key(|metric| metric.value.is_some());
    let (mut given, mut scrape) = (Vec::new(), None);
    let (mut seen, mut odd) = (arms::Seen::new(), Vec::new());
    for metric in metrics {
        progress(&format!("reading {}", metric.name));
        let found = arms::of(args, arms, setup, metric, source, &mut seen).await?;
        let asked = asked(args, setup, metric, &found);
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
    Ok(Read { history: History::new(given, scrape), scrape, odd })
}

fn asked(args: &ArmArgs, setup: &Setup<'_>, metric: &Metric, arms: &[(Arm, ArmMatch)]) -> Vec<Question> {
    let stretch = Stretch {
        server: &args.prometheus,
        drop_labels: &args.drop_label,
        interval: interval(setup.rollout),
        from: setup.from - questions::past(metric),
        to: setup.to,
    };
    arms.iter().flat_map(|(arm, matcher)| questions::of_arm(metric, *arm, matcher, &stretch)).collect()
}

/// A counter that must be there is not there at all.
fn present(setup: &Setup<'_>, question: &Question, answer: &Answer) -> Result<(), PastError> {
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
    Err(PastError::NoSeries {
        metric: question.metric.clone(),
        arm: arms::word(question.arm),
        query: scoped.map_or_else(|_| question.selector.clone(), |scoped| scoped.selector),
        from: question.from,
        to: setup.to,
    })
}

/// All samples of a query, read in stretches. One that is too large for an answer is halved, down to a minute.
pub async fn all(metric: &str, query: &Query, source: &dyn Source) -> Result<Vec<Series>, PastError> {
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
                    return Err(PastError::TooLarge { metric: metric.to_owned(), error });
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

/// Says on a terminal what is being done.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what:60}\r");
    }
}
