//! The tests of all metrics as one text: JSON, gzip, base64. They are much alike, and a status is sent with every watch event,
//! so it stays small: eight metrics take a quarter of what they would in the open. What a person wants to know stands in
//! `status.analysis`; the tests themselves are read with
//! `kubectl get modelrollout NAME -o jsonpath='{.status.evidence.tests}' | base64 -d | gunzip`.

use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::ser::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use serde_json::{Map, Value};

use super::{MetricEvidence, Tests};

/// Longest text in the open, in bytes: what somebody else wrote must not fill the memory.
const LONGEST: u64 = 4 << 20;
/// Key of a text that cannot be read: it is kept as it is, for the operator that wrote it.
const UNREADABLE: &str = "unreadable";

/// Writes the tests as one text.
///
/// # Errors
/// None but those of the serializer: what is written are names, texts and numbers.
pub fn serialize<S: Serializer>(tests: &Tests, out: S) -> Result<S::Ok, S::Error> {
    if let [one] = &tests.metrics[..]
        && let Some(Value::String(text)) = one.state.get(UNREADABLE)
    {
        return out.serialize_str(text);
    }
    out.serialize_str(&pack(tests).map_err(S::Error::custom)?)
}

/// Reads what [`serialize`] wrote. Any other text becomes a metric without a test, which the judge calls unreadable: a
/// status must not keep the operator from reading all the others.
///
/// # Errors
/// It is no text.
pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Tests, D::Error> {
    let text = String::deserialize(input)?;
    Ok(unpack(&text).unwrap_or_else(|_| unreadable(text)))
}

/// Tests that an older operator kept in another field: not read, which is not the same as none.
pub fn missing() -> Tests {
    unreadable(String::new())
}

/// One text.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

/// Whether these tests stand for a text that could not be read.
pub fn is_unreadable(tests: &Tests) -> bool {
    tests.metrics.iter().any(|one| one.state.contains_key(UNREADABLE))
}

fn pack(tests: &Tests) -> io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&serde_json::to_vec(tests)?)?;
    Ok(BASE64_STANDARD.encode(gzip.finish()?))
}

fn unpack(text: &str) -> io::Result<Tests> {
    let packed = BASE64_STANDARD.decode(text).map_err(io::Error::other)?;
    let mut open = Vec::new();
    GzDecoder::new(&packed[..]).take(LONGEST).read_to_end(&mut open)?;
    Ok(serde_json::from_slice(&open)?)
}

fn unreadable(text: String) -> Tests {
    let none = MetricEvidence {
        name: "all metrics".to_owned(),
        asked: Map::new(),
        plan: Map::new(),
        state: Map::from_iter([(UNREADABLE.to_owned(), Value::String(text))]),
    };
    Tests { metrics: vec![none], ..Tests::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Evidence;

    fn evidence(tests: Value) -> Value {
        let at = "2026-11-22T10:00:00Z";
        json!({"t0": at, "intervalMs": 10_000, "tK": at, "tests": tests})
    }

    fn none() -> MetricEvidence {
        MetricEvidence { name: String::new(), asked: Map::new(), plan: Map::new(), state: Map::new() }
    }

    #[test]
    fn what_is_packed_is_read_again_and_is_one_text() {
        let metric = |name: &str| json!({"name": name, "plan": {"worse": "1.25"}, "state": {"logW": "-0.1 -inf 2.5000000000000004"}});
        let tests: Tests =
            serde_json::from_value(json!({"metrics": [metric("errors"), metric("latency")]})).unwrap();
        let text = pack(&tests).unwrap();
        let read: Evidence = serde_json::from_value(evidence(json!(text))).unwrap();
        assert_eq!(read.tests, tests);
        assert_eq!(serde_json::to_value(&read).unwrap()["tests"], json!(text));
    }

    #[test]
    fn what_cannot_be_read_is_kept_as_it_is() {
        let mut older = evidence(json!(""));
        older.as_object_mut().unwrap().remove("tests");
        let read: Evidence = serde_json::from_value(older).unwrap();
        assert!(read.tests.unreadable());
        let whole = pack(&Tests {
            metrics: vec![MetricEvidence { name: "errors".into(), ..none() }],
            ..Tests::default()
        });
        let whole = whole.unwrap();
        for text in ["", "no base64!", "bm8gZ3ppcA==", &whole[..whole.len() - 8]] {
            let read: Evidence = serde_json::from_value(evidence(json!(text))).unwrap();
            assert_eq!(read.tests.metrics.len(), 1, "{text}");
            assert_eq!(serde_json::to_value(&read).unwrap()["tests"], json!(text));
        }
    }
}
