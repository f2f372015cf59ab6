//! How many more scores a verdict takes, when the arms go on as they did: for the engines of scores.
//!
//! All that an engine has gathered is taken to grow in proportion: after `c` times the samples it has `c` times the logarithms
//! of its bets (or `c` times the sums of the paired test). The least `c` at which the evidence is over its bar says how many
//! are still missing. As with counts that is an order of magnitude: one digit is shown.

use super::engine::Engine;
use super::ledger::{BETS, Ledger};
use super::paired_t::PairedT;
use super::text::log_sum_exp;
use super::verdict::Direction;

/// Beyond so many times what there is, nothing is said.
const FARTHEST: f64 = 10_000.0;

/// The candidate's scores until the nearer verdict; `so_far`: those of this stage. `None` where neither is in sight, and for
/// engines that have a forecast of their own.
pub fn needed(engine: &Engine, so_far: f64, bar_bad: f64, bar_ok: f64) -> Option<(f64, Direction)> {
    let (bad, ok) = match engine {
        Engine::Mean(mean) => (ledger(&mean.bad, bar_bad), ledger(&mean.ok, bar_ok)),
        Engine::PairedT { bad, ok } => (paired(bad, bar_bad), paired(ok, bar_ok)),
        Engine::Count(_) | Engine::Latency { .. } | Engine::Value(_) => return None,
    };
    let more = |times: f64| so_far * (times - 1.0).max(0.0);
    match (bad.map(more), ok.map(more)) {
        (Some(bad), Some(ok)) if bad < ok => Some((bad, Direction::Rollback)),
        (_, Some(ok)) => Some((ok, Direction::Promote)),
        (Some(bad), None) => Some((bad, Direction::Rollback)),
        (None, None) => None,
    }
}

fn ledger(ledger: &Ledger, bar: f64) -> Option<f64> {
    let evidence = |times: f64| {
        let parts: Vec<f64> = ledger.log_w().iter().map(|w| w * times).collect();
        log_sum_exp(&parts) - (BETS as f64).ln()
    };
    least(evidence, bar)
}

fn paired(test: &PairedT, bar: f64) -> Option<f64> {
    least(|times| test.log_e_after(times), bar)
}

/// The least multiple, from 1, at which the evidence is over the bar.
fn least(evidence: impl Fn(f64) -> f64, bar: f64) -> Option<f64> {
    let mut high = 1.0;
    while evidence(high) < bar {
        high *= 2.0;
        if high > FARTHEST {
            return None;
        }
    }
    let mut low = high / 2.0;
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if evidence(middle) < bar { low = middle } else { high = middle }
    }
    Some(high.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::budget::{Claim, PlannedLooks, split};
    use crate::analysis::{Counts, Kind, MetricPlan, Stage};

    fn plan(kind: Kind) -> MetricPlan {
        let looks = PlannedLooks { shadow: 0, canary: 1000, watch: 1000, paired_watch: true };
        let claim = Claim { weight: 1.0, ratio: false, observe_only: false };
        MetricPlan::new("score", "1.4.0", kind, split(0.01, looks, &[claim])[0])
    }

    /// Scores around `mean`, a little off it from look to look.
    fn scores(n: f64, mean: f64, look: u32) -> Counts {
        let mean = mean + f64::from(look % 5) * 0.002 - 0.004;
        Counts { n, sum: n * mean, sum_squares: n * (mean * mean + 0.02), ..Counts::default() }
    }

    /// What is said after so many looks, and what it took from there to a verdict.
    fn said_and_took(kind: Kind, mean: f64, after: u32) -> (f64, f64, Direction) {
        let plan = plan(kind);
        let (bar_bad, bar_ok) = (plan.budget.of(Stage::Canary).bar(), -plan.alpha_promote.ln());
        let mut engine = Engine::new(&plan, Stage::Canary);
        let mut said = None;
        for look in 1..2000 {
            let (c, b) = (scores(50.0, mean, look), scores(450.0, 0.9, look + 2));
            engine.update(&plan, &c, &b).unwrap();
            if look == after {
                said = needed(&engine, 50.0 * f64::from(look), bar_bad, bar_ok);
            }
            let Some((n, towards)) = said else { continue };
            let over = match towards {
                Direction::Rollback => engine.log_bad() >= bar_bad,
                Direction::Promote => engine.log_ok() >= bar_ok,
            };
            if over {
                return (n, 50.0 * f64::from(look - after), towards);
            }
        }
        panic!("no verdict: {said:?}")
    }

    #[test]
    fn scores_are_forecast_within_an_order_of_magnitude() {
        for kind in [Kind::MeanSumSquares, Kind::MeanSumCount] {
            for (mean, towards) in [(0.9, Direction::Promote), (0.84, Direction::Rollback)] {
                let (said, took, found) = said_and_took(kind, mean, 12);
                assert_eq!(found, towards, "{kind:?} at {mean}");
                let ratio = (said + 50.0) / (took + 50.0);
                assert!((0.3..=3.0).contains(&ratio), "{kind:?} at {mean}: said {said}, took {took}");
            }
        }
    }

    #[test]
    fn without_evidence_nothing_is_said() {
        let engine = Engine::new(&plan(Kind::MeanSumCount), Stage::Canary);
        assert_eq!(needed(&engine, 0.0, 5.0, 3.0), None);
    }
}
