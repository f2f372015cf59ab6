//! What moves the tests beside the samples: stages, steps, and times that are not judged. Each is noted in status as it is done,
//! so that the state at any look is a pure function of the start, the notes and the raw samples. What happens now and what is
//! recomputed later go through the same [`apply`].

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{MetricPlan, MetricState, Stage};
use crate::api::{Discarded, Evidence, Mark, MarkKind};

use super::{moved, unpack};

/// Notes that are kept.
pub const MARKS: usize = 100;

/// Does it, and notes it.
pub fn note(e: &mut Evidence, what: MarkKind, at: DateTime<Utc>, to: Option<DateTime<Utc>>) {
    let mark = Mark { what, after: e.t_k, at, to };
    apply(e, &mark);
    match e.tests.marks.last_mut().filter(|last| continues(last, &mark)) {
        Some(last) => last.to = last.to.max(mark.to),
        None => e.tests.marks.push(mark),
    }
    e.tests.marks.truncate(MARKS);
}

/// A warm-up that began within the one before it, between the same looks.
fn continues(last: &Mark, mark: &Mark) -> bool {
    let warm_ups = last.what == MarkKind::WarmUp && mark.what == MarkKind::WarmUp;
    warm_ups && last.after == mark.after && last.at <= mark.at && last.to.is_some_and(|to| to >= mark.at)
}

/// Does what a note says.
pub fn apply(e: &mut Evidence, mark: &Mark) {
    match mark.what {
        MarkKind::PlannedShadow | MarkKind::PlannedCanary => {}
        MarkKind::Canary => {
            mirror_on(e, mark.at);
            states(e, |plan, state| state.enter(plan, Stage::Canary));
        }
        MarkKind::Watch => {
            // It was about the canary.
            e.forecast = None;
            states(e, |plan, state| state.enter(plan, Stage::Watch));
        }
        MarkKind::WatchAgain => states(e, |plan, state| {
            state.enter(plan, Stage::Canary).enter(plan, Stage::Watch).begin_step(mark.at)
        }),
        MarkKind::Step => states(e, |_, state| state.begin_step(mark.at)),
        MarkKind::AbTest => states(e, |plan, state| state.begin_ab_test(plan, mark.at)),
        MarkKind::WarmUp => warm_up(e, mark.at, mark.to),
        MarkKind::ForeignBegins => {
            let from = mark.at - Duration::milliseconds(e.interval_ms);
            e.tests.discarded.push(Discarded { from, to: None, foreign: true, mirror_off: false });
        }
        MarkKind::ForeignEnds => {
            e.tests.discarded.iter_mut().filter(|s| is_open(s)).for_each(|s| s.to = Some(mark.at));
        }
        MarkKind::MirrorOff => {
            e.tests.discarded.push(Discarded { from: mark.at, to: None, foreign: true, mirror_off: true });
        }
        MarkKind::MirrorOn => mirror_on(e, mark.at),
    }
}

fn mirror_on(e: &mut Evidence, at: DateTime<Utc>) {
    e.tests.discarded.iter_mut().filter(|s| s.mirror_off && s.to.is_none()).for_each(|s| s.to = Some(at));
}

/// Somebody else's edit that has not gone.
pub fn is_open(span: &Discarded) -> bool {
    span.foreign && !span.mirror_off && span.to.is_none()
}

fn warm_up(e: &mut Evidence, from: DateTime<Utc>, to: Option<DateTime<Utc>>) {
    let overlaps = |s: &&mut Discarded| !s.foreign && s.from <= from && s.to.is_some_and(|t| t >= from);
    match e.tests.discarded.iter_mut().find(overlaps) {
        Some(open) => open.to = open.to.max(to),
        None => e.tests.discarded.push(Discarded { from, to, foreign: false, mirror_off: false }),
    }
}

fn states(e: &mut Evidence, change: impl Fn(&MetricPlan, &MetricState) -> MetricState) {
    for metric in &mut e.tests.metrics {
        if let Some((plan, state)) = unpack(metric) {
            *metric = moved(metric, &change(&plan, &state));
        }
    }
}
