//! The `lab` command: labs side by side, crashes, and users without rights.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A lab under a name of its own, stopped at the end of the test however that ends.
struct Started {
    name: String,
    build: PathBuf,
    user: Option<u32>,
}

impl Started {
    fn new(kind: &str) -> Self {
        Self { name: format!("{kind}-{}", std::process::id()), build: lab::build_dir(), user: None }
    }

    /// `lab VERB --name NAME ...`
    fn run(&self, verb: &str, arguments: &[&str]) -> Result<Output> {
        let program = env!("CARGO_BIN_EXE_lab");
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"])
                    .arg(program);
                command
            }
        };
        command.args([verb, "--name", &self.name]).args(arguments).env("UNDERSTUDY_BUILD_DIR", &self.build);
        command.output().context("could not run lab")
    }

    /// As [`Started::run`]; what it printed, when it succeeded.
    fn expect(&self, verb: &str, arguments: &[&str]) -> Result<String> {
        let output = self.run(verb, arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`lab {verb} {}` failed: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn directory(&self) -> PathBuf {
        self.build.join("lab/run").join(&self.name)
    }

    fn ready(&self) -> Result<bool> {
        let status: Value = serde_json::from_str(&self.expect("status", &["-o", "json"])?)?;
        Ok(status["ready"] == true)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // A lab that was stopped already is fine.
        let _ = self.run("down", &[]);
    }
}

/// Processes of this machine whose command line names a directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let directory = format!("{}/", directory.display());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&directory))
        .collect()
}

#[test]
fn two_labs_run_side_by_side_and_do_not_meet() -> Result<()> {
    let (one, two) = (Started::new("one"), Started::new("two"));
    one.expect("up", &[])?;
    two.expect("up", &[])?;
    one.expect("kubectl", &["--", "create", "namespace", "only-in-one"])?;
    ensure!(one.expect("kubectl", &["--", "get", "namespaces"])?.contains("only-in-one"), "it was created");
    ensure!(
        !two.expect("kubectl", &["--", "get", "namespaces"])?.contains("only-in-one"),
        "the labs share objects"
    );
    let again = one.run("up", &[])?;
    ensure!(!again.status.success(), "a second lab of the same name was started");
    ensure!(String::from_utf8_lossy(&again.stderr).contains("running already"), "{again:?}");
    one.expect("down", &[])?;
    ensure!(processes_of(&one.directory()).is_empty(), "{:?}", processes_of(&one.directory()));
    ensure!(!one.directory().exists(), "files are left");
    ensure!(two.ready()?, "the other lab is not ready any more");
    Ok(())
}

#[test]
fn a_killed_lab_leaves_no_process_and_is_cleaned_up_by_the_next() -> Result<()> {
    let lab = Started::new("killed");
    lab.expect("up", &[])?;
    ensure!(lab.ready()?, "it is not ready");
    ensure!(!processes_of(&lab.directory()).is_empty(), "this test would not see its processes");
    let main = lab::state::holder(&lab::paths::RunDir::of(&lab.name)).context("nobody holds the lock")?;
    ensure!(
        Command::new("kill").args(["-KILL", &main.to_string()]).status()?.success(),
        "could not kill {main}"
    );
    for _ in 0..100 {
        if processes_of(&lab.directory()).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    ensure!(processes_of(&lab.directory()).is_empty(), "left: {:?}", processes_of(&lab.directory()));
    let status = lab.run("status", &[])?;
    let said = String::from_utf8_lossy(&status.stderr);
    ensure!(!status.status.success(), "a dead lab has a status");
    ensure!(said.contains("lab up"), "no advice in {said:?}");
    lab.expect("up", &[])?;
    ensure!(lab.ready()?, "the next lab is not ready");
    Ok(())
}

/// A user without any rights: nobody.
const NOBODY: u32 = 65_534;

#[test]
fn a_lab_runs_without_root() -> Result<()> {
    let mut lab = Started::new("rootless");
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        // A build directory that nobody may write to, with what root has built.
        let build = std::env::temp_dir().join(&lab.name);
        std::fs::create_dir_all(build.join("lab"))?;
        std::os::unix::fs::symlink(lab::build_dir().join("lab/cache"), build.join("lab/cache"))?;
        for directory in [build.clone(), build.join("lab")] {
            std::os::unix::fs::chown(directory, Some(NOBODY), Some(NOBODY))?;
        }
        // Root's own lab has built everything that nobody could not.
        ensure!(Command::new(env!("CARGO_BIN_EXE_lab")).arg("build").status()?.success(), "could not build");
        lab.build = build;
        lab.user = Some(NOBODY);
    }
    lab.expect("up", &[])?;
    ensure!(lab.ready()?, "it is not ready");
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "main", "image": "lab/process:any", "command": ["sleep", "600"]}]}}"#;
    let file = lab.directory().join("pod.json");
    std::fs::write(&file, pod)?;
    lab.expect("kubectl", &["--", "apply", "-f", &file.display().to_string()])?;
    lab.expect("kubectl", &["--", "wait", "--for=condition=Ready", "pod/p", "--timeout=60s"])?;
    lab.expect("down", &[])?;
    ensure!(processes_of(&lab.directory()).is_empty(), "{:?}", processes_of(&lab.directory()));
    if lab.user.is_some() {
        std::fs::remove_dir_all(&lab.build)?;
    }
    Ok(())
}
