use super::*;
use crate::analysis::budget::{Claim, PlannedLooks, split};

const WHOLE: PlannedLooks = PlannedLooks { shadow: 0, canary: 2000, watch: 0, paired_watch: true };

fn errors(share_bad: f64) -> (MetricPlan, Counts) {
    let claim = Claim { weight: 1.0, ratio: false, observe_only: false };
    let budget = split(0.01, WHOLE, &[claim]).remove(0);
    let plan = MetricPlan::new("errors", "2", Kind::Ratio, budget);
    (plan, Counts { n: 360_000.0, bad: 360_000.0 * share_bad, ..Counts::default() })
}

fn step(share: f64) -> Step {
    Step { share, warm_up: 6.0, hold: 60.0, patience: 720.0 }
}

/// Medians of simulated rollouts (5 % canary, 1,500 requests per look, stable 1 %), which the expected path must be near.
#[test]
fn detection_is_within_a_factor_of_two_of_what_simulations_measured() {
    let (plan, hour) = errors(0.01);
    for (times, measured) in [(2.0, 1662.0), (5.0, 171.0), (10.0, 58.0)] {
        let plan = MetricPlan { confirm: 1, worse: Limit::ratio(1.0, 0.0), ..plan.clone() };
        let traffic = Traffic { per_look: 1500.0, hour: &hour };
        let found = outlook(&plan, Limit::ratio(times, 0.0), traffic, &[step(0.05)]).unwrap();
        let requests = found.detection.unwrap().requests;
        assert!((0.5..=2.0).contains(&(requests / measured)), "{times}: {requests} of {measured}");
    }
}

#[test]
fn a_regression_within_the_bounds_is_never_found() {
    let (plan, hour) = errors(0.01);
    let traffic = Traffic { per_look: 1500.0, hour: &hour };
    let found = outlook(&plan, Limit::ratio(1.2, 0.0), traffic, &[step(0.05)]).unwrap();
    assert_eq!(found.detection, None);
    assert!(found.proof.is_some());
}

#[test]
fn a_regression_within_the_promotion_bound_passes() {
    let (plan, hour) = errors(0.01);
    let plan = MetricPlan { proof: Limit::ratio(4.0, 0.0), ..plan };
    let traffic = Traffic { per_look: 1500.0, hour: &hour };
    let found = |times| outlook(&plan, Limit::ratio(times, 0.0), traffic, &[step(0.25)]).unwrap();
    assert!(found(1.5).passes && !found(5.0).passes);
}

#[test]
fn little_traffic_takes_longer_and_is_not_in_time() {
    let (plan, hour) = errors(0.01);
    let at = |per_look: f64| {
        let traffic = Traffic { per_look, hour: &hour };
        outlook(&plan, Limit::ratio(2.0, 0.0), traffic, &[step(0.01), step(0.25)]).unwrap()
    };
    let (much, little) = (at(1500.0), at(50.0));
    assert!(much.proof.unwrap().in_time() && !at(10.0).proof.unwrap().in_time());
    assert!(little.proof.unwrap().looks > much.proof.unwrap().looks);
    assert_eq!(little.samples, Some((200.0, 0)), "100 samples at half a request per look");
}

#[test]
fn the_first_steps_count_towards_the_proof() {
    let (plan, hour) = errors(0.01);
    let traffic = Traffic { per_look: 300.0, hour: &hour };
    let of = |steps: &[Step]| outlook(&plan, Limit::ratio(2.0, 0.0), traffic, steps).unwrap().proof.unwrap();
    let last = |hold: f64| Step { hold, ..step(0.25) };
    let alone = of(&[last(0.0)]);
    let both = of(&[step(0.25), last(0.0)]);
    assert!(both.looks - 72.0 < alone.looks, "{both:?} {alone:?}");
}

#[test]
fn an_outright_failure_takes_two_looks_with_enough_requests() {
    let claim = Claim { weight: 1.0, ratio: true, observe_only: false };
    let budget = split(0.01, WHOLE, &[claim]).remove(0);
    let plan = MetricPlan::new("errors", "2", Kind::Ratio, budget);
    let hour = Counts { n: 1e5, bad: 2e3, ..Counts::default() };
    let at = |candidate: f64| {
        let traffic = Traffic { per_look: candidate / 0.05, hour: &hour };
        outlook(&plan, Limit::ratio(2.0, 0.0), traffic, &[step(0.05)]).unwrap().outright.unwrap()
    };
    assert_eq!(at(30.0), 2.0);
    assert!((3.0..=4.0).contains(&at(12.0)), "{}", at(12.0));
}

#[test]
fn scores_are_reckoned_from_the_spread_of_history() {
    let budget = split(0.01, WHOLE, &[Claim { weight: 1.0, ratio: false, observe_only: false }]).remove(0);
    let plan = MetricPlan::new("accuracy", "2", Kind::MeanPassFail, budget);
    let hour = Counts { n: 10_000.0, sum: 9_000.0, ..Counts::default() };
    let traffic = Traffic { per_look: 100.0, hour: &hour };
    let found = outlook(&plan, Limit::by(0.1), traffic, &[step(0.2)]).unwrap();
    let detection = found.detection.unwrap().requests;
    assert!((100.0..1000.0).contains(&detection), "{detection}");
    let plan = MetricPlan { kind: Kind::MeanSumCount, ..plan };
    assert_eq!(outlook(&plan, Limit::by(0.1), traffic, &[step(0.2)]), None);
}
