//! Certificates, the key that signs service account tokens, the users' tokens and kubeconfigs.

use crate::net;
use crate::paths::RunDir;
use anyhow::{Context, Result};
use rand::Rng;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Users that the API server knows by a token. All are `system:masters`: they are the lab, not what it tests.
/// What is tested runs under service accounts.
pub const USERS: [&str; 6] = [
    "admin",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "lab:node",
    "lab:contour",
];

/// Files that [`create`] writes.
#[derive(Clone, Debug)]
pub struct Pki {
    directory: PathBuf,
}

impl Pki {
    /// The files of a lab.
    pub fn of(run: &RunDir) -> Self {
        Self { directory: run.pki() }
    }

    /// The certificate authority.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// The API server's certificate.
    pub fn server_certificate(&self) -> PathBuf {
        self.directory.join("apiserver.crt")
    }

    /// The API server's key.
    pub fn server_key(&self) -> PathBuf {
        self.directory.join("apiserver.key")
    }

    /// Signs service account tokens.
    pub fn token_key(&self) -> PathBuf {
        self.directory.join("sa.key")
    }

    /// Verifies service account tokens.
    pub fn token_public_key(&self) -> PathBuf {
        self.directory.join("sa.pub")
    }

    /// Users and tokens, in the API server's format.
    pub fn users(&self) -> PathBuf {
        self.directory.join("users.csv")
    }

    /// One user's token, alone in a file.
    pub fn token(&self, user: &str) -> PathBuf {
        self.directory.join(format!("{}.token", user.replace(':', "_")))
    }
}

/// Writes all keys, certificates, tokens and the users' kubeconfigs.
///
/// # Errors
/// When a file cannot be written.
pub fn create(run: &RunDir) -> Result<Pki> {
    let pki = Pki::of(run);
    certificates(&pki).context("could not make the lab's certificates")?;
    let mut users = String::new();
    for (index, user) in USERS.iter().enumerate() {
        let token: String =
            rand::rng().sample_iter(rand::distr::Alphanumeric).take(32).map(char::from).collect();
        users.push_str(&format!("{token},{user},{index},\"system:masters\"\n"));
        private(&pki.token(user), &token)?;
        private(&run.kubeconfig(user), &kubeconfig(&pki.ca(), user, &token)?)?;
    }
    private(&pki.users(), &users)?;
    Ok(pki)
}

/// A kubeconfig for a user with a token.
pub fn kubeconfig(ca: &Path, user: &str, token: &str) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "clusters": [{"name": "lab", "cluster": {"server": net::API_SERVER, "certificate-authority": ca}}],
        "users": [{"name": user, "user": {"token": token}}],
    });
    // JSON is YAML.
    Ok(serde_json::to_string_pretty(&config)?)
}

fn certificates(pki: &Pki) -> Result<()> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(rcgen::DnType::CommonName, "understudy lab");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let server_key = KeyPair::generate()?;
    let names = [
        net::HOST_IP,
        net::API_SERVICE_IP,
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut server = CertificateParams::new(names.map(String::from).to_vec())?;
    server.distinguished_name.push(rcgen::DnType::CommonName, "kube-apiserver");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_certificate = server.signed_by(&server_key, &issuer)?;

    let token_key = KeyPair::generate()?;
    private(&pki.ca(), &ca_certificate.pem())?;
    private(&pki.server_certificate(), &server_certificate.pem())?;
    private(&pki.server_key(), &server_key.serialize_pem())?;
    private(&pki.token_key(), &token_key.serialize_pem())?;
    private(&pki.token_public_key(), &token_key.public_key_pem())
}

/// Writes a file that only this user can read.
pub(crate) fn private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}
