//! The same traffic judged in other ways: by a fixed threshold, by a ratio, and by a rank test at the end.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _, Poisson};
use understudy::analysis::Limit;
use understudy::analysis::count::{Events, bets};
use understudy::analysis::ledger::{Ledger, Side, Streak};

const RUNS: usize = 1000;
/// 8 h 20 min of looks every 15 s, at 100 requests/s of which the candidate gets 5 %.
const LOOKS: usize = 2000;
const SECONDS: f64 = 15.0;
const BASE: f64 = 0.01;
/// Looks in one check of those who check each minute.
const MINUTE: usize = 4;

pub const TRUTHS: [(&str, f64); 3] =
    [("as good as stable", 1.0), ("fails twice as often", 2.0), ("fails five times as often", 5.0)];

/// How often a judge rolls back, and after how many minutes (median).
#[derive(Clone, Copy, Default)]
pub struct Cell {
    pub share: f64,
    pub minutes: f64,
}

pub struct Row {
    pub judge: &'static str,
    pub cells: [Cell; 3],
}

type Judge = fn(&[Events]) -> Option<usize>;

const JUDGES: [(&str, Judge); 6] = [
    ("Understudy, default limits", |t| ours(t, Limit::ratio(1.25, 0.0005))),
    ("Understudy, no margin", |t| ours(t, Limit::ratio(1.0, 0.0))),
    ("threshold of 1 %, 5 failed checks", |t| threshold(t, 0.01)),
    ("threshold of 3 %, 5 failed checks", |t| threshold(t, 0.03)),
    ("ratio above 1.2 at any check", ratio),
    ("rank test after an hour", ranks),
];

pub fn compare() -> Vec<Row> {
    let mut found: Vec<Vec<Vec<Option<usize>>>> = vec![vec![Vec::new(); TRUTHS.len()]; JUDGES.len()];
    for (t, (_, times)) in TRUTHS.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..RUNS {
            let trace = trace(&mut rng, BASE * times);
            for (j, (_, judge)) in JUDGES.iter().enumerate() {
                found[j][t].push(judge(&trace));
            }
        }
    }
    let rows = JUDGES.iter().zip(found).map(|((judge, _), by_truth)| {
        let mut cells = [Cell::default(); 3];
        for (cell, ends) in cells.iter_mut().zip(by_truth) {
            let mut looks: Vec<usize> = ends.into_iter().flatten().collect();
            looks.sort_unstable();
            let median = looks.get(looks.len() / 2).copied().unwrap_or_default();
            *cell = Cell { share: looks.len() as f64 / RUNS as f64, minutes: median as f64 * SECONDS / 60.0 };
        }
        Row { judge, cells }
    });
    rows.collect()
}

pub fn table(rows: &[Row]) -> String {
    let mut header = vec!["judge"];
    header.extend(TRUTHS.iter().map(|(name, _)| *name));
    let cell = |c: &Cell| {
        if c.share == 0.0 {
            return "0 %".to_owned();
        }
        format!("{:.1} %, after {:.1} min", 100.0 * c.share, c.minutes)
    };
    let line = |row: &Row| [row.judge.to_owned()].into_iter().chain(row.cells.iter().map(cell)).collect();
    crate::markdown(&header, &rows.iter().map(line).collect::<Vec<_>>())
}

fn trace(rng: &mut ChaCha8Rng, error: f64) -> Vec<Events> {
    let mut arm = |rate: f64, p: f64| {
        let n = Poisson::new(rate * SECONDS).expect("a rate").sample(rng);
        (Binomial::new(n as u64, p).expect("a share").sample(rng) as f64, n)
    };
    let look = |_| {
        let ((x_c, n_c), (x_b, n_b)) = (arm(5.0, error), arm(95.0, BASE));
        Events { x_c, n_c, x_b, n_b }
    };
    (0..LOOKS).map(look).collect()
}

/// The limit's test alone, at two looks in a row.
fn ours(trace: &[Events], limit: Limit) -> Option<usize> {
    let (mut ledger, mut over) = (Ledger::new(Side::Bad, LOOKS as u32), Streak::default());
    let at = trace.iter().position(|events| {
        ledger.add(bets(*events, limit, Side::Bad), 1.0);
        over.look(ledger.log_e() >= 100f64.ln());
        over.count() >= 2
    });
    at.map(|k| k + 1)
}

fn sum(looks: &[Events]) -> Events {
    looks.iter().fold(Events::default(), |a, b| Events {
        x_c: a.x_c + b.x_c,
        n_c: a.n_c + b.n_c,
        x_b: a.x_b + b.x_b,
        n_b: a.n_b + b.n_b,
    })
}

/// A check each minute of the candidate's share in that minute; five failed ones, in whatever order, are enough.
fn threshold(trace: &[Events], limit: f64) -> Option<usize> {
    let failed = trace.chunks(MINUTE).enumerate().filter(|(_, looks)| {
        let minute = sum(looks);
        minute.x_c > limit * minute.n_c
    });
    failed.map(|(k, _)| (k + 1) * MINUTE).nth(4)
}

fn ratio(trace: &[Events]) -> Option<usize> {
    let above = |looks: &[Events]| {
        let minute = sum(looks);
        minute.n_c > 0.0 && minute.x_c / minute.n_c > 1.2 * (minute.x_b / minute.n_b)
    };
    trace.chunks(MINUTE).position(above).map(|k| (k + 1) * MINUTE)
}

/// Mann and Whitney's test on the shares of sixty minutes, with correction for ties, one-sided at 1 %.
fn ranks(trace: &[Events]) -> Option<usize> {
    let minutes: Vec<Events> = trace[..60 * MINUTE].chunks(MINUTE).map(sum).collect();
    let mut all: Vec<(f64, bool)> = minutes.iter().map(|m| (m.x_c / m.n_c.max(1.0), true)).collect();
    all.extend(minutes.iter().map(|m| (m.x_b / m.n_b.max(1.0), false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let t = group.len() as f64;
        let rank = before + (t + 1.0) / 2.0;
        rank_sum += rank * group.iter().filter(|(_, candidate)| *candidate).count() as f64;
        ties += t * t * t - t;
        before += t;
    }
    let (n, m) = (60.0, 60.0);
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let spread = n * m / 12.0 * (n + m + 1.0 - ties / ((n + m) * (n + m - 1.0)));
    ((u - n * m / 2.0) / spread.sqrt() > 2.326).then_some(60 * MINUTE)
}
