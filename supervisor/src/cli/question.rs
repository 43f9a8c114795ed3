//! Questions on the terminal: for a secret, which is not shown and in no history, and whether to go on.

use std::{
    borrow::Cow,
    io::{self, BufRead as _, IsTerminal as _, Read as _},
};

use rustyline::{
    Behavior, Config, Editor, Helper, completion::Completer, error::ReadlineError, highlight::CmdKind,
    highlight::Highlighter, hint::Hinter, history::MemHistory, validate::Validator,
};

use super::{args::MAX_VALUE, line_limit, page::columns};

/// From the terminal without showing it, or from the first line of standard input.
pub fn ask(name: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return ask_terminal(&format!("{name}: "), Hidden);
    }
    let mut line = Vec::new();
    io::stdin().lock().take(MAX_VALUE as u64 + 3).read_until(b'\n', &mut line)?;
    if line.len() > MAX_VALUE {
        // Over the limit already, wherever it ends.
        return Ok(String::from_utf8_lossy(&line).into_owned());
    }
    let line = String::from_utf8(line).map_err(|_| io::Error::other("it is not text in UTF-8"))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks a person on the terminal; why it is not done, if it is not.
pub fn agreed(question: &str) -> Result<(), String> {
    let nothing = "nothing was done";
    if !io::stdin().is_terminal() {
        return Err(format!("{question} There is no terminal to ask on, so {nothing}: add --yes to do it"));
    }
    let line = ask_terminal(&format!("{question} Go on? [y/N] "), ())
        .map_err(|error| format!("{nothing}: {error}"))?;
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(nothing.to_owned()),
    }
}

/// A line from the terminal; Ctrl-C and Ctrl-D are errors.
fn ask_terminal<H: Helper>(question: &str, helper: H) -> io::Result<String> {
    // Answers may go elsewhere than to the terminal; the question does not.
    let config = Config::builder().behavior(Behavior::PreferTerm).build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history).map_err(io::Error::other)?;
    editor.set_helper(Some(helper));
    line_limit::bind(&mut editor);
    match editor.readline(question) {
        Ok(line) if line_limit::is_over(&line) => Err(io::Error::other(line_limit::SENTENCE)),
        Ok(line) => Ok(line),
        Err(ReadlineError::Interrupted) => Err(io::Error::other("interrupted")),
        Err(ReadlineError::Eof) => Err(io::Error::other("the input ended")),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Shows blanks for what is typed.
struct Hidden;

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(" ".repeat(columns(line)))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Completer for Hidden {
    type Candidate = String;
}

impl Hinter for Hidden {
    type Hint = String;
}

impl Validator for Hidden {}

impl Helper for Hidden {}
