//! The words of cwmpctl.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use ipc_proto::{
    Secret, UtcTime,
    control::{Log, Request},
};

use super::{page::Page, times};
use crate::{
    config::table::{self, Kind},
    hub::MAX_CONFIRM_MINUTES as MAX_MINUTES,
};

/// Lines of a log that are shown without `--limit`.
pub const DEFAULT_LINES: u32 = 1000;
/// Bytes of a value that are sent to the supervisor, which takes far fewer.
pub const MAX_VALUE: usize = 64 * 1024;
/// Characters of a wrong word that are repeated.
const MAX_REPEATED: usize = 60;

/// Shows and sets the device's CWMP (TR-069) configuration.
#[derive(Debug, Parser)]
#[command(
    name = "cwmpctl",
    version,
    after_help = "Exit status: 0 done, 1 refused, 2 wrong words, 3 the supervisor cannot be reached."
)]
pub struct Arguments {
    /// The supervisor's socket.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "CWMP_SOCKET",
        default_value = "/run/cwmp/supervisor.sock"
    )]
    pub socket: PathBuf,
    /// Print JSON for scripts.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do; on a terminal, none of them opens the shell.
    #[command(subcommand)]
    pub words: Option<Words>,
}

/// The first word.
#[derive(Debug, Subcommand)]
pub enum Words {
    /// Put a change into the candidate: NAME=VALUE. A secret without `=` is asked for and not shown.
    Set {
        /// Such as cwmp.acs_url=http://acs.example.org/cwmp
        #[arg(value_name = "NAME=VALUE")]
        assignment: String,
    },
    /// Print one value, by its name or by its path in the data model.
    Get {
        /// Such as cwmp.acs_url or Device.DeviceInfo.UpTime
        name: String,
    },
    /// Show the parameters or the changes.
    Show {
        /// What to show.
        #[command(subcommand)]
        what: Show,
    },
    /// Make the candidate the running configuration, all of it or nothing.
    Apply(Apply),
    /// Keep what `apply confirm` made running.
    Confirm,
    /// Make the running configuration the startup one, which survives a reboot.
    Save,
    /// Drop the candidate.
    Revert,
    /// Restart the device, by the command that the settings name.
    Reboot(Sure),
    /// Bring the factory values back.
    Factory {
        /// What to do.
        #[command(subcommand)]
        what: Factory,
    },
    /// The CWMP daemon: its state, configuration and logs; inform, restart.
    Cwmp {
        /// What to do.
        #[command(subcommand)]
        what: Cwmp,
    },
}

/// After `show`.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// Every parameter with its value in force, its source and the change that waits.
    Cwmp,
    /// The changes that wait for `apply`.
    Changes,
}

/// After `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// In another way.
    #[command(subcommand)]
    pub how: Option<How>,
    /// End an open session with the ACS instead of waiting for it.
    #[arg(long, global = true)]
    pub now: bool,
}

/// After `apply`, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum How {
    /// Even where the running value has changed since it was set.
    Force,
    /// Undo it after so many minutes if three sessions have failed with it, unless one succeeds or you `confirm`.
    Confirm {
        /// From 1 to 1440.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_MINUTES)))]
        minutes: u32,
        /// Even where the running value has changed since it was set.
        #[arg(long)]
        force: bool,
    },
}

/// After `factory`.
#[derive(Debug, Subcommand)]
pub enum Factory {
    /// Forget every value that was set, saved or not, and tell the ACS as at a first start.
    Reset(Sure),
}

/// What a person is asked before the device restarts or forgets.
#[derive(Debug, Args)]
pub struct Sure {
    /// Do not ask: for scripts.
    #[arg(long)]
    pub yes: bool,
    /// End an open session with the ACS instead of waiting for it.
    #[arg(long)]
    pub now: bool,
}

/// After `cwmp`.
#[derive(Debug, Subcommand)]
pub enum Cwmp {
    /// Show the state of the daemon.
    Show {
        /// What to show.
        #[command(subcommand)]
        what: CwmpShow,
    },
    /// Open a session with the ACS now.
    Inform,
    /// Restart the daemon, by force if it hangs, and open a session.
    Restart,
}

/// After `cwmp show`.
#[derive(Debug, Subcommand)]
pub enum CwmpShow {
    /// Connected or not, and if not, why.
    Status {
        /// Show it again whenever it changes.
        #[arg(long)]
        watch: bool,
    },
    /// What the daemon runs with, as the data model and for people.
    Config,
    /// The config log: who changed what, and when.
    Log(LogArgs),
    /// The client log: what was said with the ACS.
    Client {
        /// Its log.
        #[command(subcommand)]
        what: Client,
    },
}

/// After `cwmp show client`.
#[derive(Debug, Subcommand)]
pub enum Client {
    /// What the ACS asked, what was done, and how long it took.
    Log(LogArgs),
}

/// Which lines of a log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Go on with new lines until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines from then on: a time such as 2026-03-01T12:00, or how long ago, such as 10min or 2h.
    #[arg(long, value_name = "TIME|AGO", value_parser = times::since)]
    pub since: Option<UtcTime>,
    /// The newest so many lines.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LINES, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

impl Arguments {
    /// The command line's own tree; where columns are few, what a word does stands below it.
    pub fn tree() -> clap::Command {
        let narrow = Page::of_stdout().width.is_some_and(|width| width < 60);
        Self::command().next_line_help(narrow)
    }
}

impl LogArgs {
    fn request(self, log: Log) -> Request {
        let Self { follow, since, limit } = self;
        Request::ShowLog { log, after_id: 0, since, limit, follow }
    }
}

/// Words that clap took and that still are wrong.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// `set` without a value.
    #[error("set wants NAME=VALUE, such as: set {0}=VALUE")]
    NoValue(String),
    /// A value of any length.
    #[error("{0}")]
    TooLong(String),
    /// The terminal did not give the secret.
    #[error("no value was read: {0}")]
    Ask(std::io::Error),
}

impl Words {
    /// What a person is asked before it is done; none when that is not needed, or was answered by `--yes`.
    pub fn question(&self) -> Option<&'static str> {
        match self {
            Self::Reboot(Sure { yes: false, .. }) => Some("This restarts the device."),
            Self::Factory { what: Factory::Reset(Sure { yes: false, .. }) } => {
                Some("This forgets every value that was set, saved or not, and may restart the device.")
            }
            _ => None,
        }
    }

    /// The request that the words are. `ask` reads a secret that is not shown.
    pub fn request(self, ask: impl FnOnce(&str) -> std::io::Result<String>) -> Result<Request, WordsError> {
        Ok(match self {
            Self::Set { assignment } => match assignment.split_once('=') {
                Some((name, value)) => set(name.trim(), value)?,
                None if table::row(&assignment).is_ok_and(|row| row.secret) => {
                    set(&assignment, &ask(&assignment).map_err(WordsError::Ask)?)?
                }
                // What comes behind the name may be a secret.
                None => return Err(WordsError::NoValue(name_in(&assignment))),
            },
            Self::Get { name } => Request::Get { name },
            Self::Show { what: Show::Cwmp } => Request::ShowParameters,
            Self::Show { what: Show::Changes } => Request::ShowChanges,
            Self::Apply(Apply { how, now }) => {
                let (force, confirm) = match how {
                    None => (false, None),
                    Some(How::Force) => (true, None),
                    Some(How::Confirm { minutes, force }) => (force, Some(minutes)),
                };
                Request::Apply { force, now, confirm }
            }
            Self::Confirm => Request::Confirm,
            Self::Reboot(Sure { now, .. }) => Request::Reboot { now },
            Self::Factory { what: Factory::Reset(Sure { now, .. }) } => Request::FactoryReset { now },
            Self::Save => Request::Save,
            Self::Revert => Request::Revert,
            Self::Cwmp { what: Cwmp::Show { what } } => match what {
                CwmpShow::Status { watch: false } => Request::Status,
                CwmpShow::Status { watch: true } => Request::WatchStatus,
                CwmpShow::Config => Request::ShowConfig,
                CwmpShow::Log(log) => log.request(Log::Config),
                CwmpShow::Client { what: Client::Log(log) } => log.request(Log::Client),
            },
            Self::Cwmp { what: Cwmp::Inform } => Request::Inform,
            Self::Cwmp { what: Cwmp::Restart } => Request::Restart,
        })
    }
}

fn set(name: &str, value: &str) -> Result<Request, WordsError> {
    if name.len() + value.len() <= MAX_VALUE {
        return Ok(Request::Set { name: name.to_owned(), value: Secret::new(value) });
    }
    let most = match table::row(name).map(|row| row.kind) {
        Ok(Kind::Text(max)) => format!("at most {max} characters"),
        Ok(Kind::Url) => "a URL of at most 256 characters".to_owned(),
        Ok(_) | Err(_) => format!("far less than {MAX_VALUE} bytes"),
    };
    Err(WordsError::TooLong(format!("{} must be {most}; this is far longer", name_in(name))))
}

fn name_in(assignment: &str) -> String {
    assignment.split_whitespace().next().unwrap_or_default().chars().take(MAX_REPEATED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_restarts_or_forgets_asks_first() {
        let asks = |words: &[&str]| {
            let arguments = Arguments::try_parse_from([&["cwmpctl"], words].concat()).unwrap();
            arguments.words.unwrap().question().is_some()
        };
        assert!(asks(&["reboot"]) && asks(&["factory", "reset", "--now"]));
        assert!(!asks(&["reboot", "--yes"]) && !asks(&["factory", "reset", "--yes"]) && !asks(&["apply"]));
        assert_eq!(request(&["reboot", "--yes", "--now"]).unwrap(), Request::Reboot { now: true });
    }

    fn request(words: &[&str]) -> Result<Request, WordsError> {
        let arguments = Arguments::try_parse_from([&["cwmpctl"], words].concat()).unwrap();
        arguments.words.unwrap().request(|_| Ok("asked".to_owned()))
    }

    #[test]
    fn the_words_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_value_may_hold_anything_but_the_first_equals_sign() {
        let Ok(Request::Set { name, value }) = request(&["set", "cwmp.acs_url=http://a/?x=1"]) else {
            panic!()
        };
        assert_eq!((name.as_str(), value.expose()), ("cwmp.acs_url", "http://a/?x=1"));
    }

    #[test]
    fn a_secret_without_a_value_is_asked_for() {
        let Ok(Request::Set { value, .. }) = request(&["set", "cwmp.acs_password"]) else { panic!() };
        assert_eq!(value.expose(), "asked");
        assert!(matches!(request(&["set", "cwmp.acs_url"]), Err(WordsError::NoValue(_))));
    }

    #[test]
    fn a_value_without_end_is_refused_with_its_limit() {
        let long = "x".repeat(1024 * 1024);
        for (name, limit) in [
            ("cwmp.provisioning_code", "cwmp.provisioning_code must be at most 64 characters"),
            ("cwmp.acs_url", "at most 256 characters"),
            ("no.such", "no.such must be far less than 65536 bytes"),
            (&long, "must be far less"),
        ] {
            let error = request(&["set", &format!("{name}={long}")]).unwrap_err().to_string();
            assert!(error.contains(limit) && error.len() < 200, "{error}");
        }
        let error = request(&["set", "cwmp.acs_pasword hunter2"]).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_limit_of_a_log_is_sane() {
        let limit = |words: &[&str]| match request(words) {
            Ok(Request::ShowLog { limit, .. }) => limit,
            other => panic!("{other:?}"),
        };
        assert_eq!(limit(&["cwmp", "show", "log"]), 1000);
        assert_eq!(limit(&["cwmp", "show", "client", "log", "--limit", "5"]), 5);
        assert!(Arguments::try_parse_from(["cwmpctl", "cwmp", "show", "log", "--limit", "0"]).is_err());
    }

    #[test]
    fn apply_takes_force_and_now() {
        let apply = |force, now, confirm| Request::Apply { force, now, confirm };
        assert_eq!(request(&["apply"]).unwrap(), apply(false, false, None));
        assert_eq!(request(&["apply", "--now"]).unwrap(), apply(false, true, None));
        assert_eq!(request(&["apply", "force", "--now"]).unwrap(), apply(true, true, None));
        assert_eq!(request(&["apply", "confirm", "5"]).unwrap(), apply(false, false, Some(5)));
        assert_eq!(request(&["apply", "confirm", "5", "--force"]).unwrap(), apply(true, false, Some(5)));
        for minutes in ["0", "1441", "soon"] {
            assert!(Arguments::try_parse_from(["cwmpctl", "apply", "confirm", minutes]).is_err());
        }
        assert!(Arguments::try_parse_from(["cwmpctl", "apply", "farce"]).is_err());
    }
}
