//! One release.

use chrono::{DateTime, Utc};
use serde::Serialize;
use understudy::api::{ModelRolloutStatus, Phase};

use super::restored::{self, Restored};
use super::{Expect, Facts, Release};

/// What one release came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The version.
    pub version: String,
    /// How it behaves.
    pub what: String,
    /// `adopted`, `promoted`, `rolled back` or `unfinished`.
    pub outcome: String,
    /// What caught it: a metric's name or a reason.
    pub caught_by: Option<String>,
    /// The stage in which it was caught.
    pub stage: Option<String>,
    /// Why, with the numbers, as the operator says.
    pub why: String,
    /// From naming the version to rest, seconds.
    pub seconds: f64,
    /// Requests of clients that the version served.
    pub served: u64,
    /// Of them failed, wrong or slow: what the clients had from it.
    pub bad: u64,
    /// From the first to the last of these, seconds.
    pub bad_seconds: Option<f64>,
    /// From the decision to the route at stable.
    pub restored: Option<Restored>,
    /// Failed requests in that time that no bad version caused. Must be 0.
    pub outside: u64,
    /// Pods of the version that serves that ended, restarted or were made anew. Must be 0.
    pub restarts: u64,
    /// Parts of the route at rest that are not as the user wrote them. Must be empty.
    pub route_differs: Vec<&'static str>,
    #[serde(skip)]
    expect: Expect,
}

pub(super) fn of(facts: &Facts<'_>, release: &Release) -> Row {
    let status = status_at(facts, release.ended);
    let served = facts.report.versions.get(&release.version);
    let (outcome, promoted_at) = outcome(facts, release, &status);
    let rollback = status.last_rollback.as_ref().filter(|last| last.version == release.version);
    let back = status.history.iter().rev().find(|e| e.version == release.version && e.to == "RollingBack");
    let message = back.map(|entry| entry.message.clone()).unwrap_or_default();
    let (of_version, since) = match (&release.expect, promoted_at) {
        (Expect::Adopted, _) => (release.version.clone(), release.began),
        (Expect::Promoted, at) => (release.version.clone(), at.unwrap_or(release.began)),
        (Expect::RolledBack { .. }, _) => (active(&status), release.began),
    };
    let is_bad = matches!(release.expect, Expect::RolledBack { .. });
    Row {
        version: release.version.clone(),
        what: release.what.clone(),
        caught_by: back.map(|entry| cause(&entry.reason, &entry.message)),
        stage: back.map(|entry| entry.from.clone()),
        why: if outcome == "rolled back" { message } else { reason(&status, release) },
        outcome,
        seconds: (release.ended - release.began).as_seconds_f64(),
        served: served.map_or(0, |served| served.requests),
        bad: served.filter(|_| is_bad).map_or(0, |served| served.bad.count),
        bad_seconds: served.filter(|_| is_bad).and_then(|served| served.bad.seconds()),
        restored: rollback.map(|last| restored::of(facts, release, last)),
        outside: release.outside,
        restarts: restarts(facts, &of_version, since, release.ended),
        route_differs: route_differs(facts, release.ended),
        expect: release.expect.clone(),
    }
}

impl Row {
    /// What of it is not as promised, in sentences.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let expected = match &self.expect {
            Expect::Adopted => "adopted",
            Expect::Promoted => "promoted",
            Expect::RolledBack { .. } => "rolled back",
        };
        if self.outcome != expected {
            wrong.push(format!("it is {}, not {expected}: {}", self.outcome, self.why));
        }
        if let (Expect::RolledBack { by }, Some(cause)) = (&self.expect, &self.caught_by)
            && !by.contains(cause)
        {
            wrong.push(format!("it was caught by {cause}, not by its own fault ({})", by.join(" or ")));
        }
        wrong.extend(self.restored.iter().flat_map(Restored::wrong));
        if matches!(self.expect, Expect::RolledBack { .. }) && self.restored.is_none() {
            wrong.push("no rollback of it is on record".to_owned());
        }
        if self.outside > 0 {
            wrong.push(format!("{} requests failed that no bad version caused", self.outside));
        }
        if self.restarts > 0 {
            wrong.push(format!("{} pods of the version that serves ended or were started", self.restarts));
        }
        if !self.route_differs.is_empty() {
            wrong.push(format!(
                "the route at rest is not the user's: {} differ",
                self.route_differs.join(", ")
            ));
        }
        wrong.into_iter().map(|text| format!("{}: {text}", self.version)).collect()
    }
}

/// The last status seen up to a moment.
fn status_at(facts: &Facts<'_>, at: DateTime<Utc>) -> ModelRolloutStatus {
    let seen = facts.rollout.iter().rev().find(|seen| seen.at <= at);
    seen.and_then(|seen| seen.object.status.clone()).unwrap_or_default()
}

/// How it ended, and when it was promoted.
fn outcome(
    facts: &Facts<'_>,
    release: &Release,
    status: &ModelRolloutStatus,
) -> (String, Option<DateTime<Utc>>) {
    let is_active = active(status) == release.version && status.phase == Some(Phase::Active);
    let within = facts.rollout.iter().filter(|seen| seen.at >= release.began && seen.at <= release.ended);
    let watching = within.filter_map(|seen| Some((seen.at, seen.object.status.as_ref()?.phase?)));
    let promoted = watching.into_iter().find(|(_, phase)| *phase == Phase::Watching).map(|(at, _)| at);
    let rejected = status.rejected.iter().any(|rejected| rejected.version == release.version);
    let word = match (is_active, promoted, rejected) {
        (true, Some(_), _) => "promoted",
        (true, None, _) => "adopted",
        (false, _, true) if status.phase == Some(Phase::RolledBack) => "rolled back",
        (false, _, _) => "unfinished",
    };
    (word.to_owned(), promoted)
}

fn active(status: &ModelRolloutStatus) -> String {
    status.active.as_ref().map(|active| active.version.clone()).unwrap_or_default()
}

/// A metric's breach names the metric first; other reasons speak for themselves.
fn cause(reason: &str, message: &str) -> String {
    if reason != "MetricBreach" {
        return reason.to_owned();
    }
    message.split([':', ' ']).next().unwrap_or_default().to_owned()
}

/// Why a version is where it is, when it was not taken back.
fn reason(status: &ModelRolloutStatus, release: &Release) -> String {
    let promotion = status.history.iter().rev().find(|e| e.version == release.version && e.to == "Watching");
    promotion.map_or_else(|| status.message.clone(), |entry| entry.message.clone())
}

/// Pods of a version that ended, restarted or were made anew in a time in which it served throughout.
fn restarts(facts: &Facts<'_>, version: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    let within = |at: &DateTime<Utc>| *at > from && *at <= to;
    let of_pod = |pod: &crate::scenario::observe::PodRecord| {
        let restarts = pod.restarts.iter().filter(|at| within(at)).count() as u64;
        restarts + u64::from(pod.deleting.as_ref().is_some_and(within)) + u64::from(within(&pod.seen))
    };
    facts.pods.iter().filter(|pod| pod.version == version).map(of_pod).sum()
}

fn route_differs(facts: &Facts<'_>, at: DateTime<Utc>) -> Vec<&'static str> {
    let seen = facts.route.iter().rev().find(|seen| seen.at <= at);
    seen.map_or_else(|| vec!["existence"], |seen| facts.user_route.differs(&seen.object.body))
}
