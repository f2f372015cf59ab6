//! The kinds on a real API server: that it takes them, explains them, and refuses what it should; and what it says of
//! writes of ours.

#[path = "../../../kinds/cases.rs"]
mod cases;
mod hand_back;
mod refused_writes;
mod server;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::wait::wait_for;
use lab::{Lab, Options};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Handle;

fn main() -> ExitCode {
    lab::suite::main(|| trials(None), run)
}

fn run() -> Result<ExitCode> {
    // First of all: the node agent is this program too, with arguments of its own.
    lab::inside()?;
    let mut arguments = Arguments::from_args();
    // In their order: the kinds are installed by the first.
    arguments.test_threads = Some(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let lab = runtime.block_on(Lab::create(Options::default()))?;
    let world = World { kubeconfig: lab.kubeconfig(), client: lab.admin() };
    runtime.block_on(install(&world))?;
    Ok(libtest_mimic::run(&arguments, trials(Some((world, runtime.handle().clone())))).exit_code())
}

/// What the tests need of the lab.
#[derive(Clone)]
struct World {
    kubeconfig: PathBuf,
    client: kube::Client,
}

fn trials(lab: Option<(World, Handle)>) -> Vec<Trial> {
    macro_rules! trials {
        ($($test:path),* $(,)?) => { vec![$({
            let lab = lab.clone();
            let name = stringify!($test).rsplit("::").next().unwrap_or_default();
            Trial::test(name, move || {
                let (world, runtime) = lab.ok_or("no lab")?;
                runtime.block_on($test(&world)).map_err(|error| Failed::from(format!("{error:#}")))
            })
        }),*] };
    }
    trials![
        the_printed_kinds_pass_a_dry_run_of_the_server,
        kubectl_explains_every_field_of_the_strategy,
        every_case_is_refused_or_accepted_as_it_says,
        hand_back::a_selector_belongs_to_its_owner_again,
        refused_writes::a_refusal_says_what_to_do,
    ]
}

impl World {
    /// `kubectl ARGUMENTS < INPUT`: what it printed, when it succeeded.
    fn kubectl(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let mut child = Command::new(lab::build::build()?.kube("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("could not run kubectl")?;
        child.stdin.take().context("kubectl has no input")?.write_all(input)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`kubectl {}` failed: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// `understudy crds`.
fn printed() -> Result<Vec<u8>> {
    let output = Command::new(lab::scenario::programs::operator()?).arg("crds").output()?;
    ensure!(output.status.success(), "`understudy crds` failed");
    Ok(output.stdout)
}

/// The kinds, as a user installs them; a dry run before, because that says what is not there yet.
async fn install(world: &World) -> Result<()> {
    let answer = world.kubectl(&["apply", "--dry-run=server", "-f", "-"], &printed()?)?;
    let created = answer.lines().filter(|line| line.ends_with("created (server dry run)")).count();
    ensure!(created == 3, "the dry run says {answer}");
    world.kubectl(&["apply", "-f", "-"], &printed()?)?;
    server::served(&world.client).await
}

async fn the_printed_kinds_pass_a_dry_run_of_the_server(world: &World) -> Result<()> {
    let answer = world.kubectl(&["apply", "--dry-run=server", "-f", "-"], &printed()?)?;
    let unchanged = answer.lines().filter(|line| line.ends_with("unchanged (server dry run)")).count();
    ensure!(unchanged == 3, "applied again they differ from what is stored: {answer}");
    Ok(())
}

async fn kubectl_explains_every_field_of_the_strategy(world: &World) -> Result<()> {
    // The API server publishes a kind's description a moment after it serves the kind.
    let answer = wait_for("the kind to be described", Duration::from_secs(60), async || {
        let asked = world.kubectl(&["explain", "modelrollout.spec.strategy"], &[]);
        asked.map_err(|error| format!("{error:#}"))
    })
    .await?;
    for field in ["shadow", "canary", "watch", "requireProof", "deadlines"] {
        let mut lines = answer.lines().skip_while(|line| !line.starts_with(&format!("  {field}\t")));
        ensure!(lines.next().is_some(), "no field {field} in\n{answer}");
        let words: Vec<&str> = lines.take_while(|line| !line.is_empty()).map(str::trim).collect();
        let description = words.join(" ");
        ensure!(
            description.len() > 20 && description.ends_with('.'),
            "{field} is not described in\n{answer}"
        );
    }
    ensure!(!answer.contains("<no description>"), "{answer}");
    Ok(())
}

async fn every_case_is_refused_or_accepted_as_it_says(world: &World) -> Result<()> {
    let wrong = server::wrong(&world.client).await;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
