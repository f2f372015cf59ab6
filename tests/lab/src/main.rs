//! The lab, from the command line.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "lab", about = "A real control plane, gateway, Prometheus and model servers on one machine")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send digits through the gateway or to a Service, and say what came of them.
    Load(lab::load::Args),
    /// Train the versions of the model `digits`, once, and list them.
    Models(lab::models::Args),
    /// Serve one version, as its environment says.
    ModelServer(lab::model_server::Args),
}

fn main() -> ExitCode {
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal).init();
    let done = match Arguments::parse().verb {
        Verb::Load(args) => lab::load::run(&args),
        Verb::Models(args) => lab::models::run(&args),
        Verb::ModelServer(args) => lab::model_server::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
