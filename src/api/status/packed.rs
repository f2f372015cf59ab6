//! The tests of all metrics as one text: JSON, gzip, base64. They are much alike, and a status is sent with every watch event,
//! so it stays small: eight metrics take a quarter of what they would in the open. What a person wants to know stands in
//! `status.analysis`; the tests themselves are read with
//! `kubectl get modelrollout NAME -o jsonpath='{.status.evidence.tests}' | base64 -d | gunzip`.
//!
//! To open a text or to pack one takes longer than all else in a pass, and most texts that come are those that were just
//! written: one is opened when somebody asks for what is in it, and packed when it has changed and is written.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{MetricEvidence, Tests};

/// Longest text in the open, in bytes: what somebody else wrote must not fill the memory.
const LONGEST: u64 = 4 << 20;
/// Key of a text that cannot be read: it is kept as it is, for the operator that wrote it.
const UNREADABLE: &str = "unreadable";

/// The tests as status has them: one text, and what is in it. Clones share both.
#[derive(Clone)]
pub struct Packed {
    read: Arc<Read>,
    /// What they have become since.
    changed: Option<Changed>,
}

#[derive(Default)]
struct Read {
    text: String,
    open: OnceLock<Tests>,
}

#[derive(Clone)]
struct Changed {
    tests: Tests,
    text: OnceLock<String>,
}

impl Packed {
    /// Tests that an older operator kept in another field: not read, which is not the same as none.
    pub fn missing() -> Self {
        Self::read(String::new())
    }

    /// They stand for a text that nobody here can read: of another operator, or of somebody's hand.
    pub fn unreadable(&self) -> bool {
        unreadable_text(self).is_some()
    }

    fn read(text: String) -> Self {
        Self { read: Arc::new(Read { text, open: OnceLock::new() }), changed: None }
    }
}

impl From<Tests> for Packed {
    fn from(tests: Tests) -> Self {
        Self { read: Arc::default(), changed: Some(tests.into()) }
    }
}

impl From<Tests> for Changed {
    fn from(tests: Tests) -> Self {
        Self { tests, text: OnceLock::new() }
    }
}

impl Deref for Packed {
    type Target = Tests;

    /// Any text that is none of ours is a metric without a test, which the judge calls unreadable: a status must not keep the
    /// operator from reading all the others.
    fn deref(&self) -> &Tests {
        let Read { text, open } = &*self.read;
        let read = || open.get_or_init(|| unpack(text).unwrap_or_else(|_| unreadable(text.clone())));
        self.changed.as_ref().map_or_else(read, |changed| &changed.tests)
    }
}

impl DerefMut for Packed {
    fn deref_mut(&mut self) -> &mut Tests {
        let tests = self.changed.take().map_or_else(|| Tests::clone(self), |changed| changed.tests);
        &mut self.changed.insert(tests.into()).tests
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        let as_read = self.changed.is_none() && other.changed.is_none();
        as_read && self.read.text == other.read.text || **self == **other
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Some(Changed { tests, text }) = &self.changed else {
            return out.serialize_str(&self.read.text);
        };
        if let Some(text) = text.get().map(String::as_str).or_else(|| unreadable_text(tests)) {
            return out.serialize_str(text);
        }
        let packed = pack(tests).map_err(S::Error::custom)?;
        out.serialize_str(text.get_or_init(|| packed))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input).map(Self::read)
    }
}

/// One text.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
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

fn unreadable_text(tests: &Tests) -> Option<&str> {
    tests.metrics.iter().find_map(|one| one.state.get(UNREADABLE)?.as_str())
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
        assert_eq!(*read.tests, tests);
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
