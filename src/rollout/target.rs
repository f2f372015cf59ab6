//! Which version and template shall serve, and which one serves: what makes a new plan, and its hash.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::json;

use crate::api::{ActiveVersion, Analysis, ErrorBudget, ReleaseKind, Slot};
use crate::registry::bundle;
use crate::workload::template;

use super::{Draft, Observed, world};

/// A version with its resulting template.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The version.
    pub version: String,
    /// Digest of its bundle; empty when unregistered.
    pub bundle_digest: String,
    /// Origin's template with the version's serving applied.
    pub template: PodTemplateSpec,
    /// Hash of that template.
    pub template_hash: String,
}

/// Why a version cannot be a target: reason in CamelCase, and what to do.
pub type Refusal = (&'static str, String);

/// The template of the origin.
pub fn origin_template(obs: &Observed) -> Option<&PodTemplateSpec> {
    obs.origin.as_ref().and_then(|d| d.spec.as_ref()).map(|s| &s.template)
}

/// The target that a version number means.
pub fn of_version(obs: &Observed, version: &str) -> Result<Target, Refusal> {
    let deployment = &obs.rollout.spec.workload.deployment;
    let origin = origin_template(obs).ok_or_else(|| {
        let message =
            format!("Deployment {deployment} does not exist; create it, it is the template of every version");
        ("OriginMissing", message)
    })?;
    if let Some(hash) = version.strip_prefix("unregistered-") {
        return unregistered(origin, hash);
    }
    let registered = world::version(obs, version).ok_or_else(|| {
        let model = &obs.rollout.spec.model;
        let message = format!(
            "ModelVersion {model}-{version} does not exist in namespace {}; register it",
            obs.namespace()
        );
        ("VersionNotFound", message)
    })?;
    let applied = template::apply_serving(origin, registered.spec.serving.as_ref()).map_err(|e| {
        ("ServingRefused", format!("ModelVersion {version} does not fit Deployment {deployment}: {e}"))
    })?;
    let template_hash = template::hash(&applied);
    Ok(Target {
        version: version.to_owned(),
        bundle_digest: world::digest(registered),
        template: applied,
        template_hash,
    })
}

fn unregistered(origin: &PodTemplateSpec, hash: &str) -> Result<Target, Refusal> {
    let now = template::hash(origin);
    if now != hash {
        let message =
            format!("the origin no longer has the template {hash} (it has {now}); name a registered version");
        return Err(("TemplateGone", message));
    }
    Ok(Target {
        version: format!("unregistered-{hash}"),
        bundle_digest: String::new(),
        template: origin.clone(),
        template_hash: now,
    })
}

/// What the origin runs as it stands: the registered version that its template equals (the spec's when several do),
/// else `unregistered-<hash>`.
pub fn running_in_origin(obs: &Observed) -> Option<ActiveVersion> {
    let origin = origin_template(obs)?;
    let hash = template::hash(origin);
    let model = &obs.rollout.spec.model;
    let fits = obs.versions.iter().filter(|v| &v.spec.model == model);
    let fits: Vec<_> = fits.filter(|v| template::matches(origin, v.spec.serving.as_ref())).collect();
    let chosen = match fits.as_slice() {
        [] => None,
        [one] => Some(*one),
        many => many.iter().find(|v| v.spec.version == obs.rollout.spec.version).copied(),
    };
    Some(ActiveVersion {
        version: chosen.map_or_else(|| format!("unregistered-{hash}"), |v| v.spec.version.clone()),
        bundle_digest: chosen.map(|v| world::digest(v)).unwrap_or_default(),
        slot: Slot::Origin,
        template_hash: hash,
        since: obs.now,
    })
}

/// What the spec asks for, compared with what is active.
pub enum Wanted {
    /// The active version, with the template that it runs.
    Nothing,
    /// Something to bring on.
    Release(Box<Target>, ReleaseKind),
    /// Something that cannot be.
    Refused(Refusal),
}

/// What is to be brought on, if anything.
pub fn wanted(d: &Draft<'_>) -> Wanted {
    let active = d.status.active.as_ref();
    match of_version(d.obs, &d.spec().version) {
        Err(refusal) => match active {
            Some(a) if a.version == d.spec().version && refusal.0 == "OriginMissing" => Wanted::Nothing,
            Some(_) | None => Wanted::Refused(refusal),
        },
        Ok(target) => match active {
            Some(a) if same_bundle(a, &target) && a.template_hash == target.template_hash => Wanted::Nothing,
            Some(a) if same_bundle(a, &target) => Wanted::Release(Box::new(target), ReleaseKind::Template),
            Some(a) if a.template_hash == target.template_hash => {
                let message = format!(
                    "version {} gives the same pod template as the active {}; give it a serving section that differs",
                    target.version, a.version
                );
                Wanted::Refused(("NothingToRelease", message))
            }
            Some(_) | None => Wanted::Release(Box::new(target), ReleaseKind::Version),
        },
    }
}

fn same_bundle(active: &ActiveVersion, target: &Target) -> bool {
    active.version == target.version && active.bundle_digest == target.bundle_digest
}

/// Hash of all that evidence is bound to: rollout, both bundles, both templates, metrics with their bounds, alpha and
/// the attempt. Evidence gathered under one hash never counts under another.
pub fn plan_hash(
    obs: &Observed,
    active: &ActiveVersion,
    target: &Target,
    kind: ReleaseKind,
    attempt: i32,
) -> String {
    let Analysis {
        prometheus,
        interval,
        false_rollback_rate,
        error_budget,
        metrics,
        warm_up: _,
        no_data: _,
        silent: _,
    } = &obs.rollout.spec.analysis;
    let mut content = json!({
        "rollout": obs.uid(),
        "candidate": [target.version, target.bundle_digest, target.template_hash],
        "baseline": [active.version, active.bundle_digest, active.template_hash],
        "kind": kind,
        "metrics": metrics,
        "prometheus": prometheus,
        "interval": interval,
        "alpha": false_rollback_rate.to_string(),
        "attempt": attempt,
    });
    // The usual shares are not part of it, so that a newer operator goes on with what an older one began.
    if *error_budget != ErrorBudget::default() {
        content["errorBudget"] = json!(error_budget);
    }
    bundle::sha256(content.to_string().as_bytes())
}
