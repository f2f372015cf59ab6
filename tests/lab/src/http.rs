//! A GET over plain HTTP, for probes and health pages. (Model traffic has a client of its own.)

use anyhow::{Context, Result, bail};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer's status and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The body, decoded when it was sent in chunks.
    pub body: String,
}

/// GET `url` on a connection of its own; the whole takes at most `timeout`.
///
/// # Errors
/// When there is no answer in time.
pub async fn get(url: &str, headers: &[(String, String)], timeout: Duration) -> Result<Answer> {
    match tokio::time::timeout(timeout, exchange(url, headers)).await {
        Ok(answer) => answer,
        Err(_) => bail!("{url} did not answer within {timeout:?}"),
    }
}

async fn exchange(url: &str, headers: &[(String, String)]) -> Result<Answer> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not a plain http address"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let socket = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut stream =
        TcpStream::connect(socket).await.with_context(|| format!("could not connect to {url}"))?;
    let host = if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        String::new()
    } else {
        format!("Host: {authority}\r\n")
    };
    let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request =
        format!("GET /{path} HTTP/1.1\r\n{host}{extra}Connection: close\r\nUser-Agent: lab\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    parse(&bytes).with_context(|| format!("{url} did not answer in HTTP"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some(Answer { status, body: if chunked { unchunk(body) } else { body.into() } })
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        body.push_str(chunk);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_in_chunks() {
        let plain = parse(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (503, "no"));
        let chunked = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!((chunked.status, chunked.body.as_str()), (200, "abcde"));
        assert!(parse(b"nonsense").is_none());
    }
}
