//! `make demo`: real versions of a real model are released, and taken back, on a real cluster.
//!
//! ```text
//! acts       what is released, and how each release is to end
//! play       releases one after the other, with load on, and has the end judged
//! stage      what play and show share
//! snapshot   everything that is shown, as one value
//! view       the live view, drawn from a snapshot
//! lines      what is worth a line, from one status to the next
//! show       the terminal: live view or plain lines
//! keep       the same in a lab that is left running, and how to play on in it
//! ```

mod acts;
mod keep;
pub mod lines;
mod play;
#[cfg(test)]
mod sample;
mod show;
pub mod snapshot;
mod stage;
pub mod view;

use std::io::IsTerminal as _;

use anyhow::{Result, bail};

use self::show::{Lines, Screen, Show};
use self::stage::Stage;
use crate::scenario::Cluster;
use crate::{Options, build, models};

/// The namespace that the demo plays in.
const NAMESPACE: &str = "demo";

/// Releases six versions of a digit classifier on a real cluster; the bad ones are taken back.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// One line a change, also on a terminal.
    #[arg(long)]
    plain: bool,
    /// Format of the table at the end.
    #[arg(short, long, value_parser = ["table", "json"], default_value = "table")]
    output: String,
    /// Leave the lab running at the end, as `demo`, and say how to play on.
    #[arg(long)]
    keep: bool,
    /// Play in this lab, in which this process runs already.
    #[arg(long, hide = true)]
    in_lab: Option<String>,
}

/// Runs the verb. The lab of the demo ends with it, unless it is to be kept.
///
/// # Errors
/// When something is missing, the lab does not come up, the person leaves early, or something was not as promised.
pub fn run(args: &Args) -> Result<()> {
    if let Some(lab) = &args.in_lab {
        return crate::block_on(on_stage(args, Some(lab)));
    }
    if !crate::inside::is_inside() {
        // Here, where the network of the machine is: what is missing is downloaded and built, with progress.
        build::build()?;
        models::ensure()?;
    }
    if args.keep {
        return keep::start(args);
    }
    crate::inside()?;
    crate::block_on(on_stage(args, None))
}

async fn on_stage(args: &Args, lab: Option<&str>) -> Result<()> {
    let scripts = acts::all();
    eprintln!("demo: starting the lab and 1.0.0 in it ...");
    let cluster = tokio::select! {
        cluster = set_up(lab) => cluster?,
        _ = tokio::signal::ctrl_c() => bail!("stopped by the user"),
    };
    let stage = Stage::new(scripts.iter().map(acts::Script::act).collect(), args.keep);
    let mut show = open(args)?;
    let played = tokio::select! {
        table = play::play(&cluster, &stage, &scripts) => table.map(Some),
        quit = show.until_quit(|| stage.snapshot(Some(&cluster))) => quit.map(|()| None),
    };
    show.end(&stage.snapshot(Some(&cluster)));
    let kept = lab.filter(|_| args.keep);
    let Some(table) = played? else {
        let what = kept.map_or_else(|| "the lab goes down".to_owned(), keep::how_to_stop);
        bail!("stopped by the user; {what}");
    };
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&table)?);
    } else {
        println!("{table}");
    }
    if let Some(lab) = kept {
        keep::leave(cluster, lab)?;
    }
    if !table.wrong.is_empty() {
        bail!("{} things were not as promised", table.wrong.len());
    }
    Ok(())
}

async fn set_up(lab: Option<&str>) -> Result<Cluster> {
    let mut cluster = match lab {
        Some(name) => Cluster::attach(name, NAMESPACE).await?,
        None => Cluster::create(Options::default(), NAMESPACE).await?,
    };
    cluster.start_operator().await?;
    Ok(cluster)
}

/// The live view where there is a terminal for it.
fn open(args: &Args) -> Result<Show> {
    let json = args.output == "json";
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.plain || json || !terminal {
        return Ok(Show::Lines(Lines::new(json)));
    }
    Ok(Show::Screen(Screen::open()?))
}
