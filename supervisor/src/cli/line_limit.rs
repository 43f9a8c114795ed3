//! How long a typed line may get: what comes behind is not taken, and the line is refused.

use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent,
    Modifiers, RepeatCount, history::History,
};

/// Bytes of a line; each key would cost the editor as much again.
const MAX_TYPED: usize = 8192;
/// What to say about a longer one.
pub const SENTENCE: &str = "the line is too long: at most 8192 bytes are taken";

/// True for a line that was cut off, or pasted whole.
pub fn is_over(line: &str) -> bool {
    line.len() >= MAX_TYPED
}

/// Keeps it in this editor.
pub fn bind<H: Helper, I: History>(editor: &mut Editor<H, I>) {
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(Limit)));
}

struct Limit;

impl ConditionalEventHandler for Limit {
    fn handle(&self, event: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let letter =
            matches!(event.get(0), Some(KeyEvent(KeyCode::Char(_), Modifiers::NONE | Modifiers::SHIFT)));
        (letter && is_over(context.line())).then_some(Cmd::Noop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_the_limit() {
        assert!(SENTENCE.contains(&MAX_TYPED.to_string()));
        assert!(is_over(&"x".repeat(MAX_TYPED)) && !is_over("set cwmp.acs_url=x"));
    }
}
