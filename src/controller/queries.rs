//! Questions as queries: which are asked together, and whose the series of an answer are. No I/O.

use crate::measure::metric::{Part, raw};
use crate::measure::together::{Wanted, together};
use crate::measure::{ArmMatcher, Query, Reading, ScopeError, Series, scope_expression, scrape_interval};
use crate::rollout::questions::{Answer, ArmMatch, Field, Question};

/// A question with its answer and the scrape interval that shows in it.
pub type Answered = (Question, Answer, Option<chrono::Duration>);

/// One query, and the questions that its answer serves.
pub struct Asked<'a> {
    /// To be sent.
    pub query: Query,
    /// Name of the server.
    pub server: &'a str,
    /// With the series that each takes; `None`: all of them.
    pub of: Vec<(&'a Question, Option<Wanted>)>,
}

/// The queries that answer all questions, and the answers of those for which nothing needs to be sent.
pub fn grouped(questions: &[Question]) -> (Vec<Asked<'_>>, Vec<(Question, Answer)>) {
    let (mut answers, mut groups) = (Vec::new(), Vec::<Vec<(&Question, Wanted)>>::new());
    let refused = |question: &Question, error: &ScopeError| {
        let message = format!("metric {}: {}: {error}", question.metric, question.selector);
        (question.clone(), Answer::Failed { transient: false, message })
    };
    let mut asked = Vec::new();
    for question in questions {
        if question.field == Field::Value {
            match expression(question) {
                Ok(one) => asked.push(one),
                Err(ScopeError::EmptyArm) => answers.push((question.clone(), Answer::NoData)),
                Err(error) => answers.push(refused(question, &error)),
            }
            continue;
        }
        let same = |of: &&mut Vec<(&Question, Wanted)>| {
            of.first().is_some_and(|(other, _)| {
                (&other.metric, &other.server, other.from, other.to)
                    == (&question.metric, &question.server, question.from, question.to)
            })
        };
        match Wanted::new(&question.selector, &matcher(question), &question.drop_labels) {
            Ok(wanted) => match groups.iter_mut().find(same) {
                Some(group) => group.push((question, wanted)),
                None => groups.push(vec![(question, wanted)]),
            },
            Err(ScopeError::EmptyArm) => answers.push((question.clone(), Answer::NoData)),
            Err(error) => answers.push(refused(question, &error)),
        }
    }
    for group in groups {
        let wanted: Vec<Wanted> = group.iter().map(|(_, wanted)| wanted.clone()).collect();
        match together(&wanted) {
            Ok(queries) => asked.extend(queries.into_iter().filter_map(|(selector, members)| {
                let of = members.iter().filter_map(|i| group.get(*i).cloned());
                let of: Vec<_> = of.map(|(question, wanted)| (question, Some(wanted))).collect();
                let (first, _) = of.first()?;
                let query = Query { selector, from: first.from, to: first.to, step: None };
                Some(Asked { query, server: &first.server, of })
            })),
            Err(error) => answers.extend(group.iter().map(|(question, _)| refused(question, &error))),
        }
    }
    (asked, answers)
}

/// An expression is asked for alone: what comes back carries no name that would tell whose it is.
fn expression(question: &Question) -> Result<Asked<'_>, ScopeError> {
    let scoped = scope_expression(&question.selector, &matcher(question), &question.drop_labels)?;
    let query =
        Query { selector: scoped.selector, from: question.from, to: question.to, step: question.step };
    Ok(Asked { query, server: &question.server, of: vec![(question, None)] })
}

impl Asked<'_> {
    /// The answers of all questions that the query serves.
    pub fn answers(&self, reading: &Reading) -> Vec<Answered> {
        self.of.iter().map(|(question, wanted)| answer(question, wanted.as_ref(), reading)).collect()
    }
}

/// A question's part of what its query read.
fn answer(question: &Question, wanted: Option<&Wanted>, reading: &Reading) -> Answered {
    let (answer, scrape) = match reading {
        Reading::Series(all) => {
            let of: Vec<Series> =
                all.iter().filter(|one| wanted.is_none_or(|wanted| wanted.takes(one))).cloned().collect();
            let (part, matcher) = (part(question.field), matcher(question));
            // The spacing of an expression's values is our own.
            let scrape = wanted.and_then(|_| scrape_interval(&of));
            let raw = |one: Series| raw(question.arm, &matcher, part, one);
            let of: Vec<_> = of.into_iter().flat_map(raw).collect();
            if of.is_empty() { (Answer::NoData, None) } else { (Answer::Series(of), scrape) }
        }
        Reading::NoData => (Answer::NoData, None),
        Reading::Error(error) => {
            let message = format!("metric {}: {}", question.metric, error.message);
            (Answer::Failed { transient: error.class.is_transient(), message }, None)
        }
    };
    (question.clone(), answer, scrape)
}

/// A question's arm as a source knows it.
pub fn matcher(question: &Question) -> ArmMatcher {
    match &question.matcher {
        ArmMatch::Pods { label, names } => ArmMatcher::Pods { label: label.clone(), names: names.clone() },
        ArmMatch::Label { label, value } => ArmMatcher::Labels([(label.clone(), value.clone())].into()),
    }
}

fn part(field: Field) -> Part {
    match field {
        Field::Total => Part::Total,
        Field::Bad => Part::Bad,
        Field::BadOfAll => Part::BadOfAll,
        Field::Sum => Part::Sum,
        Field::SumSquares => Part::SumSquares,
        Field::Value => Part::Value,
        Field::Buckets => Part::Buckets { with_total: true },
    }
}
