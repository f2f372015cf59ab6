//! What is odd about the history that is replayed.

use chrono::{DateTime, Duration, Utc};

use super::BacktestError;
use crate::analysis::Arm;
use crate::api::duration::in_words;
use crate::backtest::{Setup, interval};
use crate::cli::past::{Read, shown};
use crate::rollout::questions::HISTORY;

/// What is odd about the history.
pub fn notes(setup: &Setup<'_>, read: &Read) -> Result<Vec<String>, BacktestError> {
    let (history, mut notes) = (&read.history, read.odd.clone());
    let look = interval(setup.rollout);
    let near = |at: DateTime<Utc>| at <= setup.from + look.max(history.scrape * 2);
    if let Some(stable) = history.oldest(Arm::Stable) {
        if !near(stable.first) {
            return Err(BacktestError::TooOld { first: stable.first, from: setup.from });
        }
        let before = setup.from - stable.first;
        if before < HISTORY - history.scrape * 2 {
            notes.push(format!(
                "there are {} of stable before --from, where the controller reads an hour and more: limits chosen from it are \
                 less sure",
                in_words(before.max(Duration::zero()))
            ));
        }
    }
    if let Some(candidate) = history.oldest(Arm::Candidate) {
        if !near(candidate.first) {
            notes.push(format!(
                "the candidate's first sample is of {}, later than --from: until then there was nothing to judge",
                shown(&candidate.first)
            ));
        }
        if candidate.last < setup.to - look * 4 {
            notes.push(format!("the candidate's last sample is of {}", shown(&candidate.last)));
        }
    }
    notes.extend(read.scrape_note(look));
    Ok(notes)
}
