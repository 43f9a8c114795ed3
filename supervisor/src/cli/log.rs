//! The lines of both logs as people read them.

use ipc_proto::{
    UtcTime,
    control::{LogEntry, LogLine},
};

use super::{page::Page, times};

/// Lines of a log, oldest first.
pub fn lines(lines: &[LogLine], page: Page) -> String {
    let now = UtcTime::now();
    lines.iter().map(|line| one(line, now, page)).collect()
}

fn one(line: &LogLine, now: UtcTime, page: Page) -> String {
    // Where there is room.
    let at = match page.width {
        Some(..80) => times::local(line.at),
        _ => times::relative(line.at, now),
    };
    match &line.entry {
        LogEntry::Change { who, source, name, old, new, revision, in_use } => {
            let used = if *in_use { "in use" } else { "not in use yet" };
            let changed = if old.is_empty() && new.is_empty() {
                name.clone()
            } else {
                format!("{name}: {} -> {} ", quoted(old), quoted(new))
            };
            let text = format!("{changed} by {who} ({source}), revision {revision}, {used}");
            page.hang(&format!("{at}  "), &text)
        }
        LogEntry::Client { session, what, detail, took_ms } => {
            let session = session.map(|session| format!("#{session} ")).unwrap_or_default();
            let took = took_ms.map(|took| format!(" ({took} ms)")).unwrap_or_default();
            page.hang(&format!("{at}  "), &format!("{session}{what}: {detail}{took}"))
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_proto::control::Source;

    #[test]
    fn lines_fit_into_every_width_and_hold_no_control_characters() {
        let client = LogEntry::Client {
            session: Some(3),
            what: "GetParameterValues".to_owned(),
            detail: format!("1: A\u{1b}[2J\n{} -> fault 9005", "y".repeat(200)),
            took_ms: Some(12),
        };
        let change = LogEntry::Change {
            who: "joe".to_owned(),
            source: Source::Cli,
            name: "cwmp.acs_url".to_owned(),
            old: String::new(),
            new: "http://a/".to_owned(),
            revision: 4,
            in_use: false,
        };
        let at = UtcTime::from_millis(1_750_000_000_000);
        let both = [client, change].map(|entry| LogLine { id: 1, at, entry });
        for width in [20, 80, 200] {
            let text = lines(&both, Page { width: Some(width), colours: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        }
        let text = lines(&both, Page::default());
        assert_eq!(text.lines().count(), 2);
        let wanted = "cwmp.acs_url: (empty) -> http://a/  by joe (cli), revision 4, not in use yet";
        assert!(text.contains(wanted) && text.contains("(12 ms)"), "{text}");
    }
}
