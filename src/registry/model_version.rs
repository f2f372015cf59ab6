//! The status of a `ModelVersion`: its identity, where it stands and who uses it.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};

use super::bundle;
use super::lifecycle::{RolloutView, VersionId, stage};
use crate::api::condition::{self, ConditionType, Finding};
use crate::api::{ModelRollout, ModelVersion, ModelVersionStatus, Stage, UsedBy};

/// Most uses that are listed; status is bounded.
const USES_LIMIT: usize = 100;

/// The status that a `ModelVersion` should have. Equal to the present one when nothing has changed, so that nothing is
/// written then.
///
/// `rollouts` may be of any namespace and model; those that cannot use this version are left aside.
pub fn status(
    mv: &ModelVersion,
    rollouts: &[impl Borrow<ModelRollout>],
    now: DateTime<Utc>,
) -> ModelVersionStatus {
    let before = mv.status.clone().unwrap_or_default();
    let digest = bundle::digest(&mv.spec);
    let views: Vec<RolloutView<'_>> = rollouts
        .iter()
        .map(Borrow::borrow)
        .filter(|r| r.metadata.namespace == mv.metadata.namespace)
        .filter_map(RolloutView::of)
        .collect();
    let id = VersionId { model: &mv.spec.model, version: &mv.spec.version, digest: &digest };
    let (derived, mut used_by) = stage(id, &views);
    let stage = remembered(derived, before.stage);
    let finding = ready(before.bundle_digest.as_deref(), &digest, stage, &used_by);
    used_by.truncate(USES_LIMIT);

    let mut conditions = before.conditions;
    condition::set(&mut conditions, ConditionType::Ready, finding, mv.metadata.generation, now);
    ModelVersionStatus {
        bundle_digest: Some(before.bundle_digest.unwrap_or(digest)),
        stage: Some(stage),
        used_by,
        observed_generation: mv.metadata.generation,
        conditions,
    }
}

/// A version that was active stays Deprecated when the rollout that knew it is gone or its history has rolled over.
fn remembered(derived: Stage, before: Option<Stage>) -> Stage {
    match (derived, before) {
        (Stage::Staging, Some(Stage::Active | Stage::Deprecated)) => Stage::Deprecated,
        (derived, _) => derived,
    }
}

/// The registered digest stays: content that changed under the same object must not pass for it.
fn ready(registered: Option<&str>, digest: &str, stage: Stage, used_by: &[UsedBy]) -> Finding {
    match registered {
        Some(registered) if registered != digest => Finding::no(
            "BundleChanged",
            format!(
                "the bundle was registered as {registered} and is now {digest}: the spec was changed past the API's \
                 rules. Delete this object and register the content as a new version"
            ),
        ),
        Some(_) | None => Finding::yes("Registered", in_words(stage, used_by)),
    }
}

fn in_words(stage: Stage, used_by: &[UsedBy]) -> String {
    match (used_by, stage) {
        ([], Stage::Rejected) => "registered; turned down, and used by no rollout".to_owned(),
        ([], Stage::Deprecated) => "registered; was active, and is used by no rollout now".to_owned(),
        ([], _) => "registered; no rollout uses it yet".to_owned(),
        ([only], _) => {
            format!("registered; {:?} in {} (rollout {})", only.stage, only.environment, only.rollout)
        }
        ([first, rest @ ..], _) => format!(
            "registered; {:?} in {} (rollout {}), and used by {} more",
            first.stage,
            first.environment,
            first.rollout,
            rest.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn version() -> ModelVersion {
        serde_json::from_value(json!({
            "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelVersion",
            "metadata": {"name": "m-1.0.0", "namespace": "ns", "generation": 1},
            "spec": {"model": "m", "version": "1.0.0", "weights": {"artifact": {"uri": "s3://b/m", "digest": "sha256:aa"}}},
        }))
        .unwrap()
    }

    const NONE: [ModelRollout; 0] = [];

    fn rollout(namespace: &str, status: Value) -> ModelRollout {
        serde_json::from_value(json!({
            "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout",
            "metadata": {"name": "r", "namespace": namespace},
            "spec": {"model": "m", "version": "1.0.0", "environment": "production", "workload": {"deployment": "d"},
                     "traffic": {"service": "s", "gatewayAPI": {"httpRoute": "h"}}},
            "status": status,
        }))
        .unwrap()
    }

    fn serving() -> Value {
        json!({"phase": "Active", "active": {"version": "1.0.0", "slot": "a", "templateHash": "t", "since": at(5)}})
    }

    #[test]
    fn a_new_version_is_registered_and_staging() {
        let status = status(&version(), &NONE, at(0));
        assert_eq!(status.stage, Some(Stage::Staging));
        assert_eq!(status.bundle_digest, Some(bundle::digest(&version().spec)));
        assert_eq!(status.observed_generation, Some(1));
        let ready = condition::get(&status.conditions, ConditionType::Ready).unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "Registered"));
    }

    #[test]
    fn a_second_look_changes_nothing() {
        let mut mv = version();
        let rollouts = [rollout("ns", serving())];
        let first = status(&mv, &rollouts, at(10));
        mv.status = Some(first.clone());
        assert_eq!(status(&mv, &rollouts, at(9_999)), first);
        assert_eq!(first.stage, Some(Stage::Active));
        assert_eq!(first.used_by[0].since, at(5));
    }

    #[test]
    fn rollouts_of_other_namespaces_use_other_versions() {
        assert_eq!(status(&version(), &[rollout("elsewhere", serving())], at(0)).stage, Some(Stage::Staging));
    }

    #[test]
    fn what_was_active_is_deprecated_even_when_its_rollout_is_gone() {
        let mut mv = version();
        mv.status = Some(status(&mv, &[rollout("ns", serving())], at(0)));
        mv.status = Some(status(&mv, &NONE, at(1)));
        assert_eq!(status(&mv, &NONE, at(2)).stage, Some(Stage::Deprecated));
    }

    #[test]
    fn content_that_changed_under_the_same_object_is_not_ready_and_stays_so() {
        let mut mv = version();
        mv.status = Some(status(&mv, &NONE, at(0)));
        let registered = mv.status.clone().unwrap().bundle_digest;
        mv.spec.weights.artifact.as_mut().unwrap().digest = "sha256:bb".into();
        for second in 1..3 {
            let next = status(&mv, &NONE, at(second));
            assert_eq!(next.bundle_digest, registered);
            let ready = condition::get(&next.conditions, ConditionType::Ready).unwrap();
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "BundleChanged"));
            mv.status = Some(next);
        }
    }
}
