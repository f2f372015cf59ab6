//! Sending on schedule.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::body::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Answer, Connections};
use super::record::{Claims, Outcome, Shared};
use super::{Config, Failure, Target, request_id};
use crate::model_server::{POD_HEADER, VERSION_HEADER};

/// The images to send, with their true labels, as request bodies.
#[derive(Clone, Debug)]
pub struct Images(Vec<(Bytes, u8)>);

#[derive(Deserialize)]
struct Labelled {
    image: Vec<f64>,
    label: u8,
}

impl Images {
    /// Reads JSON lines of an image and its label each.
    ///
    /// # Errors
    /// When the file cannot be read, holds something else, or nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let images = text.lines().map(|line| {
            let labelled: Labelled = serde_json::from_str(line)?;
            ensure!(labelled.image.len() == 64 && labelled.label < 10, "not an image with its label: {line}");
            Ok((Bytes::copy_from_slice(line.as_bytes()), labelled.label))
        });
        let images: Vec<_> =
            images.collect::<Result<_>>().with_context(|| format!("{} has no images", path.display()))?;
        ensure!(!images.is_empty(), "{} has no images", path.display());
        Ok(Self(images))
    }
}

/// Sends until time, number or `stopped` ends it, then waits for the answers.
pub(super) async fn send_all(
    config: Config,
    images: Arc<Images>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let mut schedules = JoinSet::new();
    for (number, target) in config.targets.iter().enumerate() {
        let sender = Arc::new(Sender {
            // At most 255 targets are accepted.
            number: u8::try_from(number).unwrap_or(u8::MAX),
            connections: Connections::new(target.address, target.mode),
            target: target.clone(),
            timeout: config.timeout,
            images: Arc::clone(&images),
            shared: Arc::clone(&shared),
        });
        let random = StdRng::seed_from_u64(config.seed.wrapping_add(number as u64));
        schedules.spawn(keep_schedule(sender, random, config.duration, config.count, stopped.clone()));
    }
    while schedules.join_next().await.is_some() {}
}

struct Sender {
    number: u8,
    target: Target,
    connections: Connections,
    timeout: Duration,
    images: Arc<Images>,
    shared: Arc<Shared>,
}

/// Evenly spaced by the rate. A late one leaves at once, and the schedule stays.
async fn keep_schedule(
    sender: Arc<Sender>,
    mut random: StdRng,
    duration: Duration,
    limit: Option<u32>,
    mut stopped: watch::Receiver<bool>,
) {
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for tick in 0u32.. {
        let offset = Duration::from_secs_f64(f64::from(tick) / sender.target.rate);
        if offset >= duration {
            break;
        }
        let due = start + offset;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
        let Some((run, sequence)) = sender.shared.begin(sender.number, due.elapsed(), limit) else { break };
        let image = random.random_range(0..sender.images.0.len());
        let path = if random.random_bool(sender.target.feedback) { "/feedback" } else { "/predict" };
        let sender = Arc::clone(&sender);
        under_way.spawn(async move { sender.exchange(run, sequence, image, path).await });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

impl Sender {
    async fn exchange(&self, run: u64, sequence: u32, image: usize, path: &'static str) {
        let (body, label) = &self.images.0[image];
        let request = Request::post(path)
            .header(HOST, self.target.host.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header("x-request-id", request_id(run, sequence))
            .body(Full::new(body.clone()));
        let answered = match request {
            Ok(request) => tokio::time::timeout(self.timeout, self.connections.send(request)).await,
            Err(_) => Ok(Err(Failure::Broken)),
        };
        match answered {
            Ok(Ok(answer)) => {
                let claims = claims(&answer, *label);
                self.shared.end(sequence, Outcome::Answered(answer.code), &claims);
            }
            Ok(Err(failure)) => self.shared.end(sequence, Outcome::Failed(failure), &Claims::default()),
            Err(_) => self.shared.end(sequence, Outcome::Failed(Failure::Timeout), &Claims::default()),
        }
    }
}

#[derive(Deserialize)]
struct Prediction {
    digit: u8,
}

fn claims(answer: &Answer, label: u8) -> Claims<'_> {
    let correct = (answer.code == 200).then(|| {
        // A 200 that is no prediction is a wrong answer.
        serde_json::from_slice::<Prediction>(&answer.body).is_ok_and(|prediction| prediction.digit == label)
    });
    Claims {
        version: text(&answer.headers, &VERSION_HEADER),
        pod: text(&answer.headers, &POD_HEADER),
        correct,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}
