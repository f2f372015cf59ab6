//! How it fits the cluster it is put in: each test is a line of `docs/fits.md`.

pub mod covered;
pub mod take_over;
pub mod templates;
