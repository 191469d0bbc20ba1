//! Text of guests is hostile: it is shown on terminals and pages next to the host's own.

use wavegate_model::limits::GUEST_TEXT_CHARS_MAX;

/// Cleans a text of a guest and cuts it to [`GUEST_TEXT_CHARS_MAX`] characters.
pub(crate) fn clean(text: &str) -> String {
    clean_to(text, GUEST_TEXT_CHARS_MAX)
}

/// Takes out escape sequences, control characters and characters that reorder or hide text,
/// makes one line of it, and cuts it to `chars_max` characters.
pub(crate) fn clean_to(text: &str, chars_max: usize) -> String {
    // Nearly all texts are plain and short; they cost one look at each byte.
    if text.len() <= chars_max && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return text.to_owned();
    }
    let mut cleaned = String::new();
    let mut count = 0;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let kept = match c {
            '\x1b' | '\u{9b}' | '\u{9d}' | '\u{90}' => {
                skip_sequence(c, &mut rest);
                continue;
            }
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || hides_or_reorders(c) => continue,
            c => c,
        };
        if count == chars_max {
            cleaned.push('…');
            break;
        }
        cleaned.push(kept);
        count += 1;
    }
    cleaned.trim().to_owned()
}

/// Skips what belongs to an escape sequence, so that its parameters do not stay behind as text.
fn skip_sequence(first: char, rest: &mut std::str::Chars<'_>) {
    let introducer = match first {
        '\x1b' => rest.next(),
        '\u{9b}' => Some('['),
        _ => Some(']'),
    };
    match introducer {
        // A control sequence ends with a byte from `@` to `~`.
        Some('[') => {
            for c in rest.by_ref() {
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
        // A string, such as a window title or a link, ends with BEL or ST.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = rest.next() {
                match c {
                    '\x07' | '\u{9c}' => break,
                    '\x1b' => {
                        rest.next();
                        break;
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn hides_or_reorders(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(clean("\x1b[31mred\x1b[0m"), "red");
        assert_eq!(clean("\x1b]0;title\x07after"), "after");
        assert_eq!(clean("\x1b]8;;http://x\x1b\\link"), "link");
        assert_eq!(clean("\u{9b}2Jgone"), "gone");
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{7f}\0d"), "abcd");
        assert_eq!(clean("one\r\ntwo\tthree"), "one  two three");
        assert_eq!(clean("\x1b[999"), "");
    }

    #[test]
    fn a_text_is_cut_by_characters() {
        assert_eq!(clean_to("äöü", 2), "äö…");
        assert_eq!(clean_to("abc", 3), "abc");
        assert_eq!(
            clean(&"x".repeat(10_000)).chars().count(),
            GUEST_TEXT_CHARS_MAX + 1
        );
    }
}
