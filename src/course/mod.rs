//! The course of a rollout without a cluster: the stages one after the other, look by look, until traffic is brought back, the
//! watch has passed, or the looks are over. Pure.
//!
//! The plans, the looks, and what a step waits for are those of the controller:
//! [`metric_plans`](crate::rollout::metric_plans), [`advance`](crate::analysis::advance()) and [`gate`].
//! What the cluster adds is left out: pods are ready at once, nobody edits the route, and nothing is paid for mirrored requests
//! (`strategy.shadow.budget`). `understudy simulate` gives it looks
//! that are drawn, `understudy backtest` looks that Prometheus remembers.

mod outcome;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Discard, Looks, MetricPlan, MetricState, Span, Stage, advance, sample, step};
use crate::api::{AbTest, AbWinner, HoldOrRollback, ModelRolloutSpec, RequireProof, RollbackOrHold};
use crate::rollout::ab_test::Standing;
use crate::rollout::gate::{self, Gate};
use crate::rollout::{self, Judged};

pub use outcome::{By, End};

/// Why there is no course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing to decide by.
    #[error("the rollout has no metric that decides: add one to spec.analysis.metrics, without observeOnly")]
    NoMetrics,
    /// No steps.
    #[error("spec.strategy.canary.steps is empty: a rollout has 1 to 20 steps")]
    NoSteps,
}

/// Whether a rollout has a course; presets must be written out.
///
/// # Errors
/// What is missing.
pub fn usable(spec: &ModelRolloutSpec) -> Result<(), Unusable> {
    if spec.analysis.metrics.iter().all(|m| m.observe_only) {
        return Err(Unusable::NoMetrics);
    }
    if spec.strategy.canary.steps.is_empty() { Err(Unusable::NoSteps) } else { Ok(()) }
}

/// Where a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Mirrored traffic only.
    Shadow,
    /// A canary step, by its index.
    Canary(usize),
    /// After the promotion.
    Watch,
}

impl Place {
    /// Whose ledgers speak there.
    pub fn stage(self) -> Stage {
        match self {
            Place::Shadow => Stage::Shadow,
            Place::Canary(_) => Stage::Canary,
            Place::Watch => Stage::Watch,
        }
    }
}

/// What a pass came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// It goes on where it is.
    Stays,
    /// Another place has begun.
    Begins(Place),
    /// It is over.
    Ends(End),
}

/// How the passes of a course are made.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Each look has its sentence and its forecast.
    pub words: bool,
    /// The candidate's true share in percent, when it was the same all the time: a step changes nothing then, and silence can
    /// be told. None: the share changes with each step, so that what follows is warm-up.
    pub fixed: Option<i32>,
}

/// A rollout under way.
pub struct Course<'a> {
    spec: &'a ModelRolloutSpec,
    interval: Duration,
    metrics: Vec<(MetricPlan, MetricState)>,
    manner: Manner,
    place: Place,
    now: DateTime<Utc>,
    /// How far the metrics that decide have been looked at.
    t_k: DateTime<Utc>,
    set_at: DateTime<Utc>,
    held: Duration,
    awaited: Duration,
    warm_up: Duration,
    spans: Vec<Span>,
    fresh_at: Option<DateTime<Utc>>,
    held_up: bool,
    ab_test_won: bool,
    waits_for: Option<String>,
}

impl<'a> Course<'a> {
    /// The first place begins at `t0`, the origin of the metrics' grid. `tail`: a warm-up is at least this.
    pub fn new(
        spec: &'a ModelRolloutSpec,
        interval: Duration,
        metrics: Vec<(MetricPlan, MetricState)>,
        t0: DateTime<Utc>,
        tail: Duration,
        manner: Manner,
    ) -> Self {
        let first = if spec.strategy.shadow.is_some() { Place::Shadow } else { Place::Canary(0) };
        let mut course = Self {
            spec,
            interval,
            metrics,
            manner,
            place: first,
            now: t0,
            t_k: t0,
            set_at: t0,
            held: Duration::zero(),
            awaited: Duration::zero(),
            warm_up: spec.analysis.warm_up.get().max(tail),
            spans: Vec::new(),
            fresh_at: None,
            held_up: false,
            ab_test_won: false,
            waits_for: None,
        };
        course.begin(first);
        course
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The share of requests that the candidate is given there, in percent; of mirrored ones in the shadow stage.
    pub fn weight(&self) -> i32 {
        let strategy = &self.spec.strategy;
        match self.place {
            Place::Shadow => strategy.shadow.as_ref().map_or(100, |s| s.percent),
            Place::Canary(i) => strategy.canary.steps[i].weight,
            Place::Watch => 100 - self.control_weight(),
        }
    }

    /// A breach or a deadline holds it until a person decides.
    pub fn is_held_up(&self) -> bool {
        self.held_up
    }

    /// What the last pass waits for, beside the rest of a hold.
    pub fn waits_for(&self) -> Option<&str> {
        self.waits_for.as_deref()
    }

    /// The metrics, in the order of the spec.
    pub fn metrics(&self) -> &[(MetricPlan, MetricState)] {
        &self.metrics
    }

    /// Stretches that are not judged.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Adds a stretch that is not judged.
    pub fn discard(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        self.spans.push(Span { from, to, why: Discard::WarmUp });
    }

    /// Why a look would not be judged.
    pub fn discarded(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Option<Discard> {
        sample::discarded(&self.spans, start, end)
    }

    /// One pass of the controller: a look at all metrics, in the order of the spec, then what it means.
    pub fn pass(&mut self, now: DateTime<Utc>, read: Vec<Looks>) -> (Judged, Turn) {
        self.now = now;
        self.waits_for = None;
        let (judged, breach) = self.judge(read);
        if let Some(end) = breach {
            return (judged, Turn::Ends(end));
        }
        if let Some(turn) = self.silent() {
            return (judged, turn);
        }
        self.held += judged.counted;
        if judged.missing.is_some() {
            let turn = self.no_data_for_long();
            return (judged, turn);
        }
        if self.held_up && self.breached() {
            return (judged, Turn::Stays);
        }
        let turn = self.go_on(&judged);
        (judged, turn)
    }

    fn judge(&mut self, read: Vec<Looks>) -> (Judged, Option<End>) {
        let stage = self.place.stage();
        let mut out = Judged::default();
        let mut end = None;
        for (i, looks) in read.into_iter().enumerate() {
            let (plan, state) = &mut self.metrics[i];
            let paired = stage != Stage::Watch || plan.paired_watch;
            let fresh = looks.intervals.iter().filter(|one| rollout::counts(one, paired, self.set_at));
            // A value is no evidence, and no time of a hold counts on it.
            let (last, steps) = fresh
                .filter(|_| plan.kind != crate::analysis::Kind::Value)
                .fold((None, 0), |(_, steps), one| (Some(one.end), steps + one.looks));
            self.fresh_at = self.fresh_at.max(last);
            out.counted = out.counted.max(self.interval * i32::try_from(steps).unwrap_or(i32::MAX));
            if state.stage != stage {
                *state = state.enter(plan, stage);
            }
            let verdict = if self.manner.words {
                let (next, verdict) = advance(plan, state, &looks);
                *state = next;
                verdict
            } else {
                step(plan, state, &looks)
            };
            if let Some(breach) = verdict.breach() {
                let metric = &self.spec.analysis.metrics[i];
                match rollout::on_breach(Some(metric.on_breach), self.spec.on_breach) {
                    RollbackOrHold::Rollback => {
                        let by = By::from(breach.by);
                        end.get_or_insert(End::RolledBack { stage, metric: Some(metric.name.clone()), by });
                    }
                    RollbackOrHold::Hold => self.held_up = true,
                }
            }
            out.verdicts.push(verdict);
        }
        let deciding = self.metrics.iter().filter(|(plan, _)| !plan.observe_only);
        if let Some(t_k) = deciding.map(|(_, state)| state.cursor.at).min() {
            out.looked = t_k > self.t_k;
            self.t_k = t_k.max(self.t_k);
        }
        out.missing = out.unusable();
        (out, end)
    }

    /// As the controller has it: by counts of pods there is none.
    fn control_weight(&self) -> i32 {
        if self.spec.traffic.gateway_api.is_some() { self.spec.strategy.watch.control_weight } else { 0 }
    }

    /// A breach that only holds is latched: nothing goes on by itself.
    fn breached(&self) -> bool {
        self.metrics.iter().any(|(plan, state)| state.breach.is_some() && !plan.observe_only)
    }

    /// What the silence of a candidate does, where its share is known.
    fn silent(&mut self) -> Option<Turn> {
        let weight = f64::from(self.manner.fixed?) / 100.0;
        let per_stable = if self.place == Place::Shadow { weight } else { weight / (1.0 - weight) };
        let metrics = self.metrics.iter().zip(&self.spec.analysis.metrics);
        let found = rollout::silence(metrics.map(|((plan, state), m)| (plan, state, m)), per_stable)?;
        self.waits_for = Some(format!("a sign of the candidate; {}", found.message));
        if found.confirmed && self.spec.analysis.silent == RollbackOrHold::Rollback {
            let stage = self.place.stage();
            return Some(Turn::Ends(End::RolledBack { stage, metric: None, by: By::Silence }));
        }
        Some(Turn::Stays)
    }

    fn no_data_for_long(&self) -> Turn {
        let policy = &self.spec.analysis.no_data;
        let since = self.fresh_at.max(Some(self.set_at));
        let long = since.is_some_and(|t| self.now - t >= policy.after.get());
        if policy.then == HoldOrRollback::Rollback && long {
            return Turn::Ends(End::RolledBack {
                stage: self.place.stage(),
                metric: None,
                by: By::NoEvidence,
            });
        }
        Turn::Stays
    }

    /// What the present place waits for, and the next place when that is there.
    fn go_on(&mut self, judged: &Judged) -> Turn {
        let strategy = &self.spec.strategy;
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
                if let Some(test) = steps[i].ab_test.as_ref().filter(|_| !self.ab_test_won)
                    && let Some(turn) = self.ab_test(test, over)
                {
                    return turn;
                }
                (gate::step(over, strategy.advance, proof, judged), Some(next))
            }
            (Place::Watch, _) if strategy.watch.duration.get().is_zero() => (Gate::Open, None),
            (Place::Watch, _) => {
                let over = self.held >= strategy.watch.duration.get();
                (gate::watch(over, self.control_weight() > 0, judged), None)
            }
        };
        match (gate, next) {
            (Gate::Hold | Gate::Look, _) => Turn::Stays,
            (Gate::Evidence(missing), _) => self.await_evidence(judged, missing),
            (Gate::Open, Some(place)) => {
                self.begin(place);
                Turn::Begins(place)
            }
            (Gate::Open, None) => Turn::Ends(End::Active),
        }
    }

    /// What an A/B test means for its step; nothing once the candidate has won.
    fn ab_test(&mut self, test: &AbTest, over: bool) -> Option<Turn> {
        if !over {
            return Some(Turn::Stays);
        }
        let (plan, state) = self.metrics.iter().find(|(plan, _)| plan.name == test.metric)?;
        let waits_for = match rollout::ab_test::standing(test, plan, state) {
            Standing::Ended(result) => match result.winner {
                AbWinner::Candidate => {
                    self.ab_test_won = true;
                    return None;
                }
                AbWinner::Stable => {
                    let metric = Some(test.metric.clone());
                    return Some(Turn::Ends(End::RolledBack {
                        stage: Stage::Canary,
                        metric,
                        by: By::AbTest,
                    }));
                }
                AbWinner::Person => {
                    self.held_up = true;
                    format!("a person's choice: {}", result.message)
                }
            },
            Standing::Counting(text) | Standing::Unusable(text) => format!("the A/B test: {text}"),
        };
        self.waits_for = Some(waits_for);
        Some(Turn::Stays)
    }

    fn await_evidence(&mut self, judged: &Judged, missing: String) -> Turn {
        let deadlines = &self.spec.strategy.deadlines;
        self.waits_for = Some(format!("evidence: {missing}"));
        self.awaited += judged.counted;
        if self.awaited < deadlines.evidence.get() {
            return Turn::Stays;
        }
        self.held_up = true;
        let stage = self.place.stage();
        match deadlines.on_evidence {
            HoldOrRollback::Hold => Turn::Stays,
            HoldOrRollback::Rollback => {
                Turn::Ends(End::RolledBack { stage, metric: None, by: By::EvidenceDeadline })
            }
        }
    }

    /// A step begins: the share changes now, and what follows is warm-up.
    fn begin(&mut self, place: Place) {
        let (now, first) = (self.now, self.spans.is_empty() && self.t_k == self.now);
        self.place = place;
        self.set_at = now;
        self.held = Duration::zero();
        self.awaited = Duration::zero();
        self.held_up = false;
        self.spans.retain(|span| span.to > now - self.interval * 2);
        if self.manner.fixed.is_none() || first {
            self.discard(now, now + self.warm_up);
        }
        self.ab_test_won = false;
        let steps = &self.spec.strategy.canary.steps;
        let is_ab_test = matches!(place, Place::Canary(i) if steps[i].ab_test.is_some());
        for (plan, state) in &mut self.metrics {
            *state = if is_ab_test { state.begin_ab_test(plan, now) } else { state.begin_step(now) };
        }
    }
}
