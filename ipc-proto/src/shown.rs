//! Which characters may reach a terminal or a log as they are.

/// False for what steers a terminal (C0, C1), breaks a line, turns the direction of writing, or is not seen at
/// all and so can hide in a name (Unicode, general categories Cc and Cf).
pub const fn is_shown(c: char) -> bool {
    !matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most `max` characters of the text, with U+FFFD for each that may not be shown.
pub fn shown(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if is_shown(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_or_hides_is_replaced_and_letters_are_not() {
        let evil = "\u{1b}\t\n\r\u{7f}\u{85}\u{9b}\u{202e}\u{2028}\u{2066}\u{200b}\u{feff}\u{e0041}";
        assert!(shown(evil, 100).chars().all(|c| c == '\u{fffd}'), "{:?}", shown(evil, 100));
        let good = "a \u{e9} \u{20ac} \u{6f22}\u{5b57} \u{5d0} \u{928}\u{94d}\u{200d} \u{1f600}";
        assert_eq!(shown(good, 100), good);
        assert_eq!(shown(good, 3), "a \u{e9}");
    }
}
