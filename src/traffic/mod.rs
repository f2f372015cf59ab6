//! How traffic is led to the two arms: pure edits of an HTTPRoute and of a Service's selector.
//!
//! Objects come in as the API server holds them and go out as a JSON patch together with what they then look like.
//! Fields that are not known here stay as they are. This module knows no API server and no clock.

mod backends;
pub mod companion;
pub mod guard;
pub mod http_route;
mod managed_fields;
pub mod mirror;
pub mod replicas;
pub mod selector;
pub mod warm_route;

use chrono::{DateTime, Utc};
use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, jsonptr::PointerBuf,
};
use serde_json::Value;
use thiserror::Error;

use crate::api::Sticky;

/// The foreign manager that wrote anything of an object but its status last, if that was at `since` or later, as the
/// object itself tells.
pub fn foreign_writer(object: &Value, since: DateTime<Utc>) -> Option<&str> {
    let (manager, time) = managed_fields::last_foreign(object)?;
    let at = DateTime::parse_from_rfc3339(time).ok()?;
    // Its times are cut to the second.
    (at.timestamp() >= since.timestamp() && !manager.is_empty()).then_some(manager)
}

/// The two Services of a rollout, by which its backends are found in a route.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Namespace of the route and of both Services.
    pub namespace: &'a str,
    /// The user's Service.
    pub service: &'a str,
    /// Ours, `<service>-candidate`.
    pub candidate: &'a str,
}

/// How a route is to divide traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Split<'a> {
    /// Percent of the user's Service's traffic that the candidate gets, 0 to 100.
    pub candidate: i32,
    /// Percent of the requests that the candidate gets as a copy, 1 to 100; nothing: no mirror.
    pub mirror: Option<i32>,
    /// Where the sessions are found that stick to their version; nothing: each request is given out anew.
    pub sticky: Option<&'a Sticky>,
}

/// A write to one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The object as it is after the write.
    pub object: Value,
    /// The write. It starts with a `replace` of the resource version, so that it fails with 409 when the object has
    /// changed since it was read (a `test` would answer 422).
    pub patch: Patch,
}

/// Why a route cannot be split as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No rule leads to the Service.
    #[error(
        "HTTPRoute {route:?} has no rule with a backendRef to Service {service:?} that gets traffic; add one, or name the \
         route that leads to the Service in traffic.gatewayAPI.httpRoute"
    )]
    NoRule {
        /// The route.
        route: String,
        /// The Service.
        service: String,
    },
    /// A rule may have 16 backends.
    #[error(
        "{rule} would have {have} backends with the candidate's, a rule may have 16; divide the rule or take backends out"
    )]
    TooManyBackends {
        /// Which rule.
        rule: String,
        /// How many it would have.
        have: usize,
    },
    /// A rule may have 16 filters.
    #[error(
        "{rule} already has 16 filters, so that the mirror finds no place; take one out, or leave strategy.shadow out"
    )]
    TooManyFilters {
        /// Which rule.
        rule: String,
    },
    /// A weight may be a million.
    #[error(
        "{rule} would need the weight {weight} for a share of {percent} %, a weight may be 1,000,000; write the weights \
         of its backends as smaller numbers in the same proportion"
    )]
    WeightTooLarge {
        /// Which rule.
        rule: String,
        /// The weight that would be needed.
        weight: i64,
        /// The share that was asked for.
        percent: i32,
    },
    /// A route may have 16 rules, and an A/B test needs two more for each that leads to the Service.
    #[error(
        "HTTPRoute {route:?} would have {have} rules with those of the A/B test, a route may have 16; each rule that leads to \
         the Service needs two more: put rules together, give some a route of their own, or leave abTest.sticky out"
    )]
    TooManyRules {
        /// The route.
        route: String,
        /// How many it would have.
        have: usize,
    },
    /// The rules of a route may have 128 matches.
    #[error(
        "HTTPRoute {route:?} would have {have} matches with those of the A/B test, its rules may have 128 together; take \
         matches out, give some rules a route of their own, or leave abTest.sticky out"
    )]
    TooManyMatches {
        /// The route.
        route: String,
        /// How many they would have.
        have: usize,
    },
    /// A match may have 16 header matches.
    #[error(
        "{rule} has a match with 16 headers, so that the session's finds no place; take one out, or leave abTest.sticky out"
    )]
    TooManyHeaders {
        /// Which rule.
        rule: String,
    },
    /// Of two header matches for one name only the first counts.
    #[error(
        "{rule} already matches on the header {header:?}, of which only one match counts; let abTest.sticky look for the \
         session elsewhere, or take the match out"
    )]
    HeaderMatched {
        /// Which rule.
        rule: String,
        /// The header.
        header: String,
    },
    /// One header match more would change which rule comes first.
    #[error(
        "with the session's header match, rule {rule} of HTTPRoute {route:?} would come before rule {other}, which leads elsewhere, for \
         requests that match both; give rule {other} a longer path, or leave abTest.sticky out"
    )]
    Overtakes {
        /// The route.
        route: String,
        /// The rule that leads to the Service.
        rule: usize,
        /// The rule that leads elsewhere.
        other: usize,
    },
}

/// Collects the operations of a write and keeps the object in step with them.
struct Draft {
    object: Value,
    operations: Vec<PatchOperation>,
}

impl Draft {
    fn new(object: &Value) -> Self {
        let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let path = pointer(&["metadata", "resourceVersion"]);
        let guard = PatchOperation::Replace(ReplaceOperation { path, value: version });
        Self { object: object.clone(), operations: vec![guard] }
    }

    /// Sets a member of the object at `parent`, or takes it away. The parent must be there.
    fn set(&mut self, parent: &[&str], key: &str, value: Option<Value>) {
        let at = pointer(parent);
        let Some(map) = self.object.pointer_mut(at.as_str()).and_then(Value::as_object_mut) else { return };
        let old = map.get(key);
        if old == value.as_ref() {
            return;
        }
        let path = pointer(&[parent, &[key]].concat());
        self.operations.push(match (&value, old) {
            (Some(value), Some(_)) => {
                PatchOperation::Replace(ReplaceOperation { path, value: value.clone() })
            }
            (Some(value), None) => PatchOperation::Add(AddOperation { path, value: value.clone() }),
            (None, _) => PatchOperation::Remove(RemoveOperation { path }),
        });
        match value {
            Some(value) => drop(map.insert(key.to_owned(), value)),
            None => drop(map.remove(key)),
        }
    }

    /// The write, or nothing when it would change nothing.
    fn done(self) -> Option<Edit> {
        (self.operations.len() > 1).then_some(Edit { object: self.object, patch: Patch(self.operations) })
    }
}

fn pointer(parts: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(parts.iter().copied())
}

/// Resource version, name or another text of an object's metadata.
fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}
