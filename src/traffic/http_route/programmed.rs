//! Whether the gateways have taken a route, from its status.

use serde_json::Value;

/// Whether the gateways have taken the route as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programmed {
    /// All of them have.
    Yes,
    /// One refuses; which, why and in its own words.
    No(String),
    /// Not all have said so yet.
    Unknown,
}

/// Reads `Accepted` and `ResolvedRefs` of all parents of the route, or of those named. A condition about an older
/// generation says nothing yet; one that names no generation counts, because some controllers never set it.
pub fn programmed(route: &Value, parents: &[String]) -> Programmed {
    let refs = route.pointer("/spec/parentRefs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = |parent: &Value| text(parent, "name").to_owned();
    if let Some(missing) = parents.iter().find(|p| refs.iter().all(|r| name(r) != **p)) {
        let have: Vec<String> = refs.iter().map(name).collect();
        return Programmed::No(format!(
            "traffic.gatewayAPI.parents names {missing:?}, which is not among the route's parents ({})",
            have.join(", ")
        ));
    }
    let counted: Vec<&Value> =
        refs.iter().filter(|r| parents.is_empty() || parents.contains(&name(r))).collect();
    if counted.is_empty() {
        return Programmed::No(
            "the route has no parentRefs, so no gateway serves it; add its Gateway".to_owned(),
        );
    }
    let mut all = Programmed::Yes;
    for parent in counted {
        match of_parent(route, parent) {
            Programmed::No(why) => return Programmed::No(why),
            Programmed::Unknown => all = Programmed::Unknown,
            Programmed::Yes => {}
        }
    }
    all
}

fn of_parent(route: &Value, parent: &Value) -> Programmed {
    let statuses = route.pointer("/status/parents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let namespace = route.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let generation = route.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let found: Vec<&Value> = statuses
        .iter()
        .filter(|s| s.get("parentRef").is_some_and(|p| same_parent(p, parent, namespace)))
        .collect();
    let mut all = if found.is_empty() { Programmed::Unknown } else { Programmed::Yes };
    for status in found {
        for type_ in ["Accepted", "ResolvedRefs"] {
            match condition(status, type_, generation) {
                Programmed::No(why) => {
                    return Programmed::No(format!(
                        "{} (controller {}): {why}",
                        text(parent, "name"),
                        text(status, "controllerName")
                    ));
                }
                Programmed::Unknown => all = Programmed::Unknown,
                Programmed::Yes => {}
            }
        }
    }
    all
}

fn same_parent(a: &Value, b: &Value, namespace: &str) -> bool {
    let or = |v: &Value, key: &str, default: &str| {
        v.get(key).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    let id = |v: &Value| {
        [
            or(v, "group", "gateway.networking.k8s.io"),
            or(v, "kind", "Gateway"),
            or(v, "namespace", namespace),
            or(v, "name", ""),
            or(v, "sectionName", ""),
        ]
    };
    id(a) == id(b) && a.get("port") == b.get("port")
}

fn condition(status: &Value, type_: &str, generation: i64) -> Programmed {
    let conditions = status.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let Some(condition) = conditions.iter().find(|c| text(c, "type") == type_) else {
        return Programmed::Unknown;
    };
    let seen = condition.get("observedGeneration").and_then(Value::as_i64).unwrap_or(0);
    if seen != 0 && seen < generation {
        return Programmed::Unknown;
    }
    match text(condition, "status") {
        "True" => Programmed::Yes,
        "False" => Programmed::No(format!(
            "{type_} is false, {}: {}",
            text(condition, "reason"),
            text(condition, "message")
        )),
        _ => Programmed::Unknown,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
