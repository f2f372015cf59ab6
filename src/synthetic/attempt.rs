//! One attempt: the course of a rollout with looks that are drawn.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Cursor, Interval, Looks};
use crate::api::Metric;
use crate::course::{Course, End, Manner, Place, Turn};
use crate::rollout::questions::{BURSTS, HISTORY};
use crate::rollout::{self, Past};

use super::draw::Draw;
use super::outcome::{Clock, Run};
use super::study::{Study, origin};

/// An attempt under way.
pub(super) struct Attempt<'a> {
    study: &'a Study,
    draw: Draw,
    course: Course<'a>,
    /// Grid steps so far.
    k: u32,
    /// What was served last and has not been scraped yet.
    underway: Option<Vec<Interval>>,
    all: Clock,
    bad: Clock,
    promotion: Option<Clock>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(study: &'a Study, mut draw: Draw) -> Self {
        let spec = &study.spec;
        let histories = past(study, &mut draw);
        let metrics = rollout::metric_plans(spec, &spec.version, study.interval, origin(), &histories);
        let tail = Duration::milliseconds(rollout::tail_ms(&spec.analysis.metrics, &histories));
        let manner = Manner { words: false, fixed: None };
        Self {
            study,
            draw,
            course: Course::new(spec, study.interval, metrics, origin(), tail, manner),
            k: 0,
            underway: None,
            all: Clock::default(),
            bad: Clock::default(),
            promotion: None,
        }
    }

    pub(super) fn run(mut self) -> Run {
        let longest = self.study.longest();
        loop {
            self.k += 1;
            let served = self.serve();
            // The last look's samples come one scrape after its end, and the route changes only then.
            if let Some(read) = self.underway.replace(served)
                && let Some(end) = self.pass(read)
            {
                return self.ended(end);
            }
            if self.now() - origin() >= longest {
                let held_up = self.course.is_held_up();
                let end = if self.promotion.is_some() { End::Watched } else { End::Undecided(held_up) };
                return self.ended(end);
            }
        }
    }

    fn now(&self) -> DateTime<Utc> {
        origin() + self.study.interval * i32::try_from(self.k).unwrap_or(i32::MAX)
    }

    fn ended(self, end: End) -> Run {
        let taken_back = matches!(end, End::RolledBack { .. });
        let onset = self.study.traffic.onset;
        let passed = self.now() - origin();
        Run {
            looks: self.k,
            detection: taken_back.then_some(Clock { time: passed - onset, ..self.bad }),
            promotion: self.promotion,
            too_early: taken_back && passed < onset,
            end,
        }
    }

    /// The requests of one grid step, by metric.
    fn serve(&mut self) -> Vec<Interval> {
        let end = self.now();
        let start = end - self.study.interval;
        let seconds = self.study.interval.num_milliseconds() as f64 / 1000.0;
        let n = self.draw.requests(self.study.traffic.requests_per_second * seconds);
        let n_c = self.draw.share(n, f64::from(self.course.weight()) / 100.0);
        let n_b = match self.course.place() {
            Place::Shadow => n,
            Place::Canary(_) | Place::Watch => n - n_c,
        };
        let bad = start - origin() >= self.study.traffic.onset;
        self.all.requests += n_c as f64;
        self.bad.requests += if bad { n_c as f64 } else { 0.0 };
        let period = self.study.traffic.drift_period.num_milliseconds() as f64;
        let turn = (start - origin()).num_milliseconds() as f64 / period;
        let one = |laws| {
            let (stable, candidate) = self.draw.gains(laws, turn, bad, n_b, n_c);
            Interval {
                start,
                end,
                looks: 1,
                discarded: None,
                stable,
                candidate,
                candidate_scraped: true,
                stable_scraped: true,
            }
        };
        self.study.laws.iter().map(one).collect()
    }

    /// One pass of the controller.
    fn pass(&mut self, mut read: Vec<Interval>) -> Option<End> {
        let (start, end) = read.first().map_or((origin(), origin()), |i| (i.start, i.end));
        let discarded = self.course.discarded(start, end);
        read.iter_mut().for_each(|interval| interval.discarded = discarded);
        if let Some(first) = read.first().filter(|_| discarded.is_none()) {
            self.all.judged += first.candidate.n;
            let bad = start - origin() >= self.study.traffic.onset;
            self.bad.judged += if bad { first.candidate.n } else { 0.0 };
        }
        let looks = |(interval, (_, state)): (Interval, &(_, crate::analysis::MetricState))| {
            let cursor = Cursor { at: interval.end, ..state.cursor.clone() };
            Looks { intervals: vec![interval], cursor, empty_looks: 0, problems: Vec::new() }
        };
        let looks = read.into_iter().zip(self.course.metrics()).map(looks).collect();
        match self.course.pass(self.now(), looks).1 {
            Turn::Stays => None,
            Turn::Begins(Place::Watch) => {
                self.promotion = Some(Clock { time: self.now() - origin(), ..self.all });
                None
            }
            Turn::Begins(Place::Shadow | Place::Canary(_)) => None,
            Turn::Ends(end) => Some(end),
        }
    }
}

/// Stable before the attempt, by metric, read as the controller reads it.
fn past(study: &Study, draw: &mut Draw) -> BTreeMap<String, Past> {
    let (interval, traffic) = (study.interval.num_milliseconds(), &study.traffic);
    let mean = traffic.requests_per_second * interval as f64 / 1000.0;
    let looks = BURSTS.num_milliseconds() / interval;
    let metrics = study.spec.analysis.metrics.iter().zip(&study.laws);
    let one = |(metric, laws): (&Metric, _)| {
        let mut past = Past { seconds: HISTORY.num_seconds() as f64, ..Past::default() };
        for before in (1..=looks).rev().map(|k| k * interval) {
            let n = draw.requests(mean);
            let turn = -(before as f64) / traffic.drift_period.num_milliseconds() as f64;
            let (stable, _) = draw.gains(laws, turn, false, n, 0);
            if before <= HISTORY.num_milliseconds() {
                past.hour.add(&stable);
            }
            if n > 0 {
                past.looks.push(stable);
            }
        }
        (metric.name.clone(), past)
    };
    metrics.map(one).collect()
}
