//! What is started for a container.

use super::env::{self, Sources, Variables};
use super::{agent::Context, volumes};
use crate::images;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use kube::{Api, ResourceExt};
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command as Process};

/// A container's process, ready to be started.
#[derive(Clone, Debug)]
pub(super) struct Command {
    argv: Vec<String>,
    variables: Variables,
    directory: PathBuf,
    log: PathBuf,
}

/// Why a container cannot be started, as its waiting reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

impl Command {
    /// Looks up image, environment and volumes.
    pub(super) async fn prepare(
        context: &Context,
        pod: &Pod,
        container: &Container,
        address: &str,
    ) -> Result<Self, Refusal> {
        let reference = container.image.clone().unwrap_or_default();
        let image = images::resolve(&context.image_directories(), &reference)
            .map_err(|error| Refusal { reason: "ErrImagePull", message: format!("{error:#}") })?;
        let refuse = |message: String| Refusal { reason: "CreateContainerConfigError", message };
        let sources = sources(context, pod).await.map_err(|error| refuse(format!("{error:#}")))?;
        let directory = context.run.pods().join(pod.uid().unwrap_or_default());
        let volumes = volumes::create(pod, &directory.join("volumes"), &sources)
            .map_err(|error| refuse(format!("{error:#}")))?;
        let mut base = base(pod, address);
        base.extend(volumes);
        base.extend(image.env);
        let mut variables = env::resolve(container, pod, address, &sources, base).map_err(refuse)?;
        // Always the truth, whatever the template says.
        variables.insert("POD_IP".into(), address.into());
        let entrypoint =
            container.command.clone().filter(|command| !command.is_empty()).unwrap_or(image.command);
        let argv: Vec<String> = entrypoint
            .iter()
            .chain(container.args.iter().flatten())
            .map(|argument| env::expand(argument, &variables))
            .collect();
        if argv.is_empty() {
            return Err(refuse(format!(
                "the image {reference:?} runs nothing by itself: give the container a command"
            )));
        }
        let log = context.run.pod_logs(&pod.namespace().unwrap_or_default(), &pod.name_any());
        let log = log.join(format!("{}.log", container.name));
        let directory = container.working_dir.as_ref().map_or(directory, PathBuf::from);
        Ok(Self { argv, variables, directory, log })
    }

    /// Starts it as the leader of a process group of its own, output to the container's log.
    pub(super) fn start(&self) -> Result<Child> {
        let mut process = self.process(&self.argv)?;
        process.process_group(0);
        process.spawn().with_context(|| format!("could not start {:?}", self.argv))
    }

    /// Runs another command with the same environment to its end (probes and hooks).
    pub(super) async fn run(&self, argv: &[String]) -> Result<ExitStatus> {
        let mut process = self.process(argv)?;
        Ok(process.kill_on_drop(true).status().await?)
    }

    fn process(&self, argv: &[String]) -> Result<Process> {
        let (program, arguments) = argv.split_first().context("an empty command")?;
        if let Some(parent) = self.log.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut process = Process::new(program);
        process
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(process)
    }
}

/// What every container has: the machine's tools, its own name, and the way to the API server.
fn base(pod: &Pod, address: &str) -> Variables {
    let inherited = |name: &str| std::env::var(name).unwrap_or_default();
    [
        ("PATH", inherited("PATH")),
        ("HOME", inherited("HOME")),
        ("HOSTNAME", pod.name_any()),
        ("POD_IP", address.into()),
        ("KUBERNETES_SERVICE_HOST", crate::net::API_SERVICE_IP.into()),
        ("KUBERNETES_SERVICE_PORT", "443".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The config maps and secrets that the pod names anywhere.
async fn sources(context: &Context, pod: &Pod) -> Result<Sources> {
    let Some(spec) = &pod.spec else { return Ok(Sources::default()) };
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        for from in container.env_from.iter().flatten() {
            maps.extend(from.config_map_ref.iter().map(|from| from.name.clone()));
            secrets.extend(from.secret_ref.iter().map(|from| from.name.clone()));
        }
        for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            maps.extend(from.config_map_key_ref.iter().map(|key| key.name.clone()));
            secrets.extend(from.secret_key_ref.iter().map(|key| key.name.clone()));
        }
    }
    for volume in spec.volumes.iter().flatten() {
        maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
    }
    let namespace = pod.namespace().unwrap_or_default();
    let mut sources = Sources::default();
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    for name in maps {
        if let Some(found) = api.get_opt(&name).await? {
            sources.config_maps.insert(name, found);
        }
    }
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    for name in secrets {
        if let Some(found) = api.get_opt(&name).await? {
            sources.secrets.insert(name, found);
        }
    }
    Ok(sources)
}
