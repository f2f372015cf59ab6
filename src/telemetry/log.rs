//! Logs: one line per event, as JSON or as text, with the fields `namespace`, `rollout`, `phase` and `plan`.

use tracing_subscriber::EnvFilter;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Starts logging to standard error. What is said is set by `RUST_LOG`, and else is `info` of ours and `warn` of others.
pub fn start(format: Format) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,understudy=info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
        Format::Text => lines.with_ansi(terminal).try_init(),
    };
}
