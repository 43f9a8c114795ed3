//! The lines of both logs as people read them.

use ipc_proto::control::{LogEntry, LogLine};

use super::{page::Page, times};

/// Lines of a log, oldest first.
pub fn lines(lines: &[LogLine], page: Page) -> String {
    lines.iter().map(|line| one(line, page)).collect()
}

fn one(line: &LogLine, page: Page) -> String {
    let at = times::local(line.at);
    match &line.entry {
        LogEntry::Change { who, source, name, old, new, revision, in_use } => {
            let used = if *in_use { "in use" } else { "not in use yet" };
            let text = format!(
                "{name}: {} -> {}  by {who} ({source}), revision {revision}, {used}",
                quoted(old),
                quoted(new)
            );
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
