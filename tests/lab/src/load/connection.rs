//! Connections to one target, kept or new, and what can go wrong on them.

use std::collections::VecDeque;
use std::error::Error as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Mutex;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::Mode;

type Sender = SendRequest<Full<Bytes>>;

/// Why a request has no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Nothing listens there.
    Refused,
    /// No connection for another reason.
    Connect,
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection before the whole answer.
    Closed,
    /// No answer in time.
    Timeout,
    /// Something else broke the exchange.
    Broken,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        })
    }
}

/// A whole answer.
pub struct Answer {
    /// Status code.
    pub code: u16,
    /// Headers as received.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Connections to one address. Idle ones are used in turn, so that none is forgotten by a server that drains.
pub struct Connections {
    address: SocketAddr,
    keep: usize,
    idle: Mutex<VecDeque<Sender>>,
}

impl Connections {
    /// None yet.
    pub fn new(address: SocketAddr, mode: Mode) -> Self {
        let keep = match mode {
            Mode::KeepAlive { connections } => connections,
            Mode::NewConnection => 0,
        };
        Self { address, keep, idle: Mutex::new(VecDeque::new()) }
    }

    /// Sends one request and reads its answer. A kept connection that was closed before the request was written is not
    /// a failure, as for any client: the request goes out on another one.
    ///
    /// # Errors
    /// What broke the exchange. There is no time limit; dropping the future drops the connection.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        loop {
            let (mut sender, kept) = match self.take() {
                Some(sender) => (sender, true),
                None => (connect(self.address).await?, false),
            };
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => match error.take_message() {
                    Some(unsent) if kept => {
                        request = unsent;
                        continue;
                    }
                    Some(_) | None => return Err(failure(error.error())),
                },
            };
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| failure(&error))?.to_bytes();
            if self.keep > 0 && sender.ready().await.is_ok() {
                self.put(sender);
            }
            return Ok(Answer { code: head.status.as_u16(), headers: head.headers, body });
        }
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().ok()?;
        while let Some(sender) = idle.pop_front() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn put(&self, sender: Sender) {
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < self.keep
        {
            idle.push_back(sender);
        }
    }
}

async fn connect(address: SocketAddr) -> Result<Sender, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::ConnectionReset => Failure::Reset,
        _ => Failure::Connect,
    })?;
    stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failure(&error))?;
    // Its errors reach the request that was on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn failure(error: &hyper::Error) -> Failure {
    if error.is_incomplete_message() {
        return Failure::Closed;
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match io.map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Failure::Reset,
        Some(ErrorKind::UnexpectedEof) => Failure::Closed,
        Some(_) | None => Failure::Broken,
    }
}
