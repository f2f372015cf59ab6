//! Seeded simulations: the error rates and the delays that the tests promise.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Binomial, Distribution, Poisson};
use understudy::analysis::Limit;
use understudy::analysis::count::Events;
use understudy::analysis::count::bets;
use understudy::analysis::guard::{AbsoluteFinding, AbsoluteGuard, PairedGuard, absolute_eps};
use understudy::analysis::ledger::{Ledger, Side, Streak};

/// alpha of one coarse guard with one ratio metric at the default rate.
const GUARD_ALPHA: f64 = 0.0005;

struct Traffic(SmallRng);

impl Traffic {
    fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    fn failures(&mut self, n: f64, p: f64) -> f64 {
        Binomial::new(n as u64, p).unwrap().sample(&mut self.0) as f64
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        Poisson::new(mean).unwrap().sample(&mut self.0)
    }

    fn fixed(&mut self, n_c: f64, p_c: f64, n_b: f64, p_b: f64) -> Events {
        Events { x_c: self.failures(n_c, p_c), n_c, x_b: self.failures(n_b, p_b), n_b }
    }
}

/// True when the rollback test of the default limits fires within `looks`.
fn rolled_back(traffic: &mut Traffic, split: f64, p_b: f64, p_c: f64, looks: u32) -> bool {
    let limit = Limit::ratio(1.25, 0.0005);
    let (mut ledger, mut over) = (Ledger::new(Side::Bad, looks), Streak::default());
    (0..looks).any(|_| {
        let (n_c, n_b) = (traffic.poisson(1500.0 * split), traffic.poisson(1500.0 * (1.0 - split)));
        let events = Events { x_c: traffic.failures(n_c, p_c), n_c, x_b: traffic.failures(n_b, p_b), n_b };
        if n_c < 1.0 || n_b < 1.0 {
            return false;
        }
        ledger.add(bets(events, limit, Side::Bad), 1.0);
        over.look(ledger.log_e() >= -0.01f64.ln());
        over.count() >= 2
    })
}

#[test]
fn a_candidate_on_the_bound_is_rolled_back_in_less_than_one_of_a_hundred_rollouts() {
    let mut traffic = Traffic::new(7);
    for (split, p_b) in [(0.05, 0.01), (0.5, 0.002)] {
        let on_the_bound = 1.25 * p_b + 0.0005;
        let false_alarms =
            (0..150).filter(|_| rolled_back(&mut traffic, split, p_b, on_the_bound, 200)).count();
        // One of a hundred is 1.5 of 150; six or more would happen by chance in 0.4 % of such simulations.
        assert!(false_alarms < 6, "split {split}: {false_alarms} of 150");
    }
}

#[test]
fn a_fivefold_regression_is_found() {
    let mut traffic = Traffic::new(8);
    let found = (0..50).filter(|_| rolled_back(&mut traffic, 0.05, 0.01, 0.05, 60)).count();
    assert_eq!(found, 50);
}

/// Looks until the coarse guard decides, after `healthy` looks at stable's own rate.
fn guard_looks(traffic: &mut Traffic, healthy: u32, n_c: f64, share: f64, failing: f64) -> Option<u32> {
    let bar = -GUARD_ALPHA.ln();
    let n_b = (n_c * (1.0 - share) / share).round();
    let mut guard = PairedGuard::new(2000);
    for _ in 0..healthy {
        guard.look(traffic.fixed(n_c, 0.02, n_b, 0.02), 1.0, bar);
        assert_eq!(guard.over(), 0);
    }
    (1..=10).find(|_| {
        guard.look(traffic.fixed(n_c, failing, n_b, 0.02), 1.0, bar);
        guard.over() >= 2
    })
}

#[test]
fn the_coarse_guard_catches_outright_failure_in_two_looks_in_ninety_nine_of_a_hundred() {
    let mut traffic = Traffic::new(9);
    for (healthy, n_c, share, failing) in [
        (0, 30.0, 0.01, 0.9),
        (0, 30.0, 0.05, 0.9),
        (0, 50.0, 0.25, 0.9),
        (0, 125.0, 0.5, 0.9),
        (300, 50.0, 0.05, 0.9),
        (300, 200.0, 0.5, 0.9),
        (0, 125.0, 0.05, 0.5),
    ] {
        let runs = if healthy > 0 { 40 } else { 300 };
        let quick =
            (0..runs).filter(|_| guard_looks(&mut traffic, healthy, n_c, share, failing) == Some(2)).count();
        assert!(quick * 100 >= runs * 99, "{n_c} per look at {share} after {healthy}: {quick} of {runs}");
    }
}

#[test]
fn the_guard_without_a_baseline_catches_outright_failure_in_two_looks_as_well() {
    let mut traffic = Traffic::new(10);
    let eps = absolute_eps(Some(0.02));
    let bar = -GUARD_ALPHA.ln();
    for (healthy, n_c) in [(0, 30.0), (300, 50.0)] {
        let runs = if healthy > 0 { 40 } else { 300 };
        let quick = (0..runs)
            .filter(|_| {
                let mut guard = AbsoluteGuard::new(2000);
                for _ in 0..healthy {
                    guard.look(traffic.fixed(n_c, 0.02, 1.0, 0.02), eps, 1.0, bar);
                }
                guard.look(traffic.fixed(n_c, 0.9, 1.0, 0.02), eps, 1.0, bar);
                guard.look(traffic.fixed(n_c, 0.9, 1.0, 0.02), eps, 1.0, bar);
                guard.finding(2) == AbsoluteFinding::BreachControlThin
            })
            .count();
        assert!(quick * 100 >= runs * 99, "{n_c} per look after {healthy}: {quick} of {runs}");
    }
}

#[test]
fn a_candidate_on_the_coarse_bound_is_never_caught() {
    let mut traffic = Traffic::new(11);
    let bar = -GUARD_ALPHA.ln();
    for _ in 0..20 {
        let mut guard = PairedGuard::new(400);
        for _ in 0..400 {
            guard.look(traffic.fixed(50.0, 0.16, 950.0, 0.02), 1.0, bar);
            assert!(guard.over() < 2);
        }
    }
}
