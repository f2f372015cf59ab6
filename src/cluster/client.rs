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
pub fn from_config(mut config: Config, metrics: &Metrics) -> Result<Client, ConnectError> {
    // Retries are the next pass's work: the default policy was measured to hold a write back for 345 s.
    config.default_retry = false;
    config.connect_timeout = Some(DEADLINE);
    config.write_timeout = Some(DEADLINE);
    // Reads have their own deadline around each call; a watch has its own idle limit.
    config.read_timeout = None;
    let agent = HeaderValue::from_static(concat!("understudy/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config).map_err(ConnectError::Build)?;
    Ok(builder.with_layer(&MeterLayer::new(metrics.clone())).build())
}
