//! Times that are not judged, and the pods that belong to each arm.

use chrono::{DateTime, Duration, Utc};

use crate::api::{ArmPods, Discarded, Evidence, MarkKind, ModelRolloutSpec, SeenPod, Slot};
use crate::rollout::{Draft, Observed, world};

use super::journal;

/// Pods remembered for each arm; a workload that makes more of them within one attempt forgets its oldest.
const PODS: usize = 100;

/// Time dropped after the start and after each change of the weight: `analysis.warmUp` or twice stable's p99.
pub fn warm_up(d: &Draft<'_>) -> Duration {
    warm_up_of(d.spec(), d.status.evidence.as_ref().map_or(0, |e| e.tail_ms))
}

/// The same where `tail_ms` is [`tail_ms`](super::tail_ms).
pub fn warm_up_of(spec: &ModelRolloutSpec, tail_ms: i64) -> Duration {
    spec.analysis.warm_up.get().max(Duration::milliseconds(tail_ms))
}

/// Drops a time as warm-up.
pub fn discard(d: &mut Draft<'_>, from: DateTime<Utc>, to: DateTime<Utc>) {
    if let Some(e) = &mut d.status.evidence {
        journal::note(e, MarkKind::WarmUp, from, Some(to));
    }
}

/// A foreign edit has been seen: from the last look on nothing is judged, until it has gone.
pub fn foreign_begin(d: &mut Draft<'_>) {
    let now = d.now();
    if let Some(e) = &mut d.status.evidence
        && !e.tests.discarded.iter().any(journal::is_open)
    {
        journal::note(e, MarkKind::ForeignBegins, now, None);
    }
}

/// Somebody moved the share and it is left so: what overlaps the move is dropped, what comes after is judged at the share as
/// it is. While the candidate gets nothing there is nothing to judge.
pub fn foreign_move(d: &mut Draft<'_>, gets_any: bool) {
    foreign_end(d);
    foreign_begin(d);
    if gets_any {
        foreign_end(d);
    }
    let now = d.now();
    let until = now + warm_up(d);
    discard(d, now, until);
    super::share_changed(d);
}

/// The foreign edit has gone.
pub fn foreign_end(d: &mut Draft<'_>) {
    let now = d.now();
    if let Some(e) = &mut d.status.evidence
        && e.tests.discarded.iter().any(journal::is_open)
    {
        journal::note(e, MarkKind::ForeignEnds, now, None);
    }
}

/// The mirror is switched off, or on again: while it is off the candidate gets nothing, which says nothing about it.
pub fn mirror_switched(d: &mut Draft<'_>, on: bool) {
    let now = d.now();
    if let Some(e) = &mut d.status.evidence {
        journal::note(e, if on { MarkKind::MirrorOn } else { MarkKind::MirrorOff }, now, None);
    }
}

/// Forgets what lies before the last look.
pub fn prune(e: &mut Evidence) {
    let done = e.t_k - Duration::milliseconds(e.interval_ms);
    // Tests that are touched are packed anew.
    let over = |s: &Discarded| s.to.is_some_and(|to| to <= done);
    if e.tests.discarded.iter().any(over) {
        e.tests.discarded.retain(|s| !over(s));
    }
}

/// Remembers the arms' pods, by their exact names. What a slot held before the attempt never counts, so for the candidate
/// only pods of its template do.
pub fn remember_pods(d: &mut Draft<'_>) {
    let (stable, candidate) = (world::active_slot(&d.status), d.status.candidate.clone());
    let Some(mut e) = d.status.evidence.take() else { return };
    let before = e.tests.pods.clone();
    let mut pods = before.clone();
    add(&mut pods.stable, d.obs, stable, None);
    if let Some(c) = candidate {
        add(&mut pods.candidate, d.obs, c.slot, Some(&c.template_hash));
    }
    let interval = Duration::milliseconds(e.interval_ms);
    let new: Vec<DateTime<Utc>> = started_since(&before, &pods, e.t0);
    if pods != before {
        e.tests.pods = pods;
    }
    d.status.evidence = Some(e);
    for at in new {
        discard(d, at, at + interval);
    }
}

fn add(seen: &mut Vec<SeenPod>, obs: &Observed, slot: Slot, hash: Option<&str>) {
    let fits = |h: &str| hash.is_none_or(|wanted| wanted == h);
    for pod in obs.pods_of(slot).filter(|p| fits(&p.template_hash)) {
        match seen.iter_mut().find(|s| s.name == pod.name) {
            Some(old) => old.started = old.started.or(pod.started),
            None => seen.push(SeenPod { name: pod.name.clone(), started: pod.started }),
        }
    }
    let excess = seen.len().saturating_sub(PODS);
    seen.drain(..excess);
}

/// Start times that have become known since, of pods that started within the attempt.
fn started_since(before: &ArmPods, after: &ArmPods, t0: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let known = |pods: &ArmPods, name: &str| {
        pods.stable.iter().chain(&pods.candidate).any(|p| p.name == name && p.started.is_some())
    };
    let all = after.stable.iter().chain(&after.candidate);
    all.filter(|p| !known(before, &p.name)).filter_map(|p| p.started).filter(|t| *t > t0).collect()
}
