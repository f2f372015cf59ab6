//! Values of an expression: fixed limits, two looks in a row, and nothing that a value cannot say.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use understudy::analysis::budget::{Claim, PlannedLooks, split};
use understudy::analysis::value::{Range, readings};
use understudy::analysis::verdict::Rounded;
use understudy::analysis::{
    Arm, BreachKind, Counter, Discard, Kind, MetricPlan, MetricState, MetricVerdict, Outcome, RawSeries,
    Reason, Span, Stage, Window, advance,
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn plan(min: Option<f64>, max: Option<f64>) -> MetricPlan {
    let looks = PlannedLooks { shadow: 0, canary: 1000, watch: 1000, paired_watch: true };
    let claim = Claim { weight: 1.0, ratio: false, observe_only: true };
    let mut plan = MetricPlan::new("drift", "1.4.0", Kind::Value, split(0.01, looks, &[claim])[0]);
    plan.range = Range { min: min.map(Rounded), max: max.map(Rounded) };
    plan
}

fn series(arm: Arm, values: &[Option<f64>]) -> RawSeries {
    let sample =
        |(k, value): (usize, &Option<f64>)| value.map(|v| (at(10 * k as i64 + 7).timestamp_millis(), v));
    RawSeries {
        arm,
        target: String::new(),
        scrape: String::new(),
        counter: Counter::Value,
        labels: String::new(),
        samples: values.iter().enumerate().filter_map(sample).collect(),
    }
}

/// The state and verdict after all of these values, one for each 10 s, read at once.
fn judged(
    plan: &MetricPlan,
    candidate: &[Option<f64>],
    stable: &[Option<f64>],
    discarded: &[Span],
) -> (MetricState, MetricVerdict) {
    let series = [series(Arm::Candidate, candidate), series(Arm::Stable, stable)];
    let all = 10 * candidate.len().max(stable.len()) as i64;
    let state = MetricState::start(plan, Stage::Canary, at(0), None);
    let window = |until: i64, started| Window {
        interval: Duration::seconds(10),
        until: at(until),
        lookback: Duration::seconds(60),
        series: &series,
        started,
        discarded,
        birth: Default::default(),
    };
    let started = BTreeMap::new();
    let whole = advance(plan, &state, &readings(&state.cursor, &window(all + 3, &started)));
    // One look at a time gives the same.
    let mut piecewise = (state, None);
    for until in (10..=all).step_by(10) {
        let looks = readings(&piecewise.0.cursor, &window(until + 3, &started));
        let (next, verdict) = advance(plan, &piecewise.0, &looks);
        piecewise = (next, Some(verdict));
    }
    assert_eq!((&whole.0, &whole.1.outcome), (&piecewise.0, &piecewise.1.unwrap().outcome));
    whole
}

const OK: Option<f64> = Some(0.1);
const BAD: Option<f64> = Some(0.9);

#[test]
fn two_looks_in_a_row_beyond_a_limit_are_a_breach_and_one_is_none() {
    let plan = plan(None, Some(0.5));
    let once = judged(&plan, &[OK, BAD, OK, BAD, OK], &[OK; 5], &[]).1;
    assert!(matches!(once.outcome, Outcome::Inconclusive { .. }) && once.may_advance, "{once:?}");
    let (_, twice) = judged(&plan, &[OK, BAD, BAD, OK], &[OK; 4], &[]);
    let breach = twice.breach().unwrap();
    assert_eq!((breach.by, breach.at), (BreachKind::Range, at(30)));
    let over = judged(&plan, &[OK, BAD], &[OK; 2], &[]).1;
    assert!(!over.may_advance, "a value beyond its limit advances nothing");
}

#[test]
fn a_lower_limit_is_one_too_and_without_any_the_value_is_only_shown() {
    assert!(judged(&plan(Some(0.5), None), &[OK, OK], &[BAD; 2], &[]).1.breach().is_some());
    let mut shown = plan(None, None);
    shown.observe_only = true;
    let verdict = judged(&shown, &[BAD; 9], &[OK; 9], &[]).1;
    assert!(verdict.breach().is_none() && verdict.may_advance);
    assert!(verdict.sentence.contains("It is only shown."), "{}", verdict.sentence);
}

#[test]
fn a_value_says_that_it_has_no_guarantee_and_never_proves() {
    let verdict = judged(&plan(None, Some(0.5)), &[OK; 500], &[OK; 500], &[]).1;
    assert!(matches!(verdict.outcome, Outcome::Inconclusive { samples_needed: None, .. }));
    assert!(!verdict.provable && !verdict.tested() && verdict.bar_bad.is_infinite());
    assert!(verdict.sentence.contains("no statistical guarantee"), "{}", verdict.sentence);
    assert!(
        verdict.sentence.starts_with("1.4.0: 0.1000, stable: 0.1000; at most 0.5."),
        "{}",
        verdict.sentence
    );
}

#[test]
fn what_moves_both_arms_is_no_breach() {
    let verdict = judged(&plan(None, Some(0.5)), &[BAD; 9], &[BAD; 9], &[]).1;
    assert!(verdict.breach().is_none() && verdict.may_advance);
    assert!(verdict.sentence.contains("both arms moved"), "{}", verdict.sentence);
}

#[test]
fn looks_without_a_value_are_neither_breach_nor_pass() {
    let plan = plan(None, Some(0.5));
    // They do not come between two looks in a row either.
    assert!(judged(&plan, &[OK, BAD, None, BAD], &[OK; 4], &[]).1.breach().is_some());
    let nan = judged(&plan, &[OK, BAD, Some(f64::NAN), OK], &[OK; 4], &[]).1;
    assert!(nan.breach().is_none() && nan.may_advance);
    let gone = judged(&plan, &[OK, None, None, None, None], &[OK; 5], &[]).1;
    assert!(matches!(gone.outcome, Outcome::Unavailable(Reason::Problem(_))), "{:?}", gone.outcome);
    assert!(!gone.may_advance);
    // Without stable the limit holds all the same: it is a fixed one.
    assert!(judged(&plan, &[BAD, BAD], &[None, None], &[]).1.breach().is_some());
}

#[test]
fn what_is_discarded_is_not_judged() {
    let warm_up = [Span { from: at(0), to: at(40), why: Discard::WarmUp }];
    let (_, verdict) = judged(&plan(None, Some(0.5)), &[BAD, BAD, BAD, BAD, OK], &[OK; 5], &warm_up);
    assert!(verdict.breach().is_none() && verdict.may_advance);
}

#[test]
fn several_numbers_for_one_arm_are_refused() {
    let two = [series(Arm::Candidate, &[BAD, BAD]), series(Arm::Candidate, &[OK, OK])];
    let plan = plan(None, Some(0.5));
    let state = MetricState::start(&plan, Stage::Canary, at(0), None);
    let started = BTreeMap::new();
    let window = Window {
        interval: Duration::seconds(10),
        until: at(30),
        lookback: Duration::seconds(60),
        series: &two,
        started: &started,
        discarded: &[],
        birth: Default::default(),
    };
    let (next, verdict) = advance(&plan, &state, &readings(&state.cursor, &window));
    assert_eq!(next, state);
    let Outcome::Unavailable(Reason::Problem(text)) = verdict.outcome else { panic!("{verdict:?}") };
    assert!(text.contains("gives 2 numbers"), "{text}");
}
