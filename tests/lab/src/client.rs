//! Clients of the lab's API server.

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::path::Path;
use std::time::Duration;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// `system:serviceaccount:<namespace>:<name>`.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Any other name, with groups.
    Person {
        /// The name the API server sees.
        name: String,
        /// Its groups; `system:authenticated` comes by itself.
        groups: Vec<String>,
    },
}

/// A client for a kubeconfig. Answers are not retried behind one's back, and a silent server is noticed.
///
/// # Errors
/// When the kubeconfig cannot be read.
pub async fn connect(kubeconfig: &Path, user: &User) -> Result<Client> {
    crate::inside::install_crypto();
    let text = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("could not read the kubeconfig {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(text, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    match user {
        User::Admin => {}
        // Impersonated: the API server judges by this user's rights alone.
        User::ServiceAccount { namespace, name } => {
            config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{name}"));
        }
        User::Person { name, groups } => {
            config.auth_info.impersonate = Some(name.clone());
            config.auth_info.impersonate_groups = Some(groups.clone()).filter(|groups| !groups.is_empty());
        }
    }
    Ok(Client::try_from(config)?)
}

/// A token of a service account, valid for a day.
///
/// # Errors
/// When there is no such service account.
pub async fn token(admin: &Client, namespace: &str, name: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(86_400), ..Default::default() }),
        ..Default::default()
    };
    let answer = accounts
        .create_token_request(name, &Default::default(), &request)
        .await
        .with_context(|| format!("could not get a token for the service account {namespace}/{name}"))?;
    answer.status.and_then(|status| status.token).context("the API server answered without a token")
}
