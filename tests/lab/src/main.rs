//! The lab, from the command line.

fn main() -> std::process::ExitCode {
    lab::cli::main()
}
