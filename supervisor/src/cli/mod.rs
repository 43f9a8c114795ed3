//! `cwmpctl`: words in, one request to the supervisor, its answers out.

mod args;
mod away;
mod client;
mod config;
mod history;
mod line_limit;
mod log;
mod page;
mod question;
mod render;
mod run;
mod shell;
mod status;
mod times;
mod usage;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{FromArgMatches as _, error::ErrorKind};

use args::Arguments;

fn parse() -> Result<Arguments, clap::Error> {
    Arguments::from_arg_matches(&Arguments::tree().try_get_matches()?)
}

/// Runs the program.
pub fn main() -> ExitCode {
    let Arguments { socket, json, words } = match parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let given: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            return ExitCode::from(usage::explain(&error, &given));
        }
    };
    let Some(words) = words else {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            return ExitCode::from(shell::run(&socket, json));
        }
        let missing = "which word? `cwmpctl help` lists them";
        let error = Arguments::tree().error(ErrorKind::MissingSubcommand, missing);
        return ExitCode::from(usage::explain(&error, &[]));
    };
    ExitCode::from(run::words(words, &socket, json, run::Interrupt::Ends))
}
