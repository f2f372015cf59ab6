//! The one binary: arguments in, one call per subcommand.

use std::io::Write as _;

use clap::{Parser, Subcommand};
use understudy::cli;
use understudy::cli::output::unless_gone;

/// A pass is many small objects that are made and given back, and a third of its time went to the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Releases model versions safely on Kubernetes: shadow, canary, watch, active, and back in seconds when a version is
/// worse than the one that serves.
#[derive(Parser)]
#[command(name = "understudy", version, about, max_term_width = 100)]
#[command(after_help = "\
First steps:
  understudy crds | kubectl apply --server-side -f -    install the three kinds
  kubectl explain modelrollout.spec                     read what a rollout can say
  kubectl get modelrollouts -o wide                     see where rollouts stand, and what they wait for")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The decisions that a ModelRollout would have made on real Prometheus history between two times.
    ///
    /// Say which series were stable's and which the candidate's, and see at which look what would have been proven or turned down,
    /// and whether these limits would have thrown out a version that was good. Plans, tests and rules are those of the
    /// controller; nothing is written anywhere.
    #[command(after_long_help = cli::backtest::EXAMPLES, after_help = "`understudy backtest --help` explains the arms and shows examples.")]
    Backtest(Box<cli::backtest::BacktestArgs>),
    /// Run the operator.
    ///
    /// It finds the API server as kubectl does, or as a pod does, and acts while it holds the Lease.
    Controller(Box<cli::controller::ControllerArgs>),
    /// Print the CustomResourceDefinitions of ModelVersion, ModelRollout and RolloutDecision.
    ///
    /// Pipe them to `kubectl apply --server-side -f -`. Applying a newer version's definitions over older ones is how
    /// the kinds are upgraded; objects that exist are kept.
    Crds,
    /// Judge a recorded trace: what a rollout would have decided, look by look.
    #[command(after_long_help = cli::judge::settings_help(), after_help = "`understudy judge --help` lists the settings and the columns.")]
    Judge(cli::judge::JudgeArgs),
    /// What a ModelRollout can find out at today's traffic, before anything is moved.
    ///
    /// Reads stable's hour before from Prometheus and says, as the operator would at the start: how long until a version like stable
    /// is proven, until one as bad as each metric's `detect` is found, and until one that fails outright is; how long the rollout
    /// takes at least; what the shadow stage costs. When it is too slow for its deadlines, which weights or deadlines would do. No
    /// cluster is needed.
    #[command(after_long_help = cli::plan::EXAMPLES, after_help = "`understudy plan --help` explains the arms and shows examples.")]
    Plan(Box<cli::plan::PlanArgs>),
    /// Run a ModelRollout many times against synthetic arms: how often it is rolled back, and how fast.
    ///
    /// Say what the stable version and the candidate are like, and see what the manifest's steps, limits and deadlines make of
    /// it: how often a candidate that is as good is taken back all the same, how long a worse one is served, how long a
    /// good one takes to its promotion. The tests and the rules are those of the controller. Pods are ready at once, every
    /// scrape comes, and nobody edits the route.
    #[command(after_long_help = cli::simulate::EXAMPLES, after_help = "`understudy simulate --help` explains the arms and shows examples.")]
    Simulate(Box<cli::simulate::SimulateArgs>),
    /// Recompute the evidence of an attempt from Prometheus and compare it with what its status says.
    ///
    /// Every verdict of a rollout is a pure function of the raw samples, the moment it began, and what moved the share; the
    /// latter stands in its status, of the present attempt or else of the last. Here they are run through the same tests once
    /// more: equal to the last look, or it is said where not.
    #[command(after_long_help = cli::audit_evidence::EXAMPLES, after_help = "`understudy audit-evidence --help` shows examples.")]
    AuditEvidence(cli::audit_evidence::AuditArgs),
    /// Print the version of this program.
    Version,
}

fn main() -> std::process::ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Controller(args) => return cli::controller::main(*args),
        Command::Backtest(args) => {
            cli::backtest::run(&args).map_err(|e| e.to_string()).and_then(|text| print(&text))
        }
        Command::Crds => cli::crds::all().map_err(|e| e.to_string()).and_then(|text| print(&text)),
        Command::Judge(args) => cli::judge::run(&args, &mut std::io::stdout()).map_err(|e| e.to_string()),
        Command::Simulate(args) => {
            cli::simulate::run(&args).map_err(|e| e.to_string()).and_then(|text| print(&text))
        }
        Command::Plan(args) => return cli::plan::main(&args),
        Command::AuditEvidence(args) => return cli::audit_evidence::main(&args),
        Command::Version => print(&format!("understudy {}\n", env!("CARGO_PKG_VERSION"))),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("understudy: {message}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Writes to the terminal or pipe.
fn print(text: &str) -> Result<(), String> {
    let written = std::io::stdout().write_all(text.as_bytes());
    unless_gone(written).map_err(|error| format!("could not write the output: {error}"))
}
