//! What can go wrong with a call, and what is sensible then.

use std::time::Duration;

use crate::rollout::Action;

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
#[error("{verb} {resource} {namespace}/{name}: {why}")]
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
        kube::Error::Api(status) if status.code == 403 => {
            format!("forbidden ({}); grant the verb to the operator's service account", status.message)
        }
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => other.to_string(),
    }
}

impl WriteError {
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
    let kube::Error::Api(status) = error else { return Class::RetrySoon };
    match status.code {
        409 => Class::Stale,
        // A JSON patch whose `test` failed, or whose path is gone, was made for another object.
        422 if !status.is_invalid() || status.message.contains("patch") => Class::Stale,
        404 | 410 => Class::Stale,
        429 | 500..=599 => Class::RetrySoon,
        _ => Class::RetryLater,
    }
}

/// The resource that an action writes, as RBAC names it.
pub fn resource_of(action: &Action) -> (&'static str, &'static str) {
    match action {
        Action::SetFinalizers(_) => ("patch", "modelrollouts"),
        Action::CreateDeployment(_) => ("create", "deployments"),
        Action::ReplaceDeployment(_) => ("update", "deployments"),
        Action::DeleteDeployment { .. } => ("delete", "deployments"),
        Action::Scale { .. } => ("patch", "deployments/scale"),
        Action::CreateService(_) => ("create", "services"),
        Action::PatchService { .. } => ("patch", "services"),
        Action::DeleteService { .. } => ("delete", "services"),
        Action::CreateRoute(_) => ("create", "httproutes"),
        Action::PatchRoute { .. } => ("patch", "httproutes"),
        Action::DeleteRoute { .. } => ("delete", "httproutes"),
        Action::RecordOutcome { .. } => ("patch", "rolloutdecisions/status"),
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
        assert!(forbidden.to_string().starts_with("patch httproutes shop/r: forbidden"), "{forbidden}");
    }
}
