//! Knows what covers a workload before its first rollout.

use std::time::{Duration, Instant};

use super::context::{Context, Known};
use crate::cluster::shelf::Key;
use crate::rollout::{Observed, covered};

/// For how long the lists of an earlier pass are good.
const FRESH: Duration = Duration::from_secs(25);

/// The world with what covers the workload, when the pass needs that. Lists are asked for once for a plan, and again while a
/// person is to add what is missing.
pub async fn known(ctx: &Context, key: &Key, observed: Observed) -> Observed {
    if !covered::is_asked(&observed) {
        ctx.memory.note(key, |m| m.covering = None);
        return observed;
    }
    let earlier = ctx.memory.of(key).covering.filter(|known| known.at.elapsed() < FRESH);
    let known = match earlier {
        Some(known) => known,
        None => Known { covering: ctx.covers.read(&key.namespace).await, at: Instant::now() },
    };
    let covering = Some(known.covering.clone());
    ctx.memory.note(key, |m| m.covering = Some(known));
    Observed { covering, ..observed }
}
