//! What the operator may do in the cluster: one table, from which the manifests are written. No wildcard, no secrets,
//! no pods' insides, no roles.

use serde_json::{Value, json};

/// One line of the table: an API group, a resource in it, and the verbs that are used.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resource, with its subresource where there is one.
    pub resource: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];

const COVERS: &str = "whether a first release would be left out";
const LOOK: &[&str] = &["list", "watch"];
const ADMISSION: &str = "admissionregistration.k8s.io";
const GUARD: &str = "which policy guards the selectors";

const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule { group, resource, verbs, why }
}

/// In every watched namespace.
pub const RULES: &[Rule] = &[
    rule("understudy.dev", "modelrollouts", &["get", "list", "watch", "patch"], "the finalizer is patched"),
    rule("understudy.dev", "modelrollouts/status", &["patch"], "intent and outcome"),
    rule("understudy.dev", "modelversions", READ, "the registry"),
    rule("understudy.dev", "modelversions/status", &["patch"], "stage and digest"),
    rule("understudy.dev", "rolloutdecisions", READ, "what people decided"),
    rule("understudy.dev", "rolloutdecisions/status", &["patch"], "what came of it"),
    rule("apps", "deployments", &["get", "list", "watch", "create", "update", "delete"], "the slots"),
    rule("apps", "deployments/scale", &["patch"], "scale of slots and origin"),
    rule("apps", "replicasets", &["list", "watch"], "whose a pod is"),
    rule("", "pods", &["list", "watch"], "readiness, restarts"),
    rule(
        "",
        "services",
        &["get", "list", "watch", "create", "patch", "delete"],
        "selectors, the candidate's Service",
    ),
    rule(
        "",
        "configmaps",
        &["get", "list", "watch", "create", "patch", "delete"],
        "the selector guard's, by their label",
    ),
    rule("", "persistentvolumeclaims", &["list", "watch"], "whether a template can run twice"),
    rule("", "namespaces", &["list", "watch"], "whether one is going"),
    rule("discovery.k8s.io", "endpointslices", &["list", "watch"], "what is ready behind a Service"),
    rule(
        "gateway.networking.k8s.io",
        "httproutes",
        &["get", "list", "watch", "create", "patch", "delete"],
        "weights, our own route",
    ),
    rule("gateway.networking.k8s.io", "gateways", &["list", "watch"], "the class of a route's parents"),
    rule("gateway.networking.k8s.io", "gatewayclasses", &["list", "watch"], "whether a gateway mirrors"),
    rule(
        "autoscaling",
        "horizontalpodautoscalers",
        &["get", "list", "watch", "create", "patch", "delete"],
        "copies of the origin's for the slots",
    ),
    rule(
        "policy",
        "poddisruptionbudgets",
        &["get", "list", "watch", "create", "patch", "delete"],
        "copies of the origin's for the slots",
    ),
    rule("networking.k8s.io", "networkpolicies", &["list"], COVERS),
    rule("monitoring.coreos.com", "podmonitors", &["list"], COVERS),
    rule("monitoring.coreos.com", "servicemonitors", &["list"], COVERS),
    rule("gateway.networking.k8s.io", "backendtlspolicies", &["list"], COVERS),
    rule("networking.istio.io", "destinationrules", &["list"], COVERS),
    rule(ADMISSION, "mutatingadmissionpolicies", LOOK, GUARD),
    rule(ADMISSION, "mutatingadmissionpolicybindings", LOOK, GUARD),
    rule(ADMISSION, "validatingadmissionpolicies", LOOK, GUARD),
    rule(ADMISSION, "validatingadmissionpolicybindings", LOOK, GUARD),
    rule("events.k8s.io", "events", &["create", "patch"], "what happened, for people"),
];

/// Name of everything that is installed.
pub const NAME: &str = "understudy";

/// The cluster-wide role.
pub fn cluster_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NAME},
        "rules": RULES.iter().map(|r| json!({
            "apiGroups": [r.group], "resources": [r.resource], "verbs": r.verbs,
        })).collect::<Vec<_>>(),
    })
}

/// The role in the operator's own namespace: its lease. `create` cannot be restricted to a name.
pub fn lease_role(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": NAME, "namespace": namespace},
        "rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME],
             "verbs": ["get", "update"]},
        ],
    })
}

fn binding(kind: &str, role: &str, namespace: &str) -> Value {
    let mut metadata = json!({"name": NAME});
    if kind == "RoleBinding" {
        metadata["namespace"] = json!(namespace);
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    })
}

/// Everything that gives the operator its permissions, as one YAML file.
pub fn manifest(namespace: &str) -> String {
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}}),
        cluster_role(),
        binding("ClusterRoleBinding", "ClusterRole", namespace),
        lease_role(namespace),
        binding("RoleBinding", "Role", namespace),
    ];
    let mut text =
        String::from("# Written from src/cluster/rbac.rs: UPDATE=1 cargo test --test deploy_is_current\n");
    for object in objects {
        text.push_str("---\n");
        // Values made above hold only maps, lists and strings, which YAML can always hold.
        text.push_str(&serde_saphyr::to_string(&object).expect("maps, lists and strings"));
    }
    text
}
