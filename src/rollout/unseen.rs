//! What is decided while a watch has failed for long, so that the world may be another than the one that is known.

use crate::api::Phase;

use super::Draft;

/// Says so and lets nothing go forward. What brings traffic back needs no fresh view and goes on. True when the phase is to
/// do nothing in this pass.
pub fn holds(d: &mut Draft<'_>) -> bool {
    let Some(failing) = &d.obs.watch_failing else { return false };
    let stays = match d.phase() {
        Phase::Pending | Phase::Preparing | Phase::Settling => true,
        // A breach is judged by metrics, and a share that is lowered needs none; raises are refused where they are written.
        Phase::Shadow | Phase::Canary | Phase::Watching => false,
        Phase::RollingBack | Phase::Active | Phase::RolledBack | Phase::Deleting => return false,
    };
    let (kind, why) = (&failing.kind, &failing.why);
    d.hold(
        "WatchFailing",
        format!(
            "the operator cannot watch {kind} ({why}), so what it knows may be out of date; nothing goes forward until it can"
        ),
    );
    stays
}
