//! Understudy releases model versions safely on Kubernetes.

pub mod api;
