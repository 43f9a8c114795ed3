//! `cwmpctl`: words in, one request to the supervisor, its answers out.

mod args;
mod client;
mod config;
mod log;
mod page;
mod render;
mod run;
mod shell;
mod status;
mod times;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use args::Arguments;

/// Runs the program; clap itself exits with 2 on wrong words.
pub fn main() -> ExitCode {
    let Arguments { socket, json, words } = Arguments::parse();
    let Some(words) = words else {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            return ExitCode::from(shell::run(&socket, json));
        }
        let missing = "which word? `cwmpctl help` lists them";
        Arguments::command().error(ErrorKind::MissingSubcommand, missing).exit();
    };
    ExitCode::from(run::words(words, &socket, json, run::Interrupt::Ends))
}
