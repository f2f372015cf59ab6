//! Labels, annotations, the finalizer and the field manager: every name that we write on an object.

/// Field manager of all our writes.
pub const FIELD_MANAGER: &str = "understudy";
/// Finalizer on a `ModelRollout`: traffic is put in order before the object goes.
pub const FINALIZER: &str = "understudy.dev/traffic";
/// Label on every object of ours: UID of the `ModelRollout` that it belongs to. There is no ownerReference, because the
/// garbage collector would take a serving Deployment away with its rollout.
pub const ROLLOUT_UID: &str = "understudy.dev/rollout-uid";
/// Label on every object of ours: name of the `ModelRollout`, for people.
pub const ROLLOUT: &str = "understudy.dev/rollout";
/// Label on slots and their pods: the origin Deployment's name. Part of the slot's own selector.
pub const WORKLOAD: &str = "understudy.dev/workload";
/// Label on slots and their pods: `a` or `b`. Part of the slot's own selector.
pub const SLOT: &str = "understudy.dev/slot";
/// Annotation on a slot: the version in its template.
pub const SLOT_VERSION: &str = "understudy.dev/version";
/// Annotation on a slot and label on its pods: hash of the template.
pub const TEMPLATE_HASH: &str = "understudy.dev/template-hash";
/// Annotation on both slots: the adoption record (changed labels, original selectors) as JSON.
pub const ADOPTION: &str = "understudy.dev/adoption";
/// Annotation on the warm route: the user's own backendRefs by rule, and the route's managedFields, as JSON.
pub const ORIGINAL: &str = "understudy.dev/original";
/// Label on the ConfigMap that holds the selectors which the admission policies keep.
pub const GUARDS: &str = "understudy.dev/guards";
/// Annotation of the user on a `ModelRollout`: findings that they accept, separated by commas.
pub const ACCEPT: &str = "understudy.dev/accept";
