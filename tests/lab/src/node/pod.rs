//! A pod's worker: starts its containers, reports its status, and ends it when it is deleted.

use super::agent::Context;
use super::annotation;
use super::container::{Life, Phase, Restart, Snapshot};
use super::status::{Seen, status};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::sleep;

/// News from the watch.
pub(super) enum Message {
    Changed(Box<Pod>),
    Gone,
}

/// How long until a failed write is tried again.
const AGAIN: Duration = Duration::from_millis(300);

/// Works until the pod is gone.
pub(super) async fn work(context: Arc<Context>, pod: Pod, inbox: UnboundedReceiver<Message>) {
    let before = pod.status.clone().unwrap_or_default();
    if matches!(before.phase.as_deref(), Some("Succeeded" | "Failed"))
        && pod.metadata.deletion_timestamp.is_none()
    {
        return await_deletion(&context, inbox).await;
    }
    let wanted = before.pod_ip.as_ref().and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    let Some(address) = context.addresses.take(wanted) else {
        tracing::error!(pod = pod.name_any(), "no address left");
        return;
    };
    let mut worker = Worker::new(context.clone(), pod, address);
    worker.run(inbox).await;
    context.targets.remove(&worker.pod);
    context.addresses.release(address);
    // Kept until here for the agent's successor; logs are elsewhere and stay.
    let _ = std::fs::remove_dir_all(context.run.pods().join(worker.pod.uid().unwrap_or_default()));
}

async fn await_deletion(context: &Context, mut inbox: UnboundedReceiver<Message>) {
    while let Some(Message::Changed(pod)) = inbox.recv().await {
        if pod.metadata.deletion_timestamp.is_some() {
            return delete(context, &pod).await;
        }
    }
}

struct Worker {
    context: Arc<Context>,
    pod: Pod,
    address: Ipv4Addr,
    since: DateTime<Utc>,
    init: Vec<Snapshot>,
    main: Vec<Snapshot>,
    reported: Option<PodStatus>,
    stop: watch::Sender<Option<Duration>>,
}

impl Worker {
    fn new(context: Arc<Context>, pod: Pod, address: Ipv4Addr) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let fresh = |container: &Container| Snapshot::new(restarts_so_far(&pod, container));
        let mut main: Vec<Snapshot> = spec.containers.iter().map(fresh).collect();
        if annotation::is_fake(&pod) {
            for snapshot in &mut main {
                *snapshot = Snapshot {
                    phase: Phase::Running { since: Utc::now() },
                    ready: true,
                    started: true,
                    ..Snapshot::new(0)
                };
            }
        }
        Self {
            init: spec.init_containers.iter().flatten().map(fresh).collect(),
            main,
            context,
            pod,
            address,
            since: Utc::now(),
            reported: None,
            stop: watch::Sender::new(None),
        }
    }

    async fn run(&mut self, mut inbox: UnboundedReceiver<Message>) {
        let (reports, mut news) = unbounded_channel();
        let mut lives = std::pin::pin!(tokio::spawn(self.lives(reports)));
        let mut ended = false;
        let mut exists = true;
        self.heed();
        let mut clean = self.report().await;
        while !(ended && self.stop.borrow().is_some()) {
            tokio::select! {
                message = inbox.recv(), if exists => match message {
                    Some(Message::Changed(pod)) => {
                        self.pod = *pod;
                        self.heed();
                    }
                    Some(Message::Gone) | None => {
                        exists = false;
                        self.stop.send_replace(Some(Duration::ZERO));
                    }
                },
                Some((index, snapshot)) = news.recv() => self.set(index, snapshot),
                _ = &mut lives, if !ended => ended = true,
                () = sleep(AGAIN), if !clean => {}
            }
            while let Ok((index, snapshot)) = news.try_recv() {
                self.set(index, snapshot);
            }
            if exists {
                clean = self.report().await;
            }
        }
        if exists {
            delete(&self.context, &self.pod).await;
        }
    }

    /// Orders the containers to stop when the pod is being deleted.
    fn heed(&self) {
        if self.pod.metadata.deletion_timestamp.is_some() && self.stop.borrow().is_none() {
            let seconds = self.pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            self.stop.send_replace(Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))));
        }
    }

    /// All containers' lives: init containers one after the other, then the others together.
    fn lives(&self, reports: UnboundedSender<(usize, Snapshot)>) -> impl Future<Output = ()> + Send + use<> {
        let spec = self.pod.spec.clone().unwrap_or_default();
        let restart = match spec.restart_policy.as_deref() {
            Some("Never") => Restart::Never,
            Some("OnFailure") => Restart::OnFailure,
            _ => Restart::Always,
        };
        let pod = Arc::new(self.pod.clone());
        let life = |(index, container, snapshot): (usize, &Container, &Snapshot), restart: Restart| Life {
            context: self.context.clone(),
            pod: pod.clone(),
            container: container.clone(),
            address: self.address.to_string(),
            restart,
            index,
            reports: reports.clone(),
            stop: self.stop.subscribe(),
            snapshot: snapshot.clone(),
        };
        let once = if restart == Restart::Never { Restart::Never } else { Restart::OnFailure };
        let (mut init, mut main) = (Vec::new(), Vec::new());
        if !annotation::is_fake(&self.pod) {
            for (index, (container, snapshot)) in
                spec.init_containers.iter().flatten().zip(&self.init).enumerate()
            {
                // One that restarts always is a sidecar: it runs along.
                match container.restart_policy.as_deref() {
                    Some("Always") => main.push(life((index, container, snapshot), Restart::Always)),
                    _ => init.push(life((index, container, snapshot), once)),
                }
            }
            for (index, (container, snapshot)) in spec.containers.iter().zip(&self.main).enumerate() {
                main.push(life((self.init.len() + index, container, snapshot), restart));
            }
        }
        async move {
            for life in init {
                if life.run().await != Some(0) {
                    return;
                }
            }
            join_all(main.into_iter().map(Life::run)).await;
        }
    }

    fn set(&mut self, index: usize, snapshot: Snapshot) {
        let init = self.init.len();
        let slot = if index < init { self.init.get_mut(index) } else { self.main.get_mut(index - init) };
        if let Some(slot) = slot {
            *slot = snapshot;
        }
    }

    /// Writes the status if it changed; false when it must be tried again.
    async fn report(&mut self) -> bool {
        let conditions = self.reported.as_ref().or(self.pod.status.as_ref());
        let conditions = conditions.and_then(|status| status.conditions.clone()).unwrap_or_default();
        let seen = Seen {
            pod: &self.pod,
            address: &self.address.to_string(),
            since: self.since,
            init: &self.init,
            main: &self.main,
            conditions: &conditions,
        };
        let status = status(&seen, Utc::now());
        match status.phase.as_deref() {
            Some("Running") => self.context.targets.set(&self.pod, &self.address.to_string()),
            _ => self.context.targets.remove(&self.pod),
        }
        if self.reported.as_ref() == Some(&status) {
            return true;
        }
        let patch = serde_json::json!({"metadata": {"uid": self.pod.uid()}, "status": status});
        let written = api(&self.context, &self.pod)
            .patch_status(&self.pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        match written {
            Ok(_) => self.reported = Some(status),
            // Gone, or another of the same name: the watch will say so.
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => {}
            Err(error) => {
                tracing::warn!(pod = self.pod.name_any(), %error, "could not report; trying again");
                return false;
            }
        }
        true
    }
}

/// The last word about a pod: all its processes have ended.
async fn delete(context: &Context, pod: &Pod) {
    let params = DeleteParams::default()
        .grace_period(0)
        .preconditions(Preconditions { uid: pod.uid(), resource_version: None });
    loop {
        match api(context, pod).delete(&pod.name_any(), &params).await {
            Ok(_) => return,
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => return,
            Err(error) => tracing::warn!(pod = pod.name_any(), %error, "could not delete; trying again"),
        }
        sleep(AGAIN).await;
    }
}

fn api(context: &Context, pod: &Pod) -> Api<Pod> {
    Api::namespaced(context.client.clone(), &pod.namespace().unwrap_or_default())
}

/// Restarts reported by an agent before this one, and one more if the container ran then.
fn restarts_so_far(pod: &Pod, container: &Container) -> i32 {
    let status = pod.status.as_ref();
    let all = status.iter().flat_map(|status| {
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten())
    });
    let found = all.into_iter().find(|status| status.name == container.name);
    found.map_or(0, |status| status.restart_count + i32::from(status.container_id.is_some()))
}
