//! A lab with a workload in it: the user's objects, the operator under its own rights, and observers of all of it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use understudy::api::ModelRollout;

use super::observe::{Body, PodWatch, RolloutWatch, RouteWatch, Write, writes};
use super::{manifests, operator, programs};
use crate::apply::Applier;
use crate::client::{self, User};
use crate::images::{self, Image};
use crate::lab::{Lab, Options};
use crate::load::{self, AccessLog, Images, Question, Recording, Report, Target};
use crate::models::{self, Models};
use crate::net;
use crate::paths::RunDir;
use crate::process::Process;
use crate::wait::wait_for;

/// Name of the Deployment, the Service, the HTTPRoute and the ModelRollout.
pub const NAME: &str = "digits";
/// Longest wait for anything that does not depend on evidence.
const PATIENCE: Duration = Duration::from_secs(60);
/// The field manager of the user's own tool.
const USER: &str = "team";

/// A workload in a lab. Dropped: operator and observers end, and with them the lab, unless it was attached to.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use lab::scenario::{Cluster, LoadPlan};
/// let mut cluster = Cluster::create(lab::Options::default(), "shop").await?;
/// let user = cluster.route_body().await?;             // before anybody adopts anything
/// cluster.start_operator().await?;
/// let load = cluster.start_load(&LoadPlan::default()).await?;
/// cluster.adopt().await?;                             // 1.0.0 is active, nothing was touched
/// cluster.release("1.1.0").await?;
/// # Ok(()) }
/// ```
pub struct Cluster {
    /// The operator's process, once started: to kill, freeze or restart it.
    pub operator: Option<Process>,
    /// Every version of the user's HTTPRoute.
    pub route: RouteWatch,
    /// Every pod.
    pub pods: PodWatch,
    /// Every version of the ModelRollout.
    pub rollout: RolloutWatch,
    /// The trained versions.
    pub models: Models,
    namespace: String,
    client: Client,
    applier: Applier,
    run: RunDir,
    lab: Option<Lab>,
}

/// What load is put on.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Requests per second through the gateway.
    pub gateway: f64,
    /// Requests per second to the Service over kept connections, and as many over new ones; 0: none.
    pub service: f64,
    /// Share of the requests that are feedback with the true label, 0 to 1.
    pub feedback: f64,
    /// How long a client waits for an answer.
    pub timeout: Duration,
    /// How long it lasts unless stopped.
    pub duration: Duration,
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self {
            gateway: 300.0,
            service: 25.0,
            feedback: 0.5,
            timeout: Duration::from_secs(5),
            duration: Duration::from_secs(3600),
        }
    }
}

impl Cluster {
    /// A lab of this process' own, with 1.0.0 of `digits` serving in `namespace`, all versions registered, and the
    /// operator's kinds and rights installed. Call [`crate::inside()`] first.
    ///
    /// # Errors
    /// When the lab does not come up or an object is refused.
    pub async fn create(options: Options, namespace: &str) -> Result<Self> {
        let models = tokio::task::spawn_blocking(models::ensure).await??;
        let lab = Lab::create(options).await?;
        let run = RunDir::of(&lab.name());
        Self::set_up(run, Some(lab), models, namespace).await
    }

    /// The same in a lab that runs already (`lab up`), from a process inside it (`lab exec`). It is left running.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn attach(lab: &str, namespace: &str) -> Result<Self> {
        let models = tokio::task::spawn_blocking(models::ensure).await??;
        Self::set_up(RunDir::of(lab), None, models, namespace).await
    }

    async fn set_up(run: RunDir, lab: Option<Lab>, models: Models, namespace: &str) -> Result<Self> {
        let image =
            Image { command: vec![text(programs::lab()?), "model-server".to_owned()], ..Image::default() };
        images::register(&run.images(), "lab/model-server", &image)?;
        let client = client::connect(&run.kubeconfig("admin"), &User::Admin).await?;
        let applier = Applier::new(client.clone());
        operator::install(&applier).await?;
        applier.apply(&manifests::serving(&models, namespace)?, USER).await?;
        applier.apply(&manifests::versions(&models, namespace)?, USER).await?;
        let cluster = Self {
            operator: None,
            route: RouteWatch::start(client.clone(), namespace, NAME, &format!("{NAME}-candidate")),
            pods: PodWatch::start(client.clone(), namespace),
            rollout: RolloutWatch::start(client.clone(), namespace, NAME),
            models,
            namespace: namespace.to_owned(),
            client,
            applier,
            run,
            lab,
        };
        cluster.wait_serving().await?;
        Ok(cluster)
    }

    /// The namespace of the workload.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The files of the lab: logs, kubeconfigs.
    pub fn files(&self) -> &RunDir {
        &self.run
    }

    /// The lab, when it is this process' own.
    pub fn lab(&self) -> Option<&Lab> {
        self.lab.as_ref()
    }

    /// Applies YAML as a user does.
    ///
    /// # Errors
    /// For the first object that is refused.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.applier.apply(yaml, USER).await
    }

    /// Starts the operator under its own service account and waits until it leads. Its log is `logs/operator.log`.
    ///
    /// # Errors
    /// When it was not built, does not start or does not lead.
    pub async fn start_operator(&mut self) -> Result<()> {
        let process = operator::start(&self.client, &self.run, "operator", operator::ADDRESS).await?;
        let leads = operator::wait_leading(&self.client, &process).await;
        self.operator = Some(process);
        leads
    }

    /// Starts a second operator beside the first, at [`super::STANDBY_ADDRESS`]. Its log is `logs/standby.log`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_standby(&self) -> Result<Process> {
        operator::start(&self.client, &self.run, "standby", operator::STANDBY).await
    }

    /// Creates the ModelRollout at 1.0.0 and waits until the operator says that it is active.
    ///
    /// # Errors
    /// When it is refused or not adopted.
    pub async fn adopt(&self) -> Result<()> {
        self.apply(&manifests::rollout(&self.namespace)).await?;
        let active = |rollout: &ModelRollout| {
            let status = rollout.status.as_ref()?;
            let active = status.active.as_ref()?;
            (status.phase == Some(understudy::api::Phase::Active) && active.version == "1.0.0").then_some(())
        };
        self.rollout.wait("1.0.0 to be adopted", PATIENCE, active).await
    }

    /// Names another version in the ModelRollout: the one line that a release is.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn release(&self, version: &str) -> Result<()> {
        self.edit(json!({"spec": {"version": version}})).await
    }

    /// Merges a change into the ModelRollout, as a user does.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn edit(&self, change: Value) -> Result<()> {
        let rollouts: Api<ModelRollout> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PatchParams { field_manager: Some(USER.to_owned()), ..PatchParams::default() };
        rollouts
            .patch(NAME, &params, &Patch::Merge(change))
            .await
            .context("the ModelRollout cannot be changed")?;
        Ok(())
    }

    /// The user's route as the API server has it now.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn route_body(&self) -> Result<Body> {
        let routes: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &super::observe::route_resource());
        let route = routes.get(NAME).await.context("the HTTPRoute cannot be read")?;
        Ok(Body::of(&serde_json::to_value(&route)?))
    }

    /// Puts load on: through the gateway, and to the Service from inside the cluster.
    ///
    /// # Errors
    /// When the Service has no address or the load cannot be started.
    pub async fn start_load(&self, plan: &LoadPlan) -> Result<load::Running> {
        let mut targets = Vec::new();
        let gateway: SocketAddr = net::GATEWAY.trim_start_matches("http://").parse()?;
        targets.push(Target { rate: plan.gateway, feedback: plan.feedback, ..Target::gateway(gateway) });
        if plan.service > 0.0 {
            let address = self.service_address().await?;
            targets.extend([true, false].map(|keep| Target {
                rate: plan.service,
                feedback: plan.feedback,
                ..Target::service(address, keep)
            }));
        }
        let mut config = load::Config::new(targets, plan.duration);
        config.timeout = plan.timeout;
        load::start(config, Images::read(&self.models.holdout)?)
    }

    /// What came of a load: each request attributed by the gateway's own log to the pod that it went to.
    ///
    /// # Errors
    /// When the gateway's log cannot be read.
    pub async fn report(&self, recording: &Recording, bad: &[&str]) -> Result<Report> {
        let log = self.access_log(recording).await?;
        Ok(self.attributed(recording, &log, bad))
    }

    /// The gateway's log of a load.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn access_log(&self, recording: &Recording) -> Result<AccessLog> {
        AccessLog::read_whole(&self.run.access_log(), recording, Duration::from_secs(15)).await
    }

    /// As [`Self::report`], from a log that was read before.
    pub fn attributed(&self, recording: &Recording, log: &AccessLog, bad: &[&str]) -> Report {
        let pods = self.pods.serving();
        let question = Question { pods: &pods, bad, slow_after: Duration::from_millis(50) };
        load::attribute(recording, Some(log), &question)
    }

    /// Accepted writes of the user's route by the operator, by the API server's own account.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn route_writes(&self) -> Result<Vec<Write>> {
        let all = writes(&self.run.audit_log(), "httproutes", &self.namespace, NAME)?;
        Ok(all.into_iter().filter(|write| write.user == operator::USER).collect())
    }

    async fn service_address(&self) -> Result<SocketAddr> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let service = services.get(NAME).await.context("the Service cannot be read")?;
        let address =
            service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no ClusterIP")?;
        Ok(SocketAddr::new(address.parse::<IpAddr>()?, 80))
    }

    /// Waits until all replicas of 1.0.0 are ready and the gateway sends requests to them.
    async fn wait_serving(&self) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        wait_for("the Deployment digits to be ready", PATIENCE, async || {
            let found = deployments.get(NAME).await.map_err(|error| error.to_string())?;
            let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            if ready == 2 { Ok(()) } else { Err(format!("{ready} of 2 pods are ready")) }
        })
        .await?;
        wait_for("the gateway to serve digits", PATIENCE, async || {
            crate::components::healthy(&format!("{}/readyz", net::GATEWAY)).await
        })
        .await
    }
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
