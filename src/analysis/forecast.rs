//! What today's traffic can show, reckoned before any of it moves: how long until a version like stable is proven, until the
//! regression that the user named is found, and until an outright failure is.
//!
//! The tests are run on expected counts: in every look each arm gains what stable's history says, and evidence grows by
//! the expected bets. That is the path of the typical run; single runs take between half and twice as long.

use super::count::{self, Events};
use super::guard::COARSE;
use super::interval::Counts;
use super::latency;
use super::ledger::{BETS, Side};
use super::mean;
use super::plan::{Better, Kind, Limit, MetricPlan};
use super::text::log_sum_exp;

/// Share of failures that is called an outright failure.
pub const OUTRIGHT: f64 = 0.9;

/// Looks beyond which nothing is forecast: "not at this traffic".
const NEVER: f64 = 1e7;

/// Stable's traffic in one metric.
#[derive(Clone, Copy, Debug)]
pub struct Traffic<'a> {
    /// Requests or scores of both arms together in one look.
    pub per_look: f64,
    /// Stable's counts over the hour before.
    pub hour: &'a Counts,
}

/// A stage or step of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The candidate's share of the traffic, 0..1.
    pub share: f64,
    /// Looks that are dropped first, as a warm-up.
    pub warm_up: f64,
    /// Looks of the hold.
    pub hold: f64,
    /// Looks until the evidence deadline, from the end of the hold.
    pub patience: f64,
}

/// When something shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct When {
    /// Looks from the first share on, warm-ups and holds of earlier steps included.
    pub looks: f64,
    /// Requests of the candidate until then that are judged.
    pub requests: f64,
    /// Index of the step in which it shows.
    pub step: usize,
    /// Looks left until the step's deadline; negative when it shows too late.
    pub spare: f64,
}

impl When {
    /// It shows before the step's deadline has passed.
    pub fn in_time(&self) -> bool {
        self.spare >= 0.0
    }
}

/// What can be expected of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// A candidate like stable is proven. `None`: never, at these bounds.
    pub proof: Option<When>,
    /// A candidate as bad as `detect` is rolled back. `None`: never, the regression is within the bounds or they are too wide.
    pub detection: Option<When>,
    /// A candidate as bad as `detect` is within the promotion bound: it is promoted before it is found.
    pub passes: bool,
    /// Looks until the coarse guard takes back a version that fails 90 % in the first step; `None` without a guard.
    pub outright: Option<f64>,
    /// Looks until both arms have `minSamples` in the slowest step, and that step.
    pub samples: Option<(f64, usize)>,
}

/// What the candidate is taken to be.
#[derive(Clone, Copy, Debug)]
enum Truth {
    LikeStable,
    Worse(Limit),
}

/// The outlook of a metric over the canary's steps. `None` where nothing can be reckoned: no traffic in history, or scores of
/// which only sums are known.
pub fn outlook(plan: &MetricPlan, detect: Limit, traffic: Traffic<'_>, steps: &[Step]) -> Option<Outlook> {
    if traffic.per_look <= 0.0 || traffic.hour.n <= 0.0 || steps.is_empty() {
        return None;
    }
    let at = |step: &Step, truth: Truth, side: Side| gains(plan, traffic, step.share, truth, side);
    at(&steps[0], Truth::LikeStable, Side::Ok)?;
    let proof = proof(plan, traffic, steps, |step| at(step, Truth::LikeStable, Side::Ok).unwrap_or_default());
    let found = |step: &Step| at(step, Truth::Worse(detect), Side::Bad).unwrap_or_default();
    let detection = detection(plan, traffic, steps, found);
    let within = |step: &Step| at(step, Truth::Worse(detect), Side::Ok).unwrap_or_default();
    let passed = self::proof(plan, traffic, steps, within).map(|when| when.looks);
    let passes = passed.is_some_and(|looks| detection.is_none_or(|found| looks < found.looks));
    let slowest = steps.iter().enumerate().map(|(i, step)| (sampled(plan, traffic, step), i));
    let samples = slowest.max_by(|(a, _), (b, _)| a.total_cmp(b));
    Some(Outlook { proof, detection, passes, outright: outright(plan, traffic, &steps[0]), samples })
}

/// Looks that `minSamples` of both arms take at a step's share.
fn sampled(plan: &MetricPlan, traffic: Traffic<'_>, step: &Step) -> f64 {
    let slower = step.share.min(1.0 - step.share);
    if slower <= 0.0 { NEVER } else { f64::from(plan.min_samples) / (traffic.per_look * slower) }
}

/// Looks of a step that nothing but its hold and its samples keeps waiting.
fn planned(plan: &MetricPlan, traffic: Traffic<'_>, step: &Step) -> f64 {
    step.hold.max(sampled(plan, traffic, step))
}

/// Expected growth of each test's six logarithms in one look. Tests: one, or one for each latency bound.
fn gains(
    plan: &MetricPlan,
    traffic: Traffic<'_>,
    share: f64,
    truth: Truth,
    side: Side,
) -> Option<Vec<[f64; BETS]>> {
    let (n_c, n_b) = (traffic.per_look * share, traffic.per_look * (1.0 - share));
    let hour = traffic.hour;
    let limit = plan.bound_on_bad(side);
    let counted = |p_b: f64| {
        let p_c = match truth {
            Truth::LikeStable => p_b,
            Truth::Worse(by) if plan.kind == Kind::MeanCounted => by.on_what_is_lacking().of(p_b).min(1.0),
            Truth::Worse(by) => by.of(p_b).min(1.0),
        };
        count::bets(Events { x_c: p_c * n_c, n_c, x_b: p_b * n_b, n_b }, limit, side)
    };
    let slow = |bound: f64| hour.up_to(bound).map(|fast| counted((hour.n - fast) / hour.n));
    let tests = match plan.kind {
        Kind::Ratio => vec![counted(hour.bad / hour.n)],
        Kind::MeanCounted => vec![counted(mean::lacking(plan, hour) / hour.n)],
        Kind::Slo => vec![slow(plan.bound)?],
        Kind::Latency => {
            let bounds = latency::own_bounds(hour, &plan.quantiles).ok()?;
            bounds.into_iter().map(slow).collect::<Option<Vec<_>>>()?
        }
        Kind::MeanHistogram | Kind::MeanSumSquares | Kind::MeanPassFail => {
            vec![scored(plan, hour, (n_c, n_b), truth, side)]
        }
        Kind::MeanSumCount | Kind::Value => return None,
    };
    Some(tests.into_iter().map(|test| test.map(|gain| gain / plan.phi)).collect())
}

fn scored(plan: &MetricPlan, hour: &Counts, (n_c, n_b): (f64, f64), truth: Truth, side: Side) -> [f64; BETS] {
    let mean_b = mean::directed_sum(plan, hour) / hour.n;
    let mean_c = match truth {
        Truth::LikeStable => mean_b,
        Truth::Worse(by) => (by.ratio * mean_b - by.plus).max(0.0),
    };
    // Both arms scatter as stable does around its own mean.
    let spread = mean::scores(plan, hour, mean_b).spread / hour.n;
    let arm = |n: f64, mean: f64| mean::Scores { n, sum: n * mean, spread: n * spread };
    mean::bets(arm(n_c, mean_c), arm(n_b, mean_b), plan, side)
}

/// Evidence of one test so far, as logarithms of its six parts without the 1/6.
type Parts = [f64; BETS];

fn grown(parts: &[Parts], gains: &[Parts], looks: f64) -> Vec<Parts> {
    let one = |(parts, gains): (&Parts, &Parts)| std::array::from_fn(|j| parts[j] + looks * gains[j]);
    parts.iter().zip(gains).map(one).collect()
}

/// The smallest number of looks at which `reached` holds. It holds from there on: evidence is convex in time.
fn first(reached: impl Fn(f64) -> bool) -> Option<f64> {
    count::smallest(reached, NEVER).map(f64::ceil)
}

/// Proof is asked at the last step; every look with data before it counts.
fn proof(
    plan: &MetricPlan,
    traffic: Traffic<'_>,
    steps: &[Step],
    gains: impl Fn(&Step) -> Vec<Parts>,
) -> Option<When> {
    let bar = -plan.alpha_promote.ln();
    let weakest = |parts: &[Parts]| {
        parts.iter().map(|p| log_sum_exp(p) - (BETS as f64).ln()).fold(f64::INFINITY, f64::min)
    };
    let mut parts = vec![[0.0; BETS]; gains(&steps[0]).len()];
    let (mut looks, mut requests) = (0.0, 0.0);
    for (i, step) in steps.iter().enumerate() {
        let gain = gains(step);
        let planned = planned(plan, traffic, step);
        let needed = if i + 1 < steps.len() {
            planned
        } else {
            first(|h| weakest(&grown(&parts, &gain, h)) >= bar)?.max(planned)
        };
        parts = grown(&parts, &gain, needed);
        looks += step.warm_up + needed;
        requests += needed * traffic.per_look * step.share;
        if i + 1 == steps.len() {
            return Some(When { looks, requests, step: i, spare: step.hold + step.patience - needed });
        }
    }
    None
}

/// A regression is found in the step in which its evidence crosses the bar; until its evidence speaks against it, it goes on
/// with the steps like any other.
fn detection(
    plan: &MetricPlan,
    traffic: Traffic<'_>,
    steps: &[Step],
    gains: impl Fn(&Step) -> Vec<Parts>,
) -> Option<When> {
    let bar = plan.budget.canary.bar();
    let tests = gains(&steps[0]).len();
    let apart = (BETS as f64 * tests as f64).ln();
    let log_e = |parts: &[Parts]| log_sum_exp(&parts.concat()) - apart;
    // Half of the mass is on "bad from the start"; the other half waits for late regressions.
    let mut parts = vec![[0.5_f64.ln(); BETS]; tests];
    let (mut looks, mut requests) = (0.0, 0.0);
    for (i, step) in steps.iter().enumerate() {
        let gain = gains(step);
        let crossed = first(|h| log_e(&grown(&parts, &gain, h)) >= bar);
        let crossed =
            crossed.map(|h| (h + f64::from(plan.confirm.saturating_sub(1))).max(f64::from(plan.confirm)));
        let planned = planned(plan, traffic, step);
        let after = grown(&parts, &gain, planned);
        let stays = log_sum_exp(&[log_e(&after), 0.5_f64.ln()]) >= 0.0 || i + 1 == steps.len();
        if let Some(needed) = crossed.filter(|needed| *needed <= planned || stays) {
            return Some(When {
                looks: looks + step.warm_up + needed,
                requests: requests + needed * traffic.per_look * step.share,
                step: i,
                spare: step.hold + step.patience - needed,
            });
        }
        looks += step.warm_up + planned;
        requests += planned * traffic.per_look * step.share;
        parts = after;
    }
    None
}

/// The coarse guard reads from the first request on and drops no warm-up.
fn outright(plan: &MetricPlan, traffic: Traffic<'_>, step: &Step) -> Option<f64> {
    let bar = plan.budget.guard_paired?.bar();
    let (n_c, n_b) = (traffic.per_look * step.share, traffic.per_look * (1.0 - step.share));
    let p_b = traffic.hour.bad / traffic.hour.n;
    let events = Events { x_c: OUTRIGHT * n_c, n_c, x_b: p_b * n_b, n_b };
    let gain = count::bets(events, COARSE, Side::Bad).map(|gain| gain / plan.phi);
    let parts = [[0.5_f64.ln(); BETS]];
    let crossed = first(|h| log_sum_exp(&grown(&parts, &[gain], h)[0]) - (BETS as f64).ln() >= bar)?;
    Some((crossed + f64::from(plan.confirm.saturating_sub(1))).max(f64::from(plan.confirm)))
}

/// The regression that is forecast when the user names none: twice as many bad events; for scores a drop of 0.1.
pub fn default_detect(kind: Kind) -> Limit {
    match kind {
        Kind::Ratio | Kind::Latency | Kind::Slo => Limit::ratio(2.0, 0.0),
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => Limit::by(0.1),
        Kind::Value => Limit::by(0.0),
    }
}

/// In words: "2 x as many bad", "lower by 0.1".
pub fn detect_text(plan: &MetricPlan, detect: Limit) -> String {
    match plan.kind {
        Kind::Value => plan.range.in_words(),
        Kind::Ratio | Kind::Latency | Kind::Slo => {
            let of = if plan.kind == Kind::Ratio { "bad" } else { "slow" };
            let plus =
                if detect.plus > 0.0 { format!(" plus {} %", detect.plus * 100.0) } else { String::new() };
            format!("{} times as many {of}{plus}", detect.ratio)
        }
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => match plan.better {
            Better::Higher => format!("lower by {}", detect.plus),
            Better::Lower => format!("higher by {}", detect.plus),
        },
    }
}

#[cfg(test)]
mod tests;
