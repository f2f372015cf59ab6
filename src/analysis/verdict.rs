//! What a look says about one metric: the outcome with every number it rests on, and the sentence for people.

use serde::{Deserialize, Serialize};

use super::plan::{Limit, MetricPlan, Stage};
use super::state::Breach;

/// How a metric stands. Only a breach is final.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Proven within the promotion bound, at this look.
    Pass,
    /// Worse than allowed; latched.
    Breach(Breach),
    /// Neither yet.
    Inconclusive {
        /// Candidate requests until the nearer decision at the present rates; `None`: not decidable at these rates.
        samples_needed: Option<u64>,
        /// The decision that is nearer.
        towards: Option<Direction>,
    },
    /// No evidence: neither pass nor breach.
    Unavailable(Reason),
    /// The looks so far were inside a warm-up or a foreign edit.
    WarmUp,
}

/// Where the evidence is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Towards Pass.
    Promote,
    /// Towards Breach.
    Rollback,
}

/// Why a metric says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// No new requests in at least one arm for `stale` looks.
    NoData,
    /// Fewer than 200 requests in stable's history: latency bounds cannot be chosen yet.
    NoBounds,
    /// The arms have no common finite bucket bound, or lost the chosen one.
    BucketMismatch,
    /// Stable fails as well: the absolute guard crossed, but both arms moved. A hold.
    BothArmsMoved,
    /// Scores outside 0 to 1: rescale them.
    ScoreOutOfRange,
    /// The samples cannot be used; the text says why and what to do.
    Problem(String),
    /// A watch without a control arm: this metric has nothing to compare with.
    Unpaired,
}

/// Numbers of one arm over the stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmNumbers {
    /// Requests or scores.
    #[serde(with = "super::text::float")]
    pub n: f64,
    /// Share of bad events, or mean score. Latency: share slower than the highest chosen bound of stable.
    pub value: Option<Rounded>,
}

/// A value for display: kept as text with full precision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounded(#[serde(with = "super::text::float")] pub f64);

/// The verdict on a metric at a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricVerdict {
    /// Metric name.
    pub metric: String,
    /// Stage whose ledgers speak.
    pub stage: Stage,
    /// The outcome.
    pub outcome: Outcome,
    /// Numbers of stable.
    pub stable: ArmNumbers,
    /// Numbers of the candidate.
    pub candidate: ArmNumbers,
    /// Candidate's value / stable's value.
    pub ratio: Option<Rounded>,
    /// The value at which the candidate would be on the rollback bound.
    pub limit: Option<Rounded>,
    /// Log evidence "worse than the bound".
    #[serde(with = "super::text::float")]
    pub log_bad: f64,
    /// Its bar: ln(1/alpha of this ledger).
    #[serde(with = "super::text::float")]
    pub bar_bad: f64,
    /// Log evidence "within the promotion bound".
    #[serde(with = "super::text::float")]
    pub log_ok: f64,
    /// Its bar.
    #[serde(with = "super::text::float")]
    pub bar_ok: f64,
    /// Log evidence and bar of the coarse guard, where there is one.
    pub guard: Option<(Rounded, Rounded)>,
    /// Both arms have `minSamples` since the step began.
    pub step_has_samples: bool,
    /// This call brought at least one judged interval in which both arms gained requests.
    pub fresh: bool,
    /// The data so far speak for "not worse": log evidence(bad) < 0. What a step needs to advance.
    pub may_advance: bool,
    /// The metric reports only.
    pub observe_only: bool,
    /// The metric can prove that the candidate is good enough; otherwise its Pass is never asked for.
    pub provable: bool,
    /// For people.
    pub sentence: String,
    /// Advice about the metric itself.
    pub hint: Option<String>,
}

impl MetricVerdict {
    /// A breach that must act.
    pub fn breach(&self) -> Option<&Breach> {
        match &self.outcome {
            Outcome::Breach(breach) => Some(breach),
            Outcome::Pass | Outcome::Inconclusive { .. } | Outcome::Unavailable(_) | Outcome::WarmUp => None,
        }
    }

    /// There is a test behind the numbers; a value has none.
    pub fn tested(&self) -> bool {
        self.bar_ok.is_finite()
    }

    /// The samples cannot be used: the same numbers, no evidence.
    pub fn unavailable(mut self, reason: Reason) -> Self {
        if self.breach().is_none() {
            self.outcome = Outcome::Unavailable(reason);
            self.may_advance = false;
            self.fresh = false;
        }
        self
    }
}

/// "37 : 1" from a log evidence. Below 1 the odds are turned round.
pub fn odds(log_e: f64) -> String {
    let shown = |value: f64| if value < 10.0 { format!("{value:.1}") } else { group(value) };
    match log_e {
        e if e.is_infinite() && e > 0.0 => "never".into(),
        e if e > 27.0 => format!("10^{:.0} : 1", e / std::f64::consts::LN_10),
        e if e >= 0.0 => format!("{} : 1", shown(e.exp())),
        e if e > -27.0 => format!("1 : {}", shown((-e).exp())),
        e => format!("1 : 10^{:.0}", -e / std::f64::consts::LN_10),
    }
}

/// Thousands apart: 12,345.
pub fn group(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && c.is_ascii_digit() && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// "1.25 x stable + 0.05 %", or "stable - 0.02" for scores.
pub fn bound_text(plan: &MetricPlan, limit: Limit) -> String {
    use super::plan::Kind;
    match plan.kind {
        Kind::Value => plan.range.in_words(),
        Kind::Ratio | Kind::Latency | Kind::Slo => {
            format!("{} x stable + {} %", limit.ratio, trim(limit.plus * 100.0))
        }
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => {
            let sign = if plan.higher_is_better() { "-" } else { "+" };
            let stable =
                if limit.ratio == 1.0 { "stable".into() } else { format!("{} x stable", limit.ratio) };
            format!("{stable} {sign} {}", trim(limit.plus))
        }
    }
}

fn trim(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// One significant digit: the forecast is an order of magnitude.
pub fn one_digit(value: f64) -> u64 {
    if value < 1.0 {
        return 1;
    }
    let unit = 10f64.powf(value.log10().floor());
    ((value / unit).ceil() * unit) as u64
}

/// The sentence a person reads.
pub fn sentence(plan: &MetricPlan, verdict: &MetricVerdict) -> String {
    if plan.kind == super::plan::Kind::Value {
        return super::value::sentence(plan, verdict);
    }
    let bar = |log: f64| if log.is_finite() { odds(log) } else { "no bar (reports only)".into() };
    // A breach is read far from here, in an Event or a history; other verdicts stand beside their numbers, each in a small status.
    let (worse, within) = match &verdict.outcome {
        Outcome::Breach(_) => {
            (format!("Evidence that {} is worse than", plan.version), "Evidence that it is within")
        }
        Outcome::Pass | Outcome::Inconclusive { .. } | Outcome::Unavailable(_) | Outcome::WarmUp => {
            ("Worse than".to_owned(), "Within")
        }
    };
    let mut text = format!(
        "{worse} {}: {}, rollback at {}. {within} {}: {}, promote at {}.",
        bound_text(plan, plan.worse),
        odds(verdict.log_bad),
        bar(verdict.bar_bad),
        bound_text(plan, plan.proof),
        odds(verdict.log_ok),
        bar(verdict.bar_ok),
    );
    if !plan.provable {
        text += " Being met, it proves nothing: the mean of values without bounds hangs on few large ones.";
    }
    if let Outcome::Inconclusive { samples_needed: Some(needed), towards: Some(direction) } = &verdict.outcome
    {
        let name = match direction {
            Direction::Promote => "PROMOTE",
            Direction::Rollback => "ROLLBACK",
        };
        text += &format!(" Probably {name} after about {} more candidate requests.", group(*needed as f64));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_read_as_people_say_them() {
        assert_eq!(odds(37f64.ln()), "37 : 1");
        assert_eq!(odds(0.0), "1.0 : 1");
        assert_eq!(odds(-(3f64.ln())), "1 : 3.0");
        assert_eq!(odds(12345f64.ln()), "12,345 : 1");
        assert_eq!(odds(100.0), "10^43 : 1");
    }

    #[test]
    fn a_forecast_has_one_digit() {
        assert_eq!(one_digit(2431.0), 3000);
        assert_eq!(one_digit(0.3), 1);
        assert_eq!(one_digit(90.0), 90);
    }
}
