//! Objects of the Gateway API, kept as they are: a typed binding would drop the fields that it does not know.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::workload::companions::Kind;

/// An object with every field that the API server sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// Its metadata, parsed.
    pub metadata: ObjectMeta,
    /// All of it.
    pub value: Value,
}

impl Raw {
    /// Wraps an object.
    ///
    /// # Errors
    /// When its metadata is none.
    pub fn new(value: Value) -> Result<Self, serde_json::Error> {
        let metadata = ObjectMeta::deserialize(&value["metadata"])?;
        Ok(Self { metadata, value })
    }
}

/// Without which field each of its writers wrote, for kinds where nobody asks. Who wrote when is kept.
pub fn lean(mut object: Raw) -> Raw {
    object.metadata.managed_fields = None;
    let entries = object.value.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        entry.remove("fieldsType");
        entry.remove("fieldsV1");
    }
    object
}

/// What is kept of kinds whose status changes all the time and says nothing to us.
pub fn specs_only(object: Raw) -> Raw {
    let mut object = lean(object);
    if let Some(fields) = object.value.as_object_mut() {
        fields.remove("status");
    }
    object
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A kind, by its API group, version, name and plural.
pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: format!("{group}/{version}"),
        kind: kind.into(),
        plural: plural.into(),
    }
}

fn gateway_api(kind: &str, plural: &str) -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", kind, plural)
}

/// `HTTPRoute`.
pub fn http_route() -> ApiResource {
    gateway_api("HTTPRoute", "httproutes")
}

/// `Gateway`.
pub fn gateway() -> ApiResource {
    gateway_api("Gateway", "gateways")
}

/// `GatewayClass`.
pub fn gateway_class() -> ApiResource {
    gateway_api("GatewayClass", "gatewayclasses")
}

/// The kind of a slot's companion.
pub fn companion(kind: Kind) -> ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap_or_default();
    resource(group, version, kind.as_str(), kind.resource())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_survive_reading_and_writing() {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "r", "namespace": "n", "resourceVersion": "7"},
            "spec": {"rules": [{"backendRefs": [{"name": "s", "weight": 1.5, "xNew": {"deep": [1, null]}}]}]},
        });
        let raw: Raw = serde_json::from_value(route.clone()).unwrap();
        assert_eq!(raw.metadata.name.as_deref(), Some("r"));
        assert_eq!(serde_json::to_value(&raw).unwrap(), route);
    }
}
