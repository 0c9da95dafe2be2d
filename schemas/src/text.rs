//! Normal form of stored text: Unicode NFC, trimmed, without control characters.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Error for a text that contains a control character. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not hold control characters")]
pub struct ControlCharacter;

/// Returns `text` in its normal form.
pub fn normal(text: &str) -> Result<String, ControlCharacter> {
    let text = text.trim_matches(is_blank);
    if text.chars().any(is_control) {
        return Err(ControlCharacter);
    }
    Ok(if is_nfc(text) {
        text.to_owned()
    } else {
        text.nfc().collect()
    })
}

/// Returns true if `c` ends a line, controls a device or reorders the text after it. Such a character is not part of a name,
/// and a database, a gateway or a screen may interpret it as a command.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Returns true if `c` displays nothing.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_composed_and_trimmed() {
        for (given, kept) in [
            ("Maria", "Maria"),
            ("  Jose\u{301} \t\r\n", "José"),
            ("\u{FEFF}Ana\u{200B}", "Ana"),
            ("\u{A0}", ""),
            ("👩\u{200D}🔧 ok", "👩\u{200D}🔧 ok"),
        ] {
            assert_eq!(normal(given).as_deref(), Ok(kept), "{given:?}");
        }
    }

    #[test]
    fn control_characters_are_refused_wherever_they_stand() {
        for text in [
            "\0",
            "a\0b",
            "a\nb",
            "a\u{7}",
            "\u{1B}[2J",
            "a\u{202E}b",
            "a\u{2028}b",
            "a\u{9B}b",
        ] {
            assert_eq!(normal(text), Err(ControlCharacter), "{text:?}");
        }
    }
}
