//! One test's namespace: the user's objects, a rollout, load, and observers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use lab::load::{self, AccessLog, Images, Question, Report, Target};
use lab::measured::Measured;
use lab::net;
use lab::scenario::OPERATOR_USER;
use lab::scenario::observe::{Body, PodWatch, RolloutWatch, RouteWatch, Write, writes};
use lab::wait::wait_for;
use serde_json::{Value, json};
use understudy::api::{ModelRollout, ModelRolloutStatus, Phase};

use crate::manifests;
use crate::world::{RELEASE, SOON, World};

/// A workload of `digits` in a namespace of its own.
pub struct Space<'a> {
    pub world: &'a World,
    pub namespace: String,
    pub route: RouteWatch,
    pub pods: PodWatch,
    pub rollout: RolloutWatch,
    /// The route as the user wrote it, before anybody adopted it.
    pub user_route: Body,
    serving: String,
}

impl<'a> Space<'a> {
    /// 1.0.0 serves with two replicas behind the gateway, every version is registered; there is no rollout yet.
    pub async fn new(world: &'a World, namespace: &str) -> Result<Self> {
        let serving = manifests::serving(&world.cluster().models, namespace)?;
        Self::with_pods(world, namespace, serving, 2).await
    }

    /// The same with the user's objects given, and how many pods they make.
    pub async fn with_pods(world: &'a World, namespace: &str, serving: String, pods: i32) -> Result<Self> {
        let models = &world.cluster().models;
        world.applier.apply(&serving, "team").await?;
        world.applier.apply(&lab::scenario::versions(models, namespace)?, "team").await?;
        let client = world.client();
        let space = Self {
            world,
            namespace: namespace.to_owned(),
            route: RouteWatch::start(client.clone(), namespace, "digits", "digits-candidate"),
            pods: PodWatch::start(client.clone(), namespace),
            rollout: RolloutWatch::start(client.clone(), namespace, "digits"),
            user_route: Body::of(&Value::Null),
            serving,
        };
        space.wait_ready("digits", pods).await?;
        space.wait_gateway().await?;
        space.wait_scraped(pods).await?;
        let user_route = space.route_now().await?;
        Ok(Self { user_route, ..space })
    }

    /// Creates the rollout and waits until 1.0.0 is said to be active.
    pub async fn adopt(&self, rollout: &Value) -> Result<()> {
        self.apply(rollout).await?;
        let active = |rollout: &ModelRollout| manifests::active(rollout, "1.0.0");
        self.rollout.wait("1.0.0 to be adopted", SOON, active).await
    }

    /// A namespace with the usual rollout, adopted.
    pub async fn adopted(world: &'a World, namespace: &str) -> Result<Self> {
        let space = Self::new(world, namespace).await?;
        space.adopt(&manifests::rollout(namespace)).await?;
        Ok(space)
    }

    /// The end: nothing of the namespace is left to disturb the tests after it.
    pub async fn done(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        match namespaces.delete(&self.namespace, &DeleteParams::background()).await {
            // Some tests delete it themselves.
            Err(kube::Error::Api(error)) if matches!(error.code, 404 | 409) => {}
            other => drop(other?),
        }
        wait_for("the namespace to be gone", SOON, async || {
            match namespaces.get_opt(&self.namespace).await.map_err(|error| error.to_string())? {
                None => Ok(()),
                Some(left) => Err(format!("{:?}", left.status.and_then(|status| status.conditions))),
            }
        })
        .await
    }

    pub fn client(&self) -> Client {
        self.world.client()
    }

    /// Applies an object as the user's tool.
    pub async fn apply(&self, object: &Value) -> Result<Vec<DynamicObject>> {
        self.world.applier.apply(&object.to_string(), "team").await
    }

    /// One of the user's own objects, as it is in Git.
    pub fn document(&self, kind: &str) -> Result<&str> {
        let wanted = format!("kind: {kind}\n");
        self.serving.split("\n---\n").find(|text| text.contains(&wanted)).context("no such document")
    }

    /// Applies the user's own object again, as a Git sync does.
    pub async fn apply_again(&self, kind: &str) -> Result<()> {
        self.world.applier.apply(self.document(kind)?, "team").await?;
        Ok(())
    }

    /// The same with other rules in the user's route, before anybody adopted it.
    pub async fn with_rules(self, rules: Value) -> Result<Self> {
        let mut route: Value = serde_saphyr::from_str(self.document("HTTPRoute")?)?;
        route["spec"]["rules"] = rules;
        self.apply(&route).await?;
        self.wait_gateway().await?;
        let user_route = self.route_now().await?;
        Ok(Self { user_route, ..self })
    }

    pub fn rollouts(&self) -> Api<ModelRollout> {
        Api::namespaced(self.client(), &self.namespace)
    }

    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client(), &self.namespace)
    }

    pub fn services(&self) -> Api<Service> {
        Api::namespaced(self.client(), &self.namespace)
    }

    pub fn routes(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        Api::namespaced_with(self.client(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    /// A version with the content of a trained one under another number, for a container.
    pub fn like(&self, trained: &str, number: &str, container: &str) -> Result<Value> {
        let manifest = &self.world.cluster().models.version(trained)?.manifest;
        let mut object: Value = serde_saphyr::from_str(&std::fs::read_to_string(manifest)?)?;
        object["metadata"]["name"] = json!(format!("digits-{number}"));
        object["metadata"]["namespace"] = json!(self.namespace);
        object["spec"]["version"] = json!(number);
        object["spec"]["serving"]["container"] = json!(container);
        Ok(object)
    }

    /// Merges a change into the rollout.
    pub async fn edit(&self, change: Value) -> Result<()> {
        let params = PatchParams { field_manager: Some("team".to_owned()), ..PatchParams::default() };
        self.rollouts().patch("digits", &params, &Patch::Merge(change)).await?;
        Ok(())
    }

    /// Names another version.
    pub async fn release(&self, version: &str) -> Result<()> {
        self.edit(json!({"spec": {"version": version}})).await
    }

    /// Names another version and waits until it is active.
    pub async fn promote(&self, version: &str) -> Result<()> {
        self.release(version).await?;
        self.wait_active(version).await
    }

    pub async fn wait_active(&self, version: &str) -> Result<()> {
        let look = |rollout: &ModelRollout| manifests::active(rollout, version);
        self.rollout.wait(&format!("{version} to be active"), RELEASE, look).await
    }

    pub async fn wait_rejected(&self, version: &str) -> Result<()> {
        let look = |rollout: &ModelRollout| manifests::rejected(rollout, version);
        self.rollout.wait(&format!("{version} to be turned down"), RELEASE, look).await
    }

    pub async fn wait_phase(&self, phase: Phase) -> Result<ModelRolloutStatus> {
        let look =
            |rollout: &ModelRollout| rollout.status.clone().filter(|status| status.phase == Some(phase));
        self.rollout.wait(&format!("phase {phase}"), RELEASE, look).await
    }

    /// Waits until a condition has a reason, whatever its type; returns it.
    pub async fn wait_reason(&self, reason: &str) -> Result<Condition> {
        self.wait_reason_for(reason, SOON).await
    }

    /// The same, and how long that may take.
    pub async fn wait_reason_for(&self, reason: &str, within: Duration) -> Result<Condition> {
        let look = |rollout: &ModelRollout| {
            let conditions = &rollout.status.as_ref()?.conditions;
            conditions.iter().find(|condition| condition.reason == reason).cloned()
        };
        self.rollout.wait(&format!("a condition with reason {reason}"), within, look).await
    }

    pub fn status(&self) -> ModelRolloutStatus {
        self.rollout.status().unwrap_or_default()
    }

    /// Waits for an Event with the reason; what it says.
    pub async fn event(&self, reason: &str) -> Result<String> {
        let events: Api<Event> = Api::namespaced(self.client(), &self.namespace);
        let list = ListParams::default().fields(&format!("reason={reason}"));
        wait_for(&format!("an Event {reason}"), SOON, async || {
            let found = events.list(&list).await.map_err(|error| error.to_string())?.items.pop();
            found.and_then(|event| event.note).ok_or("there is none".to_owned())
        })
        .await
    }

    /// A person's decision on the present plan.
    pub async fn decide(&self, action: &str) -> Result<()> {
        let plan = self.status().candidate.map(|candidate| candidate.plan_hash);
        let name = format!("{}-{:08x}", action.to_lowercase(), rand::random::<u32>());
        let mut spec = json!({"rollout": "digits", "action": action, "by": "alice", "reason": "a test"});
        if let (Some(plan), "Resume" | "Promote") = (plan, action) {
            spec["planHash"] = json!(plan);
        }
        let decision = json!({"apiVersion": "understudy.dev/v1alpha1", "kind": "RolloutDecision",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec});
        self.apply(&decision).await?;
        Ok(())
    }

    /// The user's route as it is now.
    pub async fn route_now(&self) -> Result<Body> {
        Ok(Body::of(&serde_json::to_value(self.routes().get("digits").await?)?))
    }

    /// At rest the route is as the user wrote it, byte for byte.
    pub async fn ensure_route_untouched(&self) -> Result<()> {
        let differs = self.user_route.differs(&self.route_now().await?);
        ensure!(differs.is_empty(), "the route at rest is not the user's: {} differ", differs.join(", "));
        Ok(())
    }

    /// At rest the route's content is the user's. Who owns its fields may differ: somebody else has really written them.
    pub async fn ensure_route_spec_untouched(&self) -> Result<()> {
        let mut differs = self.user_route.differs(&self.route_now().await?);
        differs.retain(|part| *part != "managedFields");
        ensure!(differs.is_empty(), "the route at rest is not the user's: {} differ", differs.join(", "));
        Ok(())
    }

    pub async fn wait_ready(&self, deployment: &str, replicas: i32) -> Result<()> {
        let deployments = self.deployments();
        wait_for(&format!("{replicas} pods of {deployment}"), SOON, async || {
            let found = deployments.get(deployment).await.map_err(|error| error.to_string())?;
            let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            if ready == replicas { Ok(()) } else { Err(format!("{ready} are ready")) }
        })
        .await
    }

    async fn wait_gateway(&self) -> Result<()> {
        let headers = [("host".to_owned(), manifests::host(&self.namespace))];
        wait_for("the gateway to serve it", SOON, async || {
            let url = format!("{}/readyz", net::GATEWAY);
            match lab::http::get(&url, &headers, Duration::from_secs(2)).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.status.to_string()),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// A version that serves has been scraped for a while: Prometheus learns of new pods within 10 s only.
    async fn wait_scraped(&self, pods: i32) -> Result<()> {
        let query =
            format!("count(http_requests_total{{namespace=\"{}\",code=\"200\"}}) by (pod)", self.namespace);
        wait_for("Prometheus to have all pods", SOON, async || {
            let found = lab::prometheus::query_at(net::PROMETHEUS, &query).await;
            let found = found.map_err(|error| format!("{error:#}"))?.len();
            if i32::try_from(found) == Ok(pods) { Ok(()) } else { Err(format!("{found} of {pods}")) }
        })
        .await
    }

    /// Ready endpoints of a Service.
    pub async fn endpoints(&self, service: &str) -> Result<Vec<String>> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client(), &self.namespace);
        let list = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let all =
            slices.list(&list).await?.items.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default());
        let ready = all.filter(|one| one.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true));
        Ok(ready.filter_map(|one| one.target_ref?.name).collect())
    }

    /// Load through the gateway, and a sixth of it to each of the two ways to the Service. Callers are patient: a busy
    /// machine is slow, and that is no failure; the gateway's own patience of 15 s comes first.
    pub async fn load(&self, rate: f64) -> Result<load::Running> {
        self.load_with(rate, Duration::from_secs(25)).await
    }

    /// The same, and how long a caller waits for an answer.
    pub async fn load_with(&self, rate: f64, patience: Duration) -> Result<load::Running> {
        let gateway: SocketAddr = net::GATEWAY.trim_start_matches("http://").parse()?;
        let host = manifests::host(&self.namespace);
        let mut targets = vec![Target { rate, feedback: 0.5, host, ..Target::gateway(gateway) }];
        let service = self.services().get("digits").await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("no ClusterIP")?;
        let address = SocketAddr::new(address.parse()?, 80);
        for keep in [true, false] {
            targets.push(Target { rate: rate / 6.0, feedback: 0.5, ..Target::service(address, keep) });
        }
        let mut config = load::Config::new(targets, Duration::from_secs(600));
        config.timeout = patience;
        let load = load::start(config, Images::read(&self.world.cluster().models.holdout)?)?;
        // Both arms are compared from the first look on: stable must have been seen.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(load)
    }

    /// Load through the gateway alone: the Service's own address may change.
    pub async fn load_at_gateway(&self, rate: f64) -> Result<load::Running> {
        let gateway: SocketAddr = net::GATEWAY.trim_start_matches("http://").parse()?;
        let host = manifests::host(&self.namespace);
        let targets = vec![Target { rate, feedback: 0.5, host, ..Target::gateway(gateway) }];
        let mut config = load::Config::new(targets, Duration::from_secs(600));
        config.timeout = Duration::from_secs(25);
        let load = load::start(config, Images::read(&self.world.cluster().models.holdout)?)?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(load)
    }

    /// Ends the load; what came of it, each failure attributed by the gateway's own log.
    pub async fn report(&self, load: load::Running, bad: &[&str]) -> Result<Report> {
        load.stop();
        let recording = load.finished().await?;
        let path = self.world.cluster().files().access_log();
        let log = AccessLog::read_whole(&path, &recording, Duration::from_secs(30)).await?;
        let pods = self.pods.serving();
        let question = Question { pods: &pods, bad, slow_after: Duration::from_millis(50) };
        Ok(load::attribute(&recording, Some(&log), &question))
    }

    /// Ends the load and makes sure that no request failed which a bad version did not fail itself.
    pub async fn ensure_no_failures(&self, load: load::Running, bad: &[&str]) -> Result<Report> {
        let report = self.report(load, bad).await?;
        ensure!(report.requests > 100, "hardly any load: {} requests", report.requests);
        ensure!(report.not_in_log == 0, "{} requests are not in the gateway's log", report.not_in_log);
        let samples: Vec<String> = report.outside_samples.iter().take(8).map(ToString::to_string).collect();
        ensure!(
            report.outside == 0,
            "{} of {} requests failed that no bad version caused:\n{}",
            report.outside,
            report.requests,
            samples.join("\n")
        );
        ensure!(
            report.mismatched == 0,
            "{} answers came from another version than claimed",
            report.mismatched
        );
        Ok(report)
    }

    /// The operator's accepted writes of the user's route.
    pub fn route_writes(&self) -> Result<Vec<Write>> {
        let log = self.world.cluster().files().audit_log();
        let all = writes(&log, "httproutes", &self.namespace, "digits")?;
        Ok(all.into_iter().filter(|write| write.user == OPERATOR_USER).collect())
    }

    /// A line of `docs/fits.md`: the load that ran meanwhile, the time until the disturbance was corrected, how it ended.
    pub fn measured(
        &self,
        part: &str,
        case: &str,
        load: Option<&Report>,
        corrected: Option<Duration>,
        end: &str,
    ) -> Result<()> {
        let measured = Measured::new(part, case, end).load(load).corrected(corrected);
        self.note(&format!("{measured:?}"));
        measured.keep()
    }

    /// A figure for the record.
    pub fn note(&self, text: &str) {
        eprintln!("[{}] {text}", self.namespace);
    }
}
