//! What the API server does not take: said in the conditions, for as long as it is so.

use chrono::Duration;

use super::Draft;

/// Failures that may pass by themselves are said after this time.
const LASTING: Duration = Duration::seconds(10);
/// A write that is not tried again for this long, and for two looks, is not wanted any more.
const FORGOTTEN: Duration = Duration::seconds(30);

/// Says that a write is refused, or fails for long. It decides nothing else: what is to be done is tried again with each
/// pass, and the first pass that writes all it wants ends it.
pub fn report(d: &mut Draft<'_>) {
    let Some(failed) = &d.obs.failed_write else { return };
    let forgotten = failed.tried_at + FORGOTTEN.max(d.spec().analysis.interval.get() * 2);
    if d.now() >= forgotten {
        return;
    }
    d.wake_at(forgotten);
    let (what, why) = (&failed.what, &failed.why);
    if failed.refused {
        d.stall_for(
            "WriteRefused",
            format!("the API server refuses to {what}: {why}; it is tried again at least once a minute"),
        );
    } else if d.now() - failed.since >= LASTING {
        d.hold(
            "WriteFailing",
            format!("the API server does not {what}: {why}; it is tried again all the time"),
        );
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use crate::rollout::observed::FailedWrite;

    fn failed(what: &str, why: &str, seconds: i64) -> FailedWrite {
        let now: DateTime<Utc> = DateTime::from_timestamp(seconds, 0).unwrap();
        FailedWrite::new(what.into(), why.into(), true, now)
    }

    #[test]
    fn a_message_that_changes_with_each_refusal_is_not_written_each_time() {
        let first = failed("patch httproutes shop/m", "denied, request 1", 0);
        let second = failed("patch httproutes shop/m", "denied, request 2", 5).after(Some(first.clone()));
        assert_eq!((second.why.as_str(), second.tried_at), ("denied, request 1", failed("", "", 5).tried_at));
        let later = failed("patch httproutes shop/m", "denied, request 9", 60).after(Some(second));
        assert_eq!((later.why.as_str(), later.since), ("denied, request 9", first.since));
    }

    #[test]
    fn another_write_that_fails_is_said_at_once() {
        let first = failed("patch httproutes shop/m", "denied", 0);
        let other = failed("create services shop/m-candidate", "denied", 1);
        assert_eq!(other.clone().after(Some(first)), other);
    }
}
