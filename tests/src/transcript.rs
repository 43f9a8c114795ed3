//! A recorded session as a person reads it: one line a message, and what it carried.

use crate::acs::{Direction, Ending, Message, Session, decode};

/// Prints the session as lines; times count from its first message.
pub fn lines(session: &Session) -> Vec<String> {
    let begin = session.messages.first().map(|m| m.at).unwrap_or_default();
    let mut lines = Vec::new();
    for message in &session.messages {
        let arrow = match message.direction {
            Direction::FromCpe => "device --> ACS",
            Direction::FromAcs => "device <-- ACS",
        };
        let offset = message.at.saturating_sub(begin).as_secs_f64() * 1000.0;
        let kind = message.kind();
        let (first, rest) = content(&kind, message);
        lines.push(format!("{offset:8.1} ms  {arrow}  {kind:<26} {first}").trim_end().to_owned());
        lines.extend(rest.into_iter().map(|line| format!("{:>31}{line}", "")));
    }
    lines.push(match &session.ending {
        Ending::Clean => format!("{:>13}session over, {} connection(s)", "", session.connections()),
        other => format!("{:>13}session not completed: {other:?}", ""),
    });
    lines
}

/// What tells one message from another: a few words beside its name, and lines below it.
fn content(kind: &str, message: &Message) -> (String, Vec<String>) {
    let text = message.body.as_str();
    match kind {
        "Inform" => inform(text),
        "GetRPCMethodsResponse" => (decode::methods(text).join(", "), Vec::new()),
        "GetParameterNames" => (element_text(text, "ParameterPath"), Vec::new()),
        "GetParameterNamesResponse" => {
            let names = decode::names(text);
            let lines = names
                .iter()
                .map(|(name, writable)| format!("  {name}{}", if *writable { "  (writable)" } else { "" }));
            (format!("{} names", names.len()), lines.collect())
        }
        "GetParameterValues" => (all_texts(text, "string").join(", "), Vec::new()),
        "GetParameterValuesResponse" => {
            let values = decode::values(text);
            (format!("{} values", values.len()), aligned(&values))
        }
        "SetParameterValues" => {
            let pairs = all_texts(text, "Name").into_iter().zip(all_texts(text, "Value"));
            let mut lines: Vec<String> = pairs.map(|(name, value)| format!("  {name} = {value}")).collect();
            lines.push(format!("  ParameterKey = {}", element_text(text, "ParameterKey")));
            (String::new(), lines)
        }
        "SetParameterValuesResponse" => {
            let status = decode::set_status(text);
            let meaning = if status == 0 { "done" } else { "accepted, not yet applied" };
            (format!("Status {status} ({meaning})"), Vec::new())
        }
        "Fault" => {
            let fault = decode::fault(text);
            let lines = fault.parameters.iter().map(|(name, code, why)| format!("  {name}: {code} {why}"));
            (format!("{} {}", fault.code, fault.text), lines.collect())
        }
        _ => (String::new(), Vec::new()),
    }
}

fn inform(text: &str) -> (String, Vec<String>) {
    let inform = decode::inform(text);
    let [manufacturer, oui, class, serial] = &inform.device_id;
    let mut lines = vec![format!("  from {manufacturer} {class}, OUI {oui}, serial {serial}")];
    if inform.retry_count > 0 {
        lines.push(format!("  RetryCount {}", inform.retry_count));
    }
    lines.extend(aligned(&inform.parameters));
    (inform.event_codes().join(" + "), lines)
}

fn aligned(parameters: &[decode::Parameter]) -> Vec<String> {
    let width = parameters.iter().map(|p| p.name.len()).max().unwrap_or_default();
    parameters.iter().map(|p| format!("  {:<width$} = {}", p.name, p.value)).collect()
}

fn all_texts(text: &str, name: &str) -> Vec<String> {
    let Ok(document) = roxmltree::Document::parse(text) else { return Vec::new() };
    let found = document.descendants().filter(|n| n.is_element() && n.tag_name().name() == name);
    found.map(|n| n.text().unwrap_or_default().to_owned()).collect()
}

fn element_text(text: &str, name: &str) -> String {
    all_texts(text, name).into_iter().next().unwrap_or_default()
}
