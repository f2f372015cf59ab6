//! Waiting for the world, with a deadline and a message that says what was seen last.

use anyhow::{Result, bail};
use std::fmt::Debug;
use std::time::Duration;
use tokio::time::Instant;

/// Asks `look` every 50 ms until it returns `Ok(value)`. `Err(seen)` means not yet, and what was seen.
///
/// # Errors
/// After `deadline`, with the name of what was waited for and the last thing seen.
pub async fn wait_for<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= end => {
                bail!("waited {deadline:?} for {what}; last seen: {seen:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_message_says_what_was_seen_last() {
        let mut count = 0;
        let error = wait_for("three", Duration::from_millis(75), async || {
            count += 1;
            if count > 1_000 { Ok(()) } else { Err(format!("count is {count}")) }
        })
        .await
        .unwrap_err();
        assert_eq!(error.to_string(), format!("waited 75ms for three; last seen: \"count is {count}\""));
    }
}
