//! Samples of the past, given out as a metric source would have given them at each look.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Arm, RawSeries};
use crate::rollout::questions::{Answer, Question};

/// All answers about a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct History {
    given: Vec<(Question, Answer)>,
    /// The scrape interval as it shows in the samples.
    pub scrape: Duration,
}

/// The first samples of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Time of the first sample.
    pub first: DateTime<Utc>,
    /// Time of the last.
    pub last: DateTime<Utc>,
}

impl History {
    /// Of all answers. `scrape`: as it was measured; 15 s where it could not be.
    pub fn new(given: Vec<(Question, Answer)>, scrape: Option<Duration>) -> Self {
        Self { given, scrape: scrape.unwrap_or(Duration::seconds(15)) }
    }

    /// The questions that were asked, with their answers.
    pub fn given(&self) -> &[(Question, Answer)] {
        &self.given
    }

    /// What the source would have answered about a metric for `(from, to]`.
    pub fn asked(&self, metric: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<(Question, Answer)> {
        let (low, high) = (from.timestamp_millis(), to.timestamp_millis());
        let cut = |one: &RawSeries| {
            let begin = one.samples.partition_point(|(t, _)| *t <= low);
            let end = one.samples.partition_point(|(t, _)| *t <= high);
            let samples = one.samples.get(begin..end).filter(|samples| !samples.is_empty())?.to_vec();
            Some(RawSeries {
                arm: one.arm,
                target: one.target.clone(),
                scrape: one.scrape.clone(),
                counter: one.counter,
                labels: one.labels.clone(),
                samples,
            })
        };
        let answer = |answer: &Answer| match answer {
            Answer::Series(all) => {
                let all: Vec<RawSeries> = all.iter().filter_map(cut).collect();
                if all.is_empty() { Answer::NoData } else { Answer::Series(all) }
            }
            Answer::NoData => Answer::NoData,
            Answer::Failed { .. } => answer.clone(),
        };
        let of = self.given.iter().filter(|(question, _)| question.metric == metric);
        of.map(|(question, given)| (Question { from, to, ..question.clone() }, answer(given))).collect()
    }

    fn series(&self) -> impl Iterator<Item = &RawSeries> {
        self.given.iter().flat_map(|(_, answer)| match answer {
            Answer::Series(all) => all.as_slice(),
            Answer::NoData | Answer::Failed { .. } => &[],
        })
    }

    /// The first and last sample of an arm, over all metrics.
    pub fn oldest(&self, arm: Arm) -> Option<Oldest> {
        let of = || self.series().filter(|one| one.arm == arm).flat_map(|one| &one.samples);
        let first = of().map(|(t, _)| *t).min().and_then(DateTime::from_timestamp_millis)?;
        let last = of().map(|(t, _)| *t).max().and_then(DateTime::from_timestamp_millis)?;
        Some(Oldest { first, last })
    }

    /// Pods that appear after `t0` while others are scraped: they started then. A pod that appears when all do may only have
    /// been seen again.
    pub fn started(&self, t0: DateTime<Utc>) -> BTreeMap<String, DateTime<Utc>> {
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for one in self.series() {
            if let Some((t, _)) = one.samples.first() {
                let seen = first.entry(&one.target).or_insert(*t);
                *seen = (*seen).min(*t);
            }
        }
        let before = (self.scrape * 3).num_milliseconds();
        let watched = |target: &str, at: i64| {
            self.series().filter(|one| one.target != target).any(|one| {
                let i = one.samples.partition_point(|(t, _)| *t < at - before);
                one.samples.get(i).is_some_and(|(t, _)| *t < at)
            })
        };
        let earliest = (t0 + self.scrape).timestamp_millis();
        let born = first.into_iter().filter(|(target, at)| *at > earliest && watched(target, *at));
        born.filter_map(|(target, at)| Some((target.to_owned(), DateTime::from_timestamp_millis(at)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Counter;
    use crate::rollout::questions::{ArmMatch, Field};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn given(arm: Arm, target: &str, times: impl Iterator<Item = i64>) -> (Question, Answer) {
        let question = Question {
            metric: "errors".into(),
            arm,
            field: Field::Total,
            server: "s".into(),
            selector: "rq_total".into(),
            matcher: ArmMatch::Pods { label: "pod".into(), names: vec![target.into()] },
            drop_labels: Vec::new(),
            step: None,
            past: false,
            from: at(0),
            to: at(1000),
        };
        let samples = times.map(|t| (at(t).timestamp_millis(), t as f64)).collect();
        let series = RawSeries {
            arm,
            target: target.into(),
            scrape: "j/i".into(),
            counter: Counter::Total,
            labels: String::new(),
            samples,
        };
        (question, Answer::Series(vec![series]))
    }

    fn history(of: Vec<(Question, Answer)>) -> History {
        History::new(of, Some(Duration::seconds(15)))
    }

    #[test]
    fn a_look_is_given_what_prometheus_would_have_answered_then() {
        let all = history(vec![given(Arm::Stable, "a", (0..1000).step_by(15))]);
        let found = all.asked("errors", at(30), at(60));
        assert_eq!((found[0].0.from, found[0].0.to), (at(30), at(60)));
        let Answer::Series(series) = &found[0].1 else { panic!("{found:?}") };
        let times: Vec<f64> = series[0].samples.iter().map(|(_, v)| *v).collect();
        assert_eq!(times, [45.0, 60.0], "the range is open at its begin");
        assert_eq!(all.asked("errors", at(2000), at(2060))[0].1, Answer::NoData);
        assert!(all.asked("latency", at(0), at(60)).is_empty());
    }

    #[test]
    fn a_pod_that_appears_while_others_are_scraped_started_then() {
        let steady = || given(Arm::Stable, "a", (0..1000).step_by(15));
        let late = given(Arm::Candidate, "b", (300..1000).step_by(15));
        let found = history(vec![steady(), late.clone()]).started(at(100));
        assert_eq!(found, [("b".to_owned(), at(300))].into());
        let gap = given(Arm::Stable, "a", (0..200).chain(300..1000).step_by(15));
        assert!(
            history(vec![gap, late.clone()]).started(at(100)).is_empty(),
            "all were away: it is only seen again"
        );
        assert!(history(vec![steady(), late]).started(at(400)).is_empty(), "it was there before the start");
    }

    #[test]
    fn the_first_and_last_sample_of_an_arm_are_found() {
        let all =
            history(vec![given(Arm::Stable, "a", (30..90).step_by(15)), given(Arm::Stable, "b", 45..46)]);
        assert_eq!(all.oldest(Arm::Stable), Some(Oldest { first: at(30), last: at(75) }));
        assert_eq!(all.oldest(Arm::Candidate), None);
    }
}
