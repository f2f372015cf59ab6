//! Understudy releases model versions safely on Kubernetes.

pub mod analysis;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod measure;
pub mod registry;
pub mod rollout;
pub mod serve;
pub mod telemetry;
pub mod traffic;
pub mod workload;
