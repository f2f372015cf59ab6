//! Environment variables of a container, as Kubernetes defines them. Pure.

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Pod, Secret};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Config maps and secrets that a container names, as far as they exist.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub config_maps: BTreeMap<String, ConfigMap>,
    pub secrets: BTreeMap<String, Secret>,
}

/// Variables in the order they were defined, later ones winning.
pub(super) type Variables = BTreeMap<String, String>;

/// All variables of a container: `base`, then `envFrom`, then `env` with `$(NAME)` expanded.
/// An error is a message for `CreateContainerConfigError`.
pub(super) fn resolve(
    container: &Container,
    pod: &Pod,
    address: &str,
    sources: &Sources,
    base: Variables,
) -> Result<Variables, String> {
    let mut variables = base;
    for source in container.env_from.iter().flatten() {
        add_all(&mut variables, source, sources)?;
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value(variable, pod, address, sources, &variables)? {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

fn value(
    variable: &EnvVar,
    pod: &Pod,
    address: &str,
    sources: &Sources,
    defined: &Variables,
) -> Result<Option<String>, String> {
    match &variable.value_from {
        None => Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), defined))),
        Some(from) => from_source(from, pod, address, sources),
    }
}

fn from_source(
    from: &EnvVarSource,
    pod: &Pod,
    address: &str,
    sources: &Sources,
) -> Result<Option<String>, String> {
    if let Some(field) = &from.field_ref {
        return field_value(&field.field_path, pod, address).map(Some);
    }
    if let Some(key) = &from.config_map_key_ref {
        let found =
            sources.config_maps.get(&key.name).and_then(|map| map.data.as_ref()?.get(&key.key).cloned());
        return present(found, key.optional, || format!("configmap {:?} has no key {:?}", key.name, key.key));
    }
    if let Some(key) = &from.secret_key_ref {
        let found = sources.secrets.get(&key.name).and_then(|secret| secret.data.as_ref()?.get(&key.key));
        let found = found.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
        return present(found, key.optional, || format!("secret {:?} has no key {:?}", key.name, key.key));
    }
    Err("the lab's node agent reads variables from fields, config maps and secrets only".into())
}

/// A field that the downward API offers.
pub(super) fn field_value(path: &str, pod: &Pod, address: &str) -> Result<String, String> {
    let keyed = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned().unwrap_or_default();
    if let Some((field, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        return match field {
            "metadata.labels" => Ok(keyed(pod.labels(), key)),
            "metadata.annotations" => Ok(keyed(pod.annotations(), key)),
            _ => Err(format!("unsupported fieldPath {path:?}")),
        };
    }
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => super::NODE_NAME.into(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.podIP" | "status.podIPs" => address.into(),
        "status.hostIP" | "status.hostIPs" => crate::net::HOST_IP.into(),
        _ => return Err(format!("unsupported fieldPath {path:?}")),
    })
}

fn add_all(variables: &mut Variables, source: &EnvFromSource, sources: &Sources) -> Result<(), String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(from) = &source.config_map_ref {
        let map = sources.config_maps.get(&from.name);
        if map.is_none() && from.optional != Some(true) {
            return Err(format!("configmap {:?} not found", from.name));
        }
        let data = map.and_then(|map| map.data.as_ref()).into_iter().flatten();
        variables.extend(data.map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
    }
    if let Some(from) = &source.secret_ref {
        let secret = sources.secrets.get(&from.name);
        if secret.is_none() && from.optional != Some(true) {
            return Err(format!("secret {:?} not found", from.name));
        }
        let data = secret.and_then(|secret| secret.data.as_ref()).into_iter().flatten();
        let text = data
            .map(|(key, value)| (format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned()));
        variables.extend(text);
    }
    Ok(())
}

fn present(
    found: Option<String>,
    optional: Option<bool>,
    message: impl FnOnce() -> String,
) -> Result<Option<String>, String> {
    match found {
        None if optional != Some(true) => Err(message()),
        found => Ok(found),
    }
}

/// Replaces `$(NAME)` by its value. An unknown name stays as it is, and `$$(NAME)` is `$(NAME)` unexpanded.
pub(super) fn expand(text: &str, variables: &Variables) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "m-1", "namespace": "demo", "uid": "u", "labels": {"app": "m"}},
            "spec": {"containers": []},
        }))
        .unwrap()
    }

    fn container(env: serde_json::Value) -> Container {
        serde_json::from_value(json!({"name": "server", "env": env})).unwrap()
    }

    #[test]
    fn expansion_follows_kubernetes() {
        let variables = Variables::from([("A".into(), "1".into())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn later_variables_see_earlier_ones_and_fields() {
        let container = container(json!([
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "ALL", "value": "$(APP)/$(NAME)@$(IP)/$(BASE)"},
        ]));
        let base = Variables::from([("BASE".into(), "b".into())]);
        let variables = resolve(&container, &pod(), "10.244.0.9", &Sources::default(), base).unwrap();
        assert_eq!(variables["ALL"], "m/m-1@10.244.0.9/b");
    }

    #[test]
    fn a_missing_key_is_an_error_unless_optional() {
        let from = |optional: bool| {
            container(
                json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": optional}}}]),
            )
        };
        let resolved = |container| resolve(&container, &pod(), "", &Sources::default(), Variables::new());
        assert_eq!(resolved(from(false)).unwrap_err(), "configmap \"c\" has no key \"k\"");
        assert!(resolved(from(true)).unwrap().is_empty());
    }
}
