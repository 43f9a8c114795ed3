//! The command line client's program.

fn main() -> std::process::ExitCode {
    supervisor::cli::main()
}
