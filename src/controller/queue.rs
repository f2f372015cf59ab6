//! One task for every object, which sleeps until its object is concerned or its time has come. An object is never worked
//! on twice at once, and one that hangs, fails or panics holds up no other.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::backoff::Backoff;
use crate::cluster::Class;
use crate::cluster::shelf::Key;

/// What is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// A rollout.
    Rollout(Key),
    /// A registered version.
    Version(Key),
}

/// What comes after a pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Another pass at this moment at the latest, or only when something changes; `wrote` when this one wrote anything.
    Wait {
        /// The moment.
        until: Option<Instant>,
        /// Something was written.
        wrote: bool,
    },
    /// The pass failed.
    Failed {
        /// What is sensible.
        class: Class,
        /// Traffic is to be brought back.
        urgent: bool,
        /// When the next look is due, whatever becomes of the writes.
        look_at: Option<Instant>,
    },
    /// The object is no more.
    Gone,
}

/// Works on one object. The bell rings when the object is concerned while it is being worked on; who does not listen misses
/// nothing, because the next pass follows at once.
pub type Work = Arc<dyn Fn(Job, Arc<Notify>) -> BoxFuture<'static, Next> + Send + Sync>;

/// Shortest rest after a failed pass, whatever happens in the world meanwhile.
const REST: Duration = Duration::from_millis(250);
/// Shortest time between two looks that the plan wants while passes fail.
const LOOKS_APART: Duration = Duration::from_secs(1);
/// So many passes that write may follow at once on one another; then each waits longer, so that a plan which never settles,
/// or another controller that fights us, cannot keep the API server busy.
const WRITES_IN_A_ROW: u32 = 20;
/// So many passes that wrote nothing may want another at once; then each rests, up to [`LOOKS_APART`]: what a plan waits
/// for then is long over, and asking again at once changes nothing.
const EMPTY_IN_A_ROW: u32 = 2;
/// A pass that had to be waited for longer than this did not follow at once.
const AT_ONCE: Duration = Duration::from_millis(250);

/// The objects' tasks.
pub struct Queue {
    bells: Mutex<HashMap<Job, Arc<Notify>>>,
    work: Work,
    panicked: Box<dyn Fn(&Job) + Send + Sync>,
}

impl Queue {
    /// A queue without objects. `panicked` is told of passes that ended in a panic.
    pub fn new(work: Work, panicked: impl Fn(&Job) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { bells: Mutex::default(), work, panicked: Box::new(panicked) })
    }

    /// The object is concerned: a pass at once, or right after the one that runs.
    pub fn ring(self: &Arc<Self>, job: Job) {
        let mut bells = self.lock();
        match bells.get(&job) {
            Some(bell) => bell.notify_one(),
            None => {
                let bell = Arc::new(Notify::new());
                bells.insert(job.clone(), bell.clone());
                tokio::spawn(self.clone().tend(job, bell));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Job, Arc<Notify>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tend(self: Arc<Self>, job: Job, bell: Arc<Notify>) {
        let mut backoff = Backoff::default();
        let (mut writes, mut empty): (u32, u32) = (0, 0);
        loop {
            let began = Instant::now();
            let pass = AssertUnwindSafe((self.work)(job.clone(), bell.clone())).catch_unwind().await;
            let next = pass.unwrap_or_else(|_| {
                (self.panicked)(&job);
                Next::Failed { class: Class::RetryLater, urgent: false, look_at: None }
            });
            match next {
                Next::Wait { until, wrote } => {
                    backoff.reset();
                    writes = if wrote { writes + 1 } else { 0 };
                    if let Some(rest) = rest_after(writes) {
                        tokio::time::sleep_until(began + rest).await;
                    }
                    let idle = Instant::now();
                    let at_once = !wrote && until.is_some_and(|at| at <= idle);
                    empty = if at_once { empty + 1 } else { 0 };
                    let floor = floor_after(empty).map(|rest| began + rest);
                    sleep(&bell, until.map(|at| floor.map_or(at, |floor| at.max(floor)))).await;
                    if idle.elapsed() > AT_ONCE {
                        writes = 0;
                    }
                }
                Next::Failed { class, urgent, look_at } => {
                    let failed = Instant::now();
                    let wait = backoff.failed(class, urgent);
                    tokio::time::sleep(wait.min(REST)).await;
                    let look = look_at.map(|at| at.max(failed + LOOKS_APART));
                    sleep(&bell, look.into_iter().chain([failed + wait]).min()).await;
                }
                Next::Gone => {
                    let mut bells = self.lock();
                    // Rung meanwhile: the name may be in use again.
                    if bell.notified().now_or_never().is_none() {
                        bells.remove(&job);
                        return;
                    }
                }
            }
        }
    }
}

fn rest_after(writes: u32) -> Option<Duration> {
    let beyond = writes.checked_sub(WRITES_IN_A_ROW)?;
    Some(Duration::from_millis(50).saturating_mul(1 << beyond.min(7)))
}

fn floor_after(empty: u32) -> Option<Duration> {
    let beyond = empty.checked_sub(EMPTY_IN_A_ROW)?;
    Some(REST.saturating_mul(1 << beyond.min(2)).min(LOOKS_APART))
}

async fn sleep(bell: &Notify, until: Option<Instant>) {
    match until {
        None => bell.notified().await,
        Some(until) => tokio::select! {
            () = bell.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn job(name: &str) -> Job {
        Job::Rollout(Key::new("n", name))
    }

    fn counting(counter: &Arc<AtomicU32>, next: impl Fn(u32) -> Next + Send + Sync + 'static) -> Work {
        let counter = counter.clone();
        Arc::new(move |job, _| {
            let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let next = next(n);
            async move {
                assert_ne!(job, Job::Rollout(Key::new("n", "bad")), "a poisoned object");
                next
            }
            .boxed()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_precise_and_a_bell_is_immediate() {
        let counter = Arc::new(AtomicU32::new(0));
        let work = counting(&counter, |_| Next::Wait {
            until: Some(Instant::now() + Duration::from_millis(700)),
            wrote: false,
        });
        let queue = Queue::new(work, |_| {});
        queue.ring(job("a"));
        tokio::time::sleep(Duration::from_millis(699)).await;
        assert_eq!(counter.load(Ordering::SeqCst), 1);
        tokio::time::sleep(Duration::from_millis(3)).await;
        assert_eq!(counter.load(Ordering::SeqCst), 2);
        queue.ring(job("a"));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(counter.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_counted_and_holds_up_no_other() {
        let (counter, panics) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let work = counting(&counter, |_| Next::Wait { until: None, wrote: false });
        let seen = panics.clone();
        let queue = Queue::new(work, move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        queue.ring(job("bad"));
        queue.ring(job("good"));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!((counter.load(Ordering::SeqCst), panics.load(Ordering::SeqCst)), (2, 1));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(panics.load(Ordering::SeqCst), 2, "it is tried again, later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_write_holds_up_no_look_and_makes_no_hot_loop() {
        let refused = |look_at: Option<Duration>| {
            let counter = Arc::new(AtomicU32::new(0));
            let work = counting(&counter, move |_| Next::Failed {
                class: Class::RetryLater,
                urgent: false,
                look_at: look_at.map(|after| Instant::now() + after),
            });
            Queue::new(work, |_| {}).ring(job("a"));
            counter
        };
        let (looking, due, idle) =
            (refused(Some(Duration::from_secs(10))), refused(Some(Duration::ZERO)), refused(None));
        tokio::time::sleep(Duration::from_secs(600)).await;
        let passes = |counter: Arc<AtomicU32>| counter.load(Ordering::SeqCst);
        let (looking, due, idle) = (passes(looking), passes(due), passes(idle));
        assert!((60..66).contains(&looking), "a look every 10 s: {looking}");
        assert!(due <= 601, "never more than one a second: {due}");
        assert!((10..18).contains(&idle), "without looks the waits grow to a minute: {idle}");
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_write_each_time_are_not_held_up() {
        let counter = Arc::new(AtomicU32::new(0));
        let work = counting(&counter, |_| Next::Wait {
            until: Some(Instant::now() + Duration::from_secs(1)),
            wrote: true,
        });
        let queue = Queue::new(work, |_| {});
        queue.ring(job("a"));
        tokio::time::sleep(Duration::from_millis(100_500)).await;
        assert_eq!(counter.load(Ordering::SeqCst), 101);
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_never_settles_does_not_spin() {
        let counter = Arc::new(AtomicU32::new(0));
        let work = counting(&counter, |_| Next::Wait { until: Some(Instant::now()), wrote: true });
        let queue = Queue::new(work, |_| {});
        queue.ring(job("a"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let passes = counter.load(Ordering::SeqCst);
        assert!((20..60).contains(&passes), "{passes} passes in a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_stays_in_the_past_does_not_spin_and_a_bell_is_still_heard_at_once() {
        let counter = Arc::new(AtomicU32::new(0));
        let work = counting(&counter, |_| Next::Wait { until: Some(Instant::now()), wrote: false });
        let queue = Queue::new(work, |_| {});
        queue.ring(job("a"));
        tokio::time::sleep(Duration::from_millis(60_500)).await;
        let passes = counter.load(Ordering::SeqCst);
        assert!((55..66).contains(&passes), "{passes} passes in a minute");
        queue.ring(job("a"));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(counter.load(Ordering::SeqCst), passes + 1);
    }
}
