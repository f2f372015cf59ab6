//! A better version is promoted: no request fails, no pod is started anew, every Service follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::watcher;
use lab::scenario::observe::{PodRecord, Recorder};
use serde_json::json;
use understudy::api::{Phase, Slot};

use crate::space::Space;
use crate::world::World;

/// Requests a second through the gateway; a third of it comes in the cluster besides.
const RATE: f64 = 300.0;

/// Origin to slot a, then slot a to slot b, with load on throughout.
pub async fn two_in_a_row_cost_no_request_and_no_pod(world: &World) -> Result<()> {
    let space = Space::new(world, "promotions").await?;
    space.apply(&second_service(&space.namespace)).await?;
    space.adopt(&crate::manifests::rollout(&space.namespace)).await?;
    let second = EndpointsWatch::start(&space, "digits-grpc");
    let load = space.load(RATE).await?;
    for (version, slot) in [("1.1.0", Slot::A), ("1.6.0", Slot::B)] {
        space.promote(version).await?;
        space.ensure_route_untouched().await?;
        let status = space.status();
        let active = status.active.as_ref().map(|active| active.slot);
        ensure!(active == Some(slot), "{version} is active in {active:?}, not in {slot}");
        ensure_not_restarted(&space, version)?;
        let endpoints = space.endpoints("digits-grpc").await?;
        let of_slot = |name: &String| name.starts_with(&format!("digits-{slot}-"));
        ensure!(endpoints.len() == 2 && endpoints.iter().all(of_slot), "digits-grpc has {endpoints:?}");
    }
    let report = space.ensure_no_failures(load, &[]).await?;
    ensure!(second.was_empty() == 0, "digits-grpc was without endpoints {} times", second.was_empty());
    space.note(&format!("{} requests, {} failed", report.requests, report.failures));
    space.done().await
}

/// The promotion and settling sequence ten times in a row, from slot to slot.
pub async fn ten_in_a_row_cost_no_request(world: &World) -> Result<()> {
    let space = Space::new(world, "tenrow").await?;
    let mut rollout = crate::manifests::rollout(&space.namespace);
    rollout["spec"]["strategy"]["canary"]["steps"] = json!([{"weight": 50, "hold": "3s"}]);
    rollout["spec"]["strategy"]["watch"] = json!({"duration": "3s", "controlWeight": 10});
    rollout["spec"]["traffic"]["drain"] = json!("2s");
    space.adopt(&rollout).await?;
    let load = space.load(RATE).await?;
    let begun = Utc::now();
    for round in 1..=10 {
        let version = format!("2.0.{round}");
        // Two contents in turn: what is active is not released again under another number.
        let trained = if round % 2 == 1 { "1.1.0" } else { "1.6.0" };
        space.apply(&space.like(trained, &version, "server")?).await?;
        space.promote(&version).await?;
        space.ensure_route_untouched().await?;
    }
    let seconds = (Utc::now() - begun).num_seconds();
    let report = space.ensure_no_failures(load, &[]).await?;
    space.note(&format!("ten in {seconds} s: {} requests, {} failed", report.requests, report.failures));
    space.done().await
}

/// No pod of a version ended, restarted or was made anew since its promotion.
fn ensure_not_restarted(space: &Space<'_>, version: &str) -> Result<()> {
    let seen = space.rollout.versions();
    let promoted = seen.iter().find(|seen| {
        seen.object.status.as_ref().is_some_and(|status| {
            let of_it = status.candidate.as_ref().is_some_and(|candidate| candidate.version == version);
            of_it && status.phase == Some(Phase::Watching)
        })
    });
    let since = promoted.map(|seen| seen.at).ok_or_else(|| anyhow::anyhow!("{version} was not watched"))?;
    let pods: Vec<PodRecord> = space.pods.records();
    let of_version: Vec<&PodRecord> = pods.iter().filter(|pod| pod.version == version).collect();
    ensure!(!of_version.is_empty(), "no pod of {version} was seen");
    for pod in of_version {
        let after = |at: &DateTime<Utc>| *at > since;
        ensure!(pod.deleting.is_none(), "{} was deleted", pod.name);
        ensure!(pod.restarts.is_empty(), "{} was restarted", pod.name);
        ensure!(!after(&pod.seen), "{} was started after the promotion", pod.name);
    }
    Ok(())
}

/// Another Service of the user's that selects exactly the origin.
fn second_service(namespace: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "digits-grpc", "namespace": namespace},
        "spec": {"selector": {"app": "digits"}, "ports": [{"name": "grpc", "port": 9000, "targetPort": 8080}]}})
}

/// Counts the moments at which a Service had no ready endpoint, once it had one.
pub struct EndpointsWatch {
    watch: Recorder<usize>,
}

impl EndpointsWatch {
    pub fn start(space: &Space<'_>, service: &str) -> Self {
        let api: Api<EndpointSlice> = Api::namespaced(space.client(), &space.namespace);
        let config = watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}"));
        let begun = Arc::new(AtomicBool::new(false));
        let watch = Recorder::start(api, config, move |slice: EndpointSlice| {
            let ready = |one: &k8s_openapi::api::discovery::v1::Endpoint| {
                one.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
            };
            let count = slice.endpoints.iter().flatten().filter(|one| ready(one)).count();
            let had = begun.fetch_or(count > 0, Ordering::Relaxed);
            (had || count > 0).then_some(count)
        });
        Self { watch }
    }

    /// The longest time for which it had none; one that lasts still counts until now.
    pub fn longest_gap(&self) -> Duration {
        let (mut longest, mut since) = (TimeDelta::zero(), None);
        for seen in self.watch.all() {
            match seen.deleted || seen.object == 0 {
                true => drop(since.get_or_insert(seen.at)),
                false => longest = longest.max(since.take().map_or(TimeDelta::zero(), |from| seen.at - from)),
            }
        }
        let lasting = since.map_or(TimeDelta::zero(), |from| Utc::now() - from);
        longest.max(lasting).to_std().unwrap_or_default()
    }

    fn was_empty(&self) -> usize {
        self.watch.all().iter().filter(|seen| seen.deleted || seen.object == 0).count()
    }
}
