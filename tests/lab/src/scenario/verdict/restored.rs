//! From the deciding look to the route at stable: by the operator's word, and by two that do not depend on it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use understudy::api::LastRollback;

use super::{Facts, Release};

/// The promise: under a second.
const PROMISED_MILLIS: f64 = 1000.0;

/// Milliseconds from the decision, by three accounts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// By the operator's status: decided to written.
    pub by_status: Option<f64>,
    /// Until the API server had answered the first write of the route after it, by its audit log.
    pub by_audit: Option<f64>,
    /// Until a watch of the route delivered it without the candidate.
    pub by_watch: Option<f64>,
}

pub(super) fn of(facts: &Facts<'_>, release: &Release, last: &LastRollback) -> Restored {
    let decided = last.decided_at;
    let since = |at: DateTime<Utc>| (at - decided).as_seconds_f64() * 1000.0;
    // Status may keep whole milliseconds only.
    let after = |at: DateTime<Utc>| at >= decided - TimeDelta::milliseconds(1) && at <= release.ended;
    let write = facts.writes.iter().find(|write| after(write.answered));
    let clean = facts.route.iter().find(|seen| {
        let share = seen.object.share;
        after(seen.at) && share.candidate == 0 && !share.mirrored
    });
    Restored {
        by_status: last.route_written_at.map(since),
        by_audit: write.map(|write| since(write.answered)),
        by_watch: clean.map(|seen| since(seen.at)),
    }
}

impl Restored {
    pub(super) fn wrong(&self) -> Vec<String> {
        let accounts = [("the audit log", self.by_audit), ("a watch of the route", self.by_watch)];
        let judge = |(account, millis): (&str, Option<f64>)| match millis {
            Some(millis) if millis < PROMISED_MILLIS => None,
            Some(millis) => Some(format!("the route was restored after {millis:.0} ms by {account}")),
            None => Some(format!("{account} has no restored route")),
        };
        accounts.into_iter().filter_map(judge).collect()
    }
}
