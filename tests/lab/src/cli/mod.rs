//! The `lab` command: one file per verb.

mod build;
mod down;
mod enter;
mod fits;
mod image;
mod logs;
mod status;
mod supervise;
mod up;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// A real Kubernetes control plane, gateway and Prometheus on this machine, without containers.
#[derive(Parser)]
#[command(name = "lab", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  lab up                                          start it (the first time builds it: about 11 minutes)
  lab kubectl -- get pods -A                      kubectl, as administrator
  lab kubectl -- apply -f my.yaml
  lab exec -- curl -s http://10.0.0.10:8080/      any program, inside the lab's network: here through the gateway
  lab image lab/hello -- python3 -m http.server   pods with image lab/hello:<any tag> run this program
  lab logs kube-apiserver -f                      a component's log
  lab logs pod demo/m-7c5d-x2x -f                 a pod's log
  lab status                                      components, memory, addresses
  lab up --name two                               a second one beside it
  lab down                                        stop it; nothing stays behind

Pods are processes of this machine. Files are under build/lab (or UNDERSTUDY_BUILD_DIR/lab).";

/// Which lab.
#[derive(Args)]
struct Name {
    /// The lab's name; labs of different names run side by side.
    #[arg(long, default_value = "lab", env = "UNDERSTUDY_LAB", value_parser = name)]
    name: String,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a lab and wait until it is ready.
    Up(Name),
    /// Stop a lab and remove its files.
    Down(down::Down),
    /// Show components, memory and addresses.
    Status(status::Show),
    /// Run kubectl as the lab's administrator.
    Kubectl(enter::Command),
    /// Run a program inside the lab, with KUBECONFIG set.
    Exec(enter::Command),
    /// Show the log of a component or of a pod.
    Logs(logs::Logs),
    /// Name a program that pods of an image run.
    Image(image::Image),
    /// Only build what a lab needs.
    Build,
    /// Release versions of a model on a real cluster, and watch the bad ones be taken back.
    Demo(crate::demo::Args),
    /// Send digits through the gateway or to a Service, and say what came of them.
    Load(crate::load::Args),
    /// Write what the tests of fitting in measured as a page.
    Fits(fits::Fits),
    /// Train the versions of the model `digits`, once, and list them.
    Models(crate::models::Args),
    /// Serve one version, as its environment says.
    ModelServer(crate::model_server::Args),
    /// What `lab up` leaves running.
    #[command(hide = true)]
    Supervise(Name),
    /// Prints the state of the components, from inside.
    #[command(hide = true)]
    StatusInside(Name),
}

/// The command's `main`.
pub fn main() -> ExitCode {
    // The node agent is this program too.
    let started_by_lab = std::env::args().nth(1).is_some_and(|first| first == crate::inside::NODE_AGENT);
    let result = if started_by_lab { crate::inside() } else { run(Cli::parse().verb) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Up(name) => up::run(&name.name),
        Verb::Down(down) => down::run(&down),
        Verb::Status(show) => status::run(&show),
        Verb::Kubectl(command) => enter::kubectl(&command),
        Verb::Exec(command) => enter::exec(&command),
        Verb::Logs(logs) => logs::run(&logs),
        Verb::Image(image) => image::run(&image),
        Verb::Build => build::run(),
        Verb::Demo(args) => crate::demo::run(&args),
        Verb::Load(args) => logged(|| crate::load::run(&args)),
        Verb::Fits(args) => fits::run(&args),
        Verb::Models(args) => logged(|| crate::models::run(&args)),
        Verb::ModelServer(args) => logged(|| crate::model_server::run(&args)),
        Verb::Supervise(name) => supervise::run(&name.name),
        Verb::StatusInside(name) => status::inside(&name.name),
    }
}

/// A verb that writes a log to standard error.
fn logged(verb: impl FnOnce() -> Result<()>) -> Result<()> {
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal).init();
    verb()
}

/// Names become directories.
fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !text.is_empty() && text.chars().all(allowed) {
        true => Ok(text.into()),
        false => Err("use letters, digits, - and _".into()),
    }
}
