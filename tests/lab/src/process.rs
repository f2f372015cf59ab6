//! Programs that the lab starts: one handle per process.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How to start a program.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name for messages and the log file.
    pub name: String,
    /// The file to run.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables on top of ours.
    pub env: Vec<(String, String)>,
    /// Where output goes (appended).
    pub log: PathBuf,
}

impl Spec {
    /// A program with arguments.
    pub fn new(name: &str, program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            log: log.into(),
        }
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A started program. Dropped = killed.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// When the file cannot be run or the log cannot be written.
    pub fn start(spec: Spec) -> Result<Self> {
        let child = spawn(&spec)?;
        Ok(Self { spec, child: Mutex::new(Some(child)) })
    }

    /// The name given in the spec.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        let mut child = self.child();
        let running = child.as_mut()?;
        matches!(running.try_wait(), Ok(None)).then(|| running.id())
    }

    /// How it ended, when it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&self) {
        if let Some(mut child) = self.child().take() {
            // Already gone is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; after `grace` SIGKILL. Waits until it is gone; true when it left by itself.
    pub fn terminate(&self, grace: Duration) -> bool {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::TERM);
        }
        let deadline = Instant::now() + grace;
        while self.pid().is_some() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = self.pid().is_none();
        self.kill9();
        left
    }

    /// Stops it with SIGSTOP: alive, holding its connections, and doing nothing.
    pub fn freeze(&self) {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::STOP);
        }
    }

    /// Ends a [`Process::freeze`].
    pub fn thaw(&self) {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::CONT);
        }
    }

    /// Kills it if it runs and starts it again with the same spec.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn restart(&self) -> Result<()> {
        self.kill9();
        *self.child() = Some(spawn(&self.spec)?);
        Ok(())
    }

    /// The last lines of its log, for messages.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.spec.log, lines)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Sends a signal; a process that is gone is not an error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The last lines of a file; empty when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Resident memory of a process in MiB, from `/proc`.
pub fn resident_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}

/// When a process was started, in clock ticks since boot: with the id it names a process for good.
pub fn start_time(pid: u32) -> Option<u64> {
    stat(pid)?.split_whitespace().nth(19)?.parse().ok()
}

/// The process that started it, or that took it over.
pub fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.split_whitespace().nth(1)?.parse().ok()
}

/// Ended, and only not yet collected by its parent.
pub fn is_zombie(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.trim_start().starts_with('Z'))
}

/// The fields of `/proc/PID/stat` from the third on. (The second, the program's name in parentheses, may hold anything.)
fn stat(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.to_owned())
}

fn spawn(spec: &Spec) -> Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spec.log)
        .with_context(|| format!("could not write the log {}", spec.log.display()))?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    match command.spawn() {
        Ok(child) => Ok(child),
        Err(error) => bail!("could not start {} ({}): {error}", spec.name, spec.program.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_and_its_start_time_name_one_process() {
        let own = std::process::id();
        assert!(start_time(own).unwrap() > 0);
        assert_eq!(
            parent(own),
            rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
        );
        assert!(!is_zombie(own));
        assert_eq!(start_time(own), start_time(own));
        assert_eq!(start_time(u32::MAX), None);
        assert!(resident_mib(own).unwrap() > 0);
    }

    #[test]
    fn a_killed_process_is_gone_and_can_be_restarted() {
        let log = std::env::temp_dir().join(format!("lab-process-{}.log", std::process::id()));
        let process = Process::start(Spec::new("sleep", "sleep", &log).args(["60"])).unwrap();
        let first = process.pid().unwrap();
        process.restart().unwrap();
        let second = process.pid().unwrap();
        assert_ne!(first, second);
        assert!(process.terminate(Duration::from_secs(5)), "sleep ends on SIGTERM");
        assert_eq!(process.pid(), None);
        std::fs::remove_file(log).unwrap();
    }
}
