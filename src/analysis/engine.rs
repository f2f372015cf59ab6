//! One face for the engines: which one a metric has, and how it learns from an interval.

use serde::{Deserialize, Serialize};

use super::count::{Events, bets, requests_needed};
use super::interval::Counts;
use super::latency;
use super::ledger::{Ledger, Side};
use super::mean::{BoundedMean, lacking};
use super::paired_t::{POOL, PairedT};
use super::plan::{Kind, MetricPlan, Stage};
use super::text::log_sum_exp;
use super::value::Values;
use super::verdict::{Direction, Reason};

/// Both ledgers of one count test, with the four sums that the forecast needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountPair {
    bad: Ledger,
    ok: Ledger,
    sums: Events,
}

impl CountPair {
    fn new(horizon: u32) -> Self {
        Self {
            bad: Ledger::new(Side::Bad, horizon),
            ok: Ledger::new(Side::Ok, horizon),
            sums: Events::default(),
        }
    }

    fn update(&mut self, plan: &MetricPlan, events: Events) {
        self.bad.add(bets(events, plan.bound_on_bad(Side::Bad), Side::Bad), plan.phi);
        self.ok.add(bets(events, plan.bound_on_bad(Side::Ok), Side::Ok), plan.phi);
        self.sums += events;
    }
}

/// The state of a metric's engine in one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Engine {
    /// Failures, requests slower than a bound of the user's, or what scores lack of 1.
    Count(CountPair),
    /// Slow requests at bounds of stable's own latency.
    Latency {
        /// Stable's buckets before the test; emptied once the bounds are chosen.
        history: Counts,
        /// L*(q), fixed for the attempt; empty until chosen.
        #[serde(with = "super::text::floats")]
        bounds: Vec<f64>,
        /// One test per bound.
        tests: Vec<CountPair>,
    },
    /// Scores with a known spread.
    Mean(BoundedMean),
    /// Scores with sum and count only.
    PairedT {
        /// Evidence for "worse".
        bad: PairedT,
        /// Evidence for "within the promotion bound".
        ok: PairedT,
    },
    /// No test: the values of the last look.
    Value(Values),
}

impl Engine {
    /// The engine of the metric's kind, with no evidence, for a stage.
    pub fn new(plan: &MetricPlan, stage: Stage) -> Self {
        let horizon = plan.budget.of(stage).horizon;
        match plan.kind {
            Kind::Ratio | Kind::Slo | Kind::MeanCounted => Engine::Count(CountPair::new(horizon)),
            Kind::Latency => Engine::Latency {
                history: Counts::default(),
                bounds: Vec::new(),
                tests: plan.quantiles.iter().map(|_| CountPair::new(horizon)).collect(),
            },
            Kind::MeanHistogram | Kind::MeanSumSquares | Kind::MeanPassFail => {
                Engine::Mean(BoundedMean::new(horizon))
            }
            Kind::MeanSumCount => {
                Engine::PairedT { bad: PairedT::new(Side::Bad), ok: PairedT::new(Side::Ok) }
            }
            Kind::Value => Engine::Value(Values::default()),
        }
    }

    /// New ledgers for the next stage; what was chosen before the data (latency bounds) stays.
    pub fn next_stage(&self, plan: &MetricPlan, stage: Stage) -> Self {
        let mut next = Engine::new(plan, stage);
        if let (
            Engine::Latency { history, bounds, .. },
            Engine::Latency { history: next_history, bounds: next_bounds, .. },
        ) = (self, &mut next)
        {
            next_history.clone_from(history);
            next_bounds.clone_from(bounds);
        }
        next
    }

    /// Adds requests of stable to the history from which latency bounds are chosen. Other engines need none.
    pub fn learn(&mut self, stable: &Counts) {
        if let Engine::Latency { history, bounds, .. } = self
            && bounds.is_empty()
        {
            history.add(stable);
        }
    }

    /// Chooses what must be chosen before the data of this interval are tested.
    ///
    /// # Errors
    /// Why nothing can be tested yet; the interval is then spent on learning.
    pub fn prepare(&mut self, plan: &MetricPlan, candidate: &Counts, stable: &Counts) -> Result<(), Reason> {
        let Engine::Latency { history, bounds, .. } = self else {
            return Ok(());
        };
        if !bounds.is_empty() {
            return Ok(());
        }
        if candidate.buckets.is_empty() || stable.buckets.is_empty() {
            return Err(Reason::NoBounds);
        }
        let common = latency::common_bounds(candidate, stable);
        *bounds = latency::choose_bounds(history, &common, &plan.quantiles)?;
        *history = Counts::default();
        Ok(())
    }

    /// Requests per arm below which intervals are pooled.
    pub fn pool(&self) -> f64 {
        match self {
            Engine::Count(_) | Engine::Latency { .. } | Engine::Mean(_) | Engine::Value(_) => 1.0,
            Engine::PairedT { .. } => POOL,
        }
    }

    /// One interval, pooled so that both arms have requests.
    ///
    /// # Errors
    /// [`Reason::BucketMismatch`] when an arm lost a bucket that the test needs.
    pub fn update(&mut self, plan: &MetricPlan, candidate: &Counts, stable: &Counts) -> Result<(), Reason> {
        match self {
            Engine::Count(pair) => {
                let bad = |x_c, x_b| Events { x_c, n_c: candidate.n, x_b, n_b: stable.n };
                let events = match plan.kind {
                    Kind::Slo => {
                        latency::slow(candidate, stable, plan.bound).ok_or(Reason::BucketMismatch)?
                    }
                    Kind::MeanCounted => bad(lacking(plan, candidate), lacking(plan, stable)),
                    Kind::Ratio
                    | Kind::Latency
                    | Kind::MeanHistogram
                    | Kind::MeanSumSquares
                    | Kind::MeanPassFail
                    | Kind::MeanSumCount
                    | Kind::Value => bad(candidate.bad, stable.bad),
                };
                pair.update(plan, events);
            }
            Engine::Latency { bounds, tests, .. } => {
                let slow: Option<Vec<Events>> =
                    bounds.iter().map(|bound| latency::slow(candidate, stable, *bound)).collect();
                let slow = slow.ok_or(Reason::BucketMismatch)?;
                for (test, events) in tests.iter_mut().zip(slow) {
                    test.update(plan, events);
                }
            }
            Engine::Mean(mean) => mean.update(plan, candidate, stable),
            Engine::Value(_) => {}
            Engine::PairedT { bad, ok } => {
                bad.update(plan, plan.worse, candidate, stable);
                ok.update(plan, plan.proof, candidate, stable);
            }
        }
        Ok(())
    }

    /// Log evidence "worse than the rollback bound". Latency: the average over the bounds.
    pub fn log_bad(&self) -> f64 {
        match self {
            Engine::Count(pair) => pair.bad.log_e(),
            Engine::Latency { tests, .. } => {
                let share = (tests.len() as f64).ln();
                let parts: Vec<f64> = tests.iter().map(|test| test.bad.log_e() - share).collect();
                log_sum_exp(&parts)
            }
            Engine::Mean(mean) => mean.bad.log_e(),
            Engine::PairedT { bad, .. } => bad.log_e(),
            Engine::Value(_) => 0.0,
        }
    }

    /// What there is speaks for "not worse".
    pub fn speaks_for(&self, plan: &MetricPlan) -> bool {
        match self {
            Engine::Value(values) => values.candidate.is_some() && !values.breached(&plan.range),
            Engine::Count(_) | Engine::Latency { .. } | Engine::Mean(_) | Engine::PairedT { .. } => {
                self.log_bad() < 0.0
            }
        }
    }

    /// Log evidence "within the promotion bound". Latency: the weakest of the bounds.
    pub fn log_ok(&self) -> f64 {
        match self {
            Engine::Count(pair) => pair.ok.log_e(),
            Engine::Latency { tests, .. } => {
                tests.iter().map(|test| test.ok.log_e()).fold(f64::INFINITY, f64::min)
            }
            Engine::Mean(mean) => mean.ok.log_e(),
            Engine::PairedT { ok, .. } => ok.log_e(),
            Engine::Value(_) => 0.0,
        }
    }

    /// The bound at which slow requests are shown: stable's p99, or the highest quantile there is.
    pub fn shown_bound(&self, plan: &MetricPlan) -> Option<f64> {
        match self {
            Engine::Latency { bounds, .. } => {
                let p99 = plan.quantiles.iter().position(|q| *q == 0.99);
                p99.and_then(|i| bounds.get(i)).or(bounds.last()).copied()
            }
            Engine::Count(_) if plan.kind == Kind::Slo => Some(plan.bound),
            Engine::Count(_) | Engine::Mean(_) | Engine::PairedT { .. } | Engine::Value(_) => None,
        }
    }

    /// Candidate requests until the nearer decision, at the rates so far. Scores have [a forecast of their own](super::score_forecast).
    pub fn forecast(&self, plan: &MetricPlan, bar_bad: f64, bar_ok: f64) -> Option<(f64, Direction)> {
        let pairs = match self {
            Engine::Count(pair) => std::slice::from_ref(pair),
            Engine::Latency { tests, .. } => tests.as_slice(),
            Engine::Mean(_) | Engine::PairedT { .. } | Engine::Value(_) => return None,
        };
        // The average crosses when one of the parts exceeds the bar by its share.
        let share = (pairs.len() as f64).ln();
        let bad = pairs.iter().filter_map(|p| {
            requests_needed(
                &p.bad,
                p.sums,
                plan.bound_on_bad(Side::Bad),
                Side::Bad,
                plan.phi,
                bar_bad + share,
            )
        });
        let ok = pairs.iter().try_fold(0.0_f64, |most, p| {
            requests_needed(&p.ok, p.sums, plan.bound_on_bad(Side::Ok), Side::Ok, plan.phi, bar_ok)
                .map(|n| n.max(most))
        });
        let promote = ok.map(|n| (n, Direction::Promote));
        let rollback = bad.reduce(f64::min).map(|n| (n, Direction::Rollback));
        match (promote, rollback) {
            (Some(promote), Some(rollback)) => Some(if rollback.0 < promote.0 { rollback } else { promote }),
            (promote, rollback) => promote.or(rollback),
        }
    }
}
