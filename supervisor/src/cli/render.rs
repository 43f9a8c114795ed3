//! Answers as people and scripts read them.

use ipc_proto::{
    UtcTime, Value,
    control::{Change, ParameterRow, Response},
};
use serde_json::{Value as Json, json};

use super::{
    config, log,
    page::{Page, Tint, clean},
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
        Response::Log { lines, .. } => lines.iter().map(|line| format!("{}\n", json!(line))).collect(),
        Response::Status(status) | Response::StatusNow(status) => format!("{}\n", json!(status)),
        other => json(other),
    }
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
    format!("{json:#}\n")
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
    let name_width = widest(rows.iter().map(|row| row.name.as_str()));
    let value_width = widest(rows.iter().map(|row| row.value.as_str())).min(48);
    let mut text = String::new();
    for row in rows {
        let unsaved = if row.saved { "" } else { ", not saved" };
        let source = format!("{}{unsaved}", row.source);
        let (name, value, label) = (clean(&row.name), clean(&row.value), &row.label);
        let rest = format!("{value:value_width$}  {source:<18}  {label}");
        text.push_str(&page.hang(&format!("{name:name_width$}  "), &rest));
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
    let name_width = widest(changes.iter().map(|change| change.name.as_str()));
    let now = UtcTime::now();
    let show = |Change { name, running, new, who, at }: &Change| {
        let at = times::relative(*at, now);
        page.hang(&format!("{name:name_width$}  "), &format!("{running:?} -> {new:?}  by {who} at {at}"))
    };
    changes.iter().map(show).collect()
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let evil = Response::Refused("a\u{1b}[2Jb\r".to_owned());
        assert_eq!(text(&evil, Page::default()), "a\u{fffd}[2Jb\u{fffd}\n");
    }

    #[test]
    fn json_of_a_value_has_its_type() {
        let value = Response::Value { name: "x".to_owned(), value: Value::UnsignedInt(7) };
        let json: Json = serde_json::from_str(&json(&value)).unwrap();
        assert_eq!(json, json!({ "name": "x", "type": "unsignedInt", "value": 7 }));
    }
}
