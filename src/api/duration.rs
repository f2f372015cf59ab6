//! Lengths of time as users write them: `30s`, `10m`, `1h30m`, `24h`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time: whole numbers with units `h`, `m`, `s` or `ms`, largest first, such as `1h30m`.
///
/// The schema bounds every part, so what the API accepts can always be read and added up. There is no unit for days,
/// because the rules of the API server have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(String);

impl Span {
    /// The span of so many whole seconds.
    pub fn seconds(s: u32) -> Self {
        Self(format!("{s}s"))
    }

    /// The length. What is not a unit of ours counts as nothing, which the schema rules out.
    pub fn get(&self) -> chrono::Duration {
        let mut total = chrono::Duration::zero();
        let mut rest = self.0.as_str();
        while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
            let number = rest[..end].parse::<i64>().unwrap_or(0).min(999_999);
            let tail = &rest[end..];
            let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            total += match &tail[..unit_len] {
                "h" => chrono::Duration::hours(number),
                "m" => chrono::Duration::minutes(number),
                "s" => chrono::Duration::seconds(number),
                "ms" => chrono::Duration::milliseconds(number),
                _ => chrono::Duration::zero(),
            };
            rest = &tail[unit_len..];
        }
        total
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 32,
            "x-kubernetes-validations": [super::rules::span()],
        })
    }
}

/// A length of time in words that a person reads at a glance: `45 s`, `12 min`, `3 h 20 min`.
pub fn in_words(d: chrono::Duration) -> String {
    let s = d.num_seconds().max(0);
    match s {
        0..=119 => format!("{s} s"),
        120..=7199 => format!("{} min", (s + 30) / 60),
        _ if (s % 3600) / 60 == 0 => format!("{} h", s / 3600),
        _ => format!("{} h {} min", s / 3600, (s % 3600) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_written() {
        let seconds = |t: &str| Span::from(t).get().num_milliseconds();
        assert_eq!(seconds("10s"), 10_000);
        assert_eq!(seconds("1h30m"), 5_400_000);
        assert_eq!(seconds("48h"), 172_800_000);
        assert_eq!(seconds("1s500ms"), 1_500);
    }

    #[test]
    fn words_are_short() {
        assert_eq!(in_words(chrono::Duration::seconds(45)), "45 s");
        assert_eq!(in_words(chrono::Duration::minutes(12)), "12 min");
        assert_eq!(in_words(chrono::Duration::minutes(200)), "3 h 20 min");
    }
}
