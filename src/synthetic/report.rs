//! Many runs as a few numbers, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::Duration;
use serde_json::{Value, json};

use crate::analysis::Stage;
use crate::analysis::ab_test::wilson;
use crate::analysis::verdict::group;
use crate::api::duration::in_words;

use super::outcome::{Clock, Run};
use super::study::Study;
use crate::course::{By, End};

/// Median and 90 % quantile of a time and of the candidate's requests in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    /// Median.
    pub median: Clock,
    /// 90 of 100 runs needed no more.
    pub p90: Clock,
}

impl Quantiles {
    /// Each quantity by itself; `None` of nothing.
    pub fn of(all: &[Clock]) -> Option<Self> {
        let at = |q: f64| {
            let rank = |of: &dyn Fn(&Clock) -> f64| {
                let mut values: Vec<f64> = all.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                let i = (q * values.len() as f64).ceil() as usize;
                values.get(i.saturating_sub(1)).copied()
            };
            let seconds = rank(&|c| c.time.num_milliseconds() as f64)?;
            Some(Clock {
                time: Duration::milliseconds(seconds as i64),
                requests: rank(&|c| c.requests)?,
                judged: rank(&|c| c.judged)?,
            })
        };
        Some(Self { median: at(0.5)?, p90: at(0.9)? })
    }
}

/// What became of all runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Number of runs.
    pub runs: usize,
    /// Taken back.
    pub rolled_back: usize,
    /// Of these, after the promotion.
    pub in_watch: usize,
    /// Of these, before the candidate was as its settings say.
    pub too_early: usize,
    /// Promoted, and not taken back.
    pub promoted: usize,
    /// Of these, with a watch that has ended clean.
    pub active: usize,
    /// Neither.
    pub undecided: usize,
    /// Of these, held until a person decides.
    pub held: usize,
    /// From the first request or the onset until it was taken back.
    pub detection: Option<Quantiles>,
    /// From the first request to the promotion.
    pub promotion: Option<Quantiles>,
    /// What took it back, and how often.
    pub deciders: BTreeMap<End, usize>,
    /// Looks of all runs together.
    pub looks: u64,
}

impl Report {
    /// Sums up runs, in whatever order they come.
    pub fn of(runs: &[Run]) -> Self {
        let count = |of: &dyn Fn(&Run) -> bool| runs.iter().filter(|run| of(run)).count();
        let taken_back = |run: &Run| matches!(run.end, End::RolledBack { .. });
        let mut deciders = BTreeMap::new();
        for run in runs.iter().filter(|run| taken_back(run)) {
            *deciders.entry(run.end.clone()).or_insert(0) += 1;
        }
        let detections: Vec<Clock> =
            runs.iter().filter(|run| !run.too_early).filter_map(|run| run.detection).collect();
        let promotions: Vec<Clock> = runs.iter().filter_map(|run| run.promotion).collect();
        Self {
            runs: runs.len(),
            rolled_back: count(&taken_back),
            in_watch: count(&|run| matches!(run.end, End::RolledBack { stage: Stage::Watch, .. })),
            too_early: count(&|run| run.too_early),
            promoted: count(&|run| matches!(run.end, End::Active | End::Watched)),
            active: count(&|run| run.end == End::Active),
            undecided: count(&|run| matches!(run.end, End::Undecided(_))),
            held: count(&|run| run.end == End::Undecided(true)),
            detection: Quantiles::of(&detections),
            promotion: Quantiles::of(&promotions),
            deciders,
            looks: runs.iter().map(|run| u64::from(run.looks)).sum(),
        }
    }

    /// A share of all runs.
    pub fn share(&self, of: usize) -> f64 {
        of as f64 / self.runs.max(1) as f64
    }

    /// For people.
    pub fn text(&self, study: &Study) -> String {
        let mut out = heading(study, self.runs);
        let share = |n: usize| format!("{:>6.1} %", 100.0 * self.share(n));
        let (low, high) = share_interval(self.rolled_back, self.runs);
        let mut line = |text: String| {
            out += text.trim_end();
            out.push('\n');
        };
        line(format!(
            "rolled back {}   (95 % interval {:.2} to {:.2} %)   {}",
            share(self.rolled_back),
            100.0 * low,
            100.0 * high,
            of_these(self.in_watch, "in the watch")
        ));
        line(format!(
            "promoted    {}   {}",
            share(self.promoted),
            of_these(self.promoted - self.active, "with the watch still running")
        ));
        line(format!(
            "undecided   {}   {}",
            share(self.undecided),
            of_these(self.held, "held until a person decides")
        ));
        let rate = study.spec().analysis.false_rollback_rate;
        if study.equal() {
            let but = if study.spec().strategy.canary.steps.iter().any(|step| step.ab_test.is_some()) {
                " but a lost A/B test"
            } else {
                ""
            };
            line(format!(
                "\nThe candidate is as good as stable: every rollback{but} is a false one. falseRollbackRate allows {} %.",
                100.0 * rate
            ));
        } else if self.too_early > 0 {
            line(format!("\n{} runs were rolled back before the candidate was any worse.", self.too_early));
        }
        times(&mut line, "until the rollback", self.detection);
        times(&mut line, "until the promotion", self.promotion);
        if !self.deciders.is_empty() {
            line(String::new());
            line("rolled back by".to_owned());
            let mut all: Vec<_> = self.deciders.iter().collect();
            all.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            for (end, n) in all {
                line(format!("{}   {}", share(*n), decider(end)));
            }
        }
        out
    }

    /// For machines: shares as fractions, times in seconds.
    pub fn json(&self, study: &Study) -> Value {
        let (low, high) = share_interval(self.rolled_back, self.runs);
        let clock = |c: Clock| {
            let seconds = c.time.num_milliseconds() as f64 / 1000.0;
            json!({"seconds": seconds, "candidateRequests": c.requests, "judgedRequests": c.judged})
        };
        let quantiles =
            |q: Option<Quantiles>| q.map(|q| json!({"median": clock(q.median), "p90": clock(q.p90)}));
        let deciders = self.deciders.iter().filter_map(|(end, n)| {
            let End::RolledBack { stage, metric, by } = end else { return None };
            let share = self.share(*n);
            Some(json!({"stage": format!("{stage:?}"), "metric": metric, "by": format!("{by:?}"), "share": share}))
        });
        json!({
            "runs": self.runs,
            "seed": study.seed(),
            "equalArms": study.equal(),
            "falseRollbackRate": study.spec().analysis.false_rollback_rate,
            "rolledBack": self.share(self.rolled_back),
            "rolledBackInterval95": [low, high],
            "rolledBackInWatch": self.share(self.in_watch),
            "rolledBackTooEarly": self.share(self.too_early),
            "promoted": self.share(self.promoted),
            "watchEnded": self.share(self.active),
            "undecided": self.share(self.undecided),
            "held": self.share(self.held),
            "detection": quantiles(self.detection),
            "promotion": quantiles(self.promotion),
            "rolledBackBy": deciders.collect::<Vec<_>>(),
            "leftOut": study.left_out(),
            "looks": self.looks,
        })
    }
}

fn heading(study: &Study, runs: usize) -> String {
    let (spec, traffic) = (study.spec(), study.traffic());
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} {}: {} runs with seed {}, {} requests/s, a look every {}",
        spec.model,
        spec.version,
        group(runs as f64),
        study.seed(),
        traffic.requests_per_second,
        in_words(study.interval()),
    );
    let _ = writeln!(out, "stable      {}", study.arm_text(&traffic.stable));
    let from = match traffic.onset {
        onset if onset.is_zero() => String::new(),
        onset => format!(", from {} after its first request", in_words(onset)),
    };
    let _ = writeln!(out, "candidate   {}{from}", study.arm_text(&traffic.candidate));
    if traffic.drift != 1.0 {
        let period = in_words(traffic.drift_period);
        let _ = writeln!(out, "drift       both arms to {} times that and back in {period}", traffic.drift);
    }
    if !study.left_out().is_empty() {
        let names = study.left_out().join(", ");
        let _ = writeln!(out, "left out    {names}: what an expression (kind value) gives cannot be drawn");
    }
    out.push('\n');
    out
}

fn of_these(n: usize, what: &str) -> String {
    if n == 0 { String::new() } else { format!("of these {} {what}", group(n as f64)) }
}

fn times(line: &mut impl FnMut(String), what: &str, found: Option<Quantiles>) {
    let Some(Quantiles { median, p90 }) = found else { return };
    line(String::new());
    line(format!("{what:<22} {:>12} {:>12}", "median", "90 %"));
    line(format!("{:<22} {:>12} {:>12}", "  time", in_words(median.time), in_words(p90.time)));
    let requests = |c: Clock| group(c.requests);
    line(format!("{:<22} {:>12} {:>12}", "  candidate requests", requests(median), requests(p90)));
}

fn decider(end: &End) -> String {
    let End::RolledBack { stage, metric, by } = end else { return String::new() };
    let test = if *by == By::Limit { "against its limit" } else { by.text() };
    let stage = match stage {
        Stage::Shadow => "shadow",
        Stage::Canary => "canary",
        Stage::Watch => "watch",
    };
    let what = metric.as_ref().map_or(test.to_owned(), |name| format!("{name}, {test}"));
    format!("{what}, in the {stage} stage")
}

/// Wilson's 95 % interval of a share.
pub fn share_interval(hits: usize, of: usize) -> (f64, f64) {
    wilson(hits as f64, of.max(1) as f64, 1.96)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let clock = |n: u32| Clock {
            time: Duration::seconds(i64::from(n)),
            requests: f64::from(n),
            judged: f64::from(n),
        };
        let all: Vec<Clock> = (1..=10).rev().map(clock).collect();
        let found = Quantiles::of(&all).unwrap();
        assert_eq!((found.median, found.p90), (clock(5), clock(9)));
        assert_eq!(Quantiles::of(&[]), None);
    }

    #[test]
    fn an_interval_of_a_share_holds_it() {
        let (low, high) = share_interval(0, 1000);
        assert_eq!(low, 0.0);
        assert!((high - 0.0038).abs() < 0.0002, "{high}");
        let (low, high) = share_interval(50, 1000);
        assert!(low > 0.036 && low < 0.05 && high > 0.05 && high < 0.066);
    }
}
