//! The e-process: a mixture over bets, and over the look at which the candidate went bad.
//!
//! ```text
//! W_j <- (W_j + pi_k) * e_k(j)^(1/phi)        E_k = mean_j W_j + (1 - sum_{i<=k} pi_i)
//! ```
//! E is a nonnegative supermartingale that starts at 1, so P(E ever reaches 1/alpha) <= alpha however often one
//! looks (Ville's inequality).

use serde::{Deserialize, Serialize};

use super::text::{log_sum_exp, log_sum_of_two};

/// Bets per ledger, of every engine.
pub const BETS: usize = 6;

/// Share of the prior mass that is kept for "went bad later".
const LATE: f64 = 0.5;

/// Which hypothesis the ledger gathers evidence for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// "Worse than the rollback bound."
    Bad,
    /// "Within the promotion bound."
    Ok,
}

/// Six logarithms and a counter: all that has to be remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    side: Side,
    horizon: u32,
    k: u32,
    #[serde(with = "super::text::floats")]
    log_w: [f64; BETS],
    #[serde(skip)]
    log_e: Known,
}

/// The evidence as it follows from the rest, from the last bets on: each look asks for it several times. Two ledgers are the
/// same whether it is known or not.
#[derive(Clone, Copy, Debug, Default)]
struct Known(Option<f64>);

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Ledger {
    /// An empty ledger: evidence 1. `horizon` is H, the planned looks; it only matters on the bad side.
    pub fn new(side: Side, horizon: u32) -> Self {
        Self { side, horizon: horizon.max(2), k: 0, log_w: [f64::NEG_INFINITY; BETS], log_e: Known(None) }
    }

    /// Looks with data so far.
    pub fn looks(&self) -> u32 {
        self.k
    }

    /// Logarithms of the mixture's parts, without the 1/6.
    pub fn log_w(&self) -> [f64; BETS] {
        self.log_w
    }

    /// Multiplies the evidence by one interval's bets; `phi >= 1` divides it for bursts.
    pub fn add(&mut self, log_e: [f64; BETS], phi: f64) {
        self.k += 1;
        let pi = self.prior(self.k);
        if pi > 0.0 {
            let log_pi = pi.ln();
            self.log_w = self.log_w.map(|w| log_sum_of_two(w, log_pi));
        }
        for (w, e) in self.log_w.iter_mut().zip(log_e) {
            *w += e / phi;
        }
        self.log_e = Known(Some(self.reckoned()));
    }

    /// Natural logarithm of the evidence now.
    pub fn log_e(&self) -> f64 {
        self.log_e.0.unwrap_or_else(|| self.reckoned())
    }

    fn reckoned(&self) -> f64 {
        let mean = log_sum_exp(&self.log_w) - (BETS as f64).ln();
        let kept = 1.0 - self.spent();
        if kept > 1e-12 { log_sum_of_two(mean, kept.ln()) } else { mean }
    }

    fn late(&self) -> f64 {
        match self.side {
            Side::Bad => LATE,
            Side::Ok => 0.0,
        }
    }

    /// pi_k: prior mass of "bad from look k on".
    fn prior(&self, k: u32) -> f64 {
        if k == 1 {
            1.0 - self.late()
        } else if k <= self.horizon {
            self.late() / f64::from(self.horizon - 1)
        } else {
            0.0
        }
    }

    fn spent(&self) -> f64 {
        if self.k == 0 {
            return 0.0;
        }
        let later = f64::from((self.k - 1).min(self.horizon - 1));
        (1.0 - self.late()) + self.late() * later / f64::from(self.horizon - 1)
    }
}

/// Two looks in a row: a shared outage hits arms at different scrape phases, and one look would blame one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak(u32);

impl Streak {
    /// Counts one look with data.
    pub fn look(&mut self, over: bool) {
        self.0 = if over { self.0 + 1 } else { 0 };
    }

    /// The bar was passed at this many looks with data in a row.
    pub fn count(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_starts_at_one_and_stays_there_without_information() {
        let mut bad = Ledger::new(Side::Bad, 10);
        assert_eq!(bad.log_e(), 0.0);
        for _ in 0..30 {
            bad.add([0.0; BETS], 1.0);
            assert!(bad.log_e().abs() < 1e-12);
        }
        let mut ok = Ledger::new(Side::Ok, 10);
        ok.add([0.7; BETS], 1.0);
        assert!((ok.log_e() - 0.7).abs() < 1e-12);
    }

    #[test]
    fn no_new_mass_enters_after_the_horizon() {
        let mut ledger = Ledger::new(Side::Bad, 5);
        for _ in 0..5 {
            ledger.add([-1000.0; BETS], 1.0);
        }
        ledger.add([5.0; BETS], 1.0);
        assert!(ledger.log_e() < -900.0);
    }
}
