//! The user's HTTPRoute: every version of it, the candidate's share in it, and whether it is as the user wrote it.

use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client};
use serde::Serialize;
use serde_json::Value;

use super::{Recorder, Seen};

/// The candidate's share as the route itself says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Percent of the requests that the candidate answers.
    pub candidate: u32,
    /// Whether requests are mirrored to the candidate.
    pub mirrored: bool,
}

/// One version of the route.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteVersion {
    /// From its metadata.
    pub resource_version: String,
    /// What the candidate gets.
    pub share: Share,
    /// All that must be as the user wrote it when the route is at rest.
    pub body: Body,
}

/// What the user owns of the route: all but the server's counters and the gateway's status.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    spec: Value,
    labels: Value,
    annotations: Value,
    managed_fields: Value,
}

impl Body {
    /// From the object as the API server sends it.
    pub fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let owners = metadata["managedFields"].as_array().cloned().unwrap_or_default();
        // The gateway writes its status, and with it the time of its own entry, as often as it likes.
        let owners = owners.into_iter().filter(|entry| entry["subresource"] != "status").collect();
        Self {
            spec: object["spec"].clone(),
            labels: metadata["labels"].clone(),
            annotations: metadata["annotations"].clone(),
            managed_fields: Value::Array(owners),
        }
    }

    /// The parts in which another one differs, each byte of their JSON compared. Empty: the same.
    pub fn differs(&self, other: &Self) -> Vec<&'static str> {
        let Self { spec, labels, annotations, managed_fields } = self;
        let parts = [
            ("spec", spec, &other.spec),
            ("labels", labels, &other.labels),
            ("annotations", annotations, &other.annotations),
            ("managedFields", managed_fields, &other.managed_fields),
        ];
        let differ = parts.into_iter().filter(|(_, mine, theirs)| mine.to_string() != theirs.to_string());
        differ.map(|(name, _, _)| name).collect()
    }
}

/// Records every version of one HTTPRoute.
pub struct RouteWatch(Recorder<RouteVersion>);

impl RouteWatch {
    /// Starts to watch. `candidate` is the Service whose share is read: `<service>-candidate`.
    pub fn start(client: Client, namespace: &str, name: &str, candidate: &str) -> Self {
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource());
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let candidate = candidate.to_owned();
        Self(Recorder::start(api, config, move |object| {
            let object = serde_json::to_value(&object).ok()?;
            let resource_version = object["metadata"]["resourceVersion"].as_str()?.to_owned();
            let share = share(&object["spec"], &candidate);
            Some(RouteVersion { resource_version, share, body: Body::of(&object) })
        }))
    }

    /// Every version so far, oldest first.
    pub fn versions(&self) -> Vec<Seen<RouteVersion>> {
        self.0.all()
    }

    /// The last version.
    pub fn latest(&self) -> Option<Seen<RouteVersion>> {
        self.0.latest()
    }

    /// The underlying record.
    pub fn recorder(&self) -> &Recorder<RouteVersion> {
        &self.0
    }
}

/// HTTPRoute as a kind of the API.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"))
}

/// The largest share in percent that any rule gives a Service, rounded, and whether any rule mirrors to it.
pub fn share(spec: &Value, service: &str) -> Share {
    let mut found = Share::default();
    for rule in spec["rules"].as_array().into_iter().flatten() {
        let backends = rule["backendRefs"].as_array().cloned().unwrap_or_default();
        let weight = |backend: &Value| backend["weight"].as_u64().unwrap_or(1);
        let all: u64 = backends.iter().map(weight).sum();
        let ours: u64 = backends.iter().filter(|backend| backend["name"] == service).map(weight).sum();
        if let Some(percent) = (ours * 200 + all).checked_div(2 * all) {
            found.candidate = found.candidate.max(u32::try_from(percent).unwrap_or(100));
        }
        let filters = rule["filters"].as_array().into_iter().flatten();
        let mut mirrors = filters.filter(|filter| filter["type"] == "RequestMirror");
        found.mirrored |= mirrors.any(|filter| filter["requestMirror"]["backendRef"]["name"] == service);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_share_is_that_of_the_rule_that_gives_most() {
        let spec = json!({"rules": [
            {"backendRefs": [{"name": "m", "port": 80}]},
            {"backendRefs": [{"name": "m", "weight": 3}, {"name": "m-candidate", "weight": 1}]},
        ]});
        assert_eq!(share(&spec, "m-candidate"), Share { candidate: 25, mirrored: false });
        let mirror =
            json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "m-candidate"}}});
        let spec = json!({"rules": [{"filters": [mirror], "backendRefs": [{"name": "m"}]}]});
        assert_eq!(share(&spec, "m-candidate"), Share { candidate: 0, mirrored: true });
        let spec = json!({"rules": [{"backendRefs": [{"name": "m", "weight": 0}]}]});
        assert_eq!(share(&spec, "m-candidate"), Share::default());
    }

    #[test]
    fn a_route_is_the_same_whatever_the_gateway_writes_in_its_status() {
        let route = |spec: &str, owner: &str, status_time: &str| {
            Body::of(&json!({"metadata": {"resourceVersion": status_time, "managedFields": [
                {"manager": owner, "operation": "Apply"},
                {"manager": "gateway", "operation": "Update", "subresource": "status", "time": status_time}]},
                "spec": {"rules": [spec]}, "status": {"parents": status_time}}))
        };
        let user = route("a", "git", "1");
        assert_eq!(user.differs(&route("a", "git", "2")), [] as [&str; 0]);
        assert_eq!(user.differs(&route("b", "git", "1")), ["spec"]);
        assert_eq!(user.differs(&route("a", "operator", "1")), ["managedFields"]);
    }
}
