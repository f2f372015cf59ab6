//! Watches the pods bound to the node and gives each a worker.

use super::addresses::Addresses;
use super::pod::{self, Message};
use super::targets::Targets;
use super::{NODE_NAME, leftovers, register, usage};
use crate::client::{self, User};
use crate::paths::{RunDir, images_dir};
use anyhow::{Context as _, Result};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What all workers share.
pub(super) struct Context {
    pub client: Client,
    pub run: RunDir,
    pub addresses: Addresses,
    pub targets: Targets,
}

impl Context {
    /// Where images are looked up, in order.
    pub(super) fn image_directories(&self) -> Vec<PathBuf> {
        vec![self.run.images(), images_dir()]
    }
}

/// Runs until SIGTERM, then ends every process it started. (Killed otherwise, the next agent does.)
pub(super) async fn run(directory: PathBuf) -> Result<()> {
    let name =
        directory.file_name().context("the lab's directory has no name")?.to_string_lossy().into_owned();
    let run = RunDir::of(&name);
    let ended = leftovers::end_all(&run);
    let client = client::connect(&run.kubeconfig("lab:node"), &User::Admin).await?;
    register::register(&client).await?;
    tracing::info!(ended, "the node is ready");
    let usage = usage::serve(client.clone(), run.clone());
    let targets = Targets::new(run.targets());
    let context = Arc::new(Context { client: client.clone(), run, addresses: Addresses::default(), targets });
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        result = watch(&context, Api::all(client)) => result?,
        result = usage => result?,
        _ = terminated.recv() => {}
    }
    leftovers::end_all(&context.run);
    Ok(())
}

async fn watch(context: &Arc<Context>, pods: Api<Pod>) -> Result<()> {
    // A watch that went silent is noticed in half a minute.
    let config = watcher::Config::default().fields(&format!("spec.nodeName={NODE_NAME}")).timeout(29);
    let mut events = std::pin::pin!(watcher::watcher(pods, config).default_backoff());
    let mut workers: HashMap<String, UnboundedSender<Message>> = HashMap::new();
    let mut listed = HashSet::new();
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(pod))) => {
                listed.insert(pod.uid().unwrap_or_default());
                tell(context, &mut workers, pod);
            }
            Ok(Some(Event::InitDone)) => {
                // What the list lacks was deleted while nobody watched.
                for (_, worker) in workers.extract_if(|uid, _| !listed.contains(uid)) {
                    let _ = worker.send(Message::Gone);
                }
            }
            Ok(Some(Event::Apply(pod))) => tell(context, &mut workers, pod),
            Ok(Some(Event::Delete(pod))) => {
                if let Some(worker) = workers.remove(&pod.uid().unwrap_or_default()) {
                    // A worker that has ended has nothing left to do.
                    let _ = worker.send(Message::Gone);
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => tracing::warn!(%error, "the watch failed; trying again"),
        }
    }
}

/// Gives a pod to its worker, or a new one.
fn tell(context: &Arc<Context>, workers: &mut HashMap<String, UnboundedSender<Message>>, pod: Pod) {
    let uid = pod.uid().unwrap_or_default();
    if let Some(worker) = workers.get(&uid) {
        let _ = worker.send(Message::Changed(Box::new(pod)));
        return;
    }
    let (sender, inbox) = unbounded_channel();
    workers.insert(uid, sender);
    tokio::spawn(pod::work(context.clone(), pod, inbox));
}
