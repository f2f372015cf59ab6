//! Envoy's access log: which pod really answered a request.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// One request as Envoy saw it. (Mirrored copies are not in the log: count them at the pods.)
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Entry {
    /// When it began, in seconds since 1970.
    #[serde(rename = "@timestamp")]
    pub start: String,
    /// The caller's `x-request-id`; Envoy keeps it, and makes one when there is none.
    #[serde(rename = "x_request_id")]
    pub request_id: Option<String>,
    /// GET, POST, ...
    pub method: Option<String>,
    /// Path and query.
    pub path: Option<String>,
    /// Status code; 0 when the caller left before there was an answer.
    #[serde(rename = "response_code")]
    pub code: u16,
    /// Envoy's own word on what went wrong: `NC`, `UF`, `UT`, `DC`, ...; none: nothing.
    #[serde(rename = "response_flags")]
    pub flags: Option<String>,
    /// Milliseconds from its first byte to the last byte of the answer.
    #[serde(rename = "duration")]
    pub duration_ms: Option<u64>,
    /// Address and port of the pod; none: it never reached one.
    pub upstream_host: Option<String>,
    /// Envoy's name for the Service's port: `NAMESPACE/SERVICE/PORT/HASH`.
    pub upstream_cluster: Option<String>,
    /// Name of the route in Envoy's configuration.
    pub route_name: Option<String>,
}

impl Entry {
    /// The pod's address without the port.
    pub fn upstream_ip(&self) -> Option<&str> {
        self.upstream_host.as_deref()?.rsplit_once(':').map(|(ip, _)| ip)
    }
}

/// A reader of the log; each reader has a place of its own in it.
#[derive(Debug)]
pub struct AccessLog {
    path: PathBuf,
    offset: u64,
}

impl AccessLog {
    /// A reader at the start of the log.
    pub fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// Entries written since the last call (since the lab began, at first). Envoy writes every 100 ms.
    ///
    /// # Errors
    /// When the log cannot be read or a line is not one of ours.
    pub fn read(&mut self) -> Result<Vec<Entry>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // Envoy makes the file with the first listener.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("could not read the access log"),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may be half written.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        text[..whole].lines().map(parse).collect()
    }

    /// As [`AccessLog::read`], by request id.
    ///
    /// # Errors
    /// As there.
    pub fn read_by_request_id(&mut self) -> Result<HashMap<String, Entry>> {
        let entries = self.read()?.into_iter();
        Ok(entries.filter_map(|entry| Some((entry.request_id.clone()?, entry))).collect())
    }
}

fn parse(line: &str) -> Result<Entry> {
    let mut entry: Entry =
        serde_json::from_str(line).with_context(|| format!("not a line of the access log: {line}"))?;
    // Envoy writes "-" for nothing.
    for field in [
        &mut entry.request_id,
        &mut entry.flags,
        &mut entry.upstream_host,
        &mut entry.upstream_cluster,
        &mut entry.route_name,
    ] {
        field.take_if(|text| text == "-" || text.is_empty());
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_pod_answered() {
        let line = r#"{"@timestamp":"1795271234.000123","x_request_id":"r-1","method":"GET","path":"/","response_code":200,
            "response_flags":"-","duration":3,"upstream_host":"10.244.0.7:8080","upstream_cluster":"demo/m/8080/da39a3ee5e",
            "route_name":null}"#;
        let entry = parse(line).unwrap();
        assert_eq!(entry.upstream_ip(), Some("10.244.0.7"));
        assert_eq!((entry.code, entry.flags), (200, None));
    }

    #[test]
    fn a_half_written_line_is_left_for_the_next_read() {
        let path = std::env::temp_dir().join(format!("lab-access-{}", std::process::id()));
        let line = r#"{"@timestamp":"1.0","response_code":503,"response_flags":"NC"}"#;
        std::fs::write(&path, format!("{line}\n{}", &line[..20])).unwrap();
        let mut log = AccessLog::new(path.clone());
        assert_eq!(log.read().unwrap().len(), 1);
        std::fs::write(&path, format!("{line}\n{line}\n")).unwrap();
        let rest = log.read().unwrap();
        assert_eq!(rest.len(), 1);
        assert_eq!((rest[0].flags.as_deref(), rest[0].upstream_ip()), (Some("NC"), None));
        std::fs::remove_file(path).unwrap();
    }
}
