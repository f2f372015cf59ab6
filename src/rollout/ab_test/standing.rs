//! Where an A/B test stands, reckoned from its sessions alone, and in words.

use crate::analysis::ab_test::{Difference, Sessions, difference, half_width};
use crate::analysis::verdict::group;
use crate::analysis::{Kind, MetricPlan, MetricState};
use crate::api::{AbTest, AbTestResult, AbWinner, Winner};
use crate::rollout::evidence::about;

/// Where a test stands, from the sessions alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Sessions are missing; how many, in words.
    Counting(String),
    /// The sums cannot be those of sessions; why.
    Unusable(String),
    /// It has ended.
    Ended(Box<AbTestResult>),
}

/// Where a test stands.
pub fn standing(test: &AbTest, plan: &MetricPlan, state: &MetricState) -> Standing {
    let sessions = state.sessions.unwrap_or_default();
    let wanted = test.sessions as f64;
    if sessions.stable.n < wanted || sessions.candidate.n < wanted {
        return Standing::Counting(counting(test, plan, state, &sessions));
    }
    match difference(plan, &sessions, f64::from(test.confidence) / 100.0) {
        Ok(found) => Standing::Ended(Box::new(ended(test, plan, state, &found))),
        Err(why) => Standing::Unusable(why.to_owned()),
    }
}

fn counting(test: &AbTest, plan: &MetricPlan, state: &MetricState, sessions: &Sessions) -> String {
    let wanted = test.sessions as f64;
    let (stable, candidate) = (sessions.stable.n, sessions.candidate.n);
    let passed =
        state.step_since.map_or(0.0, |since| (state.cursor.at - since).num_milliseconds() as f64 / 1e3);
    let fewest = stable.min(candidate);
    let left = (fewest > 0.0 && passed > 0.0).then(|| about((wanted - fewest) * passed / fewest));
    let width = half_width(plan, sessions, f64::from(test.confidence) / 100.0, wanted);
    let mut text = format!(
        "{} of {} sessions of the candidate, {} of {} of stable",
        group(candidate.floor()),
        group(wanted),
        group(stable.floor()),
        group(wanted)
    );
    text += &left.map_or_else(String::new, |left| format!(", {left} more at this traffic"));
    text += &width.map_or_else(String::new, |w| {
        format!("; the {} % interval will reach about {w:.*} to each side", test.confidence, digits(w, 2))
    });
    text
}

fn ended(test: &AbTest, plan: &MetricPlan, state: &MetricState, found: &Difference) -> AbTestResult {
    let sessions = state.sessions.unwrap_or_default();
    let higher = plan.kind != Kind::Ratio && plan.higher_is_better();
    // The worst that the interval leaves possible, positive where the candidate is better.
    let worst = if higher { found.low } else { -found.high };
    let (winner, why) = match test.winner {
        Winner::Better if worst > 0.0 => {
            (AbWinner::Candidate, "The candidate wins: it is better all over the interval.".to_owned())
        }
        Winner::Better => (
            AbWinner::Stable,
            "Stable wins: the interval does not show that the candidate is better.".to_owned(),
        ),
        Winner::NotWorse => {
            let margin = test.margin.as_ref().map_or(0.0, |margin| margin.get());
            if worst > -margin {
                (
                    AbWinner::Candidate,
                    format!(
                        "The candidate wins: it is not worse by {} all over the interval.",
                        number(margin)
                    ),
                )
            } else {
                (
                    AbWinner::Stable,
                    format!("Stable wins: the candidate may be worse by {} or more.", number(margin)),
                )
            }
        }
        Winner::Decision => (AbWinner::Person, "A person chooses the winner.".to_owned()),
    };
    let relative = if found.stable == 0.0 {
        String::new()
    } else {
        format!(" ({:+.1} %)", found.effect() / found.stable.abs() * 100.0)
    };
    let message = format!(
        "A/B test of {}: candidate {} in {} sessions, stable {} in {}; difference {}{relative}, {} % interval {} to {}. {why}",
        plan.name,
        number(found.candidate),
        group(sessions.candidate.n),
        number(found.stable),
        group(sessions.stable.n),
        signed(found.effect()),
        test.confidence,
        signed(found.low),
        signed(found.high),
    );
    AbTestResult {
        at: state.cursor.at,
        stable: number(found.stable),
        candidate: number(found.candidate),
        effect: signed(found.effect()),
        low: signed(found.low),
        high: signed(found.high),
        confidence: test.confidence,
        winner,
        message,
    }
}

/// Four significant digits.
fn number(x: f64) -> String {
    format!("{x:.*}", digits(x, 4))
}

/// Places after the point for so many significant digits.
fn digits(x: f64, significant: i32) -> usize {
    let leading = if x == 0.0 { significant } else { x.abs().log10().floor() as i32 + 1 };
    usize::try_from((significant - leading).clamp(0, 8)).unwrap_or(0)
}

fn signed(x: f64) -> String {
    if x > 0.0 { format!("+{}", number(x)) } else { number(x) }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::analysis::Stage;
    use crate::analysis::ab_test::Moments;
    use crate::api::ModelRolloutSpec;

    fn spec(metric: serde_json::Value) -> ModelRolloutSpec {
        serde_json::from_value(json!({
            "model": "m", "version": "1", "workload": { "deployment": "m" }, "traffic": { "service": "m" },
            "analysis": { "metrics": [metric] },
        }))
        .unwrap()
    }

    /// A test's result when `candidate` and `stable` of 10,000 sessions count.
    fn ended(
        metric: serde_json::Value,
        test: serde_json::Value,
        candidate: f64,
        stable: f64,
    ) -> AbTestResult {
        let t0 = DateTime::from_timestamp(1_767_261_600, 0).unwrap();
        let interval = chrono::Duration::seconds(10);
        let metrics = crate::rollout::metric_plans(&spec(metric), "2", interval, t0, &Default::default());
        let (plan, state) = &metrics[0];
        let mut state = state.enter(plan, Stage::Canary).begin_ab_test(plan, t0);
        let arm = |sum| Moments { n: 10_000.0, sum, squares: 0.0 };
        state.sessions = Some(Sessions { stable: arm(stable), candidate: arm(candidate) });
        match standing(&serde_json::from_value(test).unwrap(), plan, &state) {
            Standing::Ended(result) => *result,
            other => panic!("{other:?}"),
        }
    }

    fn orders(better: &str) -> serde_json::Value {
        json!({ "name": "x", "mean": { "sum": "s", "count": "c", "passFail": true, "better": better } })
    }

    #[test]
    fn the_winner_follows_from_the_interval_the_rule_and_the_direction() {
        let better = || json!({ "metric": "x" });
        let not_worse = || json!({ "metric": "x", "winner": "NotWorse", "margin": "0.01" });
        let winner = |metric, test, candidate, stable| ended(metric, test, candidate, stable).winner;
        assert_eq!(winner(orders("Higher"), better(), 360.0, 300.0), AbWinner::Candidate);
        assert_eq!(winner(orders("Higher"), better(), 310.0, 300.0), AbWinner::Stable);
        assert_eq!(winner(orders("Lower"), better(), 240.0, 300.0), AbWinner::Candidate);
        assert_eq!(winner(orders("Lower"), better(), 360.0, 300.0), AbWinner::Stable);
        let failed = json!({ "name": "x", "ratio": { "bad": "b", "total": "t" } });
        assert_eq!(winner(failed.clone(), better(), 240.0, 300.0), AbWinner::Candidate);
        assert_eq!(winner(failed, better(), 360.0, 300.0), AbWinner::Stable);
        assert_eq!(winner(orders("Higher"), not_worse(), 290.0, 300.0), AbWinner::Candidate);
        assert_eq!(winner(orders("Higher"), not_worse(), 240.0, 300.0), AbWinner::Stable);
        assert_eq!(winner(orders("Lower"), not_worse(), 310.0, 300.0), AbWinner::Candidate);
        let person = json!({ "metric": "x", "winner": "Decision" });
        assert_eq!(winner(orders("Higher"), person, 360.0, 300.0), AbWinner::Person);
    }

    #[test]
    fn the_message_has_every_number() {
        let result = ended(orders("Higher"), json!({ "metric": "x", "sessions": 10_000 }), 360.0, 300.0);
        assert_eq!(
            result.message,
            "A/B test of x: candidate 0.03600 in 10,000 sessions, stable 0.03000 in 10,000; difference +0.006000 (+20.0 %), \
             95 % interval +0.001047 to +0.01097. The candidate wins: it is better all over the interval."
        );
    }
}
