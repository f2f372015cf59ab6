//! The connection to the API server, with the settings that the promises rest on.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::{Client, Config};

use super::meter::MeterLayer;
use crate::telemetry::Metrics;

/// Longest wait for any single call; a call without an answer by then has failed.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// The same for a pass that brings traffic back, so that it tries again at least every two seconds.
pub const URGENT_DEADLINE: Duration = Duration::from_secs(2);

/// Longest silence on a connection from which an answer is read: the server ends a watch sooner, and a list begins sooner.
pub const SILENCE: Duration = Duration::from_secs(40);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is neither a kubeconfig nor a service account.
    #[error("no way to the API server: {0}; set KUBECONFIG, or run in a pod with a service account")]
    Config(#[source] kube::config::InferConfigError),
    /// The settings do not make a client.
    #[error("the client for the API server cannot be built: {0}")]
    Build(#[source] kube::Error),
}

/// A client from the environment: kubeconfig, else the pod's service account.
///
/// # Errors
/// When there is neither, or when they cannot be used.
pub async fn connect(metrics: &Metrics) -> Result<Client, ConnectError> {
    let config = Config::infer().await.map_err(ConnectError::Config)?;
    from_config(config, metrics)
}

/// A client from a configuration.
///
/// HTTP/1.1 gives every call in flight a connection of its own, so that no write waits behind a watch.
///
/// # Errors
/// When the configuration cannot be used.
pub fn from_config(config: Config, metrics: &Metrics) -> Result<Client, ConnectError> {
    build(config, metrics, SILENCE)
}

fn build(mut config: Config, metrics: &Metrics, silence: Duration) -> Result<Client, ConnectError> {
    // Retries are the next pass's work: the default policy was measured to hold a write back for 345 s.
    config.default_retry = false;
    config.connect_timeout = Some(DEADLINE);
    config.write_timeout = Some(DEADLINE);
    // Each write has a deadline of its own. Lists and watches are awaited bare: a connection on which nothing comes for
    // longer than any watch lasts is dead. The time runs anew with each request on a connection that is used again.
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    let agent = HeaderValue::from_static(concat!("understudy/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config).map_err(ConnectError::Build)?;
    Ok(builder.with_layer(&MeterLayer::new(metrics.clone())).build())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::Api;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::watch::WATCH_SECONDS;

    /// An API server that takes each request and says nothing to it, or begins an answer and says nothing more.
    async fn silent(says: &'static str) -> http::Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(says.as_bytes()).await;
                open.push(socket);
            }
        });
        uri
    }

    #[tokio::test]
    async fn a_list_on_a_connection_that_died_in_silence_ends() {
        for says in ["", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"] {
            let client =
                build(Config::new(silent(says).await), &Metrics::new(), Duration::from_millis(300)).unwrap();
            let pods: Api<Pod> = Api::all(client);
            let list = tokio::time::timeout(Duration::from_secs(20), pods.list(&Default::default())).await;
            assert!(list.expect("the silence ends the list").is_err());
        }
    }

    #[test]
    fn a_watch_that_lives_ends_before_it_is_taken_for_dead() {
        assert!(SILENCE > Duration::from_secs(u64::from(WATCH_SECONDS)) + DEADLINE);
    }
}
