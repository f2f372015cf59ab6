//! Whole rollouts in a fake namespace: every script in `tests/rollouts` is run, its log is compared with the golden file
//! beside it, and it is run again with the operator killed after each of its writes, and with reads that lag.
//!
//! `UPDATE=1 cargo test --test rollouts` writes the golden files anew. `SWEEP=1 cargo test --test rollouts` takes longer: the
//! operator also stays away for a while after each of its writes, not only after one.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use similar::TextDiff;
use understudy::simulate::{End, Marks, Script, Simulation};

/// Seconds that the operator is away in the runs in which it does not come back at once.
const OUTAGE: i64 = 7;
/// Writes that reads lag by.
const LAGS: [usize; 3] = [1, 3, 8];

fn main() {
    let mut arguments = Arguments::from_args();
    // Each script is a busy minute of one processor at most; two at a time leave room for others.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rollouts");
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of the scripts can be read")
        .map(|entry| entry.expect("an entry of the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "script"))
        .collect();
    scripts.sort();
    let trial = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name, move || rollout(&path))
    };
    libtest_mimic::run(&arguments, scripts.into_iter().map(trial).collect()).exit();
}

/// A run without disturbance, and what is needed to compare others with it.
struct Straight {
    end: End,
    log: String,
    /// What the world was at the end of each second.
    digests: Vec<u64>,
    /// Acts of people and versions until the end of each second.
    acts: Vec<usize>,
    /// The world before each second in which the operator wrote, with the number of its writes.
    starts: Vec<(usize, usize, Simulation)>,
}

impl Straight {
    /// Nobody does anything in the seconds after this one: then an operator that is away for so long misses nothing.
    fn quiet_after(&self, second: usize) -> bool {
        let last = self.acts.len() - 1;
        let later = (second + 1 + usize::try_from(OUTAGE).unwrap_or(0)).min(last);
        self.acts[second.saturating_sub(1)] == self.acts[later]
    }
}

fn rollout(path: &Path) -> Result<(), Failed> {
    let script = Script::parse(&fs::read_to_string(path)?)?;
    let mut marks = Marks::default();
    let straight = straight(&script, &mut marks)?;
    golden(path, &straight.log)?;
    if std::env::var_os("UPDATE").is_some() {
        return Ok(());
    }
    crashes(&straight, &mut marks)?;
    LAGS.into_iter().try_for_each(|lag| stale_reads(&script, &straight.end, lag))
}

fn sweep() -> bool {
    std::env::var_os("SWEEP").is_some()
}

fn straight(script: &Script, marks: &mut Marks) -> Result<Straight, Failed> {
    let mut run = Simulation::new(script);
    let (mut digests, mut acts, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    while !run.over() {
        let before = run.clone();
        run.second().map_err(|trouble| format!("{}\n{trouble}", run.log()))?;
        digests.push(run.digest(marks));
        acts.push(run.acts());
        let writes = run.writes() - before.writes();
        if writes > 0 {
            starts.push((digests.len() - 1, writes, before));
        }
    }
    let end = run.finish().map_err(|trouble| format!("{}\n{trouble}", run.log()))?;
    Ok(Straight { end, log: run.log(), digests, acts, starts })
}

fn golden(path: &Path, log: &str) -> Result<(), Failed> {
    let file = path.with_extension("golden");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, log)?;
        return Ok(());
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    if wanted == log {
        return Ok(());
    }
    let diff = TextDiff::from_lines(wanted.as_str(), log);
    let diff = diff.unified_diff().context_radius(3).to_string();
    let file = file.display();
    Err(format!(
        "{file} is not what happens now. If it should be: UPDATE=1 cargo test --test rollouts\n{diff}"
    )
    .into())
}

/// The operator dies after every single write and is back at once. Once in each script, and in a sweep after every write
/// that nobody acts soon after, it is away for a while. The end is the same.
fn crashes(straight: &Straight, marks: &mut Marks) -> Result<(), Failed> {
    let middle = straight.starts.len() / 2;
    let away = straight.starts.iter().skip(middle).find(|(second, ..)| straight.quiet_after(*second));
    let away = away.map(|(second, ..)| *second);
    for (second, writes, before) in &straight.starts {
        let long = away == Some(*second) || (sweep() && straight.quiet_after(*second));
        for n in 1..=*writes {
            for outage in [0, OUTAGE].into_iter().take(1 + usize::from(long)) {
                let run = before.clone().with_crash(n, outage);
                let what = format!("killed after write {n} of second {}, away for {outage} s", second + 1);
                follow(run, *second, straight, marks).map_err(|e| format!("{e}\n{what}"))?;
            }
        }
    }
    Ok(())
}

/// Follows a disturbed run until it is what the straight one was at the same second, for then it has the same future; else
/// to its end, which must be the same.
fn follow(mut run: Simulation, from: usize, straight: &Straight, marks: &mut Marks) -> Result<(), String> {
    for second in from.. {
        if run.over() {
            break;
        }
        run.second().map_err(|trouble| format!("{}\n{trouble}", run.log()))?;
        if straight.digests.get(second) == Some(&run.digest(marks)) {
            return Ok(());
        }
    }
    let mut end = run.finish().map_err(|trouble| format!("{}\n{trouble}", run.log()))?;
    if run.was_away() {
        never_made(&mut end, &straight.end);
    }
    same_end(&run.log(), &end, &straight.end)
}

/// When people take back what they wanted while the operator is away, the idle slot and our Service, which leads nowhere at
/// rest, are never made. Nobody has to make up for that.
fn never_made(end: &mut End, wanted: &End) {
    let idle = |key: &str, is: &str| {
        key == "service scorer-candidate" || (key.starts_with("deployment scorer-") && is.starts_with("0 "))
    };
    for (key, is) in wanted.0.iter().filter(|(key, is)| idle(key, is)) {
        end.0.entry(key.clone()).or_insert_with(|| is.clone());
    }
}

/// The operator sees the world as it was some writes ago; the end is the same.
fn stale_reads(script: &Script, wanted: &End, lag: usize) -> Result<(), Failed> {
    let mut run = Simulation::new(script).with_stale_reads(lag);
    let what = format!("with reads that lag {lag} writes");
    let end = run.run().map_err(|trouble| format!("{}\n{trouble}\n{what}", run.log()))?;
    same_end(&run.log(), &end, wanted).map_err(|e| format!("{e}\n{what}"))?;
    Ok(())
}

fn same_end(log: &str, end: &End, wanted: &End) -> Result<(), String> {
    if end == wanted {
        return Ok(());
    }
    let keys = wanted.0.keys().chain(end.0.keys().filter(|k| !wanted.0.contains_key(*k)));
    let differs: Vec<String> = keys
        .filter(|k| wanted.0.get(*k) != end.0.get(*k))
        .map(|k| format!("{k}: {:?} instead of {:?}", end.0.get(k), wanted.0.get(k)))
        .collect();
    if differs.is_empty() { Ok(()) } else { Err(format!("{log}\nit ends otherwise: {}", differs.join("; "))) }
}
