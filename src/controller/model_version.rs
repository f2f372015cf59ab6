//! One pass over a registered version: its identity and its stage, as they follow from the rollouts that name it.

use chrono::Utc;

use super::context::Context;
use super::error::Error;
use super::queue::Next;
use crate::cluster::client::DEADLINE;
use crate::cluster::shelf::Key;
use crate::registry::model_version;

/// Gathers, derives the status (pure), and writes it where it changed.
///
/// # Errors
/// When the write fails.
pub async fn reconcile(ctx: &Context, key: &Key) -> Result<Next, Error> {
    let Some(version) = ctx.stores.versions.get(key) else { return Ok(Next::Gone) };
    let status = model_version::status(&version, &ctx.stores.rollouts.list(&key.namespace), Utc::now());
    let wrote = ctx.writer.version_status(&version, &status, DEADLINE).await?;
    Ok(Next::Wait { until: None, wrote })
}
