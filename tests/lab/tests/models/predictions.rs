//! The server must answer what scikit-learn answers.

use std::time::Duration;

use futures::future::join_all;
use lab::model_server::{Artifact, Image};
use serde::Deserialize;

use super::support::{holdout, models, version};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    digits: Vec<usize>,
    scores: Vec<Vec<f64>>,
    refused: Vec<bool>,
    second_stage: Vec<bool>,
}

fn images() -> Vec<Image> {
    let pixels = |body: serde_json::Value| -> Vec<f64> {
        serde_json::from_value(body["image"].clone()).expect("an image")
    };
    holdout().into_iter().map(|body| pixels(body).try_into().expect("64 pixels")).collect()
}

fn load(number: &str) -> Artifact {
    let version = version(number);
    Artifact::load(&version.artifact, &version.digest, number).expect("it can be loaded")
}

#[tokio::test]
async fn every_version_answers_the_holdout_as_scikit_learn_does() {
    let images = images();
    assert_eq!(images.len(), 600);
    for number in ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.6.0", "1.7.0"] {
        let text = std::fs::read(&version(number).expected).expect("it was written");
        let expected: Expected = serde_json::from_slice(&text).expect("expectations");
        let artifact = load(number);
        let answers = join_all(images.iter().map(|image| artifact.predict(image))).await;
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_err(), expected.refused[n], "{number}, image {n}: {answer:?}");
            let Ok(scores) = answer else { continue };
            let close =
                scores.iter().zip(&expected.scores[n]).all(|(ours, theirs)| (ours - theirs).abs() < 1e-9);
            assert!(close, "{number}, image {n}: {scores:?} instead of {:?}", expected.scores[n]);
            let best =
                (0..10).rfold(9, |best, digit| if scores[digit] >= scores[best] { digit } else { best });
            assert_eq!(best, expected.digits[n], "{number}, image {n}");
        }
        let second = expected.second_stage.iter().filter(|second| **second).count();
        assert_eq!(second, if number == "1.3.0" { 60 } else { 0 }, "{number}: requests with a second stage");
    }
}

#[test]
fn the_versions_are_as_good_and_as_bad_as_the_scenarios_need() {
    let of = |number| &version(number).metrics;
    let (first, better, again, wrong) = (of("1.0.0"), of("1.1.0"), of("1.6.0"), of("1.2.0"));
    assert!((0.92..0.96).contains(&first.accuracy), "1.0.0: {first:?}");
    assert!(better.accuracy > first.accuracy + 0.02, "1.1.0 is not clearly better: {better:?}");
    assert!((again.accuracy - better.accuracy).abs() < 0.01, "1.6.0 is not as good as 1.1.0: {again:?}");
    assert!((0.78..0.87).contains(&wrong.accuracy), "1.2.0: {wrong:?}");
    assert!(of("1.3.0").accuracy >= better.accuracy, "1.3.0 is not accurate: {:?}", of("1.3.0"));
    assert!((0.025..0.035).contains(&version("1.4.0").refused_share), "1.4.0: {:?}", version("1.4.0"));
    assert!(version("1.7.0").refused_share > 0.9, "1.7.0: {:?}", version("1.7.0"));
}

#[tokio::test]
async fn the_version_without_an_end_to_its_calibration_never_answers() {
    let artifact = load("1.5.0");
    let image = images()[0];
    assert!(tokio::time::timeout(Duration::from_secs(1), artifact.predict(&image)).await.is_err());
}

#[test]
fn an_artifact_that_is_not_what_was_registered_is_refused() {
    let [good, changed] = [version("1.1.0"), version("1.8.0")];
    let error =
        Artifact::load(&changed.artifact, &changed.digest, "1.8.0").expect_err("its file was changed");
    assert!(error.to_string().contains(&changed.digest), "{error:#}");
    let error = Artifact::load(&good.artifact, &good.digest, "1.6.0").expect_err("it is another version");
    assert!(format!("{error:#}").contains("it is version 1.1.0, not 1.6.0"), "{error:#}");
    let error = Artifact::load(&models().holdout, &good.digest, "1.1.0").expect_err("it is no artifact");
    assert!(error.to_string().contains("digest"), "{error:#}");
}
