//! cwmpd: the unprivileged worker that speaks CWMP with the ACS on behalf of cwmp-supervisor.

mod agenda;
mod connection_request;
mod driver;
mod http;
mod link;
#[cfg(test)]
mod proof;
mod rpc;
mod session;
mod soap;
mod test_points;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use driver::Exit;

/// Exit code when the supervisor speaks another version of the worker protocol.
const EXIT_INCOMPATIBLE: u8 = 3;

/// The CWMP worker: sessions with an ACS, without privileges and without a disk. cwmp-supervisor starts it.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The supervisor's worker socket
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Leave when the connection to the supervisor closes, instead of connecting again
    #[arg(long)]
    child: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    // The only blocking work is the resolver's.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
    let exit = runtime.block_on(async { tokio::spawn(driver::run(args.socket, args.child)).await })?;
    // A name look-up that hangs must not keep us.
    runtime.shutdown_background();
    Ok(match exit {
        Exit::Stopped => ExitCode::SUCCESS,
        Exit::Incompatible => EXIT_INCOMPATIBLE.into(),
        Exit::LinkLost => ExitCode::FAILURE,
    })
}
