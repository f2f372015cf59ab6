//! Where the lab keeps its files.

use std::path::{Path, PathBuf};

/// The build directory: `build/` of the repository, or `UNDERSTUDY_BUILD_DIR`.
pub fn build_dir() -> PathBuf {
    match std::env::var_os("UNDERSTUDY_BUILD_DIR") {
        Some(dir) if !dir.is_empty() => std::path::absolute(PathBuf::from(dir)).unwrap_or_default(),
        _ => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .unwrap_or_default()
            .join("build"),
    }
}

/// Built programs, shared by all labs. Entries are named by a hash of their inputs and never change.
pub fn cache_dir() -> PathBuf {
    build_dir().join("lab/cache")
}

/// The images table that all labs share (see [`crate::images`]).
pub fn images_dir() -> PathBuf {
    build_dir().join("lab/images")
}

/// State, data and logs of the labs that run, one directory each.
pub fn run_root() -> PathBuf {
    build_dir().join("lab/run")
}

/// The files of one lab.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The directory of the lab `name`.
    pub fn of(name: &str) -> Self {
        Self { root: run_root().join(name) }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lab's name.
    pub fn name(&self) -> String {
        self.root.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Held locked by the process that runs the lab, for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Certificates, keys, tokens.
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The kubeconfig of a user of the lab.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join("kubeconfig").join(user.replace(':', "_"))
    }

    /// Configuration files written for the components.
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// Data of etcd and Prometheus.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The log of a component.
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("logs").join(format!("{component}.log"))
    }

    /// The logs of a pod, one file per container, kept after the pod is gone.
    pub fn pod_logs(&self, namespace: &str, pod: &str) -> PathBuf {
        self.root.join("logs/pods").join(format!("{namespace}_{pod}"))
    }

    /// Working files of the pods, one directory per UID.
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// The pods that Prometheus is told about.
    pub fn targets(&self) -> PathBuf {
        self.config().join("targets.json")
    }

    /// Images of this lab alone; they come before the shared ones.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Envoy's access log, one JSON object per line.
    pub fn access_log(&self) -> PathBuf {
        self.root.join("logs/access.jsonl")
    }

    /// The API server's audit log, one JSON object per line.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("logs/audit.jsonl")
    }

    /// What the lab says about itself ([`crate::state::State`]).
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Creates all directories.
    pub fn create(&self) -> std::io::Result<()> {
        for dir in
            [self.pki(), self.root.join("kubeconfig"), self.config(), self.data(), self.pods(), self.images()]
        {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::create_dir_all(self.root.join("logs/pods"))
    }
}
