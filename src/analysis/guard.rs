//! The coarse guard: a second ledger per `ratio` metric that reads from the first request on, warm-up included, with a
//! bound that no cold start reaches. In the watch it runs once more without a baseline, because there the control arm
//! has too little traffic to compare with.

use serde::{Deserialize, Serialize};

use super::count::{Events, bets};
use super::ledger::{Ledger, Side, Streak};
use super::plan::Limit;

/// "Three times stable's failures plus ten points."
pub(super) const COARSE: Limit = Limit::ratio(3.0, 0.10);

/// Control requests from which its own failures count as "both arms moved".
const CONTROL: f64 = 30.0;

/// The bound without a baseline: 3 x stable's failure share in the hour before the attempt, plus ten points. With no
/// history stable is taken to be faultless.
pub fn absolute_eps(stable_share: Option<f64>) -> f64 {
    COARSE.of(stable_share.unwrap_or(0.0))
}

/// Stable's failure share in the hour before, as it was put into [`absolute_eps`].
pub fn share_before(absolute_eps: f64) -> f64 {
    (absolute_eps - COARSE.plus) / COARSE.ratio
}

/// The guard against stable, over the whole attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairedGuard {
    ledger: Ledger,
    over: Streak,
    /// Events that wait for the other arm's traffic.
    pending: Events,
    /// Events since the evidence began to rise.
    rise: Events,
}

impl PairedGuard {
    /// `horizon`: planned looks of the whole attempt.
    pub fn new(horizon: u32) -> Self {
        let (pending, rise) = (Events::default(), Events::default());
        Self { ledger: Ledger::new(Side::Bad, horizon), over: Streak::default(), pending, rise }
    }

    /// One interval; without requests in one arm it is pooled with the next.
    pub fn look(&mut self, events: Events, phi: f64, bar: f64) {
        self.pending += events;
        let pooled = self.pending;
        if pooled.n_c <= 0.0 || pooled.n_b <= 0.0 {
            return;
        }
        if self.ledger.log_e() <= 0.0 {
            self.rise = Events::default();
        }
        self.rise += pooled;
        self.ledger.add(bets(pooled, COARSE, Side::Bad), phi);
        self.over.look(self.ledger.log_e() >= bar);
        self.pending = Events::default();
    }

    /// Log evidence now.
    pub fn log_e(&self) -> f64 {
        self.ledger.log_e()
    }

    /// What was counted since the evidence began to rise.
    pub fn rise(&self) -> Events {
        self.rise
    }

    /// Over the bar at this many looks in a row.
    pub fn over(&self) -> u32 {
        self.over.count()
    }
}

/// What the guard without a baseline says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsoluteFinding {
    /// Below its bar.
    Quiet,
    /// The control fails too, at least a third as often: a hold.
    BothArmsMoved,
    /// The candidate fails and the control does not.
    Breach,
    /// The candidate fails and the control has fewer than 30 requests: a rollback that says so.
    BreachControlThin,
}

/// The guard without a baseline, over the watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbsoluteGuard {
    ledger: Ledger,
    over: Streak,
    /// Events since the evidence began to rise.
    rise: Events,
}

impl AbsoluteGuard {
    /// `horizon`: planned looks of the watch.
    pub fn new(horizon: u32) -> Self {
        Self { ledger: Ledger::new(Side::Bad, horizon), over: Streak::default(), rise: Events::default() }
    }

    /// One interval. `eps` is fixed at the attempt's start.
    pub fn look(&mut self, events: Events, eps: f64, phi: f64, bar: f64) {
        if self.ledger.log_e() <= 0.0 {
            self.rise = Events::default();
        }
        self.rise += events;
        if events.n_c <= 0.0 {
            return;
        }
        self.ledger.add(bets(events, Limit::ratio(0.0, eps), Side::Bad), phi);
        self.over.look(self.ledger.log_e() >= bar);
    }

    /// Log evidence now.
    pub fn log_e(&self) -> f64 {
        self.ledger.log_e()
    }

    /// What was counted since the evidence began to rise.
    pub fn rise(&self) -> Events {
        self.rise
    }

    /// Over the bar for `confirm` looks in a row: whose fault is it?
    pub fn finding(&self, confirm: u32) -> AbsoluteFinding {
        if self.over.count() < confirm {
            return AbsoluteFinding::Quiet;
        }
        let Events { x_c, n_c, x_b, n_b } = self.rise();
        if n_b < CONTROL {
            AbsoluteFinding::BreachControlThin
        } else if x_b / n_b >= x_c / n_c / 3.0 {
            AbsoluteFinding::BothArmsMoved
        } else {
            AbsoluteFinding::Breach
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAR: f64 = 7.6;

    fn watch(looks: u32, candidate: (f64, f64), control: (f64, f64)) -> AbsoluteFinding {
        let mut guard = AbsoluteGuard::new(1000);
        for _ in 0..20 {
            guard.look(
                Events { x_c: 4.0, n_c: 200.0, x_b: 0.0, n_b: 2.0 },
                absolute_eps(Some(0.02)),
                1.0,
                BAR,
            );
        }
        assert_eq!(guard.finding(2), AbsoluteFinding::Quiet);
        for _ in 0..looks {
            let (x_c, n_c) = candidate;
            let (x_b, n_b) = control;
            guard.look(Events { x_c, n_c, x_b, n_b }, absolute_eps(Some(0.02)), 1.0, BAR);
        }
        guard.finding(2)
    }

    #[test]
    fn one_look_is_not_enough() {
        assert_eq!(watch(1, (180.0, 200.0), (0.0, 2.0)), AbsoluteFinding::Quiet);
    }

    #[test]
    fn a_thin_control_does_not_stop_the_rollback_but_is_named() {
        assert_eq!(watch(2, (180.0, 200.0), (0.0, 2.0)), AbsoluteFinding::BreachControlThin);
    }

    #[test]
    fn a_healthy_control_makes_it_the_candidates_fault() {
        assert_eq!(watch(2, (180.0, 200.0), (1.0, 20.0)), AbsoluteFinding::Breach);
    }

    #[test]
    fn a_control_that_fails_as_well_is_a_hold() {
        assert_eq!(watch(2, (180.0, 200.0), (8.0, 20.0)), AbsoluteFinding::BothArmsMoved);
    }

    #[test]
    fn a_look_without_stable_requests_is_pooled_and_not_lost() {
        let mut guard = PairedGuard::new(100);
        guard.look(Events { x_c: 20.0, n_c: 30.0, x_b: 0.0, n_b: 0.0 }, 1.0, BAR);
        assert_eq!(guard.log_e(), 0.0);
        guard.look(Events { x_c: 20.0, n_c: 30.0, x_b: 10.0, n_b: 900.0 }, 1.0, BAR);
        let mut whole = PairedGuard::new(100);
        whole.look(Events { x_c: 40.0, n_c: 60.0, x_b: 10.0, n_b: 900.0 }, 1.0, BAR);
        assert_eq!(guard, whole);
    }
}
