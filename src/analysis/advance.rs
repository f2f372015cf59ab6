//! One look: the plan, the state and the new intervals in; the new state and the verdict out. Pure.

use chrono::{DateTime, Utc};

use super::count::{Events, FREQUENT};
use super::engine::Engine;
use super::guard::{AbsoluteFinding, COARSE, share_before};
use super::interval::{Counts, Discard, Interval, Looks};
use super::mean::directed_sum;
use super::plan::{Kind, Limit, MetricPlan, Stage};
use super::state::{BreachKind, MetricState, Tally};
use super::verdict::{
    ArmNumbers, Direction, MetricVerdict, Outcome, Reason, Rounded, bound_text, group, odds, one_digit,
    sentence,
};
use super::{score_forecast, value};

/// From here on stable's failures are called moved: twice what they were in the hour before, plus five points.
const MOVED: Limit = Limit::ratio(2.0, 0.05);

/// Reads the intervals in order and says how the metric stands. Intervals at or before the state's cursor are ignored,
/// so that reading the same stretch twice changes nothing.
pub fn advance(plan: &MetricPlan, state: &MetricState, looks: &Looks) -> (MetricState, MetricVerdict) {
    let mut next = state.clone();
    let mut verdict = step(plan, &mut next, looks);
    if let Outcome::Inconclusive { .. } = verdict.outcome {
        verdict.outcome = forecast(plan, &next, verdict.bar_bad, verdict.bar_ok);
    }
    verdict.sentence = guard_sentence(plan, &next, &verdict).unwrap_or_else(|| sentence(plan, &verdict));
    (next, verdict)
}

/// The same in place and without what is only said, the forecast and the sentence: for many looks of which nobody reads each.
pub fn step(plan: &MetricPlan, state: &mut MetricState, looks: &Looks) -> MetricVerdict {
    let mut fresh = false;
    let done = state.cursor.at;
    for interval in looks.intervals.iter().filter(|interval| interval.end > done) {
        fresh |= look(plan, state, interval);
    }
    if looks.cursor.at > done {
        state.cursor.clone_from(&looks.cursor);
    }
    let mut verdict = judge(plan, state, looks.empty_looks);
    verdict.fresh = fresh && looks.problems.is_empty();
    if let Some(problem) = looks.problems.first() {
        verdict = verdict.unavailable(Reason::Problem(problem.to_string()));
    }
    verdict
}

/// One interval. True when it was judged and both arms gained requests.
fn look(plan: &MetricPlan, state: &mut MetricState, interval: &Interval) -> bool {
    let after = |since: Option<DateTime<Utc>>| since.is_none_or(|at| interval.start >= at);
    let in_step = after(state.step_since);
    if interval.stable_scraped && in_step && after(state.recent_since) {
        state.recent.push(interval.looks, interval.stable.n, interval.candidate.n);
    }
    if state.stage == Stage::Shadow {
        state.mirrored.look(interval, state.step_since);
    }
    guards(plan, state, interval);
    // What ended before the step began belongs to the step before; before the first one the candidate had no traffic.
    if interval.discarded.is_some() || (!in_step && interval.candidate.n <= 0.0) {
        return false;
    }
    state.warming = false;
    if plan.kind == Kind::Value {
        return value::look(plan, state, interval);
    }
    let (candidate, stable) = (&interval.candidate, &interval.stable);
    let both = candidate.n > 0.0 && stable.n > 0.0;
    state.idle = if both { 0 } else { state.idle + interval.looks };
    if in_step {
        state.step_candidate += candidate.n;
        state.step_stable += stable.n;
        state.sessions.iter_mut().for_each(|sessions| sessions.look(plan, candidate, stable));
    }
    if !paired(plan, state.stage) {
        tally(plan, state, candidate, stable);
        let fresh = candidate.n > 0.0;
        state.idle = if fresh { 0 } else { state.idle };
        state.waiting = !fresh;
        state.step_looks += if fresh { interval.looks } else { 0 };
        return fresh;
    }
    state.step_looks += if both { interval.looks } else { 0 };
    if let Err(reason) = state.engine.prepare(plan, candidate, stable) {
        state.engine.learn(stable);
        // Nothing was tested, so nothing has been idle.
        state.idle = 0;
        state.trouble = Some(reason);
        return false;
    }
    // The bounds are there, also when this interval has too little to be tested.
    state.trouble = state.trouble.take().filter(|trouble| *trouble != Reason::NoBounds);
    tally(plan, state, candidate, stable);
    state.pending_candidate.add(candidate);
    state.pending_stable.add(stable);
    let pool = state.engine.pool();
    state.waiting = state.pending_candidate.n < pool || state.pending_stable.n < pool;
    if state.waiting {
        return both;
    }
    let (candidate, stable) =
        (std::mem::take(&mut state.pending_candidate), std::mem::take(&mut state.pending_stable));
    state.trouble = state.engine.update(plan, &candidate, &stable).err();
    if state.trouble.is_none() {
        let (log_e, bar) = (state.engine.log_bad(), plan.budget.of(state.stage).bar());
        state.over.look(log_e >= bar);
        if state.over.count() >= plan.confirm {
            latch(state, BreachKind::Limit, interval, log_e, bar);
        }
    }
    both && state.trouble.is_none()
}

/// The coarse guards do not wait for a warm-up; only intervals in which somebody else moved the route are left out.
fn guards(plan: &MetricPlan, state: &mut MetricState, interval: &Interval) {
    if interval.discarded == Some(Discard::ForeignEdit) {
        return;
    }
    let (candidate, stable) = (&interval.candidate, &interval.stable);
    let events = Events { x_c: candidate.bad, n_c: candidate.n, x_b: stable.bad, n_b: stable.n };
    if let (Some(guard), Some(budget)) = (&mut state.guard, plan.budget.guard_paired) {
        guard.look(events, plan.phi, budget.bar());
        let (over, log_e) = (guard.over(), guard.log_e());
        if over >= plan.confirm {
            latch(state, BreachKind::CoarseGuard, interval, log_e, budget.bar());
        }
    }
    if let (Some(guard), Some(budget)) = (&mut state.absolute, plan.budget.guard_absolute) {
        guard.look(events, plan.absolute_eps, plan.phi, budget.bar());
        let log_e = guard.log_e();
        match guard.finding(plan.confirm) {
            AbsoluteFinding::Quiet | AbsoluteFinding::BothArmsMoved => {}
            AbsoluteFinding::Breach => latch(state, BreachKind::AbsoluteGuard, interval, log_e, budget.bar()),
            AbsoluteFinding::BreachControlThin => {
                latch(state, BreachKind::AbsoluteGuardControlThin, interval, log_e, budget.bar());
            }
        }
    }
}

fn latch(state: &mut MetricState, by: BreachKind, interval: &Interval, log_e: f64, bar: f64) {
    state.latch(by, interval.end, log_e, bar);
}

fn paired(plan: &MetricPlan, stage: Stage) -> bool {
    stage != Stage::Watch || plan.paired_watch
}

fn tally(plan: &MetricPlan, state: &mut MetricState, candidate: &Counts, stable: &Counts) {
    let bound = state.engine.shown_bound(plan);
    let x = |counts: &Counts| match plan.kind {
        Kind::Ratio => counts.bad,
        Kind::Latency | Kind::Slo => {
            bound.and_then(|bound| counts.up_to(bound)).map_or(0.0, |fast| counts.n - fast)
        }
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => directed_sum(plan, counts),
        Kind::Value => 0.0,
    };
    for (sums, counts) in [(&mut state.candidate, candidate), (&mut state.stable, stable)] {
        sums.n += counts.n;
        sums.x += x(counts);
    }
}

/// The decision at a look, in the order of the specification's table. A latched breach comes before everything.
fn judge(plan: &MetricPlan, state: &MetricState, empty_looks: u32) -> MetricVerdict {
    let promote = if plan.kind == Kind::Value { f64::INFINITY } else { -plan.alpha_promote.ln() };
    let (bar_bad, bar_ok) = (plan.budget.of(state.stage).bar(), promote);
    let (log_bad, log_ok) = (state.engine.log_bad(), state.engine.log_ok());
    let outcome = outcome(plan, state, empty_looks, (log_bad, bar_bad), (log_ok, bar_ok));
    let evidence = !matches!(outcome, Outcome::Unavailable(_) | Outcome::Breach(_) | Outcome::WarmUp);
    let (stable, candidate) = match &state.engine {
        Engine::Value(values) => (values.stable.map(|v| v.0), values.candidate.map(|v| v.0)),
        Engine::Count(_) | Engine::Latency { .. } | Engine::Mean(_) | Engine::PairedT { .. } => {
            (state.stable.value(), state.candidate.value())
        }
    };
    let unpaired = matches!(outcome, Outcome::Unavailable(Reason::Unpaired));
    MetricVerdict {
        metric: plan.name.clone(),
        stage: state.stage,
        stable: numbers(plan, state.stable, stable),
        candidate: numbers(plan, state.candidate, candidate),
        ratio: stable.zip(candidate).filter(|(b, _)| *b > 0.0).map(|(b, c)| Rounded(c / b)),
        limit: if plan.kind == Kind::Value {
            plan.range.max.or(plan.range.min)
        } else {
            stable.map(|b| Rounded(limit(plan, b)))
        },
        log_bad,
        bar_bad,
        log_ok,
        bar_ok,
        guard: guard_numbers(plan, state),
        step_has_samples: state.step_has_samples(plan),
        fresh: false,
        may_advance: plan.observe_only || unpaired || (evidence && state.engine.speaks_for(plan)),
        observe_only: plan.observe_only,
        provable: plan.provable,
        sentence: String::new(),
        hint: hint(plan, state, stable),
        outcome,
    }
}

fn outcome(
    plan: &MetricPlan,
    state: &MetricState,
    empty_looks: u32,
    bad: (f64, f64),
    ok: (f64, f64),
) -> Outcome {
    if let (Some(breach), false) = (&state.breach, plan.observe_only) {
        return Outcome::Breach(breach.clone());
    }
    if state.warming && empty_looks < plan.stale {
        return Outcome::WarmUp;
    }
    if let Some(reason) = &state.trouble {
        return Outcome::Unavailable(reason.clone());
    }
    if out_of_range(plan, state) {
        return Outcome::Unavailable(Reason::ScoreOutOfRange);
    }
    if plan.kind == Kind::Value {
        return value::outcome(plan, state, empty_looks);
    }
    if (state.waiting || empty_looks > 0) && state.idle + empty_looks >= plan.stale {
        return Outcome::Unavailable(Reason::NoData);
    }
    let moved =
        |guard: &super::guard::AbsoluteGuard| guard.finding(plan.confirm) == AbsoluteFinding::BothArmsMoved;
    if state.absolute.as_ref().is_some_and(moved) {
        return Outcome::Unavailable(Reason::BothArmsMoved);
    }
    if !paired(plan, state.stage) {
        return Outcome::Unavailable(Reason::Unpaired);
    }
    let enough = f64::from(plan.min_samples);
    if plan.provable
        && ok.0 >= ok.1
        && bad.0 < bad.1
        && state.candidate.n >= enough
        && state.stable.n >= enough
    {
        return Outcome::Pass;
    }
    Outcome::Inconclusive { samples_needed: None, towards: None }
}

/// How many more requests the nearer decision takes at the rates so far.
fn forecast(plan: &MetricPlan, state: &MetricState, bar_bad: f64, bar_ok: f64) -> Outcome {
    let counts = state.engine.forecast(plan, bar_bad, bar_ok);
    let forecast =
        counts.or_else(|| score_forecast::needed(&state.engine, state.candidate.n, bar_bad, bar_ok));
    let least = |direction: Direction| match direction {
        Direction::Promote => f64::from(plan.min_samples) - state.candidate.n,
        Direction::Rollback => 0.0,
    };
    Outcome::Inconclusive {
        samples_needed: forecast.map(|(n, direction)| one_digit(n.max(least(direction)))),
        towards: forecast.map(|(_, direction)| direction),
    }
}

/// Sums that no scores between 0 and 1 can have. A few are let pass: a scrape may fall between two counters.
fn out_of_range(plan: &MetricPlan, state: &MetricState) -> bool {
    const FEW: f64 = 10.0;
    let outside = |sums: Tally| sums.x < -FEW || sums.x > sums.n + FEW;
    match plan.kind {
        Kind::MeanHistogram | Kind::MeanSumSquares | Kind::MeanPassFail | Kind::MeanCounted => {
            outside(state.candidate) || outside(state.stable)
        }
        Kind::Ratio | Kind::Latency | Kind::Slo | Kind::MeanSumCount | Kind::Value => false,
    }
}

/// Numbers as the user knows the metric: a score where less is better is shown as it was exported.
fn numbers(plan: &MetricPlan, tally: Tally, value: Option<f64>) -> ArmNumbers {
    let shown = |x: f64| if mirrored(plan) { 1.0 - x } else { x };
    ArmNumbers { n: tally.n, value: value.map(|x| Rounded(shown(x))) }
}

fn mirrored(plan: &MetricPlan) -> bool {
    match plan.kind {
        Kind::Ratio | Kind::Latency | Kind::Slo | Kind::Value => false,
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => !plan.higher_is_better(),
    }
}

fn limit(plan: &MetricPlan, stable: f64) -> f64 {
    match plan.kind {
        Kind::Ratio | Kind::Latency | Kind::Slo | Kind::Value => plan.worse.of(stable),
        Kind::MeanHistogram
        | Kind::MeanSumSquares
        | Kind::MeanPassFail
        | Kind::MeanSumCount
        | Kind::MeanCounted => {
            let bound = plan.worse.ratio * stable - plan.worse.plus;
            if mirrored(plan) { 1.0 - bound } else { bound }
        }
    }
}

/// A breach found by a guard rests on other numbers than the metric's own ledger: it says which.
fn guard_sentence(plan: &MetricPlan, state: &MetricState, verdict: &MetricVerdict) -> Option<String> {
    let breach = verdict.breach()?;
    let (bound, rise) = match breach.by {
        BreachKind::Limit | BreachKind::Range => return None,
        BreachKind::CoarseGuard => (bound_text(plan, COARSE), state.guard.as_ref()?.rise()),
        BreachKind::AbsoluteGuard | BreachKind::AbsoluteGuardControlThin => {
            (format!("{:.1} %", plan.absolute_eps * 100.0), state.absolute.as_ref()?.rise())
        }
    };
    Some(format!(
        "Coarse guard: evidence that {} is worse than {bound}: {}, rollback at {}. Counted since it rose: candidate {} of \
         {} bad, stable {} of {}.",
        plan.version,
        odds(breach.log_e),
        odds(breach.bar),
        group(rise.x_c),
        group(rise.n_c),
        group(rise.x_b),
        group(rise.n_b),
    ))
}

fn guard_numbers(plan: &MetricPlan, state: &MetricState) -> Option<(Rounded, Rounded)> {
    let guard = state.guard.as_ref()?;
    Some((Rounded(guard.log_e()), Rounded(plan.budget.guard_paired?.bar())))
}

/// Advice about a ratio: its two counters do not fit, stable fails more than it did, or has always failed often.
fn hint(plan: &MetricPlan, state: &MetricState, stable: Option<f64>) -> Option<String> {
    let share = stable.filter(|_| plan.kind == Kind::Ratio)?;
    // A single look may have counted a failure before its request; a whole stage has not.
    if [state.stable, state.candidate].iter().any(|sums| sums.x > sums.n) {
        return Some(
            "More bad events than requests were counted in this stage: either `bad` counts more than once what `total` counts, or it \
             counts other requests."
                .to_owned(),
        );
    }
    let before = share_before(plan.absolute_eps);
    if share >= MOVED.of(before) {
        return Some(format!(
            "The baseline moved too: stable fails {:.1} % in this stage and failed {:.1} % in the hour before. What hits both is no \
             evidence against {}.",
            share * 100.0,
            before * 100.0,
            plan.version
        ));
    }
    (share >= FREQUENT).then(|| {
        "The event is frequent (20 % of requests or more): the count engine needs more samples than necessary here. \
         Measure it as a pass/fail mean instead."
            .to_string()
    })
}
