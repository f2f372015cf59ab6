//! One cached build step.

use crate::paths::cache_dir;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Something that is built once.
pub(super) struct Step {
    /// First part of the entry's name.
    pub name: &'static str,
    /// Shown while it runs: what, and how long it takes the first time.
    pub title: &'static str,
    /// Everything the result depends on.
    pub inputs: Vec<String>,
}

impl Step {
    /// The finished entry, made by `make` in an empty directory when it is not there yet.
    pub fn run(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let entry = cache_dir().join(format!("{}-{}", self.name, self.key()));
        if entry.is_dir() {
            return Ok(entry);
        }
        fs::create_dir_all(cache_dir())
            .with_context(|| format!("could not create {}", cache_dir().display()))?;
        let _lock = self.lock()?;
        if entry.is_dir() {
            return Ok(entry);
        }
        let unfinished = cache_dir().join(format!(".{}.unfinished", self.name));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context("could not remove what a killed build left")?;
        }
        fs::create_dir(&unfinished)?;
        let started = Instant::now();
        eprintln!("lab: {} ...", self.title);
        make(&unfinished).with_context(|| format!("could not build {}", self.name))?;
        fs::rename(&unfinished, &entry).context("could not move the finished build into place")?;
        eprintln!("lab: {} done after {}", self.name, elapsed(started));
        Ok(entry)
    }

    fn key(&self) -> String {
        let mut hash = Sha256::new();
        for input in self.inputs.iter().map(String::as_str).chain([std::env::consts::ARCH]) {
            hash.update(input.len().to_le_bytes());
            hash.update(input);
        }
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    fn lock(&self) -> Result<File> {
        let path = cache_dir().join(format!(".{}.lock", self.name));
        let file = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                eprintln!("lab: another process is building {}; waiting for it", self.name);
            }
            Err(TryLockError::Error(error)) => return Err(error).context("could not lock the cache"),
        }
        file.lock().context("could not lock the cache")?;
        Ok(file)
    }
}

/// Runs a long command, its output in `log`, with a sign of life every 20 seconds.
pub(super) fn run_long(name: &str, command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log)?;
    let started = Instant::now();
    let mut said = started;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("could not run {:?}", command.get_program()))?;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{:?} ended with {status}:\n{}", command.get_program(), crate::process::tail(log, 20));
            }
            return Ok(());
        }
        if said.elapsed() > Duration::from_secs(20) {
            eprintln!("lab:   {name}: {} so far", elapsed(started));
            said = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn elapsed(since: Instant) -> String {
    let seconds = since.elapsed().as_secs();
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(inputs: &[&str]) -> Step {
        Step { name: "x", title: "x", inputs: inputs.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn the_key_changes_with_every_input_and_with_their_borders() {
        assert_eq!(step(&["a", "b"]).key(), step(&["a", "b"]).key());
        assert_ne!(step(&["a", "b"]).key(), step(&["a", "c"]).key());
        assert_ne!(step(&["a", "b"]).key(), step(&["ab", ""]).key());
    }
}
