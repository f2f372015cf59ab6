//! How many looks a second one core judges: `cargo run --release --example speed`. With the name of a file the trace is
//! written there instead, for `understudy judge FILE errors`.

use std::fmt::Write as _;
use std::time::Instant;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson};
use understudy::analysis::Limit;
use understudy::analysis::count::{Events, bets};
use understudy::analysis::ledger::{Ledger, Side};
use understudy::analysis::trace::{Kind, Settings, Trace};
use understudy::cli::judge::{self, JudgeArgs, KindArg, Output};

const LOOKS: usize = 1_000_000;

/// 100 requests/s, 5 % to the candidate, 1 % fail in both arms, a look every 15 s: requests and failures of the candidate, and
/// those of stable.
fn draw() -> Vec<[f64; 4]> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let laws = [74.25, 0.75, 1410.75, 14.25].map(|mean| Poisson::new(mean).expect("a mean"));
    let mut look = || {
        let [good_c, x_c, good_b, x_b] = laws.map(|law| law.sample(&mut rng));
        [good_c + x_c, x_c, good_b + x_b, x_b]
    };
    (0..LOOKS).map(|_| look()).collect()
}

fn csv(looks: &[[f64; 4]]) -> String {
    let mut text = "ts,arm,series,name,value\n".to_owned();
    let mut sums = [0.0; 4];
    for k in 0..=looks.len() {
        let at = 1_700_000_000 + 15 * k;
        for (name, sum) in ["cand,c-1,n", "cand,c-1,x", "base,b-1,n", "base,b-1,x"].iter().zip(sums) {
            let _ = writeln!(text, "{at},{name},{sum}");
        }
        for (sum, gain) in sums.iter_mut().zip(looks.get(k).into_iter().flatten()) {
            *sum += gain;
        }
    }
    text
}

/// Seconds that this program has had a processor: what else the machine does is not counted. Elsewhere than on Linux, by the
/// clock.
fn seconds(since: Instant) -> f64 {
    let had = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanoseconds = had.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| since.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

/// The best of five.
fn timed<T>(name: &str, mut work: impl FnMut() -> T) -> T {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut result = None;
    for _ in 0..5 {
        let begin = seconds(start);
        result = Some(work());
        best = best.min(seconds(start) - begin);
    }
    println!("{name:44} {best:5.2} s   {:4.2} million looks/s", LOOKS as f64 / best / 1e6);
    result.expect("five results")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let looks = draw();
    let text = csv(&looks);
    if let Some(path) = std::env::args().nth(1) {
        return Ok(std::fs::write(path, text)?);
    }
    timed("both ledgers alone", || {
        let (mut bad, mut ok) = (Ledger::new(Side::Bad, 2000), Ledger::new(Side::Ok, 2000));
        let mut top = 0.0_f64;
        for [n_c, x_c, n_b, x_b] in &looks {
            let events = Events { x_c: *x_c, n_c: *n_c, x_b: *x_b, n_b: *n_b };
            bad.add(bets(events, Limit::ratio(1.25, 0.0005), Side::Bad), 1.0);
            ok.add(bets(events, Limit::ratio(1.5, 0.001), Side::Ok), 1.0);
            top = top.max(bad.log_e()).max(ok.log_e());
        }
        top
    });
    let trace = timed("reading a trace of 4 million rows", || Trace::read(&text, Kind::Errors))?;
    timed("judging it, proven from look 70 or so on", || trace.judge(&Settings::default(), None).count());
    let path = std::env::temp_dir().join(format!("understudy-speed-{}.csv", std::process::id()));
    std::fs::write(&path, &text)?;
    for (name, settings) in [
        ("understudy judge: file in, lines out", vec![]),
        ("the same, undecided, a forecast at each look", vec!["min_n=1e9".to_owned()]),
    ] {
        let args = JudgeArgs {
            file: path.clone(),
            kind: KindArg::Errors,
            start: None,
            output: Output::Csv,
            plot: None,
            settings,
        };
        timed(name, || judge::run(&args, &mut std::io::sink()))?;
    }
    Ok(std::fs::remove_file(&path)?)
}
