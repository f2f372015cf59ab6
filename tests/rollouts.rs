//! Whole rollouts in a fake namespace: every script in `tests/rollouts` is run, its log is compared with the golden file
//! beside it, and it is run again with the operator killed after each of its writes, and with reads that lag.
//!
//! `UPDATE=1 cargo test --test rollouts` writes the golden files anew.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use similar::TextDiff;
use understudy::simulate::{End, Marks, Script, Simulation};

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rollouts");
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of the scripts can be read")
        .map(|entry| entry.expect("an entry of the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "script"))
        .collect();
    scripts.sort();
    let trials = scripts.into_iter().flat_map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let of = |what: &str| format!("{name}::{what}");
        let (one, two, three) = (path.clone(), path.clone(), path);
        [
            Trial::test(of("golden"), move || golden(&one)),
            Trial::test(of("crashes"), move || crashes(&two)).with_ignored_flag(true),
            Trial::test(of("stale_reads"), move || stale_reads(&three)).with_ignored_flag(true),
        ]
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn read(path: &Path) -> Result<Script, Failed> {
    Ok(Script::parse(&fs::read_to_string(path)?)?)
}

/// Runs to the end; the log goes with what went wrong.
fn run(mut simulation: Simulation) -> Result<(End, String), Failed> {
    match simulation.run() {
        Ok(end) => Ok((end, simulation.log())),
        Err(trouble) => Err(format!("{}\n{trouble}", simulation.log()).into()),
    }
}

fn golden(path: &Path) -> Result<(), Failed> {
    let (_, log) = run(Simulation::new(&read(path)?))?;
    let file = path.with_extension("golden");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, log)?;
        return Ok(());
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    if wanted == log {
        return Ok(());
    }
    let diff = TextDiff::from_lines(&wanted, &log);
    let diff = diff.unified_diff().context_radius(3).to_string();
    Err(format!(
        "{} is not what happens now. If it should be: UPDATE=1 cargo test --test rollouts\n{diff}",
        file.display()
    )
    .into())
}

/// The operator dies after every single write; the end is the same. A run that has come back to what the undisturbed one
/// was at the same second has the same future and is not followed further.
fn crashes(path: &Path) -> Result<(), Failed> {
    let script = read(path)?;
    let mut straight = Simulation::new(&script);
    let mut marks = Marks::default();
    let (mut digests, mut starts) = (Vec::new(), Vec::new());
    while !straight.over() {
        let start = straight.clone();
        straight.second()?;
        digests.push(straight.digest(&mut marks));
        let writes = straight.writes() - start.writes();
        (1..=writes).for_each(|n| starts.push((digests.len() - 1, n, start.clone())));
    }
    let wanted = straight.finish()?;
    for (i, (second, n, start)) in starts.into_iter().enumerate() {
        // Most operators are back at once; every fifth is away for a while.
        let outage = if i % 5 == 4 { 7 } else { 0 };
        let what = format!("killed after write {n} of second {second}, away for {outage} s");
        let simulation = start.with_crash(n, outage);
        continued(simulation, second, &digests, &wanted, &mut marks).map_err(|e| format!("{what}: {e}"))?;
    }
    Ok(())
}

fn continued(
    mut simulation: Simulation,
    from: usize,
    digests: &[u64],
    wanted: &End,
    marks: &mut Marks,
) -> Result<(), String> {
    let shown = |s: &Simulation, what: String| format!("{}\n{what}", s.log());
    for second in from.. {
        if simulation.over() {
            break;
        }
        simulation.second().map_err(|e| shown(&simulation, e.to_string()))?;
        if digests.get(second) == Some(&simulation.digest(marks)) {
            return Ok(());
        }
    }
    let end = simulation.finish().map_err(|e| shown(&simulation, e.to_string()))?;
    if end == *wanted {
        return Ok(());
    }
    let differs: Vec<String> = wanted
        .0
        .keys()
        .chain(end.0.keys())
        .filter(|k| wanted.0.get(*k) != end.0.get(*k))
        .map(|k| format!("{k}: {:?} instead of {:?}", end.0.get(k), wanted.0.get(k)))
        .collect();
    Err(shown(&simulation, format!("it ends otherwise: {}", differs.join("; "))))
}

/// The operator sees the world as it was some writes ago; the end is the same.
fn stale_reads(path: &Path) -> Result<(), Failed> {
    let script = read(path)?;
    let (wanted, _) = run(Simulation::new(&script))?;
    for lag in [1, 3, 8] {
        let (end, log) = run(Simulation::new(&script).with_stale_reads(lag))?;
        if end != wanted {
            return Err(format!(
                "{log}\nwith reads that lag {lag} writes it ends otherwise:\n{end:#?}\n{wanted:#?}"
            )
            .into());
        }
    }
    Ok(())
}
