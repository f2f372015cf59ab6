//! The exact requests that a pass makes, in their order, against an API server in memory.

#[path = "api_server/election.rs"]
mod election;
#[path = "api_server/fake.rs"]
mod fake;
#[path = "api_server/passes.rs"]
mod passes;
#[path = "api_server/play.rs"]
mod play;
#[path = "api_server/refusals.rs"]
mod refusals;
#[path = "api_server/stages.rs"]
mod stages;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use fake::Fake;
use play::{APPS, Narrow, OURS, Play, ROUTES, Slow};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use understudy::api::{ModelRollout, ModelRolloutStatus, Phase, SelectorGuard};
use understudy::cluster::events::Events;
use understudy::cluster::lease::{Election, Fence, Leadership, Times};
use understudy::cluster::raw::Raw;
use understudy::cluster::shelf::Key;
use understudy::cluster::{Class, Covers, Stores, Writer};
use understudy::controller::carry_out::{Done, carry_out};
use understudy::controller::{Context, Error, Memory, Next};
use understudy::measure::Sources;
use understudy::rollout::observed::SelectorPolicy;
use understudy::rollout::{Action, Observed, OwnWrites, Plan};
use understudy::telemetry::Metrics;

const ROLLOUT: &str = "/apis/understudy.dev/v1alpha1/namespaces/shop/modelrollouts/m";
const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/m";
const SLOT: &str = "/apis/apps/v1/namespaces/shop/deployments/m-a";

struct World {
    api: Fake,
    ctx: Context,
}

impl World {
    fn new() -> Self {
        let api = Fake::default();
        api.put(
            ROLLOUT,
            json!({
                "apiVersion": "understudy.dev/v1alpha1", "kind": "ModelRollout",
                "metadata": {"name": "m", "namespace": "shop", "generation": 1},
                "spec": {"model": "m", "version": "1.0.0", "workload": {"deployment": "m"},
                         "traffic": {"service": "m", "gatewayAPI": {"httpRoute": "m"}}},
                "status": {"phase": "Canary", "writtenByANewerVersion": {"kept": true}},
            }),
        );
        api.put(ROUTE, json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "m", "namespace": "shop"},
            "spec": {"rules": [{"backendRefs": [{"name": "m", "weight": 95}, {"name": "m-candidate", "weight": 5}]}]},
        }));
        api.put(SLOT, json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "m-a", "namespace": "shop"},
            "spec": {"replicas": 3, "selector": {}, "template": {}},
        }));
        let client = api.client();
        let stores = Arc::new(Stores::new(&unbounded_channel().0));
        let metrics = Metrics::new();
        let ctx = Context {
            covers: Covers::new(client.clone(), true),
            writer: Writer::new(client.clone(), stores.clone(), Fence::open()),
            events: Events::start(client, "test".into(), metrics.clone()),
            stores,
            metrics,
            sources: Sources::default(),
            memory: Memory::default(),
        };
        let world = Self { api, ctx };
        world.sync();
        world
    }

    /// What the watches would have brought.
    fn sync(&self) {
        let rollout: ModelRollout = self.read(ROLLOUT);
        self.ctx.stores.rollouts.put(&rollout.metadata.clone(), rollout);
        let route: Raw = self.read(ROUTE);
        self.ctx.stores.routes.put(&route.metadata.clone(), route);
        let slot: k8s_openapi::api::apps::v1::Deployment = self.read(SLOT);
        self.ctx.stores.deployments.put(&slot.metadata.clone(), slot);
    }

    fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_value(self.api.get(path).unwrap()).unwrap()
    }

    fn observed(&self) -> Observed {
        Observed {
            now: Utc::now(),
            rollout: (*self.ctx.stores.rollouts.get(&Key::new("shop", "m")).unwrap()).clone(),
            namespace_terminating: false,
            rival: None,
            older_services: Default::default(),
            covering: None,
            rollout_uids: Default::default(),
            versions: Vec::new(),
            decisions: Vec::new(),
            origin: None,
            slots: Default::default(),
            services: Vec::new(),
            other_pod_labels: Vec::new(),
            claims: Default::default(),
            endpoints: Default::default(),
            pods: Vec::new(),
            no_gateway_api: false,
            guard: None,
            selector_policy: SelectorPolicy::InForce(SelectorGuard::None),
            route: None,
            warm_route: None,
            gateways: Vec::new(),
            route_written_at: None,
            own_writes: OwnWrites::default(),
            failed_write: None,
            watch_failing: None,
            autoscalers: Vec::new(),
            budgets: Vec::new(),
            unread: Vec::new(),
            answers: Default::default(),
        }
    }

    /// The plan of a rollback: intent, route, then the candidate's scale.
    fn rollback(&self) -> Plan {
        let route = self.ctx.stores.routes.get(&Key::new("shop", "m")).unwrap();
        let patch = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": route.metadata.resource_version},
            {"op": "replace", "path": "/spec/rules/0/backendRefs", "value": [{"name": "m"}]},
        ]);
        let route = Action::PatchRoute {
            name: "m".into(),
            patch: serde_json::from_value(patch).unwrap(),
            what: "stable".into(),
        };
        let status =
            ModelRolloutStatus { phase: Some(Phase::RollingBack), ..self.observed().rollout.status.unwrap() };
        let scale = Action::Scale { deployment: "m-a".into(), replicas: 0 };
        Plan { status, actions: vec![route, scale], events: Vec::new(), requeue: None, urgent: true }
    }

    async fn carry_out(&self, plan: &Plan) -> Result<Done, Error> {
        carry_out(&self.ctx, &self.observed(), plan, Instant::now()).await
    }

    fn backends(&self) -> Value {
        self.api.get(ROUTE).unwrap()["spec"]["rules"][0]["backendRefs"].clone()
    }
}

#[tokio::test]
async fn the_intent_is_written_first_then_the_route_then_the_scale() {
    let world = World::new();
    let done = world.carry_out(&world.rollback()).await.unwrap();
    assert_eq!(
        world.api.requests(),
        ["patch modelrollouts/m/status", "patch httproutes/m", "patch deployments/m-a/scale"]
    );
    assert_eq!(world.backends(), json!([{"name": "m"}]));
    assert!(done.route_after.unwrap() < Duration::from_secs(1));
    let status = &world.api.get(ROLLOUT).unwrap()["status"];
    assert_eq!(status["phase"], "RollingBack");
    assert_eq!(status["writtenByANewerVersion"], json!({"kept": true}), "an unknown field stays");
}

#[tokio::test]
async fn the_next_pass_sees_its_own_writes_before_the_watch_does() {
    let world = World::new();
    world.carry_out(&world.rollback()).await.unwrap();
    let stores = &world.ctx.stores;
    assert_eq!(
        stores.rollouts.get(&Key::new("shop", "m")).unwrap().status.as_ref().unwrap().phase,
        Some(Phase::RollingBack)
    );
    assert_eq!(
        stores.routes.get(&Key::new("shop", "m")).unwrap().value["spec"]["rules"][0]["backendRefs"],
        world.backends()
    );
    let slot = stores.deployments.get(&Key::new("shop", "m-a")).unwrap();
    assert_eq!((slot.spec.as_ref().unwrap().replicas, slot.metadata.generation), (Some(0), Some(2)));
    assert!(world.ctx.memory.of(&Key::new("shop", "m")).route_written_at.is_some());
}

#[tokio::test]
async fn a_conflict_on_the_status_stops_the_pass_and_the_next_one_sees_what_is_true() {
    let world = World::new();
    let plan = world.rollback();
    let mut changed = world.api.get(ROLLOUT).unwrap();
    changed["spec"]["suspend"] = json!(true);
    world.api.put(ROLLOUT, changed);
    let error = world.carry_out(&plan).await.unwrap_err();
    assert_eq!(error.class(), Class::Stale);
    assert_eq!(
        world.api.requests(),
        ["patch modelrollouts/m/status", "get modelrollouts/m"],
        "and nothing else"
    );
    assert!(world.observed().rollout.spec.suspend, "the watch need not be waited for");
}

#[tokio::test]
async fn a_route_that_somebody_else_wrote_is_not_overwritten() {
    let world = World::new();
    let plan = world.rollback();
    let mut theirs = world.api.get(ROUTE).unwrap();
    theirs["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(1);
    world.api.put(ROUTE, theirs.clone());
    let error = world.carry_out(&plan).await.unwrap_err();
    assert_eq!(error.class(), Class::Stale);
    assert_eq!(world.backends(), theirs["spec"]["rules"][0]["backendRefs"]);
    assert!(
        !world.api.requests().contains(&"patch deployments/m-a/scale".to_owned()),
        "the capacity stays until then"
    );
    world.carry_out(&world.rollback()).await.unwrap();
    assert_eq!(world.backends(), json!([{"name": "m"}]));
}

#[tokio::test]
async fn a_status_that_the_gateway_wrote_meanwhile_holds_no_rollback_up() {
    let world = World::new();
    let plan = world.rollback();
    let observed = Observed { route: world.api.get(ROUTE), ..world.observed() };
    let mut route = world.api.get(ROUTE).unwrap();
    route["status"] = json!({"parents": []});
    world.api.put(ROUTE, route);
    carry_out(&world.ctx, &observed, &plan, Instant::now()).await.unwrap();
    assert_eq!(world.backends(), json!([{"name": "m"}]));
    let requests = world.api.requests();
    assert_eq!(requests[1..4], ["patch httproutes/m", "get httproutes/m", "patch httproutes/m"]);
}

#[tokio::test]
async fn a_status_that_cannot_be_written_holds_no_rollback_up() {
    let world = World::new();
    world.api.fail("patch modelrollouts/m/status", 500);
    let error = world.carry_out(&world.rollback()).await.unwrap_err();
    assert_eq!(world.backends(), json!([{"name": "m"}]), "traffic is back all the same");
    assert_eq!(error.class(), Class::RetrySoon, "and the status is tried again");
    assert_eq!(
        world.api.requests(),
        ["patch modelrollouts/m/status", "patch httproutes/m"],
        "what has no intent on record is only done as far as traffic is concerned"
    );
}

#[tokio::test]
async fn a_write_that_is_refused_before_the_route_holds_no_rollback_up() {
    let world = World::new();
    let mut plan = world.rollback();
    plan.actions.insert(0, Action::Scale { deployment: "m".into(), replicas: 4 });
    world.api.fail("patch deployments/m/scale", 403);
    let error = world.carry_out(&plan).await.unwrap_err();
    assert_eq!(error.class(), Class::RetryLater, "it is said, and tried again");
    assert_eq!(world.backends(), json!([{"name": "m"}]), "traffic is back all the same");
    assert!(
        !world.api.requests().contains(&"patch deployments/m-a/scale".to_owned()),
        "and nothing more is done"
    );

    let world = World::new();
    world.api.fail("patch deployments/m/scale", 403);
    world.carry_out(&Plan { urgent: false, ..plan }).await.unwrap_err();
    assert_ne!(world.backends(), json!([{"name": "m"}]), "only what brings traffic back goes on");
}

#[tokio::test]
async fn without_its_intent_written_nothing_else_is_begun() {
    let world = World::new();
    world.api.fail("patch modelrollouts/m/status", 503);
    let plan = Plan { urgent: false, ..world.rollback() };
    world.carry_out(&plan).await.unwrap_err();
    assert_eq!(world.api.requests(), ["patch modelrollouts/m/status"]);
}

#[tokio::test]
async fn what_cannot_be_undone_is_not_done_on_an_old_view() {
    let world = World::new();
    let scale = Action::Scale { deployment: "m-a".into(), replicas: 0 };
    let status = world.observed().rollout.status.unwrap();
    let plan = Plan { status, actions: vec![scale], events: Vec::new(), requeue: None, urgent: false };
    world.carry_out(&plan).await.unwrap();
    assert_eq!(world.api.requests(), ["get modelrollouts/m", "patch deployments/m-a/scale"]);

    let mut changed = world.api.get(ROLLOUT).unwrap();
    changed["spec"]["version"] = json!("1.1.0");
    world.api.put(ROLLOUT, changed);
    let error = world.carry_out(&plan).await.unwrap_err();
    assert_eq!(error.class(), Class::Stale);
    assert_eq!(world.api.requests(), ["get modelrollouts/m"]);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_recognised_and_a_foreign_object_is_not_taken() {
    let world = World::new();
    let ours = |uid: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "m-b", "namespace": "shop", "labels": {"understudy.dev/rollout-uid": uid},
                         "annotations": {"understudy.dev/template-hash": "abc"}},
            "spec": {"selector": {}, "template": {}},
        })
    };
    let path = "/apis/apps/v1/namespaces/shop/deployments/m-b";
    let create = Action::CreateDeployment(Box::new(serde_json::from_value(ours("u1")).unwrap()));
    let status = world.observed().rollout.status.unwrap();
    let plan = Plan { status, actions: vec![create], events: Vec::new(), requeue: None, urgent: false };
    world.api.put(path, ours("u1"));
    world.carry_out(&plan).await.expect("it is there as wanted");
    world.api.put(path, ours("u2"));
    let error = world.carry_out(&plan).await.unwrap_err();
    assert_eq!(error.class(), Class::Stale, "{error}");
    let key = Key::new("shop", "m-b");
    assert_eq!(
        world.ctx.stores.deployments.get(&key).unwrap().metadata.labels.as_ref().unwrap()["understudy.dev/rollout-uid"],
        "u2"
    );
}

#[tokio::test]
async fn only_the_object_that_was_meant_is_deleted() {
    let world = World::new();
    let delete = |uid: &str| Action::DeleteDeployment { name: "m-a".into(), uid: uid.into() };
    let status = || world.observed().rollout.status.unwrap();
    let plan = |action| Plan {
        status: status(),
        actions: vec![action],
        events: Vec::new(),
        requeue: None,
        urgent: false,
    };
    world.carry_out(&plan(delete("another"))).await.unwrap_err();
    assert!(world.api.get(SLOT).is_some());
    let uid = world.api.get(SLOT).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    world.carry_out(&plan(delete(&uid))).await.unwrap();
    assert!(world.api.get(SLOT).is_none());
    world.carry_out(&plan(delete(&uid))).await.expect("gone is what was wanted");
}

#[tokio::test]
async fn a_missing_permission_is_named_with_verb_resource_and_namespace() {
    let world = World::new();
    world.api.fail("patch httproutes/m", 403);
    let error = world.carry_out(&world.rollback()).await.unwrap_err();
    assert_eq!(error.class(), Class::RetryLater);
    assert!(
        error.to_string().starts_with("patch httproutes shop/m: the server was told to fail this (403"),
        "{error}"
    );
}
