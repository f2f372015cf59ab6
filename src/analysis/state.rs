//! All that is remembered of a metric between two looks. Small and exact: it lives in the rollout's status, and moves
//! together with the cursor in one write.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ab_test::Sessions;
use super::cost::Mirrored;
use super::engine::Engine;
use super::guard::{AbsoluteGuard, PairedGuard};
use super::interval::{Counts, Cursor};
use super::ledger::Streak;
use super::plan::{MetricPlan, Stage};
use super::silence::Recent;
use super::verdict::Reason;

/// Why a breach is final. Latched for the attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breach {
    /// Which test.
    pub by: BreachKind,
    /// End of the interval that decided.
    pub at: DateTime<Utc>,
    /// Log evidence then.
    #[serde(with = "super::text::float")]
    pub log_e: f64,
    /// Bar of that test.
    #[serde(with = "super::text::float")]
    pub bar: f64,
}

/// The test that found a breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BreachKind {
    /// The metric's own ledger: worse than the configured bound.
    Limit,
    /// The coarse guard against stable: more than 3 times stable's failures plus ten points.
    CoarseGuard,
    /// The coarse guard without a baseline, in the watch.
    AbsoluteGuard,
    /// The same, with a control arm of fewer than 30 requests: too thin to tell whether both arms moved.
    AbsoluteGuardControlThin,
    /// A value beyond its fixed limit: no test, and no guarantee.
    Range,
}

/// State of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricState {
    /// The stage whose ledgers these are.
    pub stage: Stage,
    /// How far the samples have been processed.
    pub cursor: Cursor,
    /// The ledgers of this stage.
    pub engine: Engine,
    /// Coarse guard against stable; lives through all stages. Only `ratio` metrics have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<PairedGuard>,
    /// Coarse guard without a baseline; from the start of the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<AbsoluteGuard>,
    /// Looks in a row with evidence(bad) over the bar.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub over: Streak,
    /// Looks in a row without new requests in one arm.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub idle: u32,
    /// The last judged interval was pooled with what comes next instead of being tested.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub waiting: bool,
    /// Gains of stable that wait for the other arm (pooling).
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub pending_stable: Counts,
    /// Gains of the candidate that wait for the other arm.
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub pending_candidate: Counts,
    /// Sums of this stage, stable: what the verdict reports.
    pub stable: Tally,
    /// Sums of this stage, candidate.
    pub candidate: Tally,
    /// Requests since the step began, stable.
    #[serde(with = "super::text::float")]
    pub step_stable: f64,
    /// Requests since the step began, candidate.
    #[serde(with = "super::text::float")]
    pub step_candidate: f64,
    /// Judged looks since the step began in which both arms gained requests: these are what a hold time counts.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub step_looks: u32,
    /// When the step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_since: Option<DateTime<Utc>>,
    /// When the share last changed within the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_since: Option<DateTime<Utc>>,
    /// The sessions of this step, while it is an A/B test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
    /// What the shadow stage has mirrored.
    #[serde(default, skip_serializing_if = "Mirrored::is_none")]
    pub mirrored: Mirrored,
    /// The last looks of this step, for the rule about silence.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub recent: Recent,
    /// Every interval seen so far in this step was discarded as warm-up.
    #[serde(default, skip_serializing_if = "super::text::is_default")]
    pub warming: bool,
    /// Why the last judged interval could not be tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Reason>,
    /// A breach is final for the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
}

/// Sums over a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests or scores.
    #[serde(with = "super::text::float")]
    pub n: f64,
    /// Bad events; the sum of scores for means (in the direction of the plan).
    #[serde(with = "super::text::float")]
    pub x: f64,
}

impl Tally {
    /// Share or mean; `None` without requests.
    pub fn value(self) -> Option<f64> {
        (self.n > 0.0).then(|| self.x / self.n)
    }
}

impl MetricState {
    /// The start of an attempt. `t0` is the origin of the grid; take it before the candidate's pods are created, so
    /// that they are counted from 0. For latency, `history` holds stable's buckets of the hour before; without it (or
    /// with fewer than 200 requests) the first requests are spent on choosing the bounds.
    pub fn start(plan: &MetricPlan, stage: Stage, t0: DateTime<Utc>, history: Option<&Counts>) -> Self {
        let mut engine = Engine::new(plan, stage);
        if let Some(history) = history {
            engine.learn(history);
        }
        let guard = plan.budget.guard_paired.map(|budget| PairedGuard::new(budget.horizon));
        Self::with(plan, stage, Cursor::start(t0), engine, guard)
    }

    /// The same attempt in its next stage: new ledgers; the guard, the latency bounds, a breach and the cursor stay.
    /// Entering the stage one is in changes nothing.
    pub fn enter(&self, plan: &MetricPlan, stage: Stage) -> Self {
        if self.stage == stage {
            return self.clone();
        }
        let engine = self.engine.next_stage(plan, stage);
        let mut next = Self::with(plan, stage, self.cursor.clone(), engine, self.guard.clone());
        next.breach = self.breach.clone();
        next.step_since = self.step_since;
        next
    }

    /// A new step begins (a weight change) at `at`: the ledgers live on, samples in the step and silence start again. Looks
    /// lag behind, so intervals that began before belong to the step before.
    pub fn begin_step(&self, at: DateTime<Utc>) -> Self {
        Self {
            step_since: Some(at),
            step_stable: 0.0,
            step_candidate: 0.0,
            step_looks: 0,
            sessions: None,
            recent: Recent::default(),
            warming: true,
            ..self.clone()
        }
    }

    /// The same, and the step is an A/B test.
    pub fn begin_ab_test(&self, plan: &MetricPlan, at: DateTime<Utc>) -> Self {
        Self { sessions: Sessions::of(plan), ..self.begin_step(at) }
    }

    /// The candidate's share changed at `at` within a step: silence is judged only on what came after.
    pub fn share_changed(&self, at: DateTime<Utc>) -> Self {
        Self { recent: Recent::default(), recent_since: Some(at), ..self.clone() }
    }

    /// Makes a breach final, unless one is already.
    pub(super) fn latch(&mut self, by: BreachKind, at: DateTime<Utc>, log_e: f64, bar: f64) {
        if self.breach.is_none() {
            self.breach = Some(Breach { by, at, log_e, bar });
        }
    }

    /// Both arms have their minimum samples in this step. A value needs none.
    pub fn step_has_samples(&self, plan: &MetricPlan) -> bool {
        if plan.kind == super::plan::Kind::Value {
            return true;
        }
        let enough = f64::from(plan.min_samples);
        self.step_stable >= enough && self.step_candidate >= enough
    }

    fn with(
        plan: &MetricPlan,
        stage: Stage,
        cursor: Cursor,
        engine: Engine,
        guard: Option<PairedGuard>,
    ) -> Self {
        let absolute = match (stage, plan.budget.guard_absolute) {
            (Stage::Watch, Some(budget)) => Some(AbsoluteGuard::new(budget.horizon)),
            (Stage::Shadow | Stage::Canary | Stage::Watch, _) => None,
        };
        Self {
            stage,
            cursor,
            engine,
            guard,
            absolute,
            over: Streak::default(),
            idle: 0,
            waiting: false,
            pending_stable: Counts::default(),
            pending_candidate: Counts::default(),
            stable: Tally::default(),
            candidate: Tally::default(),
            step_stable: 0.0,
            step_candidate: 0.0,
            step_looks: 0,
            step_since: None,
            recent_since: None,
            sessions: None,
            mirrored: Mirrored::default(),
            recent: Recent::default(),
            warming: true,
            trouble: None,
            breach: None,
        }
    }
}
