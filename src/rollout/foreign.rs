//! The share as decided against the share as found: what may raise it, and what is done about somebody else's edits.

use chrono::{DateTime, Duration, Utc};

use crate::api::{Overridden, RouteConflict};

use super::{Draft, evidence};

/// Pause between two corrections of a foreign raise.
const CORRECT_EVERY: Duration = Duration::seconds(2);
/// The same, after five corrections within a minute.
const CORRECT_SLOWLY: Duration = Duration::seconds(10);
/// A raise that was decided longer ago and not carried out (the controller died in between) is looked at afresh.
const STALE_INTENT: Duration = Duration::seconds(5);

/// How the share stands to what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As decided.
    AsDecided,
    /// A write is under way.
    Writing,
    /// Somebody took traffic from the candidate; it is left so.
    Overridden,
    /// Somebody gave the candidate more; it is being corrected.
    Conflict,
    /// There is no object to write it to.
    Missing,
}

/// Where somebody moved the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// On the route.
    Route,
    /// On the Service's selector.
    Selector,
}

impl On {
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Route => ("on the route", "RouteOverridden", "RouteCorrected", "RouteConflict"),
            Self::Selector => {
                ("by the Service's selector", "SelectorOverridden", "SelectorCorrected", "SelectorConflict")
            }
        }
    }
}

/// Somebody else's edit of the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The field manager that wrote last.
    pub writer: String,
    /// Percent that the candidate has by it.
    pub percent: i32,
    /// Percent that is mirrored by it, and that was decided, where only that differs.
    pub mirror: Option<(i32, i32)>,
    /// The share is as decided, but the sessions of an A/B test no longer stick to their version.
    pub unstuck: bool,
    /// Where.
    pub on: On,
}

impl Edit {
    /// What was set, and what was decided where `share` was.
    fn in_words(&self, share: i32) -> (String, i32) {
        match self.mirror {
            Some((found, decided)) => (format!("the mirror to {found} %"), decided),
            None if self.unstuck => (
                format!("the candidate to {} % without the rules for the A/B test's sessions", self.percent),
                share,
            ),
            None => (format!("the candidate to {} %", self.percent), share),
        }
    }
}

/// Whether what was decided may still be carried out on that word alone: it is recent, or this pass brought new evidence.
pub fn is_fresh(d: &Draft<'_>, looked: bool) -> bool {
    let decided = d.status.step.as_ref().map_or(d.now(), |s| s.set_at);
    looked || d.now() - decided <= STALE_INTENT
}

/// Whether a decided raise may be written now; if not, what holds it is said.
pub fn may_raise(d: &mut Draft<'_>, looked: bool) -> bool {
    if !is_fresh(d, looked) {
        d.hold("EvaluatingFirst", "a raise was decided before an interruption; a fresh look comes first");
        return false;
    }
    if d.obs.watch_failing.is_some() {
        // Which pods are ready is not known; the hold is said where it begins.
        return false;
    }
    if evidence::candidate_endpoints(d) == 0 {
        d.hold("CandidateNotReady", "no pod of the candidate is ready; its share is not raised");
        return false;
    }
    true
}

/// Less than decided: kept. Only a person's Resume goes up again, by `write`.
pub fn less(d: &mut Draft<'_>, edit: &Edit, gets_any: bool, write: impl FnOnce(&mut Draft<'_>)) -> Kept {
    let now = d.now();
    if d.status.overridden.as_ref().is_some_and(|o| o.resumed) {
        evidence::foreign_end(d);
        d.status.overridden = None;
        if let Some(s) = &mut d.status.step {
            s.written = false;
            s.set_at = now;
        }
        evidence::share_changed(d);
        write(d);
        return Kept::Writing;
    }
    let (place, reason, _, _) = edit.on.words();
    let Edit { writer, percent, .. } = edit;
    if d.status.overridden.as_ref().is_none_or(|o| o.weight != *percent || o.writer != *writer) {
        // Evidence goes on at the share that is left; only the clocks stop.
        evidence::foreign_move(d, gets_any);
        let decided = d.status.step.as_ref().map_or(0, |s| s.set);
        let (what, decided) = edit.in_words(decided);
        let message = format!(
            "{writer} set {what} {place} where {decided} % was decided; it stays so until a Resume decision"
        );
        d.event(true, reason, message);
        let since = d.status.overridden.as_ref().map_or(now, |o| o.since);
        d.status.overridden =
            Some(Overridden { writer: writer.clone(), since, weight: *percent, resumed: false });
    }
    d.hold(reason, format!("{writer} took traffic from the candidate; create a Resume decision to go on"));
    Kept::Overridden
}

/// More than decided: corrected every time by `write`, at most once in two seconds, and never read as progress.
pub fn more(d: &mut Draft<'_>, edit: &Edit, write: impl FnOnce(&mut Draft<'_>)) -> Kept {
    let now = d.now();
    let (place, _, corrected, reason) = edit.on.words();
    let writer = &edit.writer;
    evidence::foreign_begin(d);
    let mut conflict = d
        .status
        .conflict
        .clone()
        .unwrap_or(RouteConflict { writer: writer.clone(), corrections: Vec::new() });
    conflict.corrections.retain(|t| now - *t < Duration::minutes(1));
    let pause = if conflict.corrections.len() >= 5 { CORRECT_SLOWLY } else { CORRECT_EVERY };
    let due = conflict.corrections.last().map_or(now, |t| *t + pause);
    if now < due {
        d.wake_at(due);
    } else {
        let (what, _) = edit.in_words(0);
        d.event(true, corrected, format!("{writer} set {what} {place}; it is put back"));
        conflict.corrections.push(now);
        write(d);
    }
    conflict.writer.clone_from(writer);
    d.status.conflict = Some(conflict);
    d.hold(reason, format!("{writer} gives the candidate more than was decided; it is corrected each time"));
    Kept::Conflict
}

/// The share is as decided: a foreign edit, if there was one, has gone.
pub fn gone(d: &mut Draft<'_>) {
    evidence::foreign_end(d);
    if d.status.overridden.take().is_some() {
        evidence::foreign_move(d, true);
    }
    let now = d.now();
    if let Some(c) = &mut d.status.conflict {
        c.corrections.retain(|t| now - *t < Duration::minutes(1));
        if c.corrections.is_empty() {
            d.status.conflict = None;
        }
    }
}

/// Whether what is read may be from before a write of ours: the decision before this one was never read back. Only a later pass,
/// which has seen this decision, can tell whether the share is as decided now or was so before that write.
pub fn may_be_older(d: &Draft<'_>) -> bool {
    let before = d.obs.rollout.status.as_ref().and_then(|status| status.step.as_ref());
    let now = d.status.step.as_ref().map(|step| step.set);
    before.is_some_and(|before| !before.written && Some(before.set) != now)
}

/// What was decided is read back: from now on less than that is somebody else's edit.
pub fn arrived(d: &mut Draft<'_>) {
    let now = d.now();
    let until = now + evidence::warm_up(d);
    let decided = d.status.step.as_ref().map_or(now, |s| s.set_at);
    evidence::discard(d, decided, until);
    // Between the decision and the write the operator may have been away: the split is what it is from now on.
    evidence::share_changed(d);
    if let Some(s) = &mut d.status.step {
        s.written = true;
    }
    gone(d);
}

/// Two foreign raises within a minute: no advance while that lasts. True when it is so.
pub fn contested(d: &mut Draft<'_>, on: On) -> bool {
    let Some(until) = contested_until(d) else { return false };
    let (what, reason) = match on {
        On::Route => ("the route", "RouteConflict"),
        On::Selector => ("the Service's selector", "SelectorConflict"),
    };
    d.hold(reason, format!("somebody else keeps changing {what}; no advance while that lasts"));
    d.wake_at(until);
    true
}

fn contested_until(d: &Draft<'_>) -> Option<DateTime<Utc>> {
    let c = d.status.conflict.as_ref().filter(|c| c.corrections.len() >= 2)?;
    c.corrections.last().map(|t| *t + Duration::minutes(1))
}
