//! The running controller: watches, election, queue, and their end.

use std::sync::Arc;

use futures::FutureExt;
use kube::Client;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Notify, watch};
use tracing::Instrument;

use super::context::{Context, Memory};
use super::queue::{Job, Next, Queue};
use super::{Error, model_rollout, model_version, report, wake};
use crate::cluster::events::Events;
use crate::cluster::lease::{Election, Leadership, Times};
use crate::cluster::topics::Topic;
use crate::cluster::{Covers, Stores, Writer};
use crate::measure::Sources;
use crate::serve::health::{self, Health};
use crate::telemetry::Metrics;

/// How often is looked whether watches have begun to fail.
const GLANCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What the controller is told by its operator.
pub struct Settings {
    /// Watched namespaces; none named: all.
    pub namespaces: Vec<String>,
    /// Namespace of the Lease: the operator's own.
    pub lease_namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Times of the election.
    pub lease_times: Times,
    /// Who this process is, unique among all.
    pub identity: String,
    /// Address of the health and metrics endpoints.
    pub bind: std::net::SocketAddr,
    /// Metric sources.
    pub sources: Sources,
}

/// How the controller ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// It lost the lease: another process may lead, so this one must not go on.
    LeaseLost(String),
    /// The health endpoint could not be served.
    NoEndpoint(String),
}

/// Runs until `stop` resolves or the lease is lost.
pub async fn run(
    client: Client,
    metrics: Metrics,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> Ended {
    let (changed, changes) = unbounded_channel();
    let stores = Arc::new(Stores::new(&changed));
    let Settings { namespaces, lease_namespace, lease_name, lease_times, identity, bind, sources } = settings;
    let election = Election::new(client.clone(), &lease_namespace, &lease_name, &identity, lease_times);
    let leadership = election.state();
    let fence = election.fence();
    let health = Health { stores: stores.clone(), leadership: leadership.clone(), metrics: metrics.clone() };
    let listener = match tokio::net::TcpListener::bind(bind).await {
        Ok(listener) => listener,
        Err(error) => return Ended::NoEndpoint(format!("{bind}: {error}")),
    };
    let endpoint = tokio::spawn(health::serve(listener, health));
    let ctx = Arc::new(Context {
        covers: Covers::new(client.clone(), namespaces.is_empty()),
        writer: Writer::new(client.clone(), stores.clone(), fence.clone()),
        events: Events::start(client.clone(), identity, metrics.clone()),
        stores: stores.clone(),
        metrics: metrics.clone(),
        sources,
        memory: Memory::default(),
    });
    stores.watch(&client, &namespaces, &metrics);
    tokio::spawn(dispatch(ctx, changes, leadership.clone()));

    let (ended, told) = watch::channel(false);
    let holding = tokio::spawn(election.run(async move {
        let mut told = told;
        // The sender is dropped only after it has told.
        let _ = told.wait_for(|ended| *ended).await;
    }));
    let mut state = leadership.clone();
    let lost = async {
        match state.wait_for(|s| matches!(s, Leadership::Lost { .. })).await.as_deref() {
            Ok(Leadership::Lost { why }) => why.clone(),
            Ok(_) | Err(_) => "the election ended".to_owned(),
        }
    };
    let outcome = tokio::select! {
        () = stop => Ended::Stopped,
        why = lost => Ended::LeaseLost(why),
        answer = endpoint => Ended::NoEndpoint(format!("{answer:?}")),
    };
    // No write begins after this; those under way end within their deadline. Then the lease can go to another.
    fence.close_and_wait().await;
    let _ = ended.send(true);
    let _ = holding.await;
    outcome
}

/// Rings the objects that changes concern, while this process leads.
async fn dispatch(
    ctx: Arc<Context>,
    mut changes: UnboundedReceiver<Vec<Topic>>,
    mut leadership: watch::Receiver<Leadership>,
) {
    while *leadership.borrow_and_update() != Leadership::Leading || !ctx.stores.missing().is_empty() {
        tokio::select! {
            change = changes.recv() => if change.is_none() { return },
            news = leadership.changed() => if news.is_err() { return },
            // Lists that come last say so by no change of their own.
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
        }
    }
    tracing::info!("leading; all watches have their lists");
    let queue = queue(ctx.clone());
    wake::everything(&ctx.stores).into_iter().for_each(|job| queue.ring(job));
    let kinds = || -> Vec<String> {
        let failing = ctx.stores.failing(None).into_iter().map(|f| f.kind.to_owned());
        failing.chain(ctx.stores.unread(None).into_iter().map(|u| u.kind)).collect()
    };
    let (mut failing, mut glance) = (Vec::new(), tokio::time::interval(GLANCE));
    loop {
        tokio::select! {
            topics = changes.recv() => {
                let Some(topics) = topics else { return };
                let concerned = |topic| wake::concerned(&ctx.stores, topic);
                topics.iter().flat_map(concerned).for_each(|job| queue.ring(job));
            }
            // A watch that fails, or does no longer, says so by no change of its own.
            _ = glance.tick() => {
                let now = kinds();
                if now != failing {
                    tracing::warn!(kinds = ?now, "watches that have failed for long; what is known of these kinds may be out of date");
                    failing = now;
                    wake::everything(&ctx.stores).into_iter().for_each(|job| queue.ring(job));
                }
            }
        }
    }
}

fn queue(ctx: Arc<Context>) -> Arc<Queue> {
    let metrics = ctx.metrics.clone();
    let panicked = move |job: &Job| {
        metrics.panicked();
        tracing::error!(?job, "a pass panicked; the object is tried again later, the others go on");
    };
    Queue::new(Arc::new(move |job, bell| work(ctx.clone(), job, bell).boxed()), panicked)
}

async fn work(ctx: Arc<Context>, job: Job, bell: Arc<Notify>) -> Next {
    let began = std::time::Instant::now();
    let (kind, span) = match &job {
        Job::Rollout(key) => {
            ("ModelRollout", tracing::info_span!("pass", namespace = key.namespace, rollout = key.name))
        }
        Job::Version(key) => {
            ("ModelVersion", tracing::info_span!("pass", namespace = key.namespace, version = key.name))
        }
    };
    async {
        let outcome = match &job {
            Job::Rollout(key) => {
                ctx.metrics.moves(&key.namespace, &key.name);
                model_rollout::reconcile(&ctx, key, &bell).await
            }
            Job::Version(key) => model_version::reconcile(&ctx, key).await,
        };
        let label = outcome.as_ref().map_or_else(Error::label, |_| "done");
        ctx.metrics.pass(kind, label, began.elapsed());
        outcome.unwrap_or_else(|error| report::failed(&ctx, &job, &error))
    }
    .instrument(span)
    .await
}
