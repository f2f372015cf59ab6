//! Requests that the pods refuse (4xx), straight to the pods: failures at will, in either version.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::space::Space;

/// Posts what is no image to a pod; the answer's status code.
pub async fn nonsense(address: IpAddr) -> Result<u16> {
    let mut stream = tokio::net::TcpStream::connect((address, 8080)).await?;
    let request = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let code = answer.split(' ').nth(1).context("no answer")?;
    Ok(code.parse()?)
}

/// A metric that counts them.
pub fn refused() -> serde_json::Value {
    serde_json::json!({"name": "refused", "minSamples": 30,
        "ratio": {"bad": "http_requests_total{code=~\"4..\"}", "total": "http_requests_total"},
        "worse": {"ratio": 1.25, "plus": 0.01}, "proof": {"ratio": 2, "plus": 0.1}})
}

/// A stream of them to the pods of one version; it ends with this value.
pub struct Nonsense {
    rate: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Nonsense {
    /// So many a second, spread over the pods that serve the version now.
    pub fn start(space: &Space<'_>, version: &str, rate: u32) -> Result<Self> {
        let pods = space.pods.serving().into_iter().filter(|pod| pod.version == version);
        let addresses: Vec<IpAddr> = pods.map(|pod| pod.address).collect();
        anyhow::ensure!(!addresses.is_empty(), "{version} has no pods");
        let rate = Arc::new(AtomicU32::new(rate));
        let wanted = Arc::clone(&rate);
        let task = tokio::spawn(async move {
            for address in addresses.iter().cycle() {
                let pause = Duration::from_secs(1) / wanted.load(Ordering::Relaxed).max(1);
                tokio::time::sleep(pause).await;
                // A pod that has gone refuses nothing any more.
                tokio::spawn(nonsense(*address));
            }
        });
        Ok(Self { rate, task })
    }

    /// So many a second from now on.
    pub fn set(&self, rate: u32) {
        self.rate.store(rate, Ordering::Relaxed);
    }
}

impl Drop for Nonsense {
    fn drop(&mut self) {
        self.task.abort();
    }
}
