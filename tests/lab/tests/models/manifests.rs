//! The manifests say what the artifacts are, in the operator's own types.

use k8s_openapi::api::apps::v1::Deployment;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use understudy::api::ModelVersion;

use super::support::{models, version};

#[test]
fn every_version_has_a_model_version_with_its_artifact_serving_and_evaluation() {
    let text = std::fs::read_to_string(&models().manifests).expect("it was written");
    let manifests: Vec<ModelVersion> = serde_saphyr::from_multiple(&text).expect("ModelVersions");
    assert_eq!(manifests.len(), models().versions.len());
    for (manifest, version) in manifests.iter().zip(&models().versions) {
        let number = version.version.as_str();
        let spec = &manifest.spec;
        assert_eq!(manifest.metadata.name.as_deref(), Some(format!("digits-{number}").as_str()));
        assert_eq!((spec.model.as_str(), spec.version.as_str()), ("digits", number));
        let artifact = spec.weights.artifact.as_ref().expect("an artifact");
        let content = std::fs::read(&version.artifact).expect("it was written");
        let found: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let genuine = artifact.digest == format!("sha256:{found}");
        assert_eq!(genuine, number != "1.8.0", "{number}: {} against {found}", artifact.digest);
        assert_eq!(artifact.size_bytes, i64::try_from(content.len()).ok());

        let serving = spec.serving.as_ref().expect("serving");
        let env: Vec<_> = serving.env.iter().map(|env| (env.name.as_str(), env.value.as_str())).collect();
        let expected = [
            ("MODEL_URI", artifact.uri.as_str()),
            ("MODEL_DIGEST", &artifact.digest),
            ("MODEL_VERSION", number),
        ];
        assert_eq!((serving.container.as_str(), env.as_slice()), ("server", expected.as_slice()));

        let evaluation = spec.evaluations.first().expect("an evaluation");
        assert_eq!(evaluation.metrics.get("accuracy"), Some(&version.metrics.accuracy));
        assert!(evaluation.slices.len() > 1 || number == "1.7.0", "{number} has no slices");
        assert!(spec.provenance.as_ref().is_some_and(|provenance| provenance.dataset_digest.is_some()));
    }
}

#[test]
fn the_deployment_on_day_one_serves_1_0_0_as_its_model_version_says() {
    let text = std::fs::read_to_string(&models().deployment).expect("it was written");
    assert!(!text.contains("${"), "a placeholder is left:\n{text}");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["Deployment", "Service", "HTTPRoute"]);
    let deployment = Deployment::deserialize(&documents[0]).expect("a Deployment");
    let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a pod");
    let env = pod.containers[0].env.as_ref().expect("an environment");

    let manifest = std::fs::read_to_string(&version("1.0.0").manifest).expect("it was written");
    let manifest: ModelVersion = serde_saphyr::from_str(&manifest).expect("a ModelVersion");
    let serving = manifest.spec.serving.expect("serving");
    assert_eq!(pod.containers[0].name, serving.container);
    for (ours, theirs) in serving.env.iter().zip(env) {
        assert_eq!((&ours.name, Some(&ours.value)), (&theirs.name, theirs.value.as_ref()));
    }
}
