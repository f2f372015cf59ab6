//! Where a version stands. Derived from the rollouts that name it, never set by hand.

use chrono::{DateTime, Utc};

use crate::api::{HistoryEntry, ModelRollout, ModelRolloutStatus, Phase, Stage, UsedBy};

/// What a rollout says about versions.
#[derive(Clone, Debug)]
pub struct RolloutView<'a> {
    /// Name of the ModelRollout.
    pub name: &'a str,
    /// Logical name of its model.
    pub model: &'a str,
    /// Its environment.
    pub environment: &'a str,
    /// Its status; a rollout that has none yet uses nothing.
    pub status: &'a ModelRolloutStatus,
}

impl<'a> RolloutView<'a> {
    /// The view of a rollout that has a status.
    pub fn of(rollout: &'a ModelRollout) -> Option<Self> {
        Some(Self {
            name: rollout.metadata.name.as_deref()?,
            model: &rollout.spec.model,
            environment: &rollout.spec.environment,
            status: rollout.status.as_ref()?,
        })
    }

    /// Both say the same of every version: all that stages are derived from is equal.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let (a, b) = (self.status, other.status);
        let serves = |status: &ModelRolloutStatus| status.weights.is_some_and(|w| w.candidate != 0);
        (self.model, self.environment, a.phase) == (other.model, other.environment, b.phase)
            && (&a.active, &a.candidate, serves(a)) == (&b.active, &b.candidate, serves(b))
            && (&a.history, &a.rejected) == (&b.history, &b.rejected)
    }
}

/// A version as rollouts name it.
#[derive(Clone, Copy, Debug)]
pub struct VersionId<'a> {
    /// Logical name of the model.
    pub model: &'a str,
    /// The version.
    pub version: &'a str,
    /// Digest of its bundle. A rollout that ran other content under the same name did not run this version.
    pub digest: &'a str,
}

impl VersionId<'_> {
    /// History has the first digits of a digest only; nothing is known where there is none.
    fn is(&self, version: &str, digest: &str) -> bool {
        self.version == version && (self.digest.is_empty() || self.digest.starts_with(digest))
    }
}

/// Where a version stands, and which rollouts use it: furthest first, then by name.
///
/// The furthest use counts. Used nowhere, it is Deprecated when a rollout had it active, Rejected when a rollout turned
/// it down, else Staging.
pub fn stage(id: VersionId<'_>, rollouts: &[RolloutView<'_>]) -> (Stage, Vec<UsedBy>) {
    let ours = || rollouts.iter().filter(|r| r.model == id.model);
    let mut uses: Vec<UsedBy> = ours().filter_map(|r| used_by(id, r)).collect();
    uses.sort_by(|a, b| b.stage.cmp(&a.stage).then_with(|| a.rollout.cmp(&b.rollout)));
    let past = || ours().filter_map(|r| past_stage(id, r.status)).max();
    let stage = uses.first().map(|u| u.stage).or_else(past).unwrap_or(Stage::Staging);
    (stage, uses)
}

fn used_by(id: VersionId<'_>, rollout: &RolloutView<'_>) -> Option<UsedBy> {
    let (stage, since) = active(id, rollout.status).or_else(|| candidate(id, rollout.status))?;
    Some(UsedBy {
        rollout: rollout.name.to_owned(),
        environment: rollout.environment.to_owned(),
        stage,
        since,
    })
}

fn active(id: VersionId<'_>, status: &ModelRolloutStatus) -> Option<(Stage, DateTime<Utc>)> {
    status.active.as_ref().filter(|a| id.is(&a.version, &a.bundle_digest)).map(|a| (Stage::Active, a.since))
}

fn candidate(id: VersionId<'_>, status: &ModelRolloutStatus) -> Option<(Stage, DateTime<Utc>)> {
    let candidate = status.candidate.as_ref().filter(|c| id.is(&c.version, &c.bundle_digest))?;
    let phase = status.phase?;
    let stage = stage_in(phase)?;
    let leaving = matches!(phase, Phase::RollingBack | Phase::Deleting);
    if leaving && status.weights.is_none_or(|w| w.candidate == 0) {
        return None;
    }
    // The first of the last entries that are of this stage: a stage may have steps, each with an entry of its own.
    let of_version = status.history.iter().rev().filter(|h| id.is(&h.version, &h.bundle_digest));
    let entered = of_version.take_while(|h| phase_of(h).and_then(stage_in) == Some(stage)).last();
    Some((stage, entered.map_or(candidate.since, |h| h.at)))
}

/// The stage of a candidate in that phase.
fn stage_in(phase: Phase) -> Option<Stage> {
    match phase {
        Phase::Pending | Phase::Preparing => Some(Stage::Staging),
        Phase::Shadow => Some(Stage::Shadow),
        // On its way out it still has what the route gives it.
        Phase::Canary | Phase::RollingBack | Phase::Deleting => Some(Stage::Canary),
        // Until `status.active` has changed, the version is not verified and the way back is open.
        Phase::Watching | Phase::Settling => Some(Stage::Watching),
        Phase::Active | Phase::RolledBack => None,
    }
}

/// The phase that an entry of history leads to: it is written as `Canary(1)` or `Settling(route)` where a phase has steps.
fn phase_of(entry: &HistoryEntry) -> Option<Phase> {
    let word = entry.to.split('(').next().unwrap_or_default();
    serde_json::from_value(word.into()).ok()
}

/// What a rollout that no longer uses the version did with it. A rejection after it was active is the last word.
fn past_stage(id: VersionId<'_>, status: &ModelRolloutStatus) -> Option<Stage> {
    // A rejected template says nothing about the version in it.
    let rejected = status
        .rejected
        .iter()
        .any(|r| r.template_hash.is_none() && !r.retried && id.is(&r.version, &r.bundle_digest));
    let was_active = status
        .history
        .iter()
        .any(|h| phase_of(h) == Some(Phase::Active) && id.is(&h.version, &h.bundle_digest));
    match (rejected, was_active) {
        (true, _) => Some(Stage::Rejected),
        (false, true) => Some(Stage::Deprecated),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ID: VersionId<'static> = VersionId { model: "m", version: "2.0.0", digest: "sha256:two" };
    const AT: &str = "2026-11-01T00:00:00Z";

    fn stage_of(statuses: &[Value]) -> (Stage, Vec<UsedBy>) {
        let read: Vec<ModelRolloutStatus> =
            statuses.iter().map(|s| serde_json::from_value(s.clone()).unwrap()).collect();
        let names = ["r0", "r1", "r2"];
        let views: Vec<_> = read
            .iter()
            .zip(names)
            .map(|(status, name)| RolloutView { name, model: "m", environment: "production", status })
            .collect();
        stage(ID, &views)
    }

    fn candidate(phase: &str, weight: i32) -> Value {
        json!({
            "phase": phase,
            "weights": {"stable": 100 - weight, "candidate": weight},
            "candidate": {"version": "2.0.0", "bundleDigest": "sha256:two", "slot": "a", "templateHash": "t",
                          "planHash": "p", "attempt": 1, "since": AT},
        })
    }

    fn active(version: &str) -> Value {
        json!({"phase": "Active", "active": {"version": version, "slot": "a", "templateHash": "t", "since": AT}})
    }

    fn past(version: &str, to: &str) -> Value {
        json!([{"id": "i", "at": AT, "from": "x", "to": to, "version": version, "reason": "R"}])
    }

    #[test]
    fn the_stage_follows_the_phase_of_the_candidate() {
        let expected = [
            ("Pending", 0, Stage::Staging),
            ("Preparing", 0, Stage::Staging),
            ("Shadow", 0, Stage::Shadow),
            ("Canary", 5, Stage::Canary),
            ("Watching", 99, Stage::Watching),
            ("Settling", 100, Stage::Watching),
            ("RollingBack", 5, Stage::Canary),
            ("RollingBack", 0, Stage::Staging),
            ("Deleting", 5, Stage::Canary),
        ];
        for (phase, weight, stage) in expected {
            assert_eq!(stage_of(&[candidate(phase, weight)]).0, stage, "{phase} at {weight}");
        }
    }

    #[test]
    fn the_furthest_use_counts_and_all_are_listed() {
        let (stage, uses) = stage_of(&[candidate("Canary", 5), active("2.0.0"), active("1.0.0")]);
        assert_eq!(stage, Stage::Active);
        assert_eq!(uses.iter().map(|u| u.rollout.as_str()).collect::<Vec<_>>(), ["r1", "r0"]);
    }

    #[test]
    fn other_content_under_the_same_name_is_another_version() {
        let mut other = candidate("Canary", 5);
        other["candidate"]["bundleDigest"] = "sha256:other".into();
        assert_eq!(stage_of(&[other]), (Stage::Staging, vec![]));
    }

    #[test]
    fn history_tells_content_apart_by_the_first_digits() {
        let mut status = active("3.0.0");
        status["history"] = past("2.0.0", "Active");
        for (digest, stage) in [("sha256:tw", Stage::Deprecated), ("sha256:ot", Stage::Staging)] {
            status["history"][0]["bundleDigest"] = digest.into();
            assert_eq!(stage_of(&[status.clone()]).0, stage, "{digest}");
        }
    }

    #[test]
    fn a_version_that_another_replaced_is_deprecated() {
        let mut status = active("3.0.0");
        status["history"] = past("2.0.0", "Active");
        assert_eq!(stage_of(&[status]).0, Stage::Deprecated);
    }

    #[test]
    fn a_rejection_is_the_last_word_of_its_rollout_until_retried() {
        let mut status = active("1.0.0");
        status["history"] = past("2.0.0", "Active");
        status["rejected"] =
            json!([{"version": "2.0.0", "bundleDigest": "sha256:two", "reason": "Errors", "at": AT}]);
        assert_eq!(stage_of(&[status.clone()]).0, Stage::Rejected);
        assert_eq!(stage_of(&[status.clone(), active("2.0.0")]).0, Stage::Active);
        status["rejected"][0]["retried"] = true.into();
        assert_eq!(stage_of(&[status]).0, Stage::Deprecated);
    }

    #[test]
    fn a_rejected_template_says_nothing_about_the_version() {
        let mut status = active("1.0.0");
        status["rejected"] = json!([{"version": "2.0.0", "templateHash": "t", "reason": "Errors", "at": AT}]);
        assert_eq!(stage_of(&[status]).0, Stage::Staging);
    }

    #[test]
    fn the_stage_is_since_it_was_entered() {
        let mut status = candidate("Canary", 5);
        assert_eq!(stage_of(&[status.clone()]).1[0].since.to_rfc3339(), "2026-11-01T00:00:00+00:00");
        // As the controller writes it; a first attempt went before.
        let entered = ["Canary(0)", "RollingBack", "RolledBack", "Preparing", "Canary(0)", "Canary(1)"];
        status["history"] = history(&entered);
        assert_eq!(stage_of(&[status.clone()]).1[0].since.to_rfc3339(), "2026-11-05T00:00:00+00:00");
        status["phase"] = "Settling".into();
        status["history"] = history(&["Canary(0)", "Watching", "Settling", "Settling(route)"]);
        let used = &stage_of(&[status]).1[0];
        assert_eq!(
            (used.stage, used.since.to_rfc3339()),
            (Stage::Watching, "2026-11-02T00:00:00+00:00".into())
        );
    }

    /// Entries on successive days.
    fn history(to: &[&str]) -> Value {
        let entry = |(i, to): (usize, &&str)| {
            json!({"id": "i", "at": format!("2026-11-{:02}T00:00:00Z", i + 1), "from": "x", "to": to,
                   "version": "2.0.0", "bundleDigest": "sha256:two", "reason": "R"})
        };
        to.iter().enumerate().map(entry).collect()
    }
}
