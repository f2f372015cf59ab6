//! One container's life: started, probed, restarted with back-off, stopped.

use super::agent::Context;
use super::annotation;
use super::command::{Command, Refusal};
use super::leftovers::{Record, kill_group};
use super::probe::{self, Tally};
use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use kube::ResourceExt;
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// A process that ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exit {
    pub code: i32,
    pub reason: &'static str,
    pub started: DateTime<Utc>,
    pub finished: DateTime<Utc>,
}

/// What a container does at present.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    Waiting { reason: &'static str, message: String },
    Running { since: DateTime<Utc> },
    Terminated(Exit),
}

/// A container as it is reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot {
    pub phase: Phase,
    pub ready: bool,
    pub started: bool,
    pub restarts: i32,
    pub last: Option<Exit>,
}

impl Snapshot {
    /// Before anything has happened.
    pub(super) fn new(restarts: i32) -> Self {
        let phase = Phase::Waiting { reason: "ContainerCreating", message: String::new() };
        Self { phase, ready: false, started: false, restarts, last: None }
    }
}

/// When a container is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// The order to stop, with the time for it.
pub(super) type Stop = watch::Receiver<Option<Duration>>;

/// Everything one container's life needs.
pub(super) struct Life {
    pub context: Arc<Context>,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub address: String,
    pub restart: Restart,
    pub index: usize,
    pub reports: mpsc::UnboundedSender<(usize, Snapshot)>,
    pub stop: Stop,
    pub snapshot: Snapshot,
}

enum Heard {
    Started,
    Ready(bool),
    Unhealthy,
}

impl Life {
    /// Lives until it is told to stop or ends for good; the last exit code, none when it never ran.
    pub(super) async fn run(mut self) -> Option<i32> {
        let mut crashes = 0;
        loop {
            let command = self.prepare().await?;
            let exit = self.once(&command).await;
            let again = match self.restart {
                Restart::Always => true,
                Restart::OnFailure => exit.code != 0,
                Restart::Never => false,
            };
            if !again || self.stopping() {
                return Some(exit.code);
            }
            let wait = backoff(crashes, annotation::crash_backoff(&self.pod));
            crashes += 1;
            self.snapshot.last = Some(exit);
            if !wait.is_zero() {
                let message =
                    format!("back-off {wait:?} restarting failed container {}", self.container.name);
                self.wait_in("CrashLoopBackOff", message, wait).await?;
            }
            self.snapshot.restarts += 1;
        }
    }

    /// The command, as soon as it can be resolved; none when told to stop before.
    async fn prepare(&mut self) -> Option<Command> {
        loop {
            if self.stopping() {
                return None;
            }
            match Command::prepare(&self.context, &self.pod, &self.container, &self.address).await {
                Ok(command) => return Some(command),
                Err(Refusal { reason: "ErrImagePull", message }) => {
                    self.wait_in("ErrImagePull", message.clone(), Duration::from_secs(1)).await?;
                    self.wait_in("ImagePullBackOff", message, Duration::from_secs(2)).await?;
                }
                Err(Refusal { reason, message }) => {
                    self.wait_in(reason, message, Duration::from_secs(1)).await?
                }
            }
        }
    }

    /// Runs the process once, to its end.
    async fn once(&mut self, command: &Command) -> Exit {
        let started = Utc::now();
        let mut child = match command.start() {
            Ok(child) => child,
            Err(error) => {
                tracing::warn!(pod = self.pod.name_any(), "{error:#}");
                let exit = Exit { code: 128, reason: "StartError", started, finished: Utc::now() };
                return self.ended(exit);
            }
        };
        let pid = child.id().unwrap_or_default();
        let _record =
            Record::write(&self.context.run, &self.pod.uid().unwrap_or_default(), &self.container.name, pid);
        self.snapshot.phase = Phase::Running { since: started };
        self.snapshot.started = self.container.startup_probe.is_none();
        self.snapshot.ready = self.snapshot.started && self.container.readiness_probe.is_none();
        self.report();
        let (code, out_of_memory) = self.attend(&mut child, pid, command).await;
        kill_group(pid);
        let reason = match (out_of_memory, code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            (false, _) => "Error",
        };
        self.ended(Exit { code, reason, started, finished: Utc::now() })
    }

    /// Listens to process, probes and orders until the process has ended: its exit code, and whether memory was why.
    async fn attend(&mut self, child: &mut Child, pid: u32, command: &Command) -> (i32, bool) {
        let (started, _) = watch::channel(self.snapshot.started);
        let (heard, mut hears) = mpsc::channel(4);
        let mut probes = self.start_probes(command, &started, heard);
        let memory = annotation::oom_after(&self.pod);
        let mut out_of_memory = std::pin::pin!(sleep(memory.unwrap_or(Duration::MAX)));
        let mut killed = false;
        let mut stop = self.stop.clone();
        let code = loop {
            tokio::select! {
                status = child.wait() => break exit_code(status),
                () = &mut out_of_memory, if memory.is_some() && !killed => {
                    killed = true;
                    kill_group(pid);
                }
                Some(event) = hears.recv() => match event {
                    Heard::Started => {
                        self.snapshot.started = true;
                        self.snapshot.ready = self.container.readiness_probe.is_none();
                        started.send_replace(true);
                        self.report();
                    }
                    Heard::Ready(ready) => {
                        self.snapshot.ready = ready;
                        self.report();
                    }
                    Heard::Unhealthy => {
                        let grace = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
                        let grace = grace.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30);
                        break self.end(child, pid, command, Duration::from_secs(grace)).await;
                    }
                },
                grace = told(&mut stop) => {
                    probes.shutdown().await;
                    break self.end(child, pid, command, grace).await;
                }
            }
        };
        probes.shutdown().await;
        (code, killed)
    }

    /// Hook, SIGTERM, and SIGKILL when the grace period is over.
    async fn end(&mut self, child: &mut Child, pid: u32, command: &Command, grace: Duration) -> i32 {
        let deadline = Instant::now() + grace;
        if !grace.is_zero() {
            tokio::select! {
                _ = timeout_at(deadline, self.before_stop(command, grace)) => {}
                status = child.wait() => return exit_code(status),
            }
            crate::process::signal(pid, Signal::TERM);
        }
        match timeout_at(deadline, child.wait()).await {
            Ok(status) => exit_code(status),
            Err(_) => {
                kill_group(pid);
                exit_code(child.wait().await)
            }
        }
    }

    async fn before_stop(&self, command: &Command, grace: Duration) {
        let hook = self.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let Some(hook) = hook else { return };
        let result = if let Some(action) = &hook.sleep {
            sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or(0))).await;
            Ok(())
        } else if let Some(action) = &hook.exec {
            probe::exec(action, command, grace).await
        } else if let Some(action) = &hook.http_get {
            probe::http_get(action, &self.container, &self.address, grace).await
        } else {
            Ok(())
        };
        if let Err(message) = result {
            tracing::warn!(pod = self.pod.name_any(), message, "the preStop hook failed");
        }
    }

    fn start_probes(
        &self,
        command: &Command,
        started: &watch::Sender<bool>,
        heard: mpsc::Sender<Heard>,
    ) -> JoinSet<()> {
        let mut probes = JoinSet::new();
        let kinds = [
            (Kind::Startup, &self.container.startup_probe),
            (Kind::Liveness, &self.container.liveness_probe),
            (Kind::Readiness, &self.container.readiness_probe),
        ];
        for (kind, probe) in kinds {
            let Some(probe) = probe.clone() else { continue };
            let asker = Asker {
                kind,
                probe,
                container: self.container.clone(),
                address: self.address.clone(),
                command: command.clone(),
                pod: self.pod.name_any(),
            };
            probes.spawn(asker.run(started.subscribe(), heard.clone()));
        }
        probes
    }

    /// Reports a waiting state and waits; none when told to stop.
    async fn wait_in(&mut self, reason: &'static str, message: String, wait: Duration) -> Option<()> {
        self.snapshot.phase = Phase::Waiting { reason, message };
        self.report();
        tokio::select! {
            () = sleep(wait) => Some(()),
            _ = told(&mut self.stop) => None,
        }
    }

    fn ended(&mut self, exit: Exit) -> Exit {
        self.snapshot.phase = Phase::Terminated(exit.clone());
        self.snapshot.ready = false;
        self.snapshot.started = false;
        self.report();
        exit
    }

    fn stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    fn report(&self) {
        // The worker lives longer than its containers.
        let _ = self.reports.send((self.index, self.snapshot.clone()));
    }
}

/// The order to stop, when it comes.
async fn told(stop: &mut Stop) -> Duration {
    match stop.wait_for(Option::is_some).await {
        Ok(grace) => grace.unwrap_or_default(),
        // The worker is gone: nobody waits for us.
        Err(_) => Duration::ZERO,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Startup,
    Liveness,
    Readiness,
}

struct Asker {
    kind: Kind,
    probe: Probe,
    container: Container,
    address: String,
    command: Command,
    pod: String,
}

impl Asker {
    async fn run(self, mut started: watch::Receiver<bool>, heard: mpsc::Sender<Heard>) {
        if self.kind != Kind::Startup && started.wait_for(|started| *started).await.is_err() {
            return;
        }
        let (delay, period) = probe::schedule(&self.probe);
        sleep(delay).await;
        let mut ticks = tokio::time::interval(period);
        let mut tally = Tally::new(&self.probe);
        let mut judgement = None;
        loop {
            ticks.tick().await;
            let answer = probe::ask(&self.probe, &self.container, &self.address, &self.command).await;
            let Some(success) = tally.observe(answer.is_ok()) else { continue };
            if judgement.replace(success) == Some(success) {
                continue;
            }
            let why = answer.err().unwrap_or_default();
            tracing::info!(pod = self.pod, kind = ?self.kind, success, why, "probe");
            let event = match (self.kind, success) {
                (Kind::Readiness, ready) => Heard::Ready(ready),
                (Kind::Startup, true) => Heard::Started,
                (Kind::Startup | Kind::Liveness, false) => Heard::Unhealthy,
                (Kind::Liveness, true) => continue,
            };
            if heard.send(event).await.is_err() || self.kind == Kind::Startup {
                return;
            }
        }
    }
}

/// The kubelet's back-off: none after the first crash, then `first`, doubled each time, at most five minutes.
fn backoff(crashes: u32, first: Duration) -> Duration {
    match crashes.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => first.saturating_mul(1 << doublings.min(16)).min(Duration::from_secs(300)),
    }
}

/// The exit code as containers report it: 128 + signal when killed.
fn exit_code(status: std::io::Result<std::process::ExitStatus>) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.map_or(255, |status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_crash_is_free_and_then_the_wait_doubles_up_to_five_minutes() {
        let seconds: Vec<u64> =
            (0..8).map(|crashes| backoff(crashes, Duration::from_secs(10)).as_secs()).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff(u32::MAX, Duration::from_secs(10)).as_secs(), 300);
    }
}
