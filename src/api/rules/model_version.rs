//! Rules over the whole spec of a `ModelVersion`.

use kube::core::Rule;

/// Optional fields of the spec. A rule on an optional field does not fire when the field comes or goes, so the rule
/// over the spec asks for each whether it was there before.
const OPTIONAL: [&str; 9] = [
    "prompt",
    "tools",
    "parameters",
    "interface",
    "serving",
    "provenance",
    "card",
    "dependencies",
    "equivalenceClass",
];

/// Nothing but `evaluations` changes.
pub fn unchanged() -> Rule {
    let optional = OPTIONAL
        .map(|f| format!("has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f})"));
    let required = ["model", "version", "weights"].map(|f| format!("self.{f} == oldSelf.{f}"));
    Rule::new([required.join(" && "), optional.join(" && ")].join(" && ")).message(
        "the spec of a ModelVersion cannot change, only evaluations may be appended: register a new version instead",
    )
}

/// Evaluations are only appended.
pub fn evaluations_appended() -> Rule {
    Rule::new(
        "!has(oldSelf.evaluations) || (has(self.evaluations) \
         && size(self.evaluations) >= size(oldSelf.evaluations) \
         && self.evaluations.slice(0, size(oldSelf.evaluations)) == oldSelf.evaluations)",
    )
    .message("evaluations may only be appended: entries never change, move or go once written")
}
