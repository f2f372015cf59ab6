//! Requests: each second they are dealt out by the route, the selectors and the pods as they are, and it is written down who
//! answered them and which failed through no fault of a version.

use std::collections::BTreeMap;

use serde_json::Value;

use super::network;
use super::objects::Pod;
use super::sessions;
use super::world::{NAME, World};

/// Requests that reached a version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// By clients; copies of a mirror do not count.
    pub requests: u64,
    /// Of those, failed or never answered.
    pub bad: u64,
}

/// What clients received.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By version.
    pub served: BTreeMap<String, Served>,
    /// Requests that failed though no version failed them, by why.
    pub failed: BTreeMap<String, u64>,
    /// Copies of a mirror that reached a version.
    pub mirrored: BTreeMap<String, u64>,
    /// When each Deployment last got a request that was not a copy.
    pub last: BTreeMap<String, i64>,
}

impl Ledger {
    /// Failed requests that no version failed.
    pub fn lost(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// Rates, and fractions of requests that are carried over to the next second, so that shares come out exactly.
#[derive(Clone, Debug)]
pub struct Shares {
    /// Requests per second through the gateway.
    pub route: f64,
    /// Requests per second straight to each of the user's Services.
    pub direct: f64,
    carried: BTreeMap<String, f64>,
}

impl Default for Shares {
    fn default() -> Self {
        Self { route: 200.0, direct: 20.0, carried: BTreeMap::new() }
    }
}

impl Shares {
    /// Whole requests out of a fraction; the rest comes later.
    fn whole(&mut self, key: String, amount: f64) -> u64 {
        let carried = self.carried.entry(key).or_default();
        *carried += amount;
        let whole = (*carried + 1e-9).floor().max(0.0);
        *carried -= whole;
        whole as u64
    }

    /// Requests of one second through the gateway.
    pub fn a_second(&self) -> u64 {
        self.route.ceil().max(0.0) as u64
    }

    /// What is carried, for comparing worlds.
    pub fn carried(&self) -> &BTreeMap<String, f64> {
        &self.carried
    }
}

/// How a request comes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Gateway,
    Mirror,
    Direct,
}

/// One second of requests.
pub fn step(world: &mut World) {
    let route = world.route().cloned();
    let rules: Vec<Value> = route
        .iter()
        .flat_map(|r| r["spec"]["rules"].as_array().cloned().unwrap_or_default())
        .filter(|rule| pair(rule).next().is_some())
        .collect();
    let users: Vec<usize> = (0..rules.len()).filter(|i| !sessions::is_copy(&rules[*i])).collect();
    let each = world.shares.route / (users.len().max(1) as f64);
    for i in users {
        let dealt = sessions::dealt(&rules, i);
        if dealt == [(i, 1.0)] {
            through(world, &rules, i, each);
            continue;
        }
        through(world, &rules, i, each * (1.0 - sessions::WITH_SESSION));
        for (at, part) in dealt {
            through(world, &rules, at, each * sessions::WITH_SESSION * part);
        }
    }
    let services: Vec<String> = [NAME, "scorer-grpc"]
        .iter()
        .filter(|s| world.objects.services.contains_key(**s))
        .map(|s| (*s).to_owned())
        .collect();
    for service in services {
        let n = world.shares.whole(format!("direct {service}"), world.shares.direct);
        deliver(world, &service, n, Way::Direct);
    }
}

/// So many requests by one of the rules.
fn through(world: &mut World, rules: &[Value], i: usize, each: f64) {
    let rule = &rules[i];
    let weight = |b: &Value| b["weight"].as_f64().unwrap_or(1.0);
    let total: f64 = rule["backendRefs"].as_array().into_iter().flatten().map(weight).sum();
    for backend in rule["backendRefs"].as_array().into_iter().flatten() {
        let name = backend["name"].as_str().unwrap_or_default();
        let n = world.shares.whole(format!("rule {i} {name}"), each * weight(backend) / total.max(1e-9));
        deliver(world, name, n, Way::Gateway);
    }
    for mirror in rule["filters"].as_array().into_iter().flatten().filter_map(|f| f.get("requestMirror")) {
        let percent = mirror["percent"].as_f64().unwrap_or(100.0);
        let name = mirror["backendRef"]["name"].as_str().unwrap_or_default();
        let n = world.shares.whole(format!("mirror {i} {name}"), each * percent / 100.0);
        deliver(world, name, n, Way::Mirror);
    }
}

/// Backends of a rule that belong to the rollout.
fn pair(rule: &Value) -> impl Iterator<Item = &Value> {
    let backends = rule["backendRefs"].as_array().into_iter().flatten();
    backends.filter(|b| b["name"].as_str().is_some_and(|n| n.strip_suffix("-candidate").unwrap_or(n) == NAME))
}

fn deliver(world: &mut World, service: &str, n: u64, way: Way) {
    if n == 0 {
        return;
    }
    let pods = network::ready(world, service);
    if way != Way::Direct && !world.gateway.known.contains(service) {
        return fail(world, way, format!("the gateway does not know {service}"), n);
    }
    if pods.is_empty() {
        return match own_fault(world, service) {
            Some(version) if way != Way::Mirror => {
                let entry = world.ledger.served.entry(version).or_default();
                entry.requests += n;
                entry.bad += n;
            }
            Some(_) => {}
            None => fail(world, way, format!("{service} has no ready endpoint"), n),
        };
    }
    for pod in &pods {
        let part = world.shares.whole(format!("pod {service} {pod}"), n as f64 / pods.len() as f64);
        let Some(pod) = world.objects.pods.get(pod).cloned() else { continue };
        serve(world, service, &pod, part, way);
    }
}

/// The version whose own pods behind the Service are down because it crashes or never gets ready.
fn own_fault(world: &World, service: &str) -> Option<String> {
    let found = world.objects.services.get(service)?;
    let pods = world.objects.pods.values().filter(|p| crate::workload::services::selects(found, &p.labels));
    let down = |version: &String| {
        let b = world.behaviour(version);
        b.crashing || b.never_ready
    };
    pods.map(|p| p.version.clone()).find(down)
}

fn fail(world: &mut World, way: Way, why: String, n: u64) {
    // Nobody sees the answer of a copy.
    if way != Way::Mirror {
        *world.ledger.failed.entry(why).or_default() += n;
    }
}

fn serve(world: &mut World, service: &str, pod: &Pod, n: u64, way: Way) {
    let behaviour = world.behaviour(&pod.version);
    let key = |what: &str| format!("{what} {} {}", pod.version, way == Way::Mirror);
    let shares = &mut world.shares;
    let bad = if behaviour.silent { n } else { shares.whole(key("bad"), n as f64 * behaviour.errors) };
    let slow = shares.whole(key("slow"), n as f64 * behaviour.slow);
    let good = shares.whole(key("good"), n as f64 * behaviour.score);
    if way == Way::Mirror {
        *world.ledger.mirrored.entry(pod.version.clone()).or_default() += n;
    } else {
        let entry = world.ledger.served.entry(pod.version.clone()).or_default();
        entry.requests += n;
        entry.bad += bad;
        world.ledger.last.insert(pod.deployment.clone(), world.now.timestamp());
    }
    if behaviour.silent {
        return;
    }
    let lost = if behaviour.unfinished > 0.0 {
        shares.whole(key("lost"), n as f64 * behaviour.unfinished)
    } else {
        0
    };
    let n = n - lost.min(n);
    let counted =
        super::prometheus::Counted { total: n, bad: bad.min(n), slow: slow.min(n), good: good.min(n) };
    world.prometheus.count(&pod.name, counted);
    if way != Way::Direct {
        world.prometheus.count_at_gateway(service, counted);
    }
}

/// What would fail if a request came now: backends with a weight that nobody is behind, and Services without endpoints.
pub fn broken(world: &World) -> Vec<String> {
    let mut out = Vec::new();
    for rule in world.route().iter().flat_map(|r| r["spec"]["rules"].as_array().into_iter().flatten()) {
        for backend in pair(rule).filter(|b| b["weight"].as_i64().unwrap_or(1) > 0) {
            let name = backend["name"].as_str().unwrap_or_default();
            if !world.gateway.known.contains(name) {
                out.push(format!("the gateway does not know {name}"));
            } else if network::ready(world, name).is_empty() {
                out.push(format!("{name} has no ready endpoint on the route"));
            }
        }
    }
    for service in [NAME, "scorer-grpc"] {
        if world.objects.services.contains_key(service) && would_be_empty(world, service) {
            out.push(format!("Service {service} would have no ready endpoint"));
        }
    }
    out.sort();
    out.dedup();
    out
}

/// By its selector as it is now, whatever the endpoints still say.
fn would_be_empty(world: &World, service: &str) -> bool {
    let Some(found) = world.objects.services.get(service) else { return false };
    !world.objects.pods.values().any(|p| p.ready && crate::workload::services::selects(found, &p.labels))
}
