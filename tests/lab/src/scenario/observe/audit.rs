//! Writes to one object as the API server's audit log has them, with its own times.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// A write that the API server accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who wrote.
    pub user: String,
    /// `patch`, `update`, ...
    pub verb: String,
    /// When the API server got the request.
    pub received: DateTime<Utc>,
    /// When it had answered.
    pub answered: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Reference>,
    response_status: Option<Status>,
    request_received_timestamp: DateTime<Utc>,
    stage_timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reference {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// Accepted writes of one object (not of its status), in the order in which they were answered.
///
/// # Errors
/// When the log cannot be read.
pub fn writes(log: &Path, resource: &str, namespace: &str, name: &str) -> Result<Vec<Write>> {
    let file =
        std::fs::File::open(log).with_context(|| format!("cannot read the audit log {}", log.display()))?;
    let mut found = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.with_context(|| format!("cannot read the audit log {}", log.display()))?;
        // Most lines are about other things; the last one may be half written.
        if !line.contains(resource) {
            continue;
        }
        let Ok(line) = serde_json::from_str::<Line>(&line) else { continue };
        let object = line.object_ref.unwrap_or_default();
        let is_it = object.resource == resource && object.namespace == namespace && object.name == name;
        let writes = matches!(line.verb.as_str(), "patch" | "update" | "create" | "delete");
        let accepted = line.response_status.is_some_and(|status| (200..300).contains(&status.code));
        if is_it && writes && accepted && object.subresource.is_empty() && line.stage == "ResponseComplete" {
            let (received, answered) = (line.request_received_timestamp, line.stage_timestamp);
            found.push(Write { user: line.user.username, verb: line.verb, received, answered });
        }
    }
    found.sort_by_key(|write| write.answered);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accepted_writes_of_the_object_itself_count() {
        let line = |verb: &str, name: &str, subresource: &str, code: u16| {
            format!(
                r#"{{"stage":"ResponseComplete","verb":"{verb}","user":{{"username":"op"}},"objectRef":{{"resource":"httproutes","namespace":"demo","name":"{name}","subresource":"{subresource}"}},"responseStatus":{{"code":{code}}},"requestReceivedTimestamp":"2026-11-21T10:00:00.100000Z","stageTimestamp":"2026-11-21T10:00:00.112000Z"}}"#
            )
        };
        let lines = [
            line("get", "digits", "", 200),
            line("patch", "digits", "", 409),
            line("patch", "digits", "status", 200),
            line("patch", "other", "", 200),
            line("patch", "digits", "", 200),
            r#"{"stage":"ResponseComplete","verb":"patch","objectRef":{"resource":"httpro"#.to_owned(),
        ];
        let path = std::env::temp_dir().join(format!("scenario-audit-{}", std::process::id()));
        std::fs::write(&path, lines.join("\n")).expect("a file");
        let found = writes(&path, "httproutes", "demo", "digits").expect("the log");
        std::fs::remove_file(&path).expect("the file");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].user.as_str(), found[0].verb.as_str()), ("op", "patch"));
        assert_eq!((found[0].answered - found[0].received).num_milliseconds(), 12);
    }
}
