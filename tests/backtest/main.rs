//! `understudy backtest` and `understudy plan` against a Prometheus that is made up, and against a real one where there is one.

mod made_up;
mod plan;
mod real;
mod traffic;

use std::path::PathBuf;
use std::process::Command;

/// What a run of the verb said: standard output, or the error.
fn backtest(args: &[&str]) -> Result<String, String> {
    understudy(&[&["backtest"], args].concat())
}

fn understudy(args: &[&str]) -> Result<String, String> {
    let run = Command::new(env!("CARGO_BIN_EXE_understudy")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if run.status.success() { Ok(text(run.stdout)) } else { Err(text(run.stderr)) }
}

/// The exit code of a run, its standard output and its errors.
fn exit(args: &[&str]) -> (i32, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_understudy")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

/// A folder of this test, removed with its contents at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("understudy-backtest-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A rollout with one metric; looks every 15 s.
fn manifest(change: &str) -> String {
    let text = "
apiVersion: understudy.dev/v1alpha1
kind: ModelRollout
metadata: {name: fraud, namespace: shop}
spec:
  model: fraud
  version: 1.2.0
  workload: {deployment: fraud}
  traffic: {service: fraud, gatewayAPI: {httpRoute: fraud}}
  strategy:
    canary: {steps: [{weight: 5, hold: 5m}, {weight: 25, hold: 5m}]}
    watch: {duration: 20m}
    deadlines: {evidence: 30m}
  analysis:
    interval: 15s
    warmUp: 0s
    metrics:
    - {name: errors, ratio: {bad: 'http_requests_total{code=~\"5..\"}', total: http_requests_total}}
";
    let (from, to) = change.split_once(" => ").unwrap_or(("1.2.0", "1.2.0"));
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}
