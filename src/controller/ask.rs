//! Asks the metric sources what the rollout wants to know, all at once, within one deadline.

use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::join_all;
use tokio::sync::Notify;

use super::context::Context;
use super::gather;
use crate::analysis::Arm;
use crate::cluster::apply::what;
use crate::cluster::shelf::Key;
use crate::measure::metric::{Part, raw};
use crate::measure::{ArmMatcher, ErrorClass, Query, Reading, ScopeError, Series, scope, scrape_interval};
use crate::rollout::questions::{Answer, Answers, ArmMatch, Field, Question};
use crate::rollout::{Observed, decide};

/// Longest wait for all answers of a pass; an interval that is shorter bounds it too.
const LONGEST: Duration = Duration::from_secs(5);

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
    let mut asking = pin!(ask(ctx, questions, interval.min(LONGEST)));
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

async fn ask(ctx: &Context, questions: Vec<Question>, deadline: Duration) -> Answers {
    let one = |question: Question| async move {
        let answer = tokio::time::timeout(deadline, read(ctx, &question)).await;
        let late = || {
            let message =
                format!("Prometheus server {:?} did not answer within {deadline:?}", question.server);
            (Answer::Failed { transient: true, message }, "timeout", None)
        };
        let (answer, outcome, scrape) = answer.unwrap_or_else(|_| late());
        ctx.metrics.query(outcome);
        (question, answer, scrape)
    };
    let answered = join_all(questions.into_iter().map(one)).await;
    // Stable's targets have been there long enough to tell; the longest of them is what a look must wait for.
    let scrape = answered.iter().filter(|(q, _, _)| q.arm == Arm::Stable).filter_map(|(_, _, s)| *s).max();
    Answers { given: answered.into_iter().map(|(q, a, _)| (q, a)).collect(), scrape }
}

async fn read(ctx: &Context, question: &Question) -> (Answer, &'static str, Option<chrono::Duration>) {
    let refused = |message: String| (Answer::Failed { transient: false, message }, "refused", None);
    let source = match ctx.sources.get(&question.server) {
        Ok(source) => source,
        Err(error) => return refused(error.message),
    };
    let matcher = matcher(question);
    let scoped = match scope(&question.selector, "", &matcher, &question.drop_labels) {
        Ok(scoped) => scoped,
        Err(ScopeError::EmptyArm) => return (Answer::NoData, "empty", None),
        Err(error) => return refused(format!("metric {}: {}: {error}", question.metric, question.selector)),
    };
    let query = Query { selector: scoped.selector, from: question.from, to: question.to };
    match source.read(&query).await {
        Reading::Series(series) => {
            let scrape = scrape_interval(&series);
            let part = part(question.field);
            let raw = |one: Series| raw(question.arm, &matcher, part, one);
            (Answer::Series(series.into_iter().flat_map(raw).collect()), "value", scrape)
        }
        Reading::NoData => (Answer::NoData, "empty", None),
        Reading::Error(error) => {
            let message = format!("metric {}: {}", question.metric, error.message);
            (Answer::Failed { transient: transient(error.class), message }, "error", None)
        }
    }
}

fn matcher(question: &Question) -> ArmMatcher {
    match &question.matcher {
        ArmMatch::Pods { label, names } => ArmMatcher::Pods { label: label.clone(), names: names.clone() },
        ArmMatch::Label { label, value } => ArmMatcher::Labels([(label.clone(), value.clone())].into()),
    }
}

fn part(field: Field) -> Part {
    match field {
        Field::Total => Part::Total,
        Field::Bad => Part::Bad,
        Field::Sum => Part::Sum,
        Field::SumSquares => Part::SumSquares,
        Field::Buckets => Part::Buckets { with_total: true },
    }
}

/// Whether the next look may fare better without anybody's help.
fn transient(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Unreachable | ErrorClass::Timeout | ErrorClass::Partial => true,
        ErrorClass::BadQuery | ErrorClass::Denied | ErrorClass::BadReply | ErrorClass::Configuration => false,
    }
}
