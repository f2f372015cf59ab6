//! One attempt: the stages one after the other, look by look, until it is taken back, has passed its watch, or time is over.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Cursor, Discard, Interval, Looks, MetricPlan, MetricState, Span, Stage, sample, step};
use crate::api::{HoldOrRollback, Metric, RequireProof, RollbackOrHold};
use crate::rollout::gate::{self, Gate};
use crate::rollout::questions::{BURSTS, HISTORY};
use crate::rollout::{self, Judged, Past};

use super::draw::Draw;
use super::outcome::{By, Clock, End, Run};
use super::study::{Study, origin};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Shadow,
    Canary(usize),
    Watch,
}

impl Place {
    fn stage(self) -> Stage {
        match self {
            Place::Shadow => Stage::Shadow,
            Place::Canary(_) => Stage::Canary,
            Place::Watch => Stage::Watch,
        }
    }
}

/// An attempt under way.
pub(super) struct Attempt<'a> {
    study: &'a Study,
    draw: Draw,
    metrics: Vec<(MetricPlan, MetricState)>,
    place: Place,
    /// Grid steps so far.
    k: u32,
    set_at: DateTime<Utc>,
    held: Duration,
    awaited: Duration,
    warm_up: Duration,
    spans: Vec<Span>,
    fresh_at: Option<DateTime<Utc>>,
    /// What was served last and has not been scraped yet.
    underway: Option<Vec<Interval>>,
    all: Clock,
    bad: Clock,
    promotion: Option<Clock>,
    held_up: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(study: &'a Study, mut draw: Draw) -> Self {
        let spec = &study.spec;
        let histories = past(study, &mut draw);
        let metrics = rollout::metric_plans(spec, &spec.version, study.interval, origin(), &histories);
        let tail = Duration::milliseconds(rollout::tail_ms(&spec.analysis.metrics, &histories));
        let first = if spec.strategy.shadow.is_some() { Place::Shadow } else { Place::Canary(0) };
        let mut attempt = Self {
            study,
            draw,
            metrics,
            place: first,
            k: 0,
            set_at: origin(),
            held: Duration::zero(),
            awaited: Duration::zero(),
            warm_up: spec.analysis.warm_up.get().max(tail),
            spans: Vec::new(),
            fresh_at: None,
            underway: None,
            all: Clock::default(),
            bad: Clock::default(),
            promotion: None,
            held_up: false,
        };
        attempt.begin(first);
        attempt
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
                let end = if self.promotion.is_some() { End::Watched } else { End::Undecided(self.held_up) };
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
        let strategy = &self.study.spec.strategy;
        let (n_b, n_c) = match self.place {
            Place::Shadow => {
                let percent = strategy.shadow.as_ref().map_or(100, |s| s.percent);
                (n, self.draw.share(n, f64::from(percent) / 100.0))
            }
            Place::Canary(i) => self.split(n, strategy.canary.steps[i].weight),
            Place::Watch => self.split(n, 100 - self.control_weight()),
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

    fn split(&mut self, n: u64, weight: i32) -> (u64, u64) {
        let n_c = self.draw.share(n, f64::from(weight) / 100.0);
        (n - n_c, n_c)
    }

    /// As the controller has it: by counts of pods there is none.
    fn control_weight(&self) -> i32 {
        let spec = &self.study.spec;
        if spec.traffic.gateway_api.is_some() { spec.strategy.watch.control_weight } else { 0 }
    }

    /// One pass of the controller: a look at all metrics, then what it means.
    fn pass(&mut self, read: Vec<Interval>) -> Option<End> {
        let (judged, breach) = self.judge(read);
        if let Some(end) = breach {
            return Some(end);
        }
        self.held += judged.counted;
        if judged.missing.is_some() {
            return self.no_data_for_long();
        }
        if self.held_up && self.breached() {
            return None;
        }
        self.go_on(&judged)
    }

    fn judge(&mut self, read: Vec<Interval>) -> (Judged, Option<End>) {
        let stage = self.place.stage();
        let mut out = Judged { looked: true, ..Judged::default() };
        let mut end = None;
        let (start, at) = read.first().map_or((origin(), origin()), |i| (i.start, i.end));
        let discarded = sample::discarded(&self.spans, start, at);
        for (i, mut interval) in read.into_iter().enumerate() {
            let (plan, state) = &mut self.metrics[i];
            interval.discarded = discarded;
            let paired = stage != Stage::Watch || plan.paired_watch;
            if rollout::counts(&interval, paired, self.set_at) {
                self.fresh_at = self.fresh_at.max(Some(interval.end));
                out.counted = out.counted.max(self.study.interval);
            }
            if i == 0 && discarded.is_none() {
                self.all.judged += interval.candidate.n;
                let bad = start - origin() >= self.study.traffic.onset;
                self.bad.judged += if bad { interval.candidate.n } else { 0.0 };
            }
            if state.stage != stage {
                *state = state.enter(plan, stage);
            }
            let cursor = Cursor { at: interval.end, ..state.cursor.clone() };
            let looks = Looks { intervals: vec![interval], cursor, empty_looks: 0, problems: Vec::new() };
            let verdict = step(plan, state, &looks);
            if let Some(breach) = verdict.breach() {
                let metric = &self.study.spec.analysis.metrics[i];
                match rollout::on_breach(Some(metric.on_breach), self.study.spec.on_breach) {
                    RollbackOrHold::Rollback => {
                        let by = By::from(breach.by);
                        end.get_or_insert(End::RolledBack { stage, metric: Some(metric.name.clone()), by });
                    }
                    RollbackOrHold::Hold => self.held_up = true,
                }
            }
            out.verdicts.push(verdict);
        }
        out.missing = out.unusable();
        (out, end)
    }

    /// A breach that only holds is latched: nothing goes on by itself.
    fn breached(&self) -> bool {
        self.metrics.iter().any(|(plan, state)| state.breach.is_some() && !plan.observe_only)
    }

    fn no_data_for_long(&self) -> Option<End> {
        let policy = &self.study.spec.analysis.no_data;
        let since = self.fresh_at.max(Some(self.set_at));
        let long = since.is_some_and(|t| self.now() - t >= policy.after.get());
        let rolled_back = End::RolledBack { stage: self.place.stage(), metric: None, by: By::NoEvidence };
        (policy.then == HoldOrRollback::Rollback && long).then_some(rolled_back)
    }

    /// What the present place waits for, and the next place when that is there.
    fn go_on(&mut self, judged: &Judged) -> Option<End> {
        let strategy = &self.study.spec.strategy;
        let steps = &strategy.canary.steps;
        let (gate, next) = match (self.place, &strategy.shadow) {
            (Place::Shadow, Some(shadow)) => {
                let over = self.held >= shadow.duration.get();
                (gate::shadow(over, shadow.min_requests, judged), Some(Place::Canary(0)))
            }
            (Place::Shadow, None) => (Gate::Open, Some(Place::Canary(0))),
            (Place::Canary(i), _) => {
                let last = i + 1 >= steps.len();
                let proof = last || strategy.require_proof == RequireProof::EveryStep;
                let next = if last { Place::Watch } else { Place::Canary(i + 1) };
                let over = self.held >= steps[i].hold.get();
                (gate::step(over, strategy.advance, proof, judged), Some(next))
            }
            (Place::Watch, _) if strategy.watch.duration.get().is_zero() => (Gate::Open, None),
            (Place::Watch, _) => {
                let over = self.held >= strategy.watch.duration.get();
                (gate::watch(over, self.control_weight() > 0, judged), None)
            }
        };
        match (gate, next) {
            (Gate::Hold | Gate::Look, _) => None,
            (Gate::Evidence(_), _) => self.await_evidence(judged),
            (Gate::Open, Some(place)) => {
                self.begin(place);
                None
            }
            (Gate::Open, None) => Some(End::Active),
        }
    }

    fn await_evidence(&mut self, judged: &Judged) -> Option<End> {
        let deadlines = &self.study.spec.strategy.deadlines;
        self.awaited += judged.counted;
        if self.awaited < deadlines.evidence.get() {
            return None;
        }
        self.held_up = true;
        let stage = self.place.stage();
        match deadlines.on_evidence {
            HoldOrRollback::Hold => None,
            HoldOrRollback::Rollback => {
                Some(End::RolledBack { stage, metric: None, by: By::EvidenceDeadline })
            }
        }
    }

    /// A step begins: the share changes now, and what follows is warm-up.
    fn begin(&mut self, place: Place) {
        let now = self.now();
        if place == Place::Watch {
            self.promotion = Some(Clock { time: now - origin(), ..self.all });
        }
        self.place = place;
        self.set_at = now;
        self.held = Duration::zero();
        self.awaited = Duration::zero();
        self.held_up = false;
        self.spans.retain(|span| span.to > now - self.study.interval * 2);
        self.spans.push(Span { from: now, to: now + self.warm_up, why: Discard::WarmUp });
        for (_, state) in &mut self.metrics {
            *state = state.begin_step(now);
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
