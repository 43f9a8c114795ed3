//! What clap says about wrong words, and its help, made fit for a terminal.

use std::io::Write as _;

use super::{
    page::{Page, clean, columns},
    run,
};
use crate::config::table::TABLE;

/// Columns of a line of an error; the rest of it, which repeats what was typed, is left out.
const MAX_LINE: usize = 400;

/// Prints it; the answer is the exit status. Words that belong to a secret are not repeated.
pub fn explain(error: &clap::Error, given: &[String]) -> u8 {
    if !error.use_stderr() {
        let _ = std::io::stdout().write_all(text(error, Page::of_stdout()).as_bytes());
        return run::DONE;
    }
    let text = if given.iter().any(|word| names_secret(word)) {
        format!("error: {}; a secret is set by: set NAME, which asks for it\n", error.kind())
    } else {
        text(error, Page::of_stderr())
    };
    let _ = std::io::stderr().write_all(text.as_bytes());
    run::USAGE
}

fn text(error: &clap::Error, page: Page) -> String {
    let short = |line: &str| match clean(line) {
        line if columns(&line) > MAX_LINE => line.chars().take(MAX_LINE).chain(['\u{2026}']).collect(),
        line => line,
    };
    let broken = |line: String| match page.width {
        Some(width) if columns(&line) > width => {
            let text = line.trim_start_matches(' ');
            page.hang(line.strip_suffix(text).unwrap_or_default(), text)
        }
        _ => format!("{line}\n"),
    };
    error.render().to_string().lines().map(short).map(broken).collect()
}

/// True for text that names a secret of the table, or nearly so: its value may stand beside it.
pub fn names_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut secrets = TABLE.iter().filter(|row| row.secret);
    secrets.any(|row| {
        let path = row.path.map(str::to_lowercase);
        text.contains(row.name) || path.is_some_and(|path| text.contains(&path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Arguments;
    use clap::Parser as _;

    #[test]
    fn what_was_typed_is_repeated_bounded_and_harmless() {
        let long = format!("\u{1b}[2J\u{202e}{}", "x".repeat(100_000));
        let error = Arguments::try_parse_from(["cwmpctl", &long]).unwrap_err();
        let narrow = text(&error, Page { width: Some(20), colours: false });
        assert!(narrow.lines().all(|line| columns(line) <= 20), "{narrow}");
        let text = text(&error, Page::default());
        assert!(text.len() < 2000 && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.contains("unrecognized subcommand"), "{text}");
    }

    #[test]
    fn a_secret_is_known_by_its_name_and_its_path() {
        for text in ["x cwmp.acs_password y", "CWMP.ACS_PASSWORD=1", "Device.ManagementServer.Password=1"] {
            assert!(names_secret(text), "{text}");
        }
        assert!(!names_secret("set cwmp.acs_url=http://a/"));
    }
}
