//! A slot's pod template: the origin's, with what the version says about serving.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec};
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::api::{GROUP, Serving};

/// Why a version cannot be put into the origin's template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The version names a container that the template does not have.
    #[error(
        "the Deployment's pod template has no container {name:?} (it has: {}); register a version whose \
         serving.container names one of these, or rename the container",
        have.join(", ")
    )]
    UnknownContainer {
        /// The container that the version names.
        name: String,
        /// Containers of the template.
        have: Vec<String>,
    },
    /// The Deployment has no pod spec, which the API does not let through.
    #[error("the Deployment's pod template has no spec; apply the Deployment again")]
    NoSpec,
}

/// The origin's template with a version's `serving` put in. What `serving` leaves out stays as the origin has it.
///
/// A variable of the same name is replaced where it stands. New ones come first, so that the template's own variables
/// may refer to them as `$(NEW)`: Kubernetes expands only what stands before.
pub fn apply_serving(
    template: &PodTemplateSpec,
    serving: Option<&Serving>,
) -> Result<PodTemplateSpec, TemplateError> {
    let mut out = template.clone();
    let Some(serving) = serving else { return Ok(out) };
    let spec = out.spec.as_mut().ok_or(TemplateError::NoSpec)?;
    let have = || template.spec.iter().flat_map(|s| &s.containers).map(|c| c.name.clone()).collect();
    let container =
        spec.containers.iter_mut().find(|c| c.name == serving.container).ok_or_else(|| {
            TemplateError::UnknownContainer { name: serving.container.clone(), have: have() }
        })?;
    if let Some(image) = &serving.image {
        container.image = Some(image.clone());
    }
    if let Some(args) = &serving.args {
        // The API server drops an empty list; an own form of it would look like a change for ever.
        container.args = Some(args.clone()).filter(|a| !a.is_empty());
    }
    set_env(container, serving);
    Ok(out)
}

fn set_env(container: &mut Container, serving: &Serving) {
    let mut wanted: Vec<EnvVar> = Vec::new();
    for var in &serving.env {
        // As with args: an empty value is stored as none.
        let value = Some(var.value.clone()).filter(|v| !v.is_empty());
        wanted.retain(|w| w.name != var.name);
        wanted.push(EnvVar { name: var.name.clone(), value, value_from: None });
    }
    let old = container.env.take().unwrap_or_default();
    let (replacing, mut env): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|w| old.iter().any(|o| o.name == w.name));
    for var in old {
        match replacing.iter().find(|r| r.name == var.name) {
            Some(new) if env.iter().any(|e| e.name == new.name) => {}
            Some(new) => env.push(new.clone()),
            None => env.push(var),
        }
    }
    container.env = Some(env).filter(|e| !e.is_empty());
}

/// Hash of a pod template, 16 hexadecimal digits: the start of the SHA-256 over its canonical JSON (RFC 8785). Labels of
/// ours do not count, so the same content has the same hash in every slot.
pub fn hash(template: &PodTemplateSpec) -> String {
    let mut bare = template.clone();
    if let Some(labels) = bare.metadata.as_mut().and_then(|m| m.labels.as_mut()) {
        labels.retain(|key, _| !key.starts_with(GROUP));
    }
    short_hash(&bare)
}

/// The first 16 hexadecimal digits of the SHA-256 over a value's canonical JSON (RFC 8785). Fits into a label.
pub(crate) fn short_hash(value: &impl Serialize) -> String {
    // Canonical JSON fails only for numbers that JSON does not have and for map keys that are no strings; the API's
    // own types have neither. An empty text then would still be deterministic.
    let text = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the running template is what the version would be: its `serving` put in changes nothing. A version that says
/// nothing about serving matches no template, because it would match every one.
pub fn matches(running: &PodTemplateSpec, serving: Option<&Serving>) -> bool {
    let Some(serving) = serving else { return false };
    let says_something = serving.image.is_some() || serving.args.is_some() || !serving.env.is_empty();
    says_something && apply_serving(running, Some(serving)).is_ok_and(|applied| applied == *running)
}

/// Why a second copy of the origin's pods cannot run beside the first, and what to do about it; `None` when it can.
///
/// `claims` holds the access modes of the namespace's PersistentVolumeClaims by name. A claim that is not in it is taken
/// as shareable: at worst the candidate's pods stay pending, which harms nobody.
pub fn not_copyable(origin: &Deployment, claims: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let pod = origin.spec.as_ref()?.template.spec.as_ref()?;
    single_claim(pod, claims).or_else(|| host_port(pod)).or_else(|| fixed_name(pod))
}

fn single_claim(pod: &PodSpec, claims: &BTreeMap<String, Vec<String>>) -> Option<String> {
    pod.volumes.iter().flatten().find_map(|volume| {
        let claim = &volume.persistent_volume_claim.as_ref()?.claim_name;
        let modes = claims.get(claim)?;
        let shareable = modes.iter().any(|m| m == "ReadWriteMany" || m == "ReadOnlyMany");
        (!shareable).then(|| {
            format!(
                "volume {:?} uses the PersistentVolumeClaim {claim:?} with {}: pods of two versions cannot hold it \
                 at once; use a claim with ReadWriteMany or ReadOnlyMany, or load the data from an image or a store",
                volume.name,
                modes.join(", ")
            )
        })
    })
}

fn host_port(pod: &PodSpec) -> Option<String> {
    let all = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    all.flat_map(|c| c.ports.iter().flatten().map(move |p| (c, p))).find_map(|(container, port)| {
        let number = port.host_port.filter(|n| *n > 0)?;
        Some(format!(
            "container {:?} takes port {number} of its node (hostPort or hostNetwork): pods of two versions cannot \
             share a node; remove it and let traffic come through the Service",
            container.name
        ))
    })
}

fn fixed_name(pod: &PodSpec) -> Option<String> {
    let (host, domain) = (pod.hostname.as_ref()?, pod.subdomain.as_ref()?);
    Some(format!(
        "the pod template sets hostname {host:?} and subdomain {domain:?}: pods of two versions would answer to the \
         same DNS name; remove one of the two fields"
    ))
}

#[cfg(test)]
mod tests;
