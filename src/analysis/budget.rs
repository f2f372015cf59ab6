//! The error budget of an attempt: `falseRollbackRate` is split once, at its start, over guards, stages and metrics.

use serde::{Deserialize, Serialize};

use super::plan::Stage;

/// Parts of alpha; they sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Both coarse guards, half each.
    pub guard: f64,
    /// Mirrored traffic.
    pub shadow: f64,
    /// All canary steps.
    pub canary: f64,
    /// After promotion.
    pub watch: f64,
}

/// Section 7 of the statistics: the guards take 0.1, the stages share the other 0.9 as 0.2, 0.5 and 0.3.
impl Default for Shares {
    fn default() -> Self {
        Self { guard: 0.1, shadow: 0.90 * 0.2, canary: 0.90 * 0.5, watch: 0.90 * 0.3 }
    }
}

/// A horizon below this makes late regressions needlessly dear.
const SHORTEST_HORIZON: u32 = 100;

/// One ledger's own alpha and its planned looks H, both fixed at its start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerBudget {
    /// Probability that this ledger ever rolls back a version which is not worse. 0: it never does.
    #[serde(with = "super::text::float")]
    pub alpha: f64,
    /// Planned looks, at least 100.
    pub horizon: u32,
}

impl LedgerBudget {
    /// Natural logarithm of the evidence that decides; infinite without a budget.
    pub fn bar(&self) -> f64 {
        if self.alpha > 0.0 { -self.alpha.ln() } else { f64::INFINITY }
    }
}

/// The ledgers of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricBudget {
    /// Mirrored traffic.
    pub shadow: LedgerBudget,
    /// All canary steps.
    pub canary: LedgerBudget,
    /// After promotion.
    pub watch: LedgerBudget,
    /// Coarse guard against stable, from the first request to the end of the watch. `None`: not a ratio metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_paired: Option<LedgerBudget>,
    /// Coarse guard without a baseline, over the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_absolute: Option<LedgerBudget>,
}

impl MetricBudget {
    /// The main ledger's budget in a stage.
    pub fn of(&self, stage: Stage) -> LedgerBudget {
        match stage {
            Stage::Shadow => self.shadow,
            Stage::Canary => self.canary,
            Stage::Watch => self.watch,
        }
    }
}

/// What a metric brings to the split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Weight against the other metrics; equal by default.
    pub weight: f64,
    /// A `ratio` metric has coarse guards.
    pub ratio: bool,
    /// Reports only, takes nothing.
    pub observe_only: bool,
}

/// Planned looks of the stages; 0 means not configured. The canary always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedLooks {
    /// Duration of the shadow stage / interval.
    pub shadow: u32,
    /// Holds and evidence deadlines of all steps / interval.
    pub canary: u32,
    /// Duration of the watch / interval.
    pub watch: u32,
    /// A watch with a control arm. Without one only the absolute guard judges it.
    pub paired_watch: bool,
}

/// Splits `alpha` (0..1) over the metrics, in their order, with the usual shares.
pub fn split(alpha: f64, looks: PlannedLooks, claims: &[Claim]) -> Vec<MetricBudget> {
    split_by(alpha, Shares::default(), looks, claims)
}

/// Splits `alpha` (0..1) over the metrics, in their order. A part that nobody can use goes to the canary.
pub fn split_by(alpha: f64, shares: Shares, looks: PlannedLooks, claims: &[Claim]) -> Vec<MetricBudget> {
    let deciding = claims.iter().filter(|claim| !claim.observe_only);
    let weights: f64 = deciding.clone().map(|claim| claim.weight).sum();
    let ratios = deciding.filter(|claim| claim.ratio).count() as f64;
    let guard = shares.guard / 2.0;
    let paired = if ratios > 0.0 { guard } else { 0.0 };
    let absolute = if ratios > 0.0 && looks.watch > 0 { guard } else { 0.0 };
    let shadow = if looks.shadow > 0 { shares.shadow } else { 0.0 };
    let watch = if looks.watch > 0 && looks.paired_watch { shares.watch } else { 0.0 };
    let unused = (guard - paired) + (guard - absolute) + (shares.shadow - shadow) + (shares.watch - watch);
    let all = looks.shadow.saturating_add(looks.canary).saturating_add(looks.watch);
    let ledger = |share: f64, horizon: u32| LedgerBudget {
        alpha: alpha * share,
        horizon: horizon.max(SHORTEST_HORIZON),
    };
    claims
        .iter()
        .map(|claim| {
            let part = if claim.observe_only || weights <= 0.0 { 0.0 } else { claim.weight / weights };
            let guarded = claim.ratio && !claim.observe_only;
            MetricBudget {
                shadow: ledger(shadow * part, looks.shadow),
                canary: ledger((shares.canary + unused) * part, looks.canary),
                watch: ledger(watch * part, looks.watch),
                guard_paired: guarded.then(|| ledger(paired / ratios, all)),
                guard_absolute: (guarded && absolute > 0.0).then(|| ledger(absolute / ratios, looks.watch)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(ratio: bool) -> Claim {
        Claim { weight: 1.0, ratio, observe_only: false }
    }

    fn total(budgets: &[MetricBudget]) -> f64 {
        let alpha = |ledger: Option<LedgerBudget>| ledger.map_or(0.0, |ledger| ledger.alpha);
        let of = |b: &MetricBudget| b.shadow.alpha + b.canary.alpha + b.watch.alpha;
        budgets.iter().map(|b| of(b) + alpha(b.guard_paired) + alpha(b.guard_absolute)).sum()
    }

    const FULL: PlannedLooks = PlannedLooks { shadow: 180, canary: 2000, watch: 8640, paired_watch: true };

    #[test]
    fn two_metrics_share_the_canary_as_the_table_says() {
        let budgets = split(0.01, FULL, &[claim(true), claim(false)]);
        assert!((budgets[0].canary.alpha - 0.00225).abs() < 1e-15);
        assert!((budgets[0].canary.bar() - 6.0968).abs() < 1e-4);
        assert!((budgets[0].shadow.alpha - 0.0009).abs() < 1e-15);
        assert!((budgets[1].watch.alpha - 0.00135).abs() < 1e-15);
        assert!((budgets[0].guard_paired.unwrap().alpha - 0.0005).abs() < 1e-15);
        assert!((budgets[0].guard_absolute.unwrap().alpha - 0.0005).abs() < 1e-15);
        assert_eq!(budgets[1].guard_paired, None);
        assert_eq!(budgets[0].guard_paired.unwrap().horizon, 10820);
        assert_eq!(budgets[0].shadow.horizon, 180);
    }

    #[test]
    fn whatever_is_configured_the_parts_sum_to_alpha() {
        for (shadow, watch, paired_watch) in
            [(0, 0, true), (10, 0, true), (0, 10, true), (10, 10, false), (500, 500, true)]
        {
            let looks = PlannedLooks { shadow, canary: 50, watch, paired_watch };
            for claims in
                [vec![claim(true)], vec![claim(false), claim(false)], vec![claim(true), claim(false)]]
            {
                assert!((total(&split(0.01, looks, &claims)) - 0.01).abs() < 1e-12, "{looks:?} {claims:?}");
            }
        }
    }

    #[test]
    fn a_metric_that_only_reports_takes_nothing_and_never_reaches_its_bar() {
        let silent = Claim { weight: 1.0, ratio: true, observe_only: true };
        let budgets = split(0.01, FULL, &[silent, claim(true)]);
        assert_eq!(budgets[0].canary.bar(), f64::INFINITY);
        assert_eq!(budgets[0].guard_paired, None);
        assert!((total(&budgets) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn shares_and_weights_of_the_user_move_the_bars_and_nothing_is_lost() {
        let shares = Shares { guard: 0.02, shadow: 0.08, canary: 0.6, watch: 0.3 };
        let claims = [Claim { weight: 3.0, ..claim(true) }, claim(false)];
        let budgets = split_by(0.01, shares, FULL, &claims);
        assert!((budgets[0].canary.alpha - 0.01 * 0.6 * 0.75).abs() < 1e-15);
        assert!((budgets[1].canary.alpha - 0.01 * 0.6 * 0.25).abs() < 1e-15);
        assert!((budgets[0].guard_absolute.unwrap().alpha - 0.0001).abs() < 1e-15);
        assert!((total(&budgets) - 0.01).abs() < 1e-12);
        let none = Shares { guard: 0.0, ..shares };
        assert_eq!(split_by(0.01, none, FULL, &claims)[0].guard_paired.unwrap().bar(), f64::INFINITY);
    }

    #[test]
    fn a_short_stage_still_has_a_horizon_of_a_hundred_looks() {
        let looks = PlannedLooks { shadow: 3, canary: 5, watch: 0, paired_watch: true };
        let budget = split(0.01, looks, &[claim(true)])[0];
        assert_eq!((budget.shadow.horizon, budget.canary.horizon), (100, 100));
    }
}
