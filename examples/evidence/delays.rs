//! Detection delays: candidate requests until the evidence for "worse than stable" first reaches 100 : 1.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _};
use understudy::analysis::Limit;
use understudy::analysis::count::{Events, bets};
use understudy::analysis::ledger::{Ledger, Side};

const RUNS: usize = 4000;
/// Percent by which a median may be off with looks of the row's length.
const OFF: f64 = 5.0;
/// The same with short looks, whatever their length was in the specification.
const OFF_SHORT: f64 = 12.0;

/// A delay that the specification has measured, with looks of a length that it does not state.
struct Wanted {
    /// Share of traffic.
    share: f64,
    /// Stable's rate of failures.
    base: f64,
    /// The candidate's, as a multiple.
    times: f64,
    /// Median and 90 % quantile, in candidate requests.
    specified: [f64; 2],
    /// A length of looks, in candidate requests, at which such a median comes out: up to a fifteenth of the delay.
    look: f64,
}

const fn row(share: f64, base: f64, times: f64, specified: [f64; 2], look: f64) -> Wanted {
    Wanted { share, base, times, specified, look }
}

const WANTED: [Wanted; 9] = [
    row(0.05, 0.01, 1.5, [5676.0, 11941.0], 6.0),
    row(0.05, 0.01, 2.0, [1662.0, 3114.0], 2.0),
    row(0.05, 0.01, 5.0, [171.0, 352.0], 2.0),
    row(0.05, 0.01, 10.0, [58.0, 111.0], 4.0),
    row(0.05, 0.001, 5.0, [1732.0, 3551.0], 17.0),
    row(0.05, 0.05, 2.0, [340.0, 646.0], 2.0),
    row(0.5, 0.01, 2.0, [3398.0, 6747.0], 4.0),
    row(0.5, 0.01, 5.0, [432.0, 820.0], 20.0),
    row(0.5, 0.01, 10.0, [154.0, 261.0], 10.0),
];

pub fn table() -> (String, Vec<String>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for wanted in WANTED {
        let Wanted { share, base, times, specified: [median, p90], look } = wanted;
        // So short that their length hides little; the specified medians of the short delays are even.
        let short = quantiles(&mut rng, &wanted, (median / 1000.0).round().max(2.0));
        let long = quantiles(&mut rng, &wanted, look);
        let off = |got: f64, wanted: f64| 100.0 * (got / wanted - 1.0);
        let cell = |[half, most]: [f64; 2]| {
            format!("{half:.0} / {most:.0} ({:+.1} % / {:+.1} %)", off(half, median), off(most, p90))
        };
        rows.push(vec![
            format!("{} %", share * 100.0),
            format!("{} %", base * 100.0),
            format!("{times}x"),
            format!("{median} / {p90}"),
            cell(short),
            look.to_string(),
            cell(long),
        ]);
        let [short, long] = [short, long].map(|[half, _]| off(half, median));
        if short.abs() > OFF_SHORT || long.abs() > OFF {
            broken.push(format!(
                "share {share}, base {base}, {times}x: {short:+.1} % and {long:+.1} % off {median}"
            ));
        }
    }
    let header =
        ["share", "stable fails", "candidate", "specified", "short looks", "look of", "looks of that length"];
    (crate::markdown(&header, &rows), broken)
}

/// Median and 90 % quantile of the delay, with looks of so many candidate requests.
fn quantiles(rng: &mut ChaCha8Rng, wanted: &Wanted, look: f64) -> [f64; 2] {
    let mut all: Vec<f64> = (0..RUNS).map(|_| delay(rng, wanted, look)).collect();
    all.sort_by(f64::total_cmp);
    [all[RUNS / 2], all[RUNS * 9 / 10]]
}

fn delay(rng: &mut ChaCha8Rng, wanted: &Wanted, n_c: f64) -> f64 {
    let Wanted { share, base, times, .. } = wanted;
    let n_b = (n_c * (1.0 - share) / share).round();
    let candidate = Binomial::new(n_c as u64, base * times).expect("a share");
    let stable = Binomial::new(n_b as u64, *base).expect("a share");
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
