//! Controllers under test: the operator's binary, started and killed at will.

use crate::process::Spec;
use std::path::PathBuf;

/// How to start a controller.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its name: for its log and for messages.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables; `KUBECONFIG` is set from `kubeconfig`.
    pub env: Vec<(String, String)>,
    /// Whose rights it has (see `Lab::service_account_kubeconfig`).
    pub kubeconfig: PathBuf,
}

impl Controller {
    pub(crate) fn spec(self, log: PathBuf) -> Spec {
        let Self { name, program, args, env, kubeconfig } = self;
        let mut spec = Spec { name, program, args, env, log };
        spec.env.push(("KUBECONFIG".into(), kubeconfig.display().to_string()));
        spec
    }
}
