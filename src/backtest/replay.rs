//! The replay: looks from remembered samples, and a record of what was decided at them.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::sample::lookback;
use crate::analysis::{BreachKind, Kind, Looks, MetricVerdict, Outcome};
use crate::api::{Metric, ModelRollout};
use crate::course::{Course, End, Manner, Place, Turn};
use crate::plot::Point;
use crate::rollout::{self, Before, Grid, Judged, Past, accepted_by, questions};

use super::history::History;

/// What is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The manifest, its presets written out.
    pub rollout: &'a ModelRollout,
    /// When the candidate's first step begins.
    pub from: DateTime<Utc>,
    /// The end of the history.
    pub to: DateTime<Utc>,
    /// The share that the candidate really had all the time, in percent; none: the manifest's steps are played.
    pub weight: Option<i32>,
}

/// The controller would not have begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rollout would not begin ({reason}): {message}")]
pub struct Refused {
    /// The reason that the rollout's conditions would give.
    pub reason: String,
    /// What to do.
    pub message: String,
}

/// What kind of thing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A stage or step began.
    Begins,
    /// A metric is proven good enough.
    Proven,
    /// A metric that was proven is so no longer.
    Unproven,
    /// A metric is worse than its limit.
    Breach,
    /// A coarse guard found a metric broken.
    Guard,
    /// There is no evidence.
    NoEvidence,
    /// There is evidence again.
    Evidence,
    /// It waits for something else than the rest of a hold.
    Waits,
    /// A person is needed.
    Held,
    /// Over.
    Ends,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When the controller would have decided it: one scrape after the end of the look.
    pub at: DateTime<Utc>,
    /// Where the rollout was.
    pub place: Place,
    /// What.
    pub what: What,
    /// The metric, where it is one.
    pub metric: Option<String>,
    /// In words.
    pub text: String,
    /// The metric's numbers.
    pub verdict: Option<MetricVerdict>,
}

/// A place of the course, with the traffic that the arms had meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Where.
    pub place: Place,
    /// The candidate's share as decided, in percent.
    pub weight: i32,
    /// Begin.
    pub from: DateTime<Utc>,
    /// Requests or scores of stable, in the first metric that counts.
    pub stable: f64,
    /// Those of the candidate.
    pub candidate: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// In order of time.
    pub decisions: Vec<Decision>,
    /// The places that it went through.
    pub parts: Vec<Part>,
    /// How it ended, and when.
    pub end: End,
    /// The last moment that counted.
    pub ended_at: DateTime<Utc>,
    /// Looks, and those of them in which no metric that decides had a sample of either arm.
    pub looks: (u32, u32),
    /// The last verdict of each metric.
    pub verdicts: Vec<MetricVerdict>,
    /// Each metric at each look, to be drawn.
    pub points: Vec<Vec<Point>>,
    /// How each metric is measured.
    pub kinds: Vec<Kind>,
    /// What it waited for at the end.
    pub waits_for: Option<String>,
}

impl Replay {
    /// Replays a rollout on what is remembered.
    ///
    /// # Errors
    /// When the controller would not have begun.
    pub fn run(setup: &Setup<'_>, history: &History) -> Result<Self, Refused> {
        let spec = &setup.rollout.spec;
        let interval = interval(setup.rollout);
        let started = history.started(setup.from);
        let pasts = pasts(setup, history, &started)?;
        let metrics = rollout::metric_plans(spec, &spec.version, interval, setup.from, &pasts);
        let tail = Duration::milliseconds(rollout::tail_ms(&spec.analysis.metrics, &pasts));
        let manner = Manner { words: true, fixed: setup.weight };
        let mut course = Course::new(spec, interval, metrics, setup.from, tail, manner);
        started.values().for_each(|at| course.discard(*at, *at + interval));
        let mut log = Log::new(setup, &course);
        let mut edge = setup.from + interval;
        while edge <= setup.to {
            let read = read(setup, history, &started, &course, edge)?;
            let at = edge + history.scrape;
            log.looked(edge, &read);
            let place = course.place();
            let (judged, turn) = course.pass(at, read);
            log.judged(at, edge, place, &course, &judged);
            if log.turned(at, place, &course, turn) {
                break;
            }
            edge += interval;
        }
        Ok(log.finish(&course))
    }
}

/// How often is looked.
pub fn interval(rollout: &ModelRollout) -> Duration {
    Duration::milliseconds(rollout.spec.analysis.interval.get().num_milliseconds().max(1000))
}

fn pasts(
    setup: &Setup<'_>,
    history: &History,
    started: &BTreeMap<String, DateTime<Utc>>,
) -> Result<BTreeMap<String, Past>, Refused> {
    let of = |metric: &Metric| Ok((metric.name.clone(), past(setup, history, started, metric)?));
    setup.rollout.spec.analysis.metrics.iter().map(of).collect()
}

/// Stable's past in a metric before [`Setup::from`]. `started`: pods of which it is known when they started.
///
/// # Errors
/// Why the controller would not begin with this metric.
pub fn past(
    setup: &Setup<'_>,
    history: &History,
    started: &BTreeMap<String, DateTime<Utc>>,
    metric: &Metric,
) -> Result<Past, Refused> {
    let before =
        Before { t0: setup.from, interval: interval(setup.rollout), scrape: history.scrape, started };
    let given = history.asked(&metric.name, setup.from - questions::past(metric), setup.from);
    let past = rollout::past(metric, &given, &before, |finding| accepted_by(setup.rollout, finding));
    past.map_err(|(reason, message)| Refused { reason: reason.to_owned(), message })
}

/// The looks of all metrics that end at an edge, from what the controller would have asked for then.
fn read(
    setup: &Setup<'_>,
    history: &History,
    started: &BTreeMap<String, DateTime<Utc>>,
    course: &Course<'_>,
    edge: DateTime<Utc>,
) -> Result<Vec<Looks>, Refused> {
    let interval = interval(setup.rollout);
    let back = lookback(interval, history.scrape);
    let of = |(plan, state): &(crate::analysis::MetricPlan, crate::analysis::MetricState)| {
        let given = history.asked(&plan.name, questions::oldest(state.cursor.at, edge, back), edge);
        let grid = Grid { interval, scrape: history.scrape, until: edge, started, discarded: course.spans() };
        let given: Vec<_> = given.iter().collect();
        rollout::looks(&given, plan.kind, &state.cursor, &grid)
            .map_err(|(reason, message)| Refused { reason, message })
    };
    course.metrics().iter().map(of).collect()
}

/// The record of a replay.
struct Log {
    decisions: Vec<Decision>,
    parts: Vec<Part>,
    weight: Option<i32>,
    proven: Vec<bool>,
    missing: bool,
    /// What it was said to wait for last in this place.
    waiting: Option<String>,
    held: bool,
    end: Option<End>,
    ended_at: DateTime<Utc>,
    looks: (u32, u32),
    verdicts: Vec<MetricVerdict>,
    points: Vec<Vec<Point>>,
    kinds: Vec<Kind>,
    /// The metric is not only reported.
    decides: Vec<bool>,
}

impl Log {
    fn new(setup: &Setup<'_>, course: &Course<'_>) -> Self {
        let metrics = course.metrics();
        let mut log = Self {
            decisions: Vec::new(),
            parts: Vec::new(),
            weight: setup.weight,
            proven: vec![false; metrics.len()],
            missing: false,
            waiting: None,
            held: false,
            end: None,
            ended_at: setup.from,
            looks: (0, 0),
            verdicts: Vec::new(),
            points: vec![Vec::new(); metrics.len()],
            kinds: metrics.iter().map(|(plan, _)| plan.kind).collect(),
            decides: metrics.iter().map(|(plan, _)| !plan.observe_only).collect(),
        };
        log.begins(setup.from, course, "the candidate's first step");
        log
    }

    fn say(&mut self, at: DateTime<Utc>, place: Place, what: What, text: String) {
        self.decisions.push(Decision { at, place, what, metric: None, text, verdict: None });
    }

    fn begins(&mut self, at: DateTime<Utc>, course: &Course<'_>, why: &str) {
        let (place, weight) = (course.place(), self.weight.unwrap_or(course.weight()));
        let share = if place == Place::Shadow { "mirrored" } else { "share" };
        let text = format!(
            "begins: {share} {weight} %{}",
            if why.is_empty() { String::new() } else { format!(", {why}") }
        );
        self.say(at, place, What::Begins, text);
        self.parts.push(Part { place, weight, from: at, stable: 0.0, candidate: 0.0 });
        (self.waiting, self.held) = (None, false);
    }

    /// A look: the traffic of it.
    fn looked(&mut self, edge: DateTime<Utc>, read: &[Looks]) {
        self.looks.0 += 1;
        let mut deciding = read.iter().zip(&self.decides).filter(|(_, decides)| **decides);
        self.looks.1 += u32::from(deciding.all(|(looks, _)| looks.intervals.is_empty()));
        self.ended_at = edge;
        let counting = self.kinds.iter().position(|kind| *kind != Kind::Value).unwrap_or(0);
        let intervals = read.get(counting).map_or(&[][..], |looks| &looks.intervals);
        if let Some(part) = self.parts.last_mut() {
            for interval in intervals.iter().filter(|one| one.start >= part.from) {
                part.stable += interval.stable.n;
                part.candidate += interval.candidate.n;
            }
        }
    }

    /// What a look showed of each metric that is new.
    fn judged(
        &mut self,
        at: DateTime<Utc>,
        edge: DateTime<Utc>,
        place: Place,
        course: &Course<'_>,
        judged: &Judged,
    ) {
        for (i, verdict) in judged.verdicts.iter().enumerate() {
            self.points[i].push(Point::of(edge, verdict));
            let before = self.verdicts.get(i);
            // A stage has ledgers of its own.
            self.proven[i] &= before.is_some_and(|b| b.stage == verdict.stage);
            let breached = before.is_some_and(|b| b.breach().is_some());
            let found = match &verdict.outcome {
                Outcome::Breach(breach) if !breached => Some(match breach.by {
                    BreachKind::Limit | BreachKind::Range => What::Breach,
                    BreachKind::CoarseGuard
                    | BreachKind::AbsoluteGuard
                    | BreachKind::AbsoluteGuardControlThin => What::Guard,
                }),
                Outcome::Pass if !self.proven[i] => Some(What::Proven),
                Outcome::Inconclusive { .. } if self.proven[i] => Some(What::Unproven),
                Outcome::Breach(_)
                | Outcome::Pass
                | Outcome::Inconclusive { .. }
                | Outcome::Unavailable(_)
                | Outcome::WarmUp => None,
            };
            match found {
                Some(What::Proven) => self.proven[i] = true,
                Some(What::Unproven) => self.proven[i] = false,
                Some(_) | None => {}
            }
            if let Some(what) = found {
                let text = verdict.sentence.clone();
                let metric = Some(verdict.metric.clone());
                self.decisions.push(Decision {
                    at,
                    place,
                    what,
                    metric,
                    text,
                    verdict: Some(verdict.clone()),
                });
            }
        }
        self.verdicts.clone_from(&judged.verdicts);
        match (&judged.missing, self.missing) {
            (Some((reason, message)), false) => {
                self.say(at, place, What::NoEvidence, format!("{reason}: {message}"));
            }
            (None, true) => self.say(at, place, What::Evidence, "there is evidence again".to_owned()),
            (Some(_), true) | (None, false) => {}
        }
        self.missing = judged.missing.is_some();
        self.waits(at, place, course);
    }

    /// What it waits for, and whether a person is needed.
    fn waits(&mut self, at: DateTime<Utc>, place: Place, course: &Course<'_>) {
        let waits = course.waits_for().filter(|_| !course.is_held_up());
        let kind = waits.and_then(|text| text.split([':', ';']).next()).map(str::to_owned);
        if let Some(text) = waits.filter(|_| kind != self.waiting) {
            self.say(at, place, What::Waits, format!("waits for {text}"));
            self.waiting = kind;
        }
        if course.is_held_up() && !self.held {
            self.held = true;
            let why = match course.waits_for() {
                Some(missing) => format!("the deadline is over, and it still waits for {missing}"),
                None => "a breach that only holds".to_owned(),
            };
            self.say(at, place, What::Held, format!("held until a person decides: {why}"));
        }
    }

    /// What a pass came to. True when that was the end.
    fn turned(&mut self, at: DateTime<Utc>, place: Place, course: &Course<'_>, turn: Turn) -> bool {
        match turn {
            Turn::Stays => false,
            Turn::Begins(next) => {
                self.begins(at, course, if next == Place::Watch { "promoted" } else { "" });
                false
            }
            Turn::Ends(end) => {
                let text = super::report::end_text(&end);
                self.say(at, place, What::Ends, text);
                self.end = Some(end);
                self.ended_at = at;
                true
            }
        }
    }

    fn finish(self, course: &Course<'_>) -> Replay {
        let running =
            if course.place() == Place::Watch { End::Watched } else { End::Undecided(course.is_held_up()) };
        Replay {
            decisions: self.decisions,
            parts: self.parts,
            end: self.end.unwrap_or(running),
            ended_at: self.ended_at,
            looks: self.looks,
            verdicts: self.verdicts,
            points: self.points,
            kinds: self.kinds,
            waits_for: course.waits_for().map(str::to_owned),
        }
    }
}
