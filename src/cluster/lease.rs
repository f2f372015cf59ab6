//! Leadership by a Lease: one process reconciles; one that has lost the lease ends itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;

use crate::api::keys;

/// Times of the election; the defaults are those of client-go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Another process may take a lease that nobody has renewed for so long.
    pub duration: Duration,
    /// The holder gives up when it could not renew for so long; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { duration: s(15), renew_deadline: s(10), retry: s(2) }
    }
}

/// Where this process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Nothing is known yet.
    Unknown,
    /// Another process leads.
    Following {
        /// Its identity.
        holder: String,
    },
    /// This process leads.
    Leading,
    /// It led, and could not keep the lease.
    Lost {
        /// Why.
        why: String,
    },
}

/// Closed for good.
const CLOSED: u64 = u64::MAX - 1;

/// Tells writers whether the lease is still surely ours. A process that was stopped for a while learns it here, before its
/// next write, and not from the election that runs beside it.
#[derive(Clone, Debug)]
pub struct Fence {
    started: Instant,
    /// Milliseconds after `started` until which the lease holds.
    until: Arc<AtomicU64>,
    /// Every write under way holds a share; who closes the fence takes all of them.
    under_way: Arc<tokio::sync::RwLock<()>>,
}

impl Fence {
    /// A fence that holds nothing yet.
    pub fn closed() -> Self {
        Self { started: Instant::now(), until: Arc::default(), under_way: Arc::default() }
    }

    /// A fence that always holds: where there is no election.
    pub fn open() -> Self {
        Self { until: Arc::new(AtomicU64::new(u64::MAX)), ..Self::closed() }
    }

    /// Whether a write may be made now.
    pub fn holds(&self) -> bool {
        !self.left().is_zero()
    }

    /// Holds the fence open for one write; `None` when no write may be made.
    pub async fn pass(&self) -> Option<tokio::sync::RwLockReadGuard<'_, ()>> {
        let share = self.under_way.read().await;
        self.holds().then_some(share)
    }

    /// Lets no further write begin, and waits for those under way.
    pub async fn close_and_wait(&self) {
        self.close();
        drop(self.under_way.write().await);
    }

    /// How long a write that begins now may take: what is left of the lease.
    pub fn left(&self) -> Duration {
        match self.until.load(Ordering::Acquire) {
            u64::MAX => Duration::MAX,
            CLOSED => Duration::ZERO,
            until => Duration::from_millis(until).saturating_sub(self.started.elapsed()),
        }
    }

    fn extend(&self, to: Instant) {
        let millis = to.saturating_duration_since(self.started).as_millis();
        let until = u64::try_from(millis).unwrap_or(CLOSED - 1);
        // A fence that was closed for good stays so, even when a renewal ends just then.
        let keep = |old| (old != CLOSED).then_some(until);
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, keep);
    }

    fn close(&self) {
        self.until.store(CLOSED, Ordering::Release);
    }
}

/// The election of one process.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    times: Times,
    fence: Fence,
    state: watch::Sender<Leadership>,
    /// The lease as last seen, and when it was first seen so. Its times are another clock's: only a change counts.
    seen: Option<(Lease, Instant)>,
}

impl Election {
    /// An election for the Lease of that name.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, times: Times) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            times,
            fence: Fence::closed(),
            state: watch::Sender::new(Leadership::Unknown),
            seen: None,
        }
    }

    /// For writers.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Where this process stands, as it changes.
    pub fn state(&self) -> watch::Receiver<Leadership> {
        self.state.subscribe()
    }

    /// Takes and keeps the lease until it is lost or `stop` resolves; then, if it is held, gives it back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut renewed: Option<Instant> = None;
        loop {
            let asked = Instant::now();
            let left = renewed
                .map_or(self.times.renew_deadline, |r| self.times.renew_deadline.saturating_sub(r.elapsed()));
            let outcome = tokio::select! {
                biased;
                () = &mut stop => break,
                outcome = tokio::time::timeout(left.min(super::client::DEADLINE), self.try_hold()) => outcome,
            };
            let problem = match outcome {
                Ok(Ok(None)) => {
                    // The lease runs from when it was asked for, not from when the answer came.
                    self.fence.extend(asked + self.times.duration);
                    renewed = Some(asked);
                    self.tell(Leadership::Leading);
                    None
                }
                Ok(Ok(Some(holder))) if renewed.is_some() => Some((true, format!("{holder} has taken it"))),
                Ok(Ok(Some(holder))) => {
                    self.tell(Leadership::Following { holder });
                    None
                }
                Ok(Err(error)) => Some((false, error.to_string())),
                Err(_) => Some((false, "no answer".to_owned())),
            };
            if let Some((taken, why)) = problem {
                tracing::warn!(lease = self.name, %why, "the lease could not be taken or renewed");
                if renewed.is_some_and(|r| taken || r.elapsed() >= self.times.renew_deadline) {
                    self.fence.close();
                    self.tell(Leadership::Lost { why });
                    return;
                }
            }
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = tokio::time::sleep(self.times.retry) => {}
            }
        }
        self.fence.close();
        if renewed.is_some() {
            self.release().await;
        }
    }

    fn tell(&self, now: Leadership) {
        self.state.send_if_modified(|state| {
            let news = *state != now;
            *state = now;
            news
        });
    }

    /// One try. `None`: it is ours. `Some`: it is another's.
    async fn try_hold(&mut self) -> kube::Result<Option<String>> {
        if let Some((ours, _)) = self.seen.clone().filter(|(l, _)| self.is_ours(l)) {
            match self.write(ours).await {
                Ok(()) => return Ok(None),
                // Somebody else wrote it: look who.
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return self.create().await.map(|()| None);
        };
        let changed = self.seen.as_ref().is_none_or(|(seen, _)| seen.spec != lease.spec);
        if changed {
            self.seen = Some((lease.clone(), Instant::now()));
        }
        let since = self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| since.elapsed());
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let lasts = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
        let lasts = lasts.map_or(self.times.duration, Duration::from_secs);
        if !holder.is_empty() && holder != self.identity && since < lasts {
            return Ok(Some(holder));
        }
        match self.write(lease).await {
            Ok(()) => Ok(None),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Some("another process".to_owned())),
            Err(error) => Err(error),
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref());
        holder == Some(self.identity.as_str())
    }

    /// Puts our name and the present time into the lease as it was seen; the resourceVersion guards it.
    async fn write(&mut self, mut lease: Lease) -> kube::Result<()> {
        let now = MicroTime(Timestamp::now());
        let ours = self.is_ours(&lease);
        let spec = lease.spec.get_or_insert_default();
        if !ours {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(self.seconds());
        spec.renew_time = Some(now);
        let written = self.api.replace(&self.name, &params(), &lease).await?;
        self.seen = Some((written, Instant::now()));
        Ok(())
    }

    async fn create(&mut self) -> kube::Result<()> {
        let now = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(self.seconds()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        };
        let made = self.api.create(&params(), &lease).await?;
        self.seen = Some((made, Instant::now()));
        Ok(())
    }

    /// Gives the lease back, so that the next process need not wait for its end.
    async fn release(&mut self) {
        let Some((mut lease, _)) = self.seen.clone() else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        let params = params();
        let answer = self.api.replace(&self.name, &params, &lease);
        match tokio::time::timeout(super::client::URGENT_DEADLINE, answer).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "lease released"),
            Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "the lease could not be released"),
            Err(_) => tracing::warn!(lease = self.name, "the lease could not be released in time"),
        }
    }

    /// The API has whole seconds only. Others must wait at least as long as the fence holds, so a part counts as a whole.
    fn seconds(&self) -> i32 {
        let whole = self.times.duration.as_millis().div_ceil(1000).max(1);
        i32::try_from(whole).unwrap_or(i32::MAX)
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(keys::FIELD_MANAGER.into()), ..PostParams::default() }
}
