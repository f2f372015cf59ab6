//! Our mirror filter in a rule's filters: the one that mirrors to the candidate.

use serde_json::{Value, json};

use super::originals::OriginalRule;
use super::{Draft, Names, RouteError, list};
use crate::traffic::backends::{Arm, arm, weight};

/// Most filters that a rule may have.
const MAX_FILTERS: usize = 16;

/// Whether a filter is ours.
pub(super) fn is_ours(filter: &Value, names: &Names) -> bool {
    filter.pointer("/requestMirror/backendRef").is_some_and(|backend| arm(backend, names) == Arm::Candidate)
}

/// The percent that a mirror filter of ours copies, rounded up; all when it says none.
pub(super) fn percent(filter: &Value) -> i32 {
    let number = |at: &str| filter.pointer(&format!("/requestMirror/{at}")).and_then(Value::as_i64);
    let percent = match (number("percent"), number("fraction/numerator")) {
        (Some(percent), _) => percent,
        (None, Some(part)) => {
            let whole = number("fraction/denominator").unwrap_or(100).max(1);
            (part.saturating_mul(100) + whole - 1) / whole
        }
        (None, None) => 100,
    };
    i32::try_from(percent.clamp(0, 100)).unwrap_or(100)
}

/// A rule's filters without ours.
pub(super) fn foreign(rule: &Value, names: &Names) -> Vec<Value> {
    list(rule, "filters").iter().filter(|f| !is_ours(f, names)).cloned().collect()
}

/// The mirror filter of a rule with the user's `backends`: to the candidate, on the port of the first that leads to the
/// Service. The percent is written only where it is not all, because not every gateway knows the field.
pub(super) fn mirror(backends: &[Value], names: &Names, percent: i32) -> Value {
    let first = backends.iter().find(|b| arm(b, names) == Arm::Service && weight(b) > 0);
    // The defaults are written out, so that what is read back is what was written.
    let mut backend = json!({ "group": "", "kind": "Service", "name": names.candidate });
    if let Some(port) = first.and_then(|b| b.get("port")) {
        backend["port"] = port.clone();
    }
    let mut mirror = json!({ "backendRef": backend });
    if percent < 100 {
        mirror["percent"] = percent.max(0).into();
    }
    json!({ "type": "RequestMirror", "requestMirror": mirror })
}

/// Puts the wanted mirror into the rule's filters, or takes ours out.
pub(super) fn put(
    draft: &mut Draft,
    index: usize,
    rule: &Value,
    names: &Names,
    wanted: Option<Value>,
    stored: Option<&OriginalRule>,
    label: &str,
) -> Result<(), RouteError> {
    let present = list(rule, "filters");
    let mine: Vec<&Value> = present.iter().filter(|f| is_ours(f, names)).collect();
    if mine.len() == usize::from(wanted.is_some()) && mine.first().copied() == wanted.as_ref() {
        return Ok(());
    }
    let mut filters = foreign(rule, names);
    if let Some(wanted) = wanted {
        if filters.len() >= MAX_FILTERS {
            return Err(RouteError::TooManyFilters { rule: label.to_owned() });
        }
        filters.push(wanted);
    }
    let keep = !filters.is_empty() || stored.is_some_and(|s| s.empty_filters);
    draft.set(&["spec", "rules", &index.to_string()], "filters", keep.then_some(Value::Array(filters)));
    Ok(())
}
