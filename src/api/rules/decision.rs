//! Rules over a `RolloutDecision`.

use kube::core::Rule;

/// The record of a decision does not change.
pub fn unchanged() -> Rule {
    let optional = ["planHash", "version", "expiresAt"]
        .map(|f| format!("has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f})"));
    let required = ["rollout", "action", "by", "reason"].map(|f| format!("self.{f} == oldSelf.{f}"));
    Rule::new([required.join(" && "), optional.join(" && ")].join(" && "))
        .message("a RolloutDecision cannot change, it is a record: create another one")
}

/// What goes forward is bound to the plan that was looked at.
pub fn plan_hash_where_needed() -> Rule {
    Rule::new("!(self.action in ['Approve', 'Promote', 'Resume']) || has(self.planHash)").message(
        "Approve, Promote and Resume need planHash, from status.candidate.planHash of the ModelRollout: they bind to the plan that was looked at",
    )
}

/// A retry names what is retried.
pub fn version_where_needed() -> Rule {
    Rule::new("self.action != 'Retry' || has(self.version)")
        .message("Retry needs version: the rejected version that shall be tried again")
}

/// A version of ours, or a template that no registered version matches.
pub fn version() -> Rule {
    Rule::new(
        "self.matches('^[0-9]+[.][0-9]+[.][0-9]+(-[0-9a-z.-]+)?$') || self.matches('^unregistered-[0-9a-z]+$')",
    )
    .message("version must be a SemVer version such as 1.4.0, or unregistered-<hash> as in the rollout's status")
}

/// The hash of a plan.
pub fn plan_hash() -> Rule {
    Rule::new("self.matches('^[0-9a-z:-]+$')")
        .message("planHash must be copied from status.candidate.planHash of the ModelRollout")
}
