//! Knows what covers a workload before its first rollout.

use std::time::{Duration, Instant};

use chrono::Utc;

use super::context::{Context, Known};
use super::gather;
use crate::cluster::shelf::Key;
use crate::rollout::{Observed, covered};

/// For how long the lists of an earlier pass are good.
const FRESH: Duration = Duration::from_secs(25);

/// The world with what covers the workload, when the pass needs that. Lists are asked for once for a plan, and again while a
/// person is to add what is missing. `None` when the rollout is gone by then.
pub async fn known(ctx: &Context, key: &Key, observed: Observed) -> Option<Observed> {
    if !covered::is_asked(&observed) {
        ctx.memory.note(key, |m| m.covering = None);
        return Some(observed);
    }
    let earlier = ctx.memory.of(key).covering.filter(|known| known.at.elapsed() < FRESH);
    let known = match earlier {
        Some(known) => known,
        None => {
            let known = Known { covering: ctx.covers.read(&key.namespace).await, at: Instant::now() };
            ctx.memory.note(key, |m| m.covering = Some(known.clone()));
            // Asking takes time, and what happened meanwhile counts.
            let now = gather::gather(ctx, key, Utc::now())?;
            return Some(Observed { covering: Some(known.covering), ..now });
        }
    };
    Some(Observed { covering: Some(known.covering), ..observed })
}
