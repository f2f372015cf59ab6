//! A running lab, as tests and the demo hold it.

use crate::access_log::AccessLog;
use crate::apply::Applier;
use crate::audit::Audit;
use crate::client::{self, User};
use crate::components::{
    Component, Site, apiserver, contour, controller_manager, envoy, etcd, kube_proxy, node, prometheus,
    scheduler,
};
use crate::controller::Controller;
use crate::images::{self, Image};
use crate::net;
use crate::paths::RunDir;
use crate::process::Process;
use crate::prometheus::Prometheus;
use crate::state::{self, State, Urls};
use crate::wait::wait_for;
use crate::{build, pki};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SYSTEM: &str = include_str!("../manifests/system.yaml");
/// How long any one component may take; the whole is far below that once everything is built.
const START: Duration = Duration::from_secs(60);

/// How a lab is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its name; none: the program's name and a random part, removed when the lab is dropped.
    pub name: Option<String>,
    /// Keep its files (logs, state) when it is dropped.
    pub keep_files: bool,
}

/// A lab of this process. Dropped = everything killed.
pub struct Lab {
    components: Vec<Component>,
    site: Site,
    admin: Client,
    applier: Applier,
    keep_files: bool,
    _lock: File,
}

impl Lab {
    /// Builds what is missing, starts everything and waits until it is ready.
    ///
    /// # Errors
    /// When not called after [`crate::inside()`], when a build fails, or when a component does not get ready; with
    /// the component's last words.
    pub async fn create(options: Options) -> Result<Self> {
        if !crate::inside::is_inside() {
            bail!("a lab needs namespaces of its own: call `lab::inside()?` first in `main`");
        }
        let artifacts = tokio::task::spawn_blocking(build::build).await??;
        let started = Instant::now();
        let keep_files = options.keep_files || options.name.is_some();
        let run = RunDir::of(&options.name.unwrap_or_else(random_name));
        let lock = state::claim(&run)?;
        net::set_up()?;
        let site = Site { pki: pki::create(&run)?, run, artifacts };
        let components = control_plane(&site).await?;
        let admin = client::connect(&site.run.kubeconfig("admin"), &User::Admin).await?;
        let applier = Applier::new(admin.clone());
        let mut lab = Self { components, site, admin, applier, keep_files, _lock: lock };
        lab.workers().await?;
        lab.gateway().await?;
        lab.state(started.elapsed()).write(&lab.site.run)?;
        Ok(lab)
    }

    /// A client with the administrator's rights.
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// A client with somebody's rights.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self, user: &User) -> Result<Client> {
        client::connect(&self.kubeconfig(), user).await
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.site.run.kubeconfig("admin")
    }

    /// A kubeconfig with the token of a service account: exactly its rights, under its name.
    ///
    /// # Errors
    /// When there is no such service account.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = client::token(&self.admin, namespace, name).await?;
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let path = self.site.run.kubeconfig(&user);
        pki::private(&path, &pki::kubeconfig(&self.site.pki.ca(), &user, &token)?)?;
        Ok(path)
    }

    /// The lab's directory: logs, configuration, state.
    pub fn directory(&self) -> &Path {
        self.site.run.root()
    }

    /// The lab's name.
    pub fn name(&self) -> String {
        self.site.run.name()
    }

    /// Applies YAML as field manager `lab` (see [`Applier::apply`]).
    ///
    /// # Errors
    /// For the first object that is refused.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.applier.apply(yaml, "lab").await
    }

    /// Applies YAML as another field manager.
    ///
    /// # Errors
    /// For the first object that is refused.
    pub async fn apply_as(&self, yaml: &str, manager: &str) -> Result<Vec<DynamicObject>> {
        self.applier.apply(yaml, manager).await
    }

    /// Deletes the objects of a YAML text.
    ///
    /// # Errors
    /// For the first object that cannot be deleted.
    pub async fn delete(&self, yaml: &str) -> Result<()> {
        self.applier.delete(yaml).await
    }

    /// Any kind of object, by an example with apiVersion, kind and namespace.
    ///
    /// # Errors
    /// When the API server does not know the kind.
    pub async fn api(&self, example: &DynamicObject) -> Result<Api<DynamicObject>> {
        self.applier.api(example).await
    }

    /// Registers an image for this lab alone.
    ///
    /// # Errors
    /// For a bad name or a file that cannot be written.
    pub fn register_image(&self, reference: &str, image: &Image) -> Result<()> {
        images::register(&self.site.run.images(), reference, image)
    }

    /// Starts a controller under test; its log is `logs/<name>.log`.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn start_controller(&self, controller: Controller) -> Result<Process> {
        let log = self.site.run.log(&controller.name);
        Process::start(controller.spec(log))
    }

    /// What Envoy has answered so far, by request id.
    pub fn access_log(&self) -> AccessLog {
        AccessLog::new(self.site.run.access_log())
    }

    /// Requests to the API server from now on.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn audit(&self) -> Result<Audit> {
        Audit::from_now(self.site.run.audit_log())
    }

    /// Prometheus: query, stop, start, how often it scrapes.
    ///
    /// # Errors
    /// Never in a lab that was created whole.
    pub fn prometheus(&self) -> Result<Prometheus<'_>> {
        Ok(Prometheus::new(self.component("prometheus")?, &self.site))
    }

    /// A component by name (`node`, `contour`, `kube-proxy`, ...), to kill or freeze it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn component(&self, name: &str) -> Result<&Component> {
        let found = self.components.iter().find(|component| component.process.name() == name);
        found.with_context(|| format!("the lab has no component {name:?}"))
    }

    /// All components, in the order they were started.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Names of pods by address, also the address and port form of Envoy's `upstream_host` without its port.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods_by_ip(&self, namespace: &str) -> Result<HashMap<String, String>> {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), namespace);
        let pods = pods.list(&ListParams::default()).await?;
        Ok(pods
            .into_iter()
            .filter_map(|pod| Some((pod.status.as_ref()?.pod_ip.clone()?, pod.name_any())))
            .collect())
    }

    async fn workers(&mut self) -> Result<()> {
        let site = &self.site;
        self.components
            .push(Component::start(controller_manager::spec(site), Some(controller_manager::HEALTH))?);
        self.components.push(Component::start(scheduler::spec(site)?, Some(scheduler::HEALTH))?);
        self.components.push(Component::start(node::spec(site)?, None)?);
        self.components.push(Component::start(kube_proxy::spec(site)?, None)?);
        self.components.push(Component::start(prometheus::spec(site)?, Some(prometheus::HEALTH))?);
        Ok(())
    }

    async fn gateway(&mut self) -> Result<()> {
        let artifacts = &self.site.artifacts;
        for file in [&artifacts.gateway_crds, &artifacts.contour_crds] {
            self.apply(&std::fs::read_to_string(file)?).await?;
        }
        let kinds: Api<CustomResourceDefinition> = Api::all(self.admin.clone());
        wait_for("the gateway's kinds", START, async || established(&kinds).await).await?;
        self.components.push(Component::start(contour::spec(&self.site)?, Some(contour::HEALTH))?);
        self.components.push(Component::start(envoy::spec(&self.site)?, Some(envoy::HEALTH))?);
        let system = self.apply(SYSTEM).await?;
        self.accept_class(&system).await?;
        for component in &self.components {
            component.ready(START).await?;
        }
        let gateway = system.last().context("the system manifest ends with the Gateway")?;
        let gateways = self.api(gateway).await?;
        wait_for("the gateway lab-system/lab", START, async || programmed(&gateways).await).await
    }

    /// Contour leaves the class to its provisioner, which a lab does not have. As that one, this publishes no features.
    async fn accept_class(&self, system: &[DynamicObject]) -> Result<()> {
        let is_class =
            |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "GatewayClass");
        let class = system.iter().find(is_class).context("the system manifest has no GatewayClass")?;
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let status = json!({"status": {"conditions": [{
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": now,
            "observedGeneration": class.metadata.generation,
        }]}});
        let classes = self.api(class).await?;
        classes.patch_status(&class.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    fn state(&self, took: Duration) -> State {
        State {
            name: self.name(),
            ready_at: chrono::Utc::now(),
            ready_after_ms: took.as_millis().try_into().unwrap_or(u64::MAX),
            kubeconfig: self.kubeconfig(),
            urls: Urls::default(),
            components: self.components.iter().map(Component::state).collect(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // In reverse: whoever writes to the API server goes before it. The node agent takes its pods along.
        while let Some(component) = self.components.pop() {
            if component.process.name() == "node" {
                component.process.terminate(Duration::from_secs(3));
            }
        }
        if !self.keep_files
            && let Err(error) = state::remove(&self.site.run)
        {
            eprintln!("lab: {error:#}");
        }
    }
}

async fn control_plane(site: &Site) -> Result<Vec<Component>> {
    let etcd = Component::start(etcd::spec(site), Some(etcd::HEALTH))?;
    etcd.ready(START).await?;
    let server = Component::start(apiserver::spec(site)?, Some(apiserver::HEALTH))?;
    server.ready(START).await?;
    Ok(vec![etcd, server])
}

async fn established(kinds: &Api<CustomResourceDefinition>) -> Result<(), String> {
    let list = kinds.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    let is_established = |kind: &CustomResourceDefinition| {
        let conditions = kind.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Established" && one.status == "True"))
    };
    match list.items.iter().find(|kind| !is_established(kind)) {
        Some(kind) => Err(format!("{} is not established", kind.name_any())),
        None => Ok(()),
    }
}

async fn programmed(gateways: &Api<DynamicObject>) -> Result<(), String> {
    let gateway = gateways.get("lab").await.map_err(|error| error.to_string())?;
    let conditions = &gateway.data["status"]["conditions"];
    let is_programmed = |one: &serde_json::Value| one["type"] == "Programmed" && one["status"] == "True";
    let done = conditions.as_array().is_some_and(|all| all.iter().any(is_programmed));
    if done { Ok(()) } else { Err(conditions.to_string()) }
}

fn random_name() -> String {
    let program = std::env::current_exe().ok();
    let stem = program.as_ref().and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy();
    format!("{}-{:08x}", stem, rand::random::<u32>())
}
