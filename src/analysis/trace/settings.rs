//! Settings of a judged trace: the numbers of a metric's test by short names.

use crate::analysis::budget::{LedgerBudget, MetricBudget};
use crate::analysis::{Kind, Limit, MetricPlan};

/// The names, each with its default and what it means.
pub const KEYS: [(&str, &str, &str); 18] = [
    ("alpha", "0.01", "chance that a version as good as stable is rolled back, however often one looks"),
    ("alpha_promote", "0.05", "the same for a version beyond the promotion bound being promoted"),
    ("rho", "1.25", "errors, latency: rolled back beyond rho x stable + eps"),
    ("eps", "0.0005", "see rho"),
    ("rho_promote", "1.5", "errors, latency: promoted when within rho_promote x stable + eps_promote"),
    ("eps_promote", "0.001", "see rho_promote"),
    ("margin", "0", "score: part of stable's mean that may be lost beside the slack"),
    ("slack", "0.02", "score: rolled back below stable's mean - slack"),
    ("slack_promote", "0.05", "score: promoted when above stable's mean - slack_promote"),
    ("confirm", "2", "looks with data in a row before a rollback"),
    ("horizon", "2000", "planned looks"),
    ("phi", "1", "burst factor, at least 1: bad events come in groups of so many"),
    ("late", "0.5", "share of the evidence kept for a candidate that goes bad later; fixed"),
    ("min_n", "100", "requests of the candidate before a promotion"),
    ("stale", "4", "looks without new requests in an arm until NO_DATA"),
    ("pool", "30", "score with sum and count only: scores in an interval before it is tested; fixed"),
    (
        "exact",
        "0",
        "score with sum and count only: 1 counts what the scores lack of 1, which needs more of them",
    ),
    ("quantiles", "0.5,0.9,0.99,0.999", "latency: quantiles of stable's own latency that are the limits"),
];

/// What cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// There is no such name.
    #[error("{0:?} is no setting; there are {names}", names = names())]
    Unknown(String),
    /// The value is none of this one's.
    #[error("{key}={value}: {why}")]
    Value {
        /// The name.
        key: String,
        /// What was given.
        value: String,
        /// What would be right.
        why: String,
    },
}

fn names() -> String {
    KEYS.map(|(key, _, _)| key).join(", ")
}

/// Settings with the defaults of each name.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    alpha: f64,
    alpha_promote: f64,
    rho: Limit,
    rho_promote: Limit,
    margin: f64,
    slack: f64,
    slack_promote: f64,
    confirm: u32,
    horizon: u32,
    phi: f64,
    min_n: u32,
    stale: u32,
    /// For scores with sum and count only.
    pub(super) exact: bool,
    quantiles: Vec<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            alpha_promote: 0.05,
            rho: Limit::ratio(1.25, 0.0005),
            rho_promote: Limit::ratio(1.5, 0.001),
            margin: 0.0,
            slack: 0.02,
            slack_promote: 0.05,
            confirm: 2,
            horizon: 2000,
            phi: 1.0,
            min_n: 100,
            stale: 4,
            exact: false,
            quantiles: vec![0.5, 0.9, 0.99, 0.999],
        }
    }
}

impl Settings {
    /// Sets one from `name=value`.
    ///
    /// # Errors
    /// When there is no such name, or the value is none of its.
    pub fn set(&mut self, text: &str) -> Result<(), SettingsError> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let refuse = |why: &str| SettingsError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            why: why.to_owned(),
        };
        let number = |low: f64, high: f64| {
            let found = value.parse::<f64>().ok().filter(|x| (low..=high).contains(x));
            found.ok_or_else(|| refuse(&format!("a number from {low} to {high} is wanted")))
        };
        let count = |low: u32| {
            let found = value.parse::<f64>().ok().filter(|x| *x >= f64::from(low) && *x <= 1e9);
            found.map(|x| x as u32).ok_or_else(|| refuse(&format!("a whole number from {low} on is wanted")))
        };
        let fixed = |at: f64| match value.parse::<f64>() {
            Ok(x) if x == at => Ok(()),
            Ok(_) | Err(_) => Err(refuse(&format!("it is {at} and cannot be changed"))),
        };
        match key {
            "alpha" => self.alpha = number(1e-9, 0.5)?,
            "alpha_promote" => self.alpha_promote = number(1e-9, 0.5)?,
            "rho" => self.rho.ratio = number(0.0, 1e6)?,
            "eps" => self.rho.plus = number(0.0, 1.0)?,
            "rho_promote" => self.rho_promote.ratio = number(0.0, 1e6)?,
            "eps_promote" => self.rho_promote.plus = number(0.0, 1.0)?,
            "margin" => self.margin = number(0.0, 1.0)?,
            "slack" => self.slack = number(0.0, 1.0)?,
            "slack_promote" => self.slack_promote = number(0.0, 1.0)?,
            "confirm" => self.confirm = count(1)?,
            "horizon" => self.horizon = count(2)?,
            "phi" => self.phi = number(1.0, 1e6)?,
            "late" => fixed(0.5)?,
            "min_n" => self.min_n = count(0)?,
            "stale" => self.stale = count(1)?,
            "pool" => fixed(30.0)?,
            "exact" => self.exact = number(0.0, 1.0)? > 0.5,
            "quantiles" => {
                let all: Option<Vec<f64>> = value
                    .split(',')
                    .map(|q| q.trim().parse::<f64>().ok().filter(|q| *q > 0.0 && *q < 1.0))
                    .collect();
                let all = all.ok_or_else(|| refuse("numbers between 0 and 1, with commas, are wanted"))?;
                self.quantiles = all;
            }
            other => return Err(SettingsError::Unknown(other.to_owned())),
        }
        Ok(())
    }

    /// The plan of a metric of that kind.
    pub(super) fn plan(&self, kind: Kind) -> MetricPlan {
        let ledger = LedgerBudget { alpha: self.alpha, horizon: self.horizon };
        let budget = MetricBudget {
            shadow: ledger,
            canary: ledger,
            watch: ledger,
            guard_paired: None,
            guard_absolute: None,
        };
        let mut plan = MetricPlan::new("trace", "the candidate", kind, budget);
        let kept = 1.0 - self.margin;
        (plan.worse, plan.proof) = match kind {
            Kind::Ratio | Kind::Latency | Kind::Slo => (self.rho, self.rho_promote),
            Kind::MeanHistogram
            | Kind::MeanSumSquares
            | Kind::MeanPassFail
            | Kind::MeanSumCount
            | Kind::MeanCounted => (Limit::ratio(kept, self.slack), Limit::ratio(kept, self.slack_promote)),
            Kind::Value => (plan.worse, plan.proof),
        };
        plan.alpha_promote = self.alpha_promote;
        plan.confirm = self.confirm;
        plan.phi = self.phi;
        plan.min_samples = self.min_n;
        plan.stale = self.stale;
        plan.quantiles.clone_from(&self.quantiles);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_listed_can_be_set_to_its_default_and_changes_nothing() {
        let mut settings = Settings::default();
        for (key, default, _) in KEYS {
            settings.set(&format!("{key}={default}")).unwrap();
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn what_cannot_be_set_says_what_can() {
        let says = |text: &str| Settings::default().set(text).unwrap_err().to_string();
        assert!(says("rh=1").contains("there are alpha, alpha_promote, rho,"));
        assert!(says("alpha=2").contains("a number from 0.000000001 to 0.5"));
        assert!(says("late=0.1").contains("cannot be changed"));
        assert!(says("quantiles=0.5,2").contains("between 0 and 1"));
        assert!(says("confirm").contains("a whole number from 1 on"));
    }
}
