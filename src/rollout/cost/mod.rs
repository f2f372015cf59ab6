//! The budget of the shadow stage: what it would cost is said before it begins, and it is kept while requests are mirrored.

mod expected;
mod kept;

pub use expected::{Reckoned, affordable, measured, planned, reckon};
pub use kept::{begin, keep, mirror, mirror_in_force, spent};

use crate::analysis::cost::Price;
use crate::analysis::{Kind, MetricPlan};
use crate::api::{Shadow, ShadowBudget};

use super::Draft;

const SECONDS_PER_DAY: f64 = 86_400.0;

fn price(of: &ShadowBudget) -> Price {
    Price { per_thousand: of.cost_per_thousand_requests.get(), limit: of.limit.get() }
}

/// Whether a metric counts requests. One that only reports may have a selector that nobody has looked at.
pub fn counts(plan: &MetricPlan) -> bool {
    let of_requests = match plan.kind {
        Kind::Ratio | Kind::Latency | Kind::Slo => true,
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted
        | Kind::Value => false,
    };
    of_requests && !plan.observe_only
}

/// Mirrored requests in a second by the hour before the attempt.
fn expected_per_second(d: &Draft<'_>, shadow: &Shadow) -> Option<f64> {
    let a_day = d.status.evidence.as_ref()?.requests_per_day?;
    Some(a_day as f64 / SECONDS_PER_DAY * f64::from(shadow.percent) / 100.0)
}

/// What a budget without such a metric is told.
pub const NOT_COUNTED: &str = "spec.strategy.shadow.budget needs a metric that counts requests: add a ratio, a latency or an slo without observeOnly, or take the budget out";
