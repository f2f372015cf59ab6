//! The demo's manifests, filled in.

use anyhow::Result;

use crate::models::Models;

/// Namespace, Deployment, Service and HTTPRoute of the user on day one.
const SERVING: &str = include_str!("../../demo/serving.yaml");
/// The ModelRollout, at 1.0.0.
const ROLLOUT: &str = include_str!("../../demo/rollout.yaml");
/// The operator's namespace and rights, as a user installs them.
pub(super) const OPERATOR: [&str; 2] =
    [include_str!("../../../../deploy/00-namespace.yaml"), include_str!("../../../../deploy/10-rbac.yaml")];

/// The policies that guard the selectors, as a user installs them.
pub const POLICIES: [&str; 3] = [
    include_str!("../../../../deploy/policies/10-selector-guard.yaml"),
    include_str!("../../../../deploy/policies/20-selector-guard-validating.yaml"),
    include_str!("../../../../deploy/policies/30-guard-parameters.yaml"),
];

/// The user's objects on day one: 1.0.0 with two replicas.
///
/// # Errors
/// When 1.0.0 was not trained.
pub fn serving(models: &Models, namespace: &str) -> Result<String> {
    let first = models.version("1.0.0")?;
    let uri = format!("file://{}", first.artifact.display());
    let text = SERVING.replace("${NAMESPACE}", namespace);
    Ok(text.replace("${MODEL_URI}", &uri).replace("${MODEL_DIGEST}", &first.digest))
}

/// The ModelRollout of the demo, at 1.0.0, with short times.
pub fn rollout(namespace: &str) -> String {
    ROLLOUT.replace("${NAMESPACE}", namespace)
}

/// Every trained ModelVersion, for a namespace.
///
/// # Errors
/// When the file cannot be read.
pub fn versions(models: &Models, namespace: &str) -> Result<String> {
    let text = std::fs::read_to_string(&models.manifests)?;
    Ok(text.replace("\nmetadata:\n", &format!("\nmetadata:\n  namespace: {namespace}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy::api::ModelRollout;

    #[test]
    fn the_rollout_reads_as_the_operator_reads_it() {
        let rollout: ModelRollout = serde_saphyr::from_str(&rollout("demo")).expect("a ModelRollout");
        assert_eq!(rollout.metadata.namespace.as_deref(), Some("demo"));
        assert_eq!(rollout.spec.version, "1.0.0");
        let names: Vec<_> = rollout.spec.analysis.metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["errors", "latency", "accuracy", "gateway"]);
        let shortest = rollout.spec.analysis.warm_up.get() + rollout.spec.analysis.interval.get() * 2;
        assert!(rollout.spec.strategy.canary.steps.iter().all(|step| step.hold.get() >= shortest));
    }
}
