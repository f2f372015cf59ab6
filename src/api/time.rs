//! The only place where the API's time type and chrono's meet.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// An API time as chrono's. Times beyond what chrono can hold are cut to its ends.
pub fn from_api(time: &Time) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.0.as_millisecond()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A chrono time as the API's, to the second, which is what the API keeps.
pub fn to_api(time: DateTime<Utc>) -> Time {
    Time(Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX))
}

/// A moment as a user writes it (RFC 3339). Kept as text, so that whatever the API accepted can be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Moment(pub String);

impl Moment {
    /// The moment, when it can be understood.
    pub fn get(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(&self.0).ok().map(|t| t.to_utc())
    }
}

impl schemars::JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 40,
            "x-kubernetes-validations": [super::rules::moment()],
        })
    }
}
