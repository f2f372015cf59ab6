//! The command line: one file per subcommand.

pub mod answer;
pub mod audit_evidence;
pub mod backtest;
pub mod config;
pub mod controller;
pub mod crds;
mod digits;
pub mod input;
pub mod judge;
mod judge_plot;
pub mod output;
pub mod past;
pub mod plan;
pub mod simulate;
