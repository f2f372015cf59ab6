//! Findings that the user accepts by the annotation `understudy.dev/accept`.

use crate::api::{ModelRollout, keys};

use super::Observed;

/// Whether the user accepts a finding, written `<reason>/<object>`.
pub fn accepted(obs: &Observed, finding: &str) -> bool {
    accepted_by(&obs.rollout, finding)
}

/// The same of a manifest.
pub fn accepted_by(rollout: &ModelRollout, finding: &str) -> bool {
    let annotations = rollout.metadata.annotations.as_ref();
    let text = annotations.and_then(|all| all.get(keys::ACCEPT));
    text.is_some_and(|text| text.split([',', ' ', '\n']).any(|one| one == finding))
}
