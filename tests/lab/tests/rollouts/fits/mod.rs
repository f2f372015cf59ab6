//! How it fits the cluster it is put in: each test is a line of `docs/fits.md`.

pub mod autoscalers;
pub mod bad_input;
pub mod covered;
pub mod git;
pub mod no_gateway;
pub mod take_over;
pub mod templates;
