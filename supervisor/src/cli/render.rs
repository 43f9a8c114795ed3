//! Answers as people and scripts read them.

use ipc_proto::{
    UtcTime, Value,
    control::{Change, LogLine, ParameterRow, Response},
    shown::is_shown,
};
use serde_json::{Value as Json, json};

use super::{
    config, log,
    page::{Page, Tint, clean, columns},
    status, times,
};

/// The answer as text for a person; control characters never reach the terminal raw.
pub fn text(response: &Response, page: Page) -> String {
    let text = match response {
        Response::Parameters(rows) => return parameters(rows, page),
        Response::Changes(changes) => return show_changes(changes, page),
        Response::Config(rows) => return config::config(rows, page),
        Response::Log { lines, .. } => return log::lines(lines, page),
        Response::Status(status) => return status::status(status, UtcTime::now(), page),
        Response::StatusNow(status) => {
            return format!("{}\n", status::status(status, UtcTime::now(), page));
        }
        Response::Waiting(line) | Response::Refused(line) => format!("{line}\n"),
        Response::Done(notes) => notes.iter().map(|note| format!("{note}\n")).collect(),
        Response::Value { value, .. } => format!("{value}\n"),
    };
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// Answers of a stream as JSON, one object a line.
pub fn json_lines(response: &Response) -> String {
    match response {
        Response::Log { lines, .. } => lines.iter().map(|line| json_line(&json!(line))).collect(),
        Response::Status(status) | Response::StatusNow(status) => json_line(&json!(status)),
        other => json(other),
    }
}

fn json_line(json: &Json) -> String {
    format!("{}\n", shown_json(&json.to_string()))
}

/// A page of a log as a part of one JSON array, of which `before` lines are printed already.
pub fn json_part(lines: &[LogLine], before: usize, last: bool) -> String {
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        text.push_str(if before + n == 0 { "[\n" } else { ",\n" });
        text.push_str(&shown_json(&json!(line).to_string()));
    }
    if last {
        text.push_str(if before + lines.len() == 0 { "[]\n" } else { "\n]\n" });
    }
    text
}

/// What a terminal must not see stands in JSON only within strings, where it can be escaped.
fn shown_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_shown(c) || c == '\n' {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

/// The answer as JSON: the fields of the protocol.
pub fn json(response: &Response) -> String {
    let json = match response {
        Response::Waiting(why) => json!({ "waiting": why }),
        Response::Refused(reason) => json!({ "refused": reason }),
        Response::Done(notes) => json!({ "done": true, "notes": notes }),
        Response::Value { name, value } => {
            json!({ "name": name, "type": value.param_type().xsd_name(), "value": plain(value) })
        }
        Response::Parameters(rows) => json!(rows),
        Response::Changes(changes) => json!(changes),
        Response::Status(status) | Response::StatusNow(status) => json!(status),
        Response::Config(rows) => json!(rows),
        Response::Log { lines, .. } => json!(lines),
    };
    format!("{}\n", shown_json(&format!("{json:#}")))
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Boolean(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::UnsignedInt(n) => json!(n),
        Value::Long(n) => json!(n),
        Value::UnsignedLong(n) => json!(n),
        other => json!(other.to_string()),
    }
}

fn parameters(rows: &[ParameterRow], page: Page) -> String {
    let value =
        |row: &ParameterRow| if row.value.is_empty() { "(empty)".to_owned() } else { clean(&row.value) };
    let source = |row: &ParameterRow| format!("{}{}", row.source, if row.saved { "" } else { ", not saved" });
    let name_width = widest(rows.iter().map(|row| row.name.clone()));
    let source_width = widest(rows.iter().map(source));
    let label_width = widest(rows.iter().map(|row| row.label.clone()));
    let value_width = widest(rows.iter().map(value)).min(48);
    // Columns where all of them fit beside each other, else one thing after the other.
    let all = name_width + value_width + source_width + label_width + 6;
    let fits = page.width.is_none_or(|width| all <= width);
    let (value_width, source_width) = if fits { (value_width, source_width) } else { (0, 0) };
    let mut text = String::new();
    for row in rows {
        let rest = format!("{:value_width$}  {:<source_width$}  {}", value(row), source(row), row.label);
        text.push_str(&page.hang(&format!("{:name_width$}  ", clean(&row.name)), &rest));
        if let Some(pending) = &row.pending {
            let rest = format!("{pending:value_width$}  waits for `apply`");
            let line = page.hang(&format!("{:name_width$}  ", ""), &rest);
            text.extend(line.lines().map(|line| format!("{}\n", page.tint(Tint::Waits, line))));
        }
    }
    text
}

fn show_changes(changes: &[Change], page: Page) -> String {
    if changes.is_empty() {
        return "no changes\n".to_owned();
    }
    let name_width = widest(changes.iter().map(|change| change.name.clone()));
    let now = UtcTime::now();
    let show = |Change { name, running, new, who, at }: &Change| {
        let at = times::relative(*at, now);
        page.hang(&format!("{name:name_width$}  "), &format!("{running:?} -> {new:?}  by {who} at {at}"))
    };
    changes.iter().map(show).collect()
}

fn widest(texts: impl Iterator<Item = String>) -> usize {
    texts.map(|text| columns(&text)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_proto::control::LogEntry;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let evil = Response::Refused("a\u{1b}[2Jb\r".to_owned());
        assert_eq!(text(&evil, Page::default()), "a\u{fffd}[2Jb\u{fffd}\n");
    }

    #[test]
    fn json_is_harmless_on_a_terminal_and_says_the_same() {
        let evil = "a\u{1b}\u{9b}2J\u{202e}\u{e0041}\n\u{e9}";
        let refused = Response::Refused(evil.to_owned());
        for text in [json(&refused), json_lines(&refused)] {
            assert!(text.chars().all(|c| is_shown(c) || c == '\n'), "{text}");
            assert_eq!(serde_json::from_str::<Json>(&text).unwrap()["refused"], evil);
        }
    }

    #[test]
    fn the_parts_of_a_log_are_one_array() {
        let (what, detail) = ("w".to_owned(), "d".to_owned());
        let entry = LogEntry::Client { session: None, what, detail, took_ms: None };
        let line = LogLine { id: 1, at: UtcTime::from_millis(0), entry };
        for [first, second] in [[0, 0], [1, 0], [2, 1], [0, 2]] {
            let part = |count, before, last| json_part(&vec![line.clone(); count], before, last);
            let text = part(first, 0, false) + &part(second, first, true);
            let whole = serde_json::from_str::<Vec<Json>>(&text);
            assert_eq!(whole.unwrap().len(), first + second, "{text}");
        }
    }

    #[test]
    fn json_of_a_value_has_its_type() {
        let value = Response::Value { name: "x".to_owned(), value: Value::UnsignedInt(7) };
        let json: Json = serde_json::from_str(&json(&value)).unwrap();
        assert_eq!(json, json!({ "name": "x", "type": "unsignedInt", "value": 7 }));
    }
}
