//! `cwmpctl`: words in, one request to the supervisor, its answer out.

mod args;
mod client;
mod render;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use ipc_proto::control::Response;

use args::Arguments;

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;

/// Runs the program; clap itself exits with 2 on wrong words.
pub fn main() -> ExitCode {
    let Arguments { socket, json, words } = Arguments::parse();
    let request = match words.request(ask_secret) {
        Ok(request) => request,
        Err(error) => return complain(&error.to_string(), USAGE),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string(), UNREACHABLE),
    };
    // What is waited for is said at once, and beside the answer, not in it.
    let waiting = |why: &str| {
        complain(why, 0);
    };
    match runtime.block_on(client::ask(&socket, &request, waiting)) {
        Err(error) => complain(&error.to_string(), UNREACHABLE),
        Ok(Response::Refused(reason)) => {
            if json {
                print(&render::json(&Response::Refused(reason.clone())));
            }
            complain(&reason, REFUSED)
        }
        Ok(response) => {
            print(&if json { render::json(&response) } else { render::text(&response) });
            ExitCode::SUCCESS
        }
    }
}

/// A reader that closed the pipe has what it wanted.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn complain(reason: &str, code: u8) -> ExitCode {
    let text = render::text(&Response::Refused(reason.to_owned()));
    let _ = io::stderr().write_all(format!("cwmpctl: {text}").as_bytes());
    ExitCode::from(code)
}

/// From the terminal without showing it, or from the first line of standard input.
fn ask_secret(name: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{name}: "));
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
