//! The page that text is laid out on: its width, and whether it has colours.

use std::io::{self, IsTerminal as _};

use ipc_proto::shown;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Where the text goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Columns; none when it is no terminal, and lines are as long as they are.
    pub width: Option<usize>,
    /// Colours may be used.
    pub colours: bool,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tint {
    /// As it should be.
    Good,
    /// Broken.
    Bad,
    /// Waits for someone.
    Waits,
    /// Less important.
    Dim,
}

impl Page {
    /// Standard output, as it is.
    pub fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// Standard error, as it is.
    pub fn of_stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let seen = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = if terminal { told.or_else(seen).or(Some(80)) } else { told };
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width, colours }
    }

    /// The text in its colour; it must be free of control characters already.
    pub fn tint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Good => "32",
            Tint::Bad => "31;1",
            Tint::Waits => "33",
            Tint::Dim => "2",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// `head` and then `text`, broken into lines that fit; further lines begin below the text, or a little
    /// indented where the head leaves no room.
    pub fn hang(self, head: &str, text: &str) -> String {
        let (mut head, mut text) = (clean(head), clean(text));
        let Some(width) = self.width else { return format!("{head}{text}\n") };
        let width = width.max(8);
        if columns(&head) > width {
            text = format!("{head}{text}");
            head.clear();
        }
        let roomy = columns(&head) * 2 <= width;
        if !roomy && head.trim().is_empty() {
            head.truncate(2);
        }
        let start = columns(&head);
        let indent = if roomy && start > 0 { start } else { 2 };
        let mut lines = vec![head];
        let mut used = start;
        for word in text.split_inclusive(' ') {
            if used + columns(word.trim_end()) > width && used > indent {
                lines.push(" ".repeat(indent));
                used = indent;
            }
            for letter in word.chars() {
                let takes = letter.width().unwrap_or(0);
                if letter == ' ' && used + takes > width {
                    continue;
                }
                if used + takes > width {
                    lines.push(" ".repeat(indent));
                    used = indent;
                }
                if let Some(line) = lines.last_mut() {
                    line.push(letter);
                    used += takes;
                }
            }
        }
        lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Control characters, and others that deceive, never reach the terminal raw.
pub fn clean(text: &str) -> String {
    shown::shown(text, usize::MAX)
}

/// The columns that a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_into_every_width() {
        let long = format!("words of any kind {} and more", "x".repeat(300));
        for width in [1, 8, 20, 80, 200] {
            let text = Page { width: Some(width), colours: false }.hang("a head of a line  ", &long);
            assert!(text.lines().all(|line| columns(line) <= width.max(8)), "{width}: {text}");
            let wide =
                Page { width: Some(width), colours: false }.hang("\u{6f22}: ", &"\u{5b57}".repeat(200));
            assert!(wide.lines().all(|line| columns(line) <= width.max(8)), "{width}: {wide}");
            let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            assert!(joined.contains(&"x".repeat(300)), "{text}");
        }
        assert_eq!(Page::default().hang("a  ", &long).lines().count(), 1);
    }

    #[test]
    fn control_characters_are_replaced_before_colours_come() {
        let page = Page { width: Some(80), colours: true };
        assert_eq!(page.hang("", "a\u{1b}[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\n");
        assert_eq!(page.hang("", "a\u{202e}b\u{85}"), "a\u{fffd}b\u{fffd}\n");
        assert_eq!(page.tint(Tint::Bad, "x"), "\u{1b}[31;1mx\u{1b}[0m");
        assert_eq!(Page::default().tint(Tint::Bad, "x"), "x");
    }
}
