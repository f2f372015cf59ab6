//! Envoy's access log: one JSON object a request, with the fields that Contour names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::record::{Outcome, Recording, sequence_of};
use super::{Failure, Via};

/// What the gateway noted of one request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Entry {
    /// The header as the client sent it; Envoy keeps it.
    #[serde(alias = "x_request_id")]
    request_id: Option<String>,
    /// The pod's address; none when no upstream was chosen.
    #[serde(default)]
    pub upstream_host: Option<String>,
    /// The cluster that the route chose, with the Service's name in it.
    #[serde(default)]
    pub upstream_cluster: Option<String>,
    /// What the client was answered; 0 when it had gone.
    #[serde(default)]
    pub response_code: u16,
    /// Why Envoy made or ended the answer; `-` when the upstream did.
    #[serde(default)]
    pub response_flags: Option<String>,
}

impl Entry {
    /// The upstream's address, if one was chosen.
    pub fn upstream(&self) -> Option<SocketAddr> {
        self.upstream_host.as_deref()?.parse().ok()
    }

    /// Envoy's flags, none if the answer is the upstream's own.
    pub fn flags(&self) -> Vec<&str> {
        let flags = self.response_flags.as_deref().unwrap_or("-");
        flags.split(',').filter(|flag| !flag.is_empty() && *flag != "-").collect()
    }
}

/// What the gateway noted of one load, by sequence number.
#[derive(Clone, Debug, Default)]
pub struct AccessLog(HashMap<u32, Entry>);

impl AccessLog {
    /// Reads the entries of this load; other lines are none of ours.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path, recording: &Recording) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("cannot read the access log {}", path.display()))?;
        let run = format!("{:08x}-", recording.run >> 32);
        let mut entries = HashMap::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("cannot read the access log {}", path.display()))?;
            let line = String::from_utf8_lossy(&line);
            if !line.contains(&run) {
                continue;
            }
            // A line that is being written is whole at the next reading.
            let Ok(entry) = serde_json::from_str::<Entry>(&line) else { continue };
            let id = entry.request_id.as_deref().unwrap_or_default();
            if let Some(sequence) = sequence_of(id, recording.run) {
                entries.insert(sequence, entry);
            }
        }
        Ok(Self(entries))
    }

    /// Reads until every request that must have reached the gateway is in, or `patience` is over: Envoy writes its log
    /// in batches.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn read_whole(path: &Path, recording: &Recording, patience: Duration) -> Result<Self> {
        let until = Instant::now() + patience;
        loop {
            let log = Self::read(path, recording)?;
            if log.missing(recording) == 0 || Instant::now() >= until {
                return Ok(log);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The entry of a request.
    pub fn get(&self, sequence: u32) -> Option<&Entry> {
        self.0.get(&sequence)
    }

    /// Requests through the gateway that connected and are not in the log.
    pub fn missing(&self, recording: &Recording) -> usize {
        let expected = recording.records.iter().zip(0u32..).filter(|(record, sequence)| {
            let reached = match record.outcome {
                Outcome::Answered(_) => true,
                Outcome::Failed(Failure::Timeout | Failure::Reset | Failure::Closed | Failure::Broken) => {
                    true
                }
                Outcome::Failed(Failure::Refused | Failure::Connect) | Outcome::Pending => false,
            };
            reached && recording.via(record) == Some(Via::Gateway) && !self.0.contains_key(sequence)
        });
        expected.count()
    }
}
