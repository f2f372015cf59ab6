//! The API server's audit log: who asked for what, and how often.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// The user whose rights counted (the impersonated one, if any).
    pub user: String,
    /// The program's `User-Agent`.
    pub agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, ...
    pub verb: String,
    /// `deployments`, `httproutes`, ...; with the subresource: `modelrollouts/status`. Empty for other paths.
    pub resource: String,
    /// Its namespace, or empty.
    pub namespace: String,
    /// Its name, or empty.
    pub name: String,
    /// The answer's status code.
    pub code: u16,
}

/// Requests since a mark.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    offset: u64,
}

impl Audit {
    /// Marks the present end of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn from_now(path: PathBuf) -> Result<Self> {
        let offset = std::fs::metadata(&path).context("could not read the audit log")?.len();
        Ok(Self { path, offset })
    }

    /// Requests answered since the mark; a watch counts when it begins. The mark stays.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let mut file = File::open(&self.path).context("could not read the audit log")?;
        // The mark may be in the midst of a line that was just being written; the rest of that line is of before it.
        file.seek(SeekFrom::Start(self.offset.saturating_sub(1)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        let first = if self.offset == 0 { 0 } else { first };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = std::str::from_utf8(&bytes[first.min(whole)..whole])?;
        let parsed: Result<Vec<_>> = text.lines().map(parse).collect();
        Ok(parsed?.into_iter().flatten().collect())
    }

    /// Requests of one user since the mark.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests_of(&self, user: &str) -> Result<Vec<Request>> {
        Ok(self.requests()?.into_iter().filter(|request| request.user == user).collect())
    }

    /// How many requests there were since the mark, by user, verb and resource.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn counts(&self) -> Result<std::collections::BTreeMap<(String, String, String), usize>> {
        let mut counts = std::collections::BTreeMap::new();
        for request in self.requests()? {
            *counts.entry((request.user, request.verb, request.resource)).or_default() += 1;
        }
        Ok(counts)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: Name,
    impersonated_user: Option<Name>,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Reference>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct Name {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
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

fn parse(line: &str) -> Result<Option<Request>> {
    let line: Line =
        serde_json::from_str(line).with_context(|| format!("not a line of the audit log: {line}"))?;
    // A watch is written twice: when it begins to answer and when it ends.
    let counted = if line.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    if line.stage != counted {
        return Ok(None);
    }
    let Reference { resource, subresource, namespace, name } = line.object_ref.unwrap_or_default();
    Ok(Some(Request {
        user: line.impersonated_user.unwrap_or(line.user).username,
        agent: line.user_agent,
        verb: line.verb,
        resource: if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") },
        namespace,
        name,
        code: line.response_status.map_or(0, |status| status.code),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_in_the_midst_of_a_line_is_none_of_it() {
        let line = |user: &str| {
            format!(r#"{{"stage":"ResponseComplete","verb":"get","user":{{"username":"{user}"}}}}"#) + "\n"
        };
        let path = std::env::temp_dir().join(format!("audit-mark-{}", std::process::id()));
        let (before, half) = (line("a"), line("b"));
        for written in [before.clone(), before.clone() + &half[..20]] {
            std::fs::write(&path, &written).unwrap();
            let audit = Audit::from_now(path.clone()).unwrap();
            let rest = (before.clone() + &half)[written.len()..].to_owned();
            std::fs::write(&path, written.clone() + &rest + &line("c") + &half[..9]).unwrap();
            let users: Vec<String> = audit.requests().unwrap().into_iter().map(|one| one.user).collect();
            let expected: &[&str] = if written == before { &["b", "c"] } else { &["c"] };
            assert_eq!(users, expected);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_request_counts_once_and_for_the_user_whose_rights_it_had() {
        let line = r#"{"stage":"ResponseComplete","verb":"patch","user":{"username":"admin"},"impersonatedUser":{"username":"eve"},
            "userAgent":"x","objectRef":{"resource":"deployments","subresource":"scale","namespace":"a","name":"b"},
            "responseStatus":{"code":403}}"#;
        let request = parse(line).unwrap().unwrap();
        assert_eq!(
            (request.user.as_str(), request.resource.as_str(), request.code),
            ("eve", "deployments/scale", 403)
        );
        let started = r#"{"stage":"ResponseStarted","verb":"watch","user":{"username":"a"}}"#;
        let ended = r#"{"stage":"ResponseComplete","verb":"watch","user":{"username":"a"}}"#;
        assert!(parse(started).unwrap().is_some());
        assert!(parse(ended).unwrap().is_none());
    }
}
