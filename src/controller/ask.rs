//! Asks the metric sources what the rollout wants to know, all at once, within one deadline.

use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::join_all;
use tokio::sync::Notify;

use super::context::Context;
use super::gather;
use super::queries::{Answered, Asked, grouped};
use crate::analysis::Arm;
use crate::cluster::apply::what;
use crate::cluster::shelf::Key;
use crate::measure::{ErrorClass, Query, Reading, SourceError, Sources};
use crate::rollout::questions::{Answers, Question};
use crate::rollout::{Observed, decide};

/// Longest wait for all answers of a pass; an interval that is shorter bounds it too.
const LONGEST: Duration = Duration::from_secs(5);

/// Shortest part of stable's past that is asked for.
const LEAST_PAST: chrono::Duration = chrono::Duration::minutes(5);

/// How often is looked, while answers are waited for, whether something is to be done without them.
const GLANCE: Duration = Duration::from_millis(250);

/// The world with the answers to the questions. Asking takes time, so the world is looked at again afterwards: what
/// happened meanwhile counts. `None` when the rollout is gone by then. Without questions nothing is sent.
///
/// Nothing that needs an act waits for a metric source: when something changes meanwhile and asks for one, the world is
/// returned as it is, without answers, which is a pass that is no look.
pub async fn answered(
    ctx: &Context,
    key: &Key,
    questions: Vec<Question>,
    observed: Observed,
    bell: &Notify,
) -> Option<Observed> {
    if questions.is_empty() {
        return Some(observed);
    }
    let interval = observed.rollout.spec.analysis.interval.get().to_std().unwrap_or(LONGEST);
    let began = Instant::now();
    let sent = |outcome: &str| ctx.metrics.query(outcome);
    let mut asking = pin!(ask(&ctx.sources, questions, interval.min(LONGEST), &sent));
    let answers = loop {
        tokio::select! {
            answers = &mut asking => break answers,
            () = told_or_due(bell) => {
                let present = gather::gather(ctx, key, Utc::now())?;
                if needs_an_act(ctx, key, &present) {
                    return Some(present);
                }
            }
        }
    };
    ctx.metrics.queried(began.elapsed());
    Some(Observed { answers, ..gather::gather(ctx, key, Utc::now())? })
}

/// Something is to be done that does not only fail again. A write that the API server does not take stays wanted in every
/// plan, and what comes after it is not reached: that must not cost the look. It is tried again with the answers.
fn needs_an_act(ctx: &Context, key: &Key, present: &Observed) -> bool {
    let plan = decide(present);
    let Some(first) = plan.actions.first() else { return false };
    let Some(failed) = present.failed_write.as_ref().filter(|f| f.what == what(key, first)) else {
        return true;
    };
    // What brings traffic back waits for no answer, unless just that was refused.
    plan.urgent && !(failed.refused && ctx.memory.of(key).urgent)
}

/// A change, or a moment in which a timer of the plan may have come.
async fn told_or_due(bell: &Notify) {
    let _ = tokio::time::timeout(GLANCE, bell.notified()).await;
}

/// The answers to all questions, each query within `deadline`. `sent` is told what came of each: `value`, `empty`, `error`,
/// `timeout` or `refused`.
pub async fn ask(
    sources: &Sources,
    questions: Vec<Question>,
    deadline: Duration,
    sent: &(dyn Fn(&str) + Sync),
) -> Answers {
    let (asked, mut answers) = grouped(&questions);
    let read = join_all(asked.iter().map(|asked| one(sources, asked, deadline, sent))).await;
    // Stable's targets have been there long enough to tell; the longest of them is what a look must wait for.
    let of_stable = read.iter().flatten().filter(|(q, _, _)| q.arm == Arm::Stable);
    let scrape = of_stable.filter_map(|(_, _, scrape)| *scrape).max();
    answers.extend(read.into_iter().flatten().map(|(question, answer, _)| (question, answer)));
    Answers { given: answers, scrape }
}

/// Sends one query; the answers of all questions that it serves. Of a past that is too large for one answer, the latest part
/// is taken that is not.
async fn one(
    sources: &Sources,
    asked: &Asked<'_>,
    deadline: Duration,
    sent: &(dyn Fn(&str) + Sync),
) -> Vec<Answered> {
    let mut query = asked.query.clone();
    let reading = loop {
        let (reading, outcome) = read(sources, asked.server, &query, deadline).await;
        sent(outcome);
        let half = (query.to - query.from) / 2;
        let too_large = matches!(&reading, Reading::Error(error) if error.class == ErrorClass::TooLarge);
        if !(too_large && asked.of.iter().all(|(question, _)| question.past) && half >= LEAST_PAST) {
            break reading;
        }
        query.from = query.to - half;
    };
    asked.answers(&reading)
}

async fn read(sources: &Sources, server: &str, query: &Query, deadline: Duration) -> (Reading, &'static str) {
    let source = match sources.get(server) {
        Ok(source) => source,
        Err(error) => return (Reading::Error(error), "refused"),
    };
    match tokio::time::timeout(deadline, source.read(query)).await {
        Ok(Reading::Series(series)) => (Reading::Series(series), "value"),
        Ok(Reading::NoData) => (Reading::NoData, "empty"),
        Ok(Reading::Error(error)) => (Reading::Error(error), "error"),
        Err(_) => {
            let message = format!("Prometheus server {:?} did not answer within {deadline:?}", server);
            (Reading::Error(SourceError { class: ErrorClass::Timeout, message }), "timeout")
        }
    }
}
