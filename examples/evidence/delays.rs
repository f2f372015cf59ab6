//! Detection delays: candidate requests until the evidence for "worse than stable" first reaches 100 : 1.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _};
use understudy::analysis::Limit;
use understudy::analysis::count::{Events, bets};
use understudy::analysis::ledger::{Ledger, Side};

const RUNS: usize = 4000;
/// Percent by which a median may be later than the specified one.
const LATER: f64 = 5.0;
/// Percent by which it may be off at all. The specification's delays come from fewer runs, with looks of a length that it does
/// not state.
const OFF: f64 = 12.0;
/// Share of traffic, base rate, factor, and the median and the 90 % quantile that the specification has measured.
const WANTED: [(f64, f64, f64, f64, f64); 9] = [
    (0.05, 0.01, 1.5, 5676.0, 11941.0),
    (0.05, 0.01, 2.0, 1662.0, 3114.0),
    (0.05, 0.01, 5.0, 171.0, 352.0),
    (0.05, 0.01, 10.0, 58.0, 111.0),
    (0.05, 0.001, 5.0, 1732.0, 3551.0),
    (0.05, 0.05, 2.0, 340.0, 646.0),
    (0.5, 0.01, 2.0, 3398.0, 6747.0),
    (0.5, 0.01, 5.0, 432.0, 820.0),
    (0.5, 0.01, 10.0, 154.0, 261.0),
];

pub fn table() -> (String, Vec<String>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for (share, base, times, median, p90) in WANTED {
        let mut all: Vec<f64> = (0..RUNS).map(|_| delay(&mut rng, share, base, times, median)).collect();
        all.sort_by(f64::total_cmp);
        let (half, most) = (all[RUNS / 2], all[RUNS * 9 / 10]);
        let off = |got: f64, wanted: f64| 100.0 * (got / wanted - 1.0);
        rows.push(vec![
            format!("{} %", share * 100.0),
            format!("{} %", base * 100.0),
            format!("{times}x"),
            format!("{half:.0} / {most:.0}"),
            format!("{median} / {p90}"),
            format!("{:+.1} % / {:+.1} %", off(half, median), off(most, p90)),
        ]);
        if off(half, median) > LATER || off(half, median).abs() > OFF {
            broken.push(format!("share {share}, base {base}, {times}x: {half} and not {median}"));
        }
    }
    let header = ["share", "stable fails", "candidate", "requests: median / 90 %", "specified", "deviation"];
    (crate::markdown(&header, &rows), broken)
}

/// Looks of a thousandth of the delay, so that their length hides little, and of at least 2 requests: the specified medians of
/// the short delays are even.
fn delay(rng: &mut ChaCha8Rng, share: f64, base: f64, times: f64, expected: f64) -> f64 {
    let n_c = (expected / 1000.0).round().max(2.0);
    let n_b = (n_c * (1.0 - share) / share).round();
    let candidate = Binomial::new(n_c as u64, base * times).expect("a share");
    let stable = Binomial::new(n_b as u64, base).expect("a share");
    let mut ledger = Ledger::new(Side::Bad, 2000);
    let mut requests = 0.0;
    loop {
        let (x_c, x_b) = (candidate.sample(rng) as f64, stable.sample(rng) as f64);
        requests += n_c;
        let events = Events { x_c, n_c, x_b, n_b };
        ledger.add(bets(events, Limit::ratio(1.0, 0.0), Side::Bad), 1.0);
        if ledger.log_e() >= 100f64.ln() {
            return requests;
        }
    }
}
