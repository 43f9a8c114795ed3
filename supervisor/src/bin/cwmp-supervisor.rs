//! The supervisor's program.

fn main() -> std::process::ExitCode {
    supervisor::daemon::main()
}
