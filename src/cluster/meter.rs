//! Counts every call to the API server, watches and lease included, where none can be missed: below the client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Method, Request, Response};
use tower::{Layer, Service};

use crate::telemetry::Metrics;

/// Puts a [`Meter`] around the client's transport.
#[derive(Clone)]
pub struct MeterLayer {
    metrics: Metrics,
}

impl MeterLayer {
    /// A layer that counts into these metrics.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { inner, metrics: self.metrics.clone() }
    }
}

/// Counts calls by verb, resource and status code.
#[derive(Clone)]
pub struct Meter<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B, R> Service<Request<B>> for Meter<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let metrics = self.metrics.clone();
        let (verb, resource) =
            describe(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
        let started = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or(0, |r| r.status().as_u16());
            metrics.api_call(verb, &resource, code, started.elapsed());
            answer
        })
    }
}

/// Verb and resource of a call, such as `patch` and `modelrollouts/status`. Names never enter a label.
fn describe(method: &Method, path: &str, query: &str) -> (&'static str, String) {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    // /api/v1/... or /apis/<group>/<version>/...
    let start = match parts.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        Some(_) | None => return ("get", "other".to_owned()),
    };
    let mut rest = parts.get(start..).unwrap_or_default();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        rest = &rest[2..];
    }
    let resource = match rest {
        [] => "other".to_owned(),
        [kind] | [kind, _] => (*kind).to_owned(),
        [kind, _, sub, ..] => format!("{kind}/{sub}"),
    };
    let named = rest.len() > 1;
    let verb = match *method {
        Method::GET if query.contains("watch=true") => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    (verb, resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(method: Method, path: &str, query: &str) -> String {
        let (verb, resource) = describe(&method, path, query);
        format!("{verb} {resource}")
    }

    #[test]
    fn calls_are_named_by_verb_and_resource_and_never_by_object() {
        assert_eq!(seen(Method::GET, "/api/v1/pods", "watch=true&timeoutSeconds=29"), "watch pods");
        assert_eq!(seen(Method::GET, "/api/v1/namespaces/shop/services", ""), "list services");
        assert_eq!(seen(Method::GET, "/api/v1/namespaces", ""), "list namespaces");
        let rollout = "/apis/understudy.dev/v1alpha1/namespaces/shop/modelrollouts/m";
        assert_eq!(seen(Method::GET, rollout, ""), "get modelrollouts");
        assert_eq!(seen(Method::PATCH, &format!("{rollout}/status"), ""), "patch modelrollouts/status");
        let lease = "/apis/coordination.k8s.io/v1/namespaces/u/leases/understudy";
        assert_eq!(seen(Method::PUT, lease, ""), "update leases");
        assert_eq!(seen(Method::GET, "/version", ""), "get other");
    }
}
