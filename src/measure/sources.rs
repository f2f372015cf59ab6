//! The servers that the operator knows, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::prometheus::{Limits, Prometheus};
use super::source::{ErrorClass, Server, Source, SourceError};

/// All configured servers.
#[derive(Clone, Default)]
pub struct Sources(BTreeMap<String, Arc<dyn Source>>);

impl Sources {
    /// Clients for the servers of the operator's configuration. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for a bad address or a name that is there twice.
    pub fn from_servers(servers: Vec<Server>, limits: Limits) -> Result<Self, SourceError> {
        let mut sources = Self::default();
        for server in servers {
            let name = server.name.clone();
            let source = Prometheus::new(server, limits).map_err(|error| SourceError {
                message: format!("{error}; correct the operator's configuration"),
                ..error
            });
            let source = Arc::new(source?);
            if sources.0.insert(name.clone(), source).is_some() {
                let message =
                    format!("the operator's configuration names the Prometheus server {name:?} twice");
                return Err(SourceError { class: ErrorClass::Configuration, message });
            }
        }
        Ok(sources)
    }

    /// Adds or replaces one source.
    #[must_use]
    pub fn with(mut self, name: &str, source: Arc<dyn Source>) -> Self {
        self.0.insert(name.into(), source);
        self
    }

    /// The source of that name.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`], with the names that there are.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Source>, SourceError> {
        self.0.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let message = format!(
                "the operator knows no Prometheus server {name:?}; it knows: {}. Name one of them in \
                 analysis.prometheus, or add it to the operator's configuration",
                if known.is_empty() { "none".to_string() } else { known.join(", ") }
            );
            SourceError { class: ErrorClass::Configuration, message }
        })
    }
}
