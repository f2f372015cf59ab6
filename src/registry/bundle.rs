//! The identity of a version: a digest over the bundle.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::api::{ModelVersionSpec, PinnedRef, Weights};

/// What a version consists of. A change of any of these is another bundle; everything else in the spec describes it.
#[derive(Serialize)]
struct Bundle<'a> {
    weights: &'a Weights,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a PinnedRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a PinnedRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Map<String, Value>>,
}

/// Digest of the bundle: `sha256:` and 64 hexadecimal digits, over its canonical JSON (RFC 8785).
///
/// Canonical JSON has one form for every value (`1.0` is `1`), so the digest is the same for what a user wrote and for
/// what the API server gives back.
pub fn digest(spec: &ModelVersionSpec) -> String {
    let bundle = Bundle {
        weights: &spec.weights,
        prompt: spec.prompt.as_ref(),
        tools: spec.tools.as_ref(),
        parameters: spec.parameters.as_ref(),
    };
    let canonical = serde_json_canonicalizer::to_vec(&bundle).expect(
        "a bundle is strings, whole numbers and JSON values, which hold no NaN and only text as keys",
    );
    sha256(&canonical)
}

/// `sha256:` and the 64 hexadecimal digits of the SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> ModelVersionSpec {
        serde_json::from_str(text).unwrap()
    }

    const PLAIN: &str = r#"{"model":"m","version":"1.0.0","weights":{"artifact":{"uri":"s3://b/m","digest":"sha256:aa"}},
        "parameters":{"temperature":1.0,"top":[1,2],"k":{"b":1,"a":2}}}"#;

    #[test]
    fn the_digest_is_over_the_canonical_json_of_the_bundle_alone() {
        // sha256sum of {"parameters":{"k":{"a":2,"b":1},"temperature":1,"top":[1,2]},
        // "weights":{"artifact":{"digest":"sha256:aa","uri":"s3://b/m"}}}, without the line break.
        assert_eq!(
            digest(&spec(PLAIN)),
            "sha256:2f9fd503b5379dfb722f8d4564a132421dfdd898170d93adc20765c25722563c"
        );
    }

    #[test]
    fn how_a_number_is_written_and_in_which_order_changes_nothing() {
        let read_back = PLAIN.replace("1.0,", "1,").replace(r#""b":1,"a":2"#, r#""a":2,"b":1"#);
        assert_eq!(digest(&spec(PLAIN)), digest(&spec(&read_back)));
    }

    #[test]
    fn every_part_of_the_bundle_counts_and_nothing_else() {
        let plain = spec(PLAIN);
        let mut described = plain.clone();
        described.equivalence_class = Some("small".into());
        assert_eq!(digest(&described), digest(&plain));
        let pinned = PinnedRef { reference: "git://r@1".into(), digest: "sha256:bb".into() };
        let mut others = [plain.clone(), plain.clone(), plain.clone(), plain.clone()];
        others[0].prompt = Some(pinned.clone());
        others[1].tools = Some(pinned);
        others[2].parameters = None;
        others[3].weights.artifact.as_mut().unwrap().digest = "sha256:ab".into();
        let mut digests: Vec<String> = others.iter().map(digest).chain([digest(&plain)]).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 5);
    }
}
