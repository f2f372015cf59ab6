//! The rules of a look: what latches, what waits, what is never evidence.

use chrono::{DateTime, Duration, Utc};
use understudy::analysis::budget::{Claim, PlannedLooks, split};
use understudy::analysis::silence::{Silence, judge};
use understudy::analysis::{
    Better, Bound, BreachKind, Counter, Counts, Cursor, Discard, Interval, Kind, Limit, Looks, MetricPlan,
    MetricState, MetricVerdict, Outcome, Problem, Reason, Stage, advance,
};

fn t0() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn plan(kind: Kind) -> MetricPlan {
    let looks = PlannedLooks { shadow: 200, canary: 1000, watch: 1000, paired_watch: true };
    let claim = Claim { weight: 1.0, ratio: kind == Kind::Ratio, observe_only: false };
    MetricPlan::new("errors", "1.4.0", kind, split(0.01, looks, &[claim])[0])
}

fn gains(n: f64, bad: f64) -> Counts {
    Counts { n, bad, ..Counts::default() }
}

/// A rollout that is looked at every ten seconds.
struct Rollout {
    plan: MetricPlan,
    state: MetricState,
}

impl Rollout {
    fn new(plan: MetricPlan) -> Self {
        let state = MetricState::start(&plan, Stage::Canary, t0(), None);
        Self { plan, state }
    }

    fn look(
        &mut self,
        candidate: (f64, f64),
        stable: (f64, f64),
        discarded: Option<Discard>,
    ) -> MetricVerdict {
        self.look_at(gains(candidate.0, candidate.1), gains(stable.0, stable.1), discarded)
    }

    fn look_at(&mut self, candidate: Counts, stable: Counts, discarded: Option<Discard>) -> MetricVerdict {
        let start = self.state.cursor.at;
        let end = start + Duration::seconds(10);
        let interval = Interval {
            start,
            end,
            looks: 1,
            discarded,
            stable,
            candidate,
            candidate_scraped: true,
            stable_scraped: true,
        };
        let looks = Looks {
            intervals: vec![interval],
            cursor: Cursor { at: end, ..self.state.cursor.clone() },
            empty_looks: 0,
            problems: Vec::new(),
        };
        let (next, verdict) = advance(&self.plan, &self.state, &looks);
        // Reading the same stretch again must change nothing but freshness.
        let (again, same) = advance(&self.plan, &next, &looks);
        assert_eq!(again, next);
        assert_eq!(same.outcome, verdict.outcome);
        self.state = next;
        verdict
    }

    fn healthy(&mut self, looks: u32) -> MetricVerdict {
        let mut last = self.look((100.0, 1.0), (1900.0, 19.0), None);
        for _ in 1..looks {
            last = self.look((100.0, 1.0), (1900.0, 19.0), None);
        }
        last
    }
}

fn histogram(n: f64, fast: f64) -> Counts {
    let mut counts = gains(n, 0.0);
    for (bound, up_to) in [(0.25, fast / 2.0), (0.5, fast), (1.0, n), (f64::INFINITY, n)] {
        counts.gain(Counter::Bucket(Bound(bound)), up_to);
    }
    counts
}

#[test]
fn requests_beyond_the_users_bound_are_counted_as_the_failures_of_a_ratio_are() {
    let mut slo = plan(Kind::Slo);
    slo.bound = 0.5;
    assert_eq!(slo.budget.guard_paired, None, "the coarse guard is for ratios");
    let (worse, proof) = (slo.worse, slo.proof);
    assert_eq!((worse, proof), (Limit::ratio(1.25, 0.002), Limit::ratio(2.0, 0.005)));
    let ratio = MetricPlan { kind: Kind::Ratio, ..slo.clone() };
    let (mut by_bound, mut by_count) = (Rollout::new(slo), Rollout::new(ratio));
    for k in 0..40 {
        let slow = f64::from(k % 3);
        let one = by_bound.look_at(histogram(100.0, 100.0 - slow), histogram(1900.0, 1881.0), None);
        let other = by_count.look((100.0, slow), (1900.0, 19.0), None);
        assert_eq!((one.log_bad, one.log_ok, &one.outcome), (other.log_bad, other.log_ok, &other.outcome));
        assert_eq!(one.candidate, other.candidate);
    }
    assert_eq!(
        by_bound.look_at(histogram(100.0, 100.0), histogram(1900.0, 1881.0), None).outcome,
        Outcome::Pass
    );
    for _ in 0..20 {
        by_bound.look_at(histogram(100.0, 70.0), histogram(1900.0, 1881.0), None);
    }
    let verdict = by_bound.look_at(histogram(100.0, 70.0), histogram(1900.0, 1881.0), None);
    assert_eq!(verdict.breach().unwrap().by, BreachKind::Limit);
}

#[test]
fn an_arm_that_lost_the_bucket_of_the_bound_is_an_error_and_no_evidence() {
    let mut slo = plan(Kind::Slo);
    slo.bound = 0.5;
    let mut rollout = Rollout::new(slo);
    let verdict = rollout.look_at(gains(100.0, 0.0), histogram(1900.0, 1881.0), None);
    assert_eq!(verdict.outcome, Outcome::Unavailable(Reason::BucketMismatch));
    assert!(!verdict.may_advance && verdict.log_bad == 0.0);
}

#[test]
fn sums_and_counts_say_nothing_before_ten_pooled_intervals() {
    let mut rollout = Rollout::new(plan(Kind::MeanSumCount));
    let scores = |n: f64, mean: f64| Counts { n, sum: n * mean, ..Counts::default() };
    // 15 scores per look: two looks are one pooled interval.
    for k in 0..40 {
        let jitter = 0.01 * f64::from(k * 7 % 5);
        let verdict = rollout.look_at(scores(15.0, 0.2 + jitter), scores(300.0, 0.9 - jitter), None);
        let pooled = (k + 1) / 2;
        assert_eq!(verdict.log_bad != 0.0, pooled >= 10, "after {pooled}: {}", verdict.log_bad);
    }
}

#[test]
fn a_mean_without_bounds_brings_traffic_back_and_never_passes() {
    let scores = |n: f64, mean: f64, k: u32| {
        let jitter = f64::from(k * 7 % 5) - 2.0;
        Counts { n, sum: n * (mean + jitter), ..Counts::default() }
    };
    let run = |mean: f64, provable: bool| {
        let mut mean_of = plan(Kind::MeanSumCount);
        (mean_of.provable, mean_of.better) = (provable, Better::Lower);
        (mean_of.worse, mean_of.proof) = (Limit::by(20.0), Limit::by(50.0));
        let mut rollout = Rollout::new(mean_of);
        (0..60)
            .map(|k| rollout.look_at(scores(60.0, mean, k), scores(600.0, 300.0, k + 3), None))
            .last()
            .unwrap()
    };
    assert_eq!(run(300.0, true).outcome, Outcome::Pass);
    let healthy = run(300.0, false);
    assert!(matches!(healthy.outcome, Outcome::Inconclusive { .. }) && healthy.may_advance, "{healthy:?}");
    assert!(healthy.sentence.contains("it proves nothing"), "{}", healthy.sentence);
    assert_eq!(run(400.0, false).breach().unwrap().by, BreachKind::Limit);
}

#[test]
fn a_healthy_candidate_may_advance_and_passes_with_every_number() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    let first = rollout.healthy(1);
    assert!(first.may_advance && first.fresh && first.step_has_samples);
    let verdict = rollout.healthy(60);
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert_eq!((verdict.candidate.n, verdict.stable.n), (6100.0, 115_900.0));
    assert_eq!(verdict.candidate.value.unwrap().0, 0.01);
    assert!((verdict.limit.unwrap().0 - 0.013).abs() < 1e-12);
    assert!((verdict.bar_ok - 20f64.ln()).abs() < 1e-12);
    assert!(verdict.sentence.starts_with("Worse than 1.25 x stable + 0.05 %: 1 : "), "{}", verdict.sentence);
    assert!(verdict.sentence.contains("Within 1.5 x stable + 0.1 %"), "{}", verdict.sentence);
}

#[test]
fn one_bad_look_is_no_breach_and_two_latch_for_ever() {
    let mut rollout =
        Rollout::new(MetricPlan { budget: plan(Kind::MeanSumCount).budget, ..plan(Kind::Ratio) });
    rollout.healthy(5);
    let once = rollout.look((100.0, 40.0), (1900.0, 19.0), None);
    assert!(once.log_bad > once.bar_bad && once.breach().is_none() && !once.may_advance);
    let twice = rollout.look((100.0, 40.0), (1900.0, 19.0), None);
    assert_eq!(twice.breach().unwrap().by, BreachKind::Limit);
    let at = twice.breach().unwrap().at;
    assert_eq!(at, t0() + Duration::seconds(70));
    let later = rollout.healthy(200);
    assert_eq!(later.breach().unwrap().at, at);
    let watch = rollout.state.enter(&rollout.plan, Stage::Watch);
    assert_eq!(watch.breach.unwrap().at, at);
}

#[test]
fn the_coarse_guard_does_not_wait_for_the_warm_up_but_the_metric_does() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    let first = rollout.look((30.0, 27.0), (570.0, 11.0), Some(Discard::WarmUp));
    assert_eq!((first.outcome, first.log_bad, first.fresh), (Outcome::WarmUp, 0.0, false));
    let second = rollout.look((30.0, 27.0), (570.0, 11.0), Some(Discard::WarmUp));
    assert_eq!(second.breach().unwrap().by, BreachKind::CoarseGuard);
    assert_eq!(second.candidate.n, 0.0);
    assert!(second.sentence.contains("worse than 3 x stable + 10 %"), "{}", second.sentence);
    assert!(second.sentence.ends_with("candidate 54 of 60 bad, stable 22 of 1,140."), "{}", second.sentence);
}

#[test]
fn nothing_reads_an_interval_of_a_foreign_edit() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    for _ in 0..5 {
        let verdict = rollout.look((300.0, 300.0), (570.0, 11.0), Some(Discard::ForeignEdit));
        assert_eq!(verdict.outcome, Outcome::WarmUp);
    }
}

#[test]
fn four_looks_without_candidate_requests_are_no_data_and_never_a_pass() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    assert_eq!(rollout.healthy(80).outcome, Outcome::Pass);
    for _ in 0..3 {
        rollout.look((0.0, 0.0), (1900.0, 19.0), None);
    }
    let verdict = rollout.look((0.0, 0.0), (1900.0, 19.0), None);
    assert_eq!(verdict.outcome, Outcome::Unavailable(Reason::NoData));
    assert!(!verdict.may_advance && !verdict.fresh);
    let silent = judge(&rollout.state.recent, 100.0 / 1900.0, true);
    assert!(matches!(silent, Silence::Silent(numbers) if numbers.counted == 0.0), "{silent:?}");
    // The pooled requests of stable are tested together with the next ones of the candidate, and lost by nobody.
    let back = rollout.look((100.0, 1.0), (1900.0, 19.0), None);
    assert_eq!((back.outcome, back.stable.n), (Outcome::Pass, 85.0 * 1900.0));
}

#[test]
fn scrapes_that_stop_for_both_arms_are_no_data() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    rollout.healthy(3);
    let away = |empty_looks| Looks {
        intervals: Vec::new(),
        cursor: rollout.state.cursor.clone(),
        empty_looks,
        problems: Vec::new(),
    };
    let outcome = |looks: &Looks| advance(&rollout.plan, &rollout.state, looks).1.outcome;
    assert!(matches!(outcome(&away(3)), Outcome::Inconclusive { .. }));
    assert_eq!(outcome(&away(4)), Outcome::Unavailable(Reason::NoData));

    // Also when they stop inside a warm-up, which must not be the reason for ever.
    let warming = rollout.state.begin_step(rollout.state.cursor.at);
    let outcome = |looks: &Looks| advance(&rollout.plan, &warming, looks).1.outcome;
    assert_eq!(outcome(&away(3)), Outcome::WarmUp);
    assert_eq!(outcome(&away(4)), Outcome::Unavailable(Reason::NoData));
}

#[test]
fn ambiguous_series_are_neither_pass_nor_breach() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    rollout.healthy(80);
    let problem = Problem::Duplicated { target: "pod-1".into(), first: "a".into(), second: "b".into() };
    let cursor = rollout.state.cursor.clone();
    let looks = Looks { intervals: Vec::new(), cursor, empty_looks: 0, problems: vec![problem] };
    let (next, verdict) = advance(&rollout.plan, &rollout.state, &looks);
    assert!(matches!(verdict.outcome, Outcome::Unavailable(Reason::Problem(_))));
    assert!(!verdict.may_advance);
    assert_eq!(next, rollout.state);
}

#[test]
fn an_observed_metric_never_breaches_and_never_stops_anybody() {
    let mut plan = plan(Kind::Ratio);
    plan.observe_only = true;
    let mut rollout = Rollout::new(plan);
    for _ in 0..10 {
        let verdict = rollout.look((100.0, 90.0), (1900.0, 19.0), None);
        assert!(verdict.breach().is_none() && verdict.may_advance);
    }
}

#[test]
fn a_new_step_keeps_the_ledger_and_counts_its_samples_anew() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    let before = rollout.healthy(40);
    rollout.state = rollout.state.begin_step(rollout.state.cursor.at);
    assert!(!rollout.state.step_has_samples(&rollout.plan));
    let warm = rollout.look((500.0, 5.0), (1500.0, 15.0), Some(Discard::WarmUp));
    assert_eq!((warm.outcome, warm.log_ok), (Outcome::WarmUp, before.log_ok));
    let verdict = rollout.look((500.0, 5.0), (1500.0, 15.0), None);
    assert!(verdict.log_ok > before.log_ok && verdict.step_has_samples);
}

#[test]
fn a_new_stage_has_new_ledgers_and_the_same_guard() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    rollout.healthy(20);
    let watch = rollout.state.enter(&rollout.plan, Stage::Watch);
    assert_eq!(watch.engine.log_bad(), 0.0);
    assert_eq!(watch.guard, rollout.state.guard);
    assert!(watch.absolute.is_some() && rollout.state.absolute.is_none());
    assert_eq!(watch.enter(&rollout.plan, Stage::Watch), watch);
}

#[test]
fn a_watch_without_control_has_only_the_absolute_guard() {
    let mut plan = plan(Kind::Ratio);
    plan.paired_watch = false;
    let mut rollout = Rollout::new(plan);
    rollout.state = rollout.state.enter(&rollout.plan, Stage::Watch);
    for _ in 0..20 {
        let verdict = rollout.look((300.0, 3.0), (0.0, 0.0), None);
        assert_eq!(verdict.outcome, Outcome::Unavailable(Reason::Unpaired));
        assert!(verdict.may_advance && verdict.fresh);
    }
    rollout.look((300.0, 290.0), (0.0, 0.0), None);
    let verdict = rollout.look((300.0, 290.0), (0.0, 0.0), None);
    assert_eq!(verdict.breach().unwrap().by, BreachKind::AbsoluteGuardControlThin);
}

#[test]
fn a_frequent_event_is_tested_and_a_better_engine_is_named() {
    let absolute_eps = understudy::analysis::guard::absolute_eps(Some(0.25));
    let mut rollout = Rollout::new(MetricPlan { absolute_eps, ..plan(Kind::Ratio) });
    let verdict = rollout.look((100.0, 25.0), (1900.0, 475.0), None);
    assert!(verdict.hint.unwrap().contains("pass/fail mean"));
}

#[test]
fn what_status_keeps_of_eight_metrics_is_small() {
    let mut bytes = 0;
    let kinds = [Kind::Ratio, Kind::Ratio, Kind::Ratio, Kind::Slo, Kind::Latency, Kind::Latency];
    for kind in kinds.into_iter().chain([Kind::MeanHistogram, Kind::MeanSumCount]) {
        let mut rollout = Rollout::new(plan(kind));
        rollout.healthy(50);
        let text = serde_json::to_string(&rollout.state).unwrap();
        assert_eq!(serde_json::from_str::<MetricState>(&text).unwrap(), rollout.state);
        let plan = serde_json::to_string(&rollout.plan).unwrap();
        assert_eq!(serde_json::from_str::<MetricPlan>(&plan).unwrap(), rollout.plan);
        bytes += text.len() + plan.len();
    }
    println!("{bytes} bytes");
    assert!(bytes < 10 * 1024, "{bytes} bytes");
}

#[test]
fn a_baseline_that_moved_with_the_candidate_is_no_breach_and_is_said() {
    let absolute_eps = understudy::analysis::guard::absolute_eps(Some(0.01));
    let mut rollout = Rollout::new(MetricPlan { absolute_eps, ..plan(Kind::Ratio) });
    for _ in 0..30 {
        assert_eq!(rollout.look((100.0, 1.0), (1900.0, 19.0), None).hint, None);
    }
    let mut last = None;
    for _ in 0..60 {
        let verdict = rollout.look((100.0, 40.0), (1900.0, 760.0), None);
        assert!(verdict.breach().is_none(), "{}", verdict.sentence);
        last = verdict.hint;
    }
    let said = last.unwrap();
    assert!(said.starts_with("The baseline moved too: stable fails 27.0 % in this stage"), "{said}");
}

#[test]
fn more_failures_than_requests_are_said() {
    let mut rollout = Rollout::new(plan(Kind::Ratio));
    assert_eq!(rollout.look((100.0, 1.0), (1900.0, 19.0), None).hint, None);
    let hint = rollout.look((100.0, 220.0), (1900.0, 19.0), None).hint.unwrap();
    assert!(hint.starts_with("More bad events than requests were counted"), "{hint}");
}
