//! What can go wrong with a call, and what is sensible then.

use std::time::Duration;

/// What is sensible after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// What we knew is out of date: observe again at once.
    Stale,
    /// It may work in a moment: the server is busy, or did not answer.
    RetrySoon,
    /// It will work only when somebody has changed something, which no watch of ours may show: a permission, a webhook.
    RetryLater,
    /// We may write no more: another process leads.
    NotLeader,
}

/// A call that failed: which one, on what, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", self.what())]
pub struct WriteError {
    /// Verb as RBAC names it.
    pub verb: &'static str,
    /// Resource as RBAC names it, such as `modelrollouts/status`.
    pub resource: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The reason.
    pub why: Why,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The API server refused it, or could not be reached.
    #[error("{}", explain(.0))]
    Api(#[source] Box<kube::Error>),
    /// No answer in time. The write may have happened; the next pass sees.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The object is not the one that the plan was made for.
    #[error("{0}")]
    Changed(String),
    /// The lease is not ours, or could not be renewed in time.
    #[error("not written: this process does not hold the lease any more")]
    NotLeader,
    /// What is to be written cannot be put into JSON.
    #[error("cannot be written as JSON: {0}")]
    Json(#[source] serde_json::Error),
}

fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => {
            let said = format!("{} ({} {})", status.message, status.code, status.reason);
            advice(status).map_or(said.clone(), |advice| format!("{said}; {advice}"))
        }
        other => other.to_string(),
    }
}

/// What a write is called. A failed write is known again by it.
pub(super) fn what(verb: &str, resource: &str, namespace: &str, name: &str) -> String {
    format!("{verb} {resource} {namespace}/{name}")
}

/// What a person can do about a refusal.
fn advice(status: &kube::core::Status) -> Option<&'static str> {
    let by_rbac = status.message.contains(" cannot ");
    let by_admission = ["admission", "AdmissionPolicy", "denied the request", "quota"];
    match status.code {
        403 if by_rbac => Some("grant the verb to the operator's service account"),
        _ if class(status) != Class::RetryLater => None,
        403 => {
            Some("let the operator's service account do it, or change what the policy or quota objects to")
        }
        _ if by_admission.iter().any(|word| status.message.contains(word)) => {
            Some("let the operator's service account do it, or change what the policy objects to")
        }
        422 => Some(
            "correct what the object is made from: the origin's template, the version's serving, the Service or the route",
        ),
        _ => None,
    }
}

impl WriteError {
    /// Which call it was.
    pub fn what(&self) -> String {
        what(self.verb, self.resource, &self.namespace, &self.name)
    }

    /// What is sensible now.
    pub fn class(&self) -> Class {
        match &self.why {
            Why::Api(error) => class_of(error),
            Why::Deadline(_) => Class::RetrySoon,
            Why::Changed(_) => Class::Stale,
            Why::NotLeader => Class::NotLeader,
            Why::Json(_) => Class::RetryLater,
        }
    }

    /// The HTTP status code, when there was an answer.
    pub fn code(&self) -> Option<u16> {
        match &self.why {
            Why::Api(error) => match error.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Why::Deadline(_) | Why::Changed(_) | Why::NotLeader | Why::Json(_) => None,
        }
    }
}

fn class_of(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => class(status),
        _ => Class::RetrySoon,
    }
}

fn class(status: &kube::core::Status) -> Class {
    match status.code {
        409 => Class::Stale,
        // A JSON patch whose path is gone was made for another object. The API server says of it only that it "rejected
        // our request due to an error in our request".
        422 if !status.is_invalid() || status.message.contains("rejected our request") => Class::Stale,
        404 | 410 => Class::Stale,
        429 | 500..=599 => Class::RetrySoon,
        _ => Class::RetryLater,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn failed(code: u16, reason: &str, message: &str) -> WriteError {
        let status = Status::failure(message, reason).with_code(code);
        WriteError {
            verb: "patch",
            resource: "httproutes",
            namespace: "shop".into(),
            name: "r".into(),
            why: Why::Api(Box::new(kube::Error::Api(Box::new(status)))),
        }
    }

    #[test]
    fn a_conflict_means_look_again_and_a_missing_permission_means_wait() {
        assert_eq!(failed(409, "Conflict", "changed").class(), Class::Stale);
        assert_eq!(
            failed(422, "Invalid", "the server rejected our request: json patch test failed").class(),
            Class::Stale
        );
        assert_eq!(failed(422, "Invalid", "spec.rules: Too many").class(), Class::RetryLater);
        assert_eq!(failed(503, "", "busy").class(), Class::RetrySoon);
        let forbidden = failed(403, "Forbidden", "no");
        assert_eq!(forbidden.class(), Class::RetryLater);
        assert!(
            forbidden.to_string().starts_with("patch httproutes shop/r: no (403 Forbidden); "),
            "{forbidden}"
        );
    }

    #[test]
    fn a_refusal_says_what_can_be_done_about_it() {
        let rbac = "httproutes \"r\" is forbidden: User \"system:serviceaccount:ops:understudy\" cannot patch resource";
        assert!(
            failed(403, "Forbidden", rbac)
                .to_string()
                .ends_with("; grant the verb to the operator's service account")
        );
        let policy =
            "ValidatingAdmissionPolicy 'freeze' with binding 'freeze' denied request: no patch today";
        let refused = failed(422, "Invalid", policy);
        assert_eq!(refused.class(), Class::RetryLater, "a policy's words are not a stale patch");
        assert!(refused.to_string().ends_with("change what the policy objects to"), "{refused}");
        assert!(
            failed(422, "Invalid", "spec.rules: Too many")
                .to_string()
                .contains("correct what the object is made from")
        );
        assert!(failed(409, "Conflict", "changed").to_string().ends_with("changed (409 Conflict)"));
    }
}
