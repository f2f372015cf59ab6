//! Understudy releases model versions safely on Kubernetes.
