//! Events, published behind the writes: a pass never waits for them.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::client::DEADLINE;
use crate::telemetry::Metrics;

/// Events that may wait; more are dropped and counted.
const QUEUE: usize = 1024;
/// Longest note; the API refuses more than 1 kB.
const NOTE_LIMIT: usize = 1000;

/// Takes Events.
#[derive(Clone)]
pub struct Events {
    queue: Sender<(Event, ObjectReference)>,
    metrics: Metrics,
}

impl Events {
    /// Starts publishing in the background, in order, under the name of this process.
    pub fn start(client: Client, instance: String, metrics: Metrics) -> Self {
        let (queue, waiting) = channel(QUEUE);
        let reporter = Reporter { controller: "understudy.dev/controller".into(), instance: Some(instance) };
        tokio::spawn(publish(Recorder::new(client, reporter), waiting));
        Self { queue, metrics }
    }

    /// Tells of something that happened to an object.
    pub fn tell(&self, about: ObjectReference, event: &crate::rollout::Event) {
        let type_ = if event.warning { EventType::Warning } else { EventType::Normal };
        let published = Event {
            type_,
            reason: event.reason.clone(),
            note: Some(cut(&event.message)),
            action: action(event),
            secondary: None,
        };
        if self.queue.try_send((published, about)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

/// The recorder merges Events of the same action and loses the later notes, so every note is an action of its own.
fn action(event: &crate::rollout::Event) -> String {
    let mut hasher = DefaultHasher::new();
    event.message.hash(&mut hasher);
    format!("{}-{:08x}", event.reason, hasher.finish() & 0xffff_ffff)
}

async fn publish(recorder: Recorder, mut waiting: Receiver<(Event, ObjectReference)>) {
    while let Some((event, about)) = waiting.recv().await {
        match tokio::time::timeout(DEADLINE, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, reason = event.reason, "an Event could not be published")
            }
            Err(_) => tracing::warn!(reason = event.reason, "an Event could not be published in time"),
        }
    }
}

fn cut(message: &str) -> String {
    if message.len() <= NOTE_LIMIT {
        return message.to_owned();
    }
    let mut end = NOTE_LIMIT;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
