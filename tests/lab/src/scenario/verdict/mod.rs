//! What each release came to, from what clients, API server and gateway recorded, and whether every promise was kept.
//! Pure: facts in, table out.

mod restored;
mod row;
mod text;

use chrono::{DateTime, Utc};
use serde::Serialize;
use understudy::api::ModelRollout;

use super::observe::{Body, PodRecord, RouteVersion, Seen, Write};
use crate::load::Report;

pub use restored::Restored;
pub use row::Row;

/// How a release is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// Recognised as what serves, without touching anything.
    Adopted,
    /// Promoted and verified.
    Promoted,
    /// Taken back for one of these causes: names of metrics, or reasons such as `CandidateSilent`.
    RolledBack {
        /// The causes that fit the version's fault.
        by: Vec<String>,
    },
}

/// One release, from the moment the version was named until the rollout came to rest.
#[derive(Clone, Debug)]
pub struct Release {
    /// The version.
    pub version: String,
    /// How it behaves, in a few words.
    pub what: String,
    /// How it is to end.
    pub expect: Expect,
    /// When it was named in the ModelRollout.
    pub began: DateTime<Utc>,
    /// When the rollout had come to rest, or was given up on.
    pub ended: DateTime<Utc>,
    /// Failed requests in that time that no bad version caused.
    pub outside: u64,
}

/// Everything that was recorded.
pub struct Facts<'a> {
    /// The releases, in order.
    pub releases: &'a [Release],
    /// The route before anybody adopted it.
    pub user_route: &'a Body,
    /// Every version of the route.
    pub route: &'a [Seen<RouteVersion>],
    /// Every version of the ModelRollout.
    pub rollout: &'a [Seen<ModelRollout>],
    /// Every pod.
    pub pods: &'a [PodRecord],
    /// The operator's writes of the route, by the audit log.
    pub writes: &'a [Write],
    /// What the clients saw, attributed by the gateway's log.
    pub report: &'a Report,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// One row a release.
    pub rows: Vec<Row>,
    /// Requests that clients sent in all.
    pub requests: u64,
    /// Of them failed, by whosever doing.
    pub failures: u64,
    /// Of them failed by nobody's doing but ours.
    pub outside: u64,
    /// How late a request was sent at worst: how busy the machine was with other things, milliseconds.
    pub worst_lag_millis: f64,
    /// The first of the failures that were by nobody's doing but ours.
    pub samples: Vec<String>,
    /// What was not as promised, in sentences. Empty: all was.
    pub wrong: Vec<String>,
}

/// Judges the facts.
pub fn judge(facts: &Facts<'_>) -> Table {
    let rows: Vec<Row> = facts.releases.iter().map(|release| row::of(facts, release)).collect();
    let report = facts.report;
    let mut wrong: Vec<String> = rows.iter().flat_map(Row::wrong).collect();
    let whole = [
        (report.outside, "requests failed that no bad version caused"),
        (report.mismatched, "answers named another version than their pod serves"),
        (report.not_in_log, "requests reached the gateway and are not in its log"),
    ];
    for (count, what) in whole.into_iter().filter(|(count, _)| *count > 0) {
        wrong.push(format!("{count} {what}"));
    }
    if report.requests == 0 {
        wrong.push("no client sent a request".to_owned());
    }
    let samples = report.outside_samples.iter().take(5).map(ToString::to_string).collect();
    let (requests, failures, outside) = (report.requests, report.failures, report.outside);
    Table { rows, requests, failures, outside, worst_lag_millis: report.worst_lag_millis, samples, wrong }
}

#[cfg(test)]
mod tests;
