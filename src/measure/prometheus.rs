//! Prometheus over its HTTP API: raw samples by an instant query of a range selector.
//!
//! Every request has a total deadline and a size cap and follows no redirect; the body of an answer never reaches a
//! message unbounded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};
use tokio::sync::Semaphore;

use super::reply;
use super::source::{ErrorClass, Query, Reading, Series, Server, Source, SourceError};
use super::window::{pieces, range};

/// Total time of one read, with all its requests.
const DEADLINE: Duration = Duration::from_secs(10);

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(3);

/// The largest answer that is read: an hour of a few dozen series at a one-second scrape.
const LARGEST: usize = 8 << 20;

/// Reads of one server at the same time. With the largest answer it bounds what all rollouts together can make the
/// process hold, whatever number of pods somebody's selector matches.
const AT_ONCE: usize = 4;

/// Limits of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Total time of one read.
    pub deadline: Duration,
    /// Largest answer in bytes, all pieces of a read together.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: DEADLINE, bytes: LARGEST }
    }
}

/// A Prometheus server.
#[derive(Clone, Debug)]
pub struct Prometheus {
    server: Server,
    endpoint: Url,
    client: Client,
    limits: Limits,
    at_once: Arc<Semaphore>,
}

/// Makes ring the process's TLS provider, unless one is set already. Safe to call often.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    // An error means that somebody else has set a provider, which serves as well.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// The certificates of a CA file, or what is wrong with it.
fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let unread = |error: std::io::Error| format!("its caFile cannot be read ({})", error.kind());
    let found = Certificate::from_pem_bundle(&std::fs::read(path).map_err(unread)?).unwrap_or_default();
    if found.is_empty() { Err("its caFile holds no certificate in PEM".into()) } else { Ok(found) }
}

impl Prometheus {
    /// A client for the server. Sends nothing; reads the CA file.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for an address that is no HTTP URL, a token that would go over plain HTTP, or a CA file
    /// that is of no use.
    pub fn new(server: Server, limits: Limits) -> Result<Self, SourceError> {
        install_tls_provider();
        let wrong = |what: &str| SourceError {
            class: ErrorClass::Configuration,
            message: format!("Prometheus server {:?}: {what}", server.name),
        };
        let mut endpoint = Url::parse(&server.url).map_err(|_| wrong("its address is not a URL"))?;
        let plain = match endpoint.scheme() {
            "http" => true,
            "https" => false,
            _ => return Err(wrong("its address is neither http nor https")),
        };
        if plain && server.bearer_token_file.is_some() && !server.insecure {
            return Err(wrong(
                "its bearer token would be sent over plain HTTP; use https (with caFile for an authority of your own), \
                 or say insecure: true",
            ));
        }
        if plain && server.ca_file.is_some() {
            return Err(wrong("it has a caFile, but its address is not https"));
        }
        endpoint
            .path_segments_mut()
            .map_err(|()| wrong("its address cannot be extended"))?
            .pop_if_empty()
            .extend(["api", "v1", "query"]);
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(limits.deadline);
        if plain {
            // Plain HTTP needs no certificates, and an image without any must still start.
            builder = builder.tls_certs_only([]);
        }
        if let Some(path) = &server.ca_file {
            builder = builder.tls_certs_only(authorities(path).map_err(|what| wrong(&what))?);
        }
        let client = builder.build().map_err(|_| wrong("no HTTP client can be made for it"))?;
        Ok(Self { server, endpoint, client, limits, at_once: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    async fn read_all(&self, query: &Query) -> Result<Vec<Series>, SourceError> {
        // Never closed; and whoever waits here waits within the read's deadline.
        let _turn = self.at_once.acquire().await;
        let mut left = self.limits.bytes;
        let mut merged: BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>> = BTreeMap::new();
        for (from, to) in pieces(query.from, query.to) {
            let expression = match query.step {
                None => format!("{}[{}]", query.selector, range(from, to)),
                Some(step) => {
                    format!("({})[{}:{}ms]", query.selector, range(from, to), step.num_milliseconds().max(1))
                }
            };
            let time = format!("{:.3}", to.timestamp_millis() as f64 / 1000.0);
            for series in self.ask(&expression, &time, &mut left).await? {
                merged.entry(series.labels).or_default().extend(series.samples);
            }
        }
        let one = |(labels, mut samples): (_, Vec<(i64, f64)>)| {
            samples.sort_by_key(|sample| sample.0);
            samples.dedup_by_key(|sample| sample.0);
            Series { labels, samples }
        };
        Ok(merged.into_iter().map(one).collect())
    }

    async fn ask(&self, expression: &str, time: &str, left: &mut usize) -> Result<Vec<Series>, SourceError> {
        let mut request =
            self.client.post(self.endpoint.clone()).form(&[("query", expression), ("time", time)]);
        if let Some(token) = self.token().await? {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        let status = response.status();
        let body = self.body(response, *left).await?;
        *left -= body.len();
        match status {
            StatusCode::OK => reply::samples(&body),
            _ => Err(reply::refusal(status.as_u16(), &body)),
        }
        .map_err(|error| self.named(error))
    }

    async fn token(&self) -> Result<Option<String>, SourceError> {
        let Some(path) = &self.server.bearer_token_file else {
            return Ok(None);
        };
        let token = tokio::fs::read_to_string(path).await.map_err(|error| {
            let message = format!("the bearer token file cannot be read ({})", error.kind());
            self.named(SourceError { class: ErrorClass::Configuration, message })
        })?;
        Ok(Some(token.trim().to_string()))
    }

    async fn body(&self, mut response: Response, left: usize) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(&error))? {
            if body.len() + chunk.len() > left {
                let message = format!(
                    "the answer is larger than {} MiB: select fewer series with more labels",
                    self.limits.bytes >> 20
                );
                return Err(self.named(SourceError { class: ErrorClass::TooLarge, message }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What went wrong below HTTP. The library's text names the URL, which people configured themselves, and nothing of
    /// the answer.
    fn transport(&self, error: &reqwest::Error) -> SourceError {
        let (class, what) = if error.is_timeout() {
            (ErrorClass::Timeout, "did not answer in time")
        } else if error.is_connect() {
            (ErrorClass::Unreachable, "cannot be reached")
        } else {
            (ErrorClass::Unreachable, "broke off its answer")
        };
        self.named(SourceError { class, message: what.into() })
    }

    fn named(&self, error: SourceError) -> SourceError {
        let SourceError { class, message } = error;
        SourceError { class, message: format!("Prometheus server {:?}: {message}", self.server.name) }
    }
}

impl Source for Prometheus {
    fn read<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Reading> {
        async move {
            match tokio::time::timeout(self.limits.deadline, self.read_all(query)).await {
                Ok(Ok(series)) if series.iter().all(|one| one.samples.is_empty()) => Reading::NoData,
                Ok(Ok(series)) => Reading::Series(series),
                Ok(Err(error)) => Reading::Error(error),
                Err(_) => {
                    let message = format!("did not answer in {} s", self.limits.deadline.as_secs_f32());
                    Reading::Error(self.named(SourceError { class: ErrorClass::Timeout, message }))
                }
            }
        }
        .boxed()
    }
}
