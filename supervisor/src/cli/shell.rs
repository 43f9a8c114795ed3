//! The shell: the same words line after line, with history and completion, until `exit`.

use std::path::Path;

use clap::FromArgMatches as _;
use rustyline::{
    Config, Context, Editor, Helper,
    completion::{Completer, Pair},
    config::CompletionType,
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::MemHistory,
    validate::Validator,
};

use super::{
    args::{Arguments, Words},
    history::{self, HistoryFile},
    line_limit, run, usage,
};
use crate::config::table::{self, Access, TABLE};

const PROMPT: &str = "admin> ";

/// Reads lines until `exit` or the end of the input; the answer is the exit status.
pub fn run(socket: &Path, json: bool) -> u8 {
    let config = Config::builder().completion_type(CompletionType::List);
    let config = config.max_history_size(history::MAX_LINES).map(|config| config.build());
    let editor = config.and_then(|config| {
        let history = MemHistory::with_config(&config);
        Editor::with_history(config, history)
    });
    let mut editor: Editor<Completion, MemHistory> = match editor {
        Ok(editor) => editor,
        Err(error) => return run::complain(&error.to_string(), run::USAGE),
    };
    editor.set_helper(Some(Completion));
    line_limit::bind(&mut editor);
    let file = HistoryFile::of_user();
    for line in file.read(is_kept) {
        // A history that does not take a line goes on without it.
        let _ = editor.add_history_entry(line);
    }
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return run::DONE,
            Err(error) => return run::complain(&error.to_string(), run::USAGE),
        };
        if line_limit::is_over(&line) {
            run::complain(line_limit::SENTENCE, run::USAGE);
            continue;
        }
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if matches!(line, "exit" | "quit") {
            return run::DONE;
        }
        if is_kept(line) && matches!(editor.add_history_entry(line), Ok(true)) {
            file.add(line);
        }
        obey(line, socket, json);
    }
}

fn obey(line: &str, socket: &Path, json: bool) {
    match parse(line) {
        Ok(Arguments { words: Some(words), json: here, .. }) => {
            run::words(words, socket, json || here, run::Interrupt::Returns);
        }
        Ok(_) => {}
        // Help comes this way too.
        Err(error) => drop(usage::explain(&error, &[line.to_owned()])),
    }
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    let command = Arguments::tree().no_binary_name(true).name("admin>").bin_name("");
    command.try_get_matches_from(split(line)).and_then(|m| Arguments::from_arg_matches(&m))
}

/// A line as words. What follows `set` is one word, so that a value may hold spaces.
fn split(line: &str) -> Vec<String> {
    match line.split_once(char::is_whitespace) {
        Some(("set", rest)) if !rest.trim_start().starts_with('-') => {
            vec!["set".to_owned(), rest.trim().to_owned()]
        }
        _ => line.split_whitespace().map(str::to_owned).collect(),
    }
}

/// True for a line of the history: its words are right, and it sets no secret, not even one with a wrong name.
fn is_kept(line: &str) -> bool {
    if line.len() > history::MAX_LINE || usage::names_secret(line) {
        return false;
    }
    match parse(line) {
        Ok(Arguments { words: Some(Words::Set { assignment }), .. }) => {
            assignment.split_once('=').is_some_and(|(name, _)| table::row(name.trim()).is_ok())
        }
        Ok(_) => true,
        // Help.
        Err(error) => !error.use_stderr(),
    }
}

/// Completes words from the command line's own tree, and parameter names from the table.
struct Completion;

impl Completion {
    /// What may stand in the place of `part`, after these words.
    fn candidates(before: &[&str], part: &str) -> Vec<String> {
        let names: Vec<String> = match before {
            ["set"] => {
                let settable = TABLE.iter().filter(|row| row.access != Access::Stack);
                settable.map(|row| format!("{}=", row.name)).collect()
            }
            ["get"] => {
                let paths = TABLE.iter().filter_map(|row| row.path);
                TABLE.iter().map(|row| row.name).chain(paths).map(str::to_owned).collect()
            }
            _ => words_after(before),
        };
        names.into_iter().filter(|name| name.starts_with(part)).collect()
    }
}

fn words_after(before: &[&str]) -> Vec<String> {
    let top = Arguments::tree();
    let mut command = &top;
    for word in before.iter().filter(|word| !word.starts_with('-') && **word != "help") {
        match command.find_subcommand(word) {
            Some(next) => command = next,
            None => return Vec::new(),
        }
    }
    let mut words: Vec<_> = command.get_subcommands().map(|word| word.get_name().to_owned()).collect();
    words.extend(
        command.get_arguments().filter_map(|option| option.get_long()).map(|name| format!("--{name}")),
    );
    if before.is_empty() {
        words.extend(["exit".to_owned(), "help".to_owned()]);
    }
    words
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or(line);
        let start = typed.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (before, part) = typed.split_at(start);
        let before: Vec<_> = before.split_whitespace().collect();
        let pair = |word: String| {
            let space = if word.ends_with('=') { "" } else { " " };
            Pair { replacement: format!("{word}{space}"), display: word }
        };
        Ok((start, Self::candidates(&before, part).into_iter().map(pair).collect()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_are_completed() {
        assert_eq!(Completion::candidates(&["cwmp", "show"], "c"), ["config", "client"]);
        assert_eq!(Completion::candidates(&["cwmp", "show", "client"], "l"), ["log"]);
        assert_eq!(Completion::candidates(&["help", "cwmp"], "sh"), ["show"]);
        assert_eq!(Completion::candidates(&["set"], "cwmp.acs_u"), ["cwmp.acs_url=", "cwmp.acs_username="]);
        assert_eq!(Completion::candidates(&["cwmp", "show", "log"], "--f"), ["--follow"]);
        assert!(Completion::candidates(&["set"], "cwmp.con_req_url").is_empty());
        assert!(Completion::candidates(&[], "ex").contains(&"exit".to_owned()));
    }

    #[test]
    fn a_value_may_hold_spaces_and_a_secret_stays_out_of_the_history() {
        assert_eq!(split("set cwmp.provisioning_code=a b"), ["set", "cwmp.provisioning_code=a b"]);
        assert_eq!(split("cwmp  show client log"), ["cwmp", "show", "client", "log"]);
    }

    #[test]
    fn the_history_keeps_right_words_and_no_secret() {
        for line in ["set cwmp.acs_url=x", "cwmp show log --follow", "help cwmp", "get cwmp.acs_username"] {
            assert!(is_kept(line), "{line}");
        }
        for line in [
            "set cwmp.acs_password=x",
            "set  cwmp.acs_password = x",
            "set \"cwmp.acs_password=x\"",
            "set cwmp.acs_pasword=x",
            "set cwmp.acs_pasword x",
            "set Device.ManagementServer.Password=x",
            "ste cwmp.acs_pasword=x",
            "set cwmp.acs_url x",
            "show cwmp cwmp.acs_password",
            "hunter2",
        ] {
            assert!(!is_kept(line), "{line}");
        }
        assert!(!is_kept(&format!("set cwmp.acs_url={}", "x".repeat(1000))));
    }

    #[test]
    fn every_word_of_the_operators_page_is_known() {
        for line in [
            "set cwmp.acs_url=http://a/",
            "show cwmp",
            "cwmp show config",
            "cwmp show log",
            "cwmp show client log",
            "cwmp show status",
            "cwmp restart",
        ] {
            let command = Arguments::tree().no_binary_name(true);
            assert!(command.try_get_matches_from(split(line)).is_ok(), "{line}");
        }
    }
}
