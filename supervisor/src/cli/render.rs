//! Answers as people and scripts read them.

use std::fmt::Write as _;

use ipc_proto::{
    Value,
    control::{AcsState, Change, ParameterRow, Response, Status, WorkerState},
    worker::Why,
};
use serde_json::{Value as Json, json};

/// The answer as text for a person; control characters never reach the terminal raw.
pub fn text(response: &Response) -> String {
    let text = match response {
        Response::Waiting(line) | Response::Refused(line) => format!("{line}\n"),
        Response::Done(notes) => notes.iter().map(|note| format!("{note}\n")).collect(),
        Response::Value { value, .. } => format!("{value}\n"),
        Response::Parameters(rows) => parameters(rows),
        Response::Changes(changes) => show_changes(changes),
        Response::Status(status) | Response::StatusNow(status) => show_status(status),
        Response::Config(_) | Response::Log { .. } => String::new(),
    };
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
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

fn parameters(rows: &[ParameterRow]) -> String {
    let name_width = widest(rows.iter().map(|row| row.name.as_str()));
    let value_width = widest(rows.iter().map(|row| row.value.as_str())).min(48);
    let mut text = String::new();
    for row in rows {
        let unsaved = if row.saved { "" } else { ", not saved" };
        let source = format!("{}{unsaved}", row.source);
        let (name, value, label) = (&row.name, &row.value, &row.label);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:name_width$}  {value:value_width$}  {source:<18}  {label}");
        if let Some(pending) = &row.pending {
            let _ = writeln!(text, "{:name_width$}  {pending:value_width$}  waits for `apply`", "");
        }
    }
    text
}

fn show_changes(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no changes\n".to_owned();
    }
    let name_width = widest(changes.iter().map(|change| change.name.as_str()));
    let mut text = String::new();
    for Change { name, running, new, who, at } in changes {
        let _ = writeln!(text, "{name:name_width$}  {running:?} -> {new:?}  by {who} at {at}");
    }
    text
}

fn show_status(status: &Status) -> String {
    let Status { acs, last_session, open_session, next_session, worker, .. } = status;
    let mut text = String::new();
    let mut line = |label: &str, rest: String| {
        let _ = writeln!(text, "{label:<20}{rest}");
    };
    let state = match acs.state {
        AcsState::Disabled => "disabled",
        AcsState::NoUrl => "no URL",
        AcsState::Never => "not contacted yet",
        AcsState::Connected => "connected",
        AcsState::Disconnected => "disconnected",
    };
    line("ACS", state.to_owned());
    if !acs.url.is_empty() {
        line("ACS URL", format!("{} (from {})", acs.url, acs.url_source));
    }
    if let Some(stage) = acs.stage {
        line("Failed at", stage.to_string());
    }
    if let Some(reason) = &acs.reason {
        line("Reason", reason.clone());
    }
    if let Some(since) = open_session {
        line("Session open", format!("since {since}"));
    }
    if let Some(last) = last_session {
        let events = if last.events.is_empty() { "no events".to_owned() } else { last.events.join(", ") };
        let millis = last.ended.millis().saturating_sub(last.started.millis());
        line("Last session", format!("{}, {events}", last.started));
        line("", format!("ended {} after {millis} ms", if acs.stage.is_some() { "badly" } else { "well" }));
    }
    match next_session {
        Some(next) => line("Next session", format!("{}, {}", next.at, why(next.why))),
        None => line("Next session", "none is due".to_owned()),
    }
    if status.retry_count > 0 {
        line("Failed sessions", format!("{} since the last good one", status.retry_count));
    }
    let process = match (worker.state, worker.pid) {
        (WorkerState::Running, Some(pid)) => format!("running, pid {pid}"),
        (WorkerState::Running, None) => "running".to_owned(),
        (WorkerState::Starting, _) => "not connected yet".to_owned(),
        (WorkerState::Waiting, _) => "ended, started again soon".to_owned(),
        (WorkerState::Incompatible, _) => "of another version".to_owned(),
    };
    line("Worker", format!("{process}, restarts {}", worker.restarts));
    if worker.state == WorkerState::Running {
        let late = if worker.revision == worker.revision_wanted {
            String::new()
        } else {
            format!(", revision {} is wanted", worker.revision_wanted)
        };
        line("Configuration", format!("revision {} in use{late}", worker.revision));
    }
    if let Some(reason) = &worker.reason {
        line("", reason.clone());
    }
    let url = &status.connection_request_url;
    line("Connection request", if url.is_empty() { "cannot come in".to_owned() } else { url.clone() });
    if let Some(problem) = &status.connection_request_problem {
        line("", problem.clone());
    }
    for warning in &status.warnings {
        line("Warning", warning.clone());
    }
    text
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Events => "to deliver events",
        Why::Periodic => "periodic",
        Why::Retry => "to retry",
        Why::Asked => "asked for",
        Why::ConnectionRequest => "the ACS asked for it",
    }
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
        assert_eq!(text(&evil), "a\u{fffd}[2Jb\u{fffd}\n");
    }

    #[test]
    fn json_of_a_value_has_its_type() {
        let value = Response::Value { name: "x".to_owned(), value: Value::UnsignedInt(7) };
        let json: Json = serde_json::from_str(&json(&value)).unwrap();
        assert_eq!(json, json!({ "name": "x", "type": "unsignedInt", "value": 7 }));
    }
}
