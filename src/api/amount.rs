//! Amounts as users write them: `"0.40"`, `"50"`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An amount above 0: a decimal number as text, so that it stays as it was written. Its unit is the user's own.
///
/// The schema bounds it, so what the API accepts can always be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(String);

impl Amount {
    /// The number. What is none counts as 0, which the schema rules out.
    pub fn get(&self) -> f64 {
        self.0.parse().unwrap_or(0.0)
    }
}

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 16,
            "x-kubernetes-validations": [super::rules::amount()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_written() {
        assert_eq!((Amount::from("0.40").get(), Amount::from("50").get()), (0.4, 50.0));
        assert_eq!(Amount::from("0.40").to_string(), "0.40");
    }
}
