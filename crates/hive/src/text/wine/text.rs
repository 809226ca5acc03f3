//! Texts as Wine escapes them.
//!
//! Characters beyond ASCII are written `\x` and up to four hexadecimal digits, control characters as in C or in octal. Four
//! digits, or three in octal, are written where the next character would be taken for another digit.

use crate::AnyName;
use crate::text::bytes::hexadecimal;

/// The letters behind the backslash for the control characters that have one.
const LETTERS: [(u16, u8); 8] = [
    (7, b'a'),
    (8, b'b'),
    (9, b't'),
    (10, b'n'),
    (11, b'v'),
    (12, b'f'),
    (13, b'r'),
    (27, b'e'),
];

/// Appends the text; `special` are the characters that a backslash must precede, besides the backslash itself.
pub(super) fn escape(units: AnyName<'_>, special: [u8; 2], out: &mut Vec<u8>) {
    let mut units = units.units().peekable();
    while let Some(unit) = units.next() {
        let next = units
            .peek()
            .and_then(|unit| u8::try_from(*unit).ok())
            .unwrap_or_default();
        match unit {
            128.. => {
                let wide = next.is_ascii_hexdigit();
                let text = if wide {
                    format!("\\x{unit:04x}")
                } else {
                    format!("\\x{unit:x}")
                };
                out.extend_from_slice(text.as_bytes());
            }
            0..32 => {
                let letter = LETTERS.iter().find(|(control, _)| *control == unit);
                let text = match letter {
                    Some((_, letter)) => format!("\\{}", char::from(*letter)),
                    None if (b'0'..=b'7').contains(&next) => format!("\\{unit:03o}"),
                    None => format!("\\{unit:o}"),
                };
                out.extend_from_slice(text.as_bytes());
            }
            32..128 => {
                let byte = unit as u8;
                if byte == b'\\' || special.contains(&byte) {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
    }
}

/// One character of an escaped text, or nothing where `end` stands, and what follows it. `None` where the line ends.
pub(super) fn unescape(text: &[u8], end: u8) -> Option<(&[u8], Option<Unescaped>)> {
    let (first, rest) = text.split_first()?;
    match first {
        b'\n' | b'\r' => None,
        b'\\' => escaped(rest).map(|(rest, unit)| (rest, Some(unit))),
        byte if *byte == end => Some((rest, None)),
        // Files hold ASCII alone; should a byte be beyond, it is taken for the character of its number, as Wine does.
        byte => Some((rest, Some(Unescaped::Plain(u16::from(*byte))))),
    }
}

/// A character, and whether a backslash stood before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unescaped {
    /// It stood by itself.
    Plain(u16),
    /// It was the backslash, escaped: in a path, what separates names.
    Backslash,
    /// It was escaped in another way.
    Escaped(u16),
}

impl Unescaped {
    /// The character.
    pub(super) fn unit(self) -> u16 {
        match self {
            Self::Plain(unit) | Self::Escaped(unit) => unit,
            Self::Backslash => u16::from(b'\\'),
        }
    }
}

/// What stands behind a backslash.
fn escaped(text: &[u8]) -> Option<(&[u8], Unescaped)> {
    let (first, rest) = text.split_first()?;
    let unit = match first {
        b'\n' | b'\r' => return None,
        b'\\' => return Some((rest, Unescaped::Backslash)),
        b'x' => match hexadecimal(rest, 4) {
            Ok((rest, unit)) => return Some((rest, Unescaped::Escaped(unit as u16))),
            Err(_) => u16::from(b'x'),
        },
        b'0'..=b'7' => {
            let digits = text.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(*byte));
            let length = digits.clone().count();
            let unit = digits.fold(0, |unit, digit| unit << 3 | u16::from(digit - b'0'));
            return Some((&text[length..], Unescaped::Escaped(unit)));
        }
        byte => match LETTERS.iter().find(|(_, letter)| letter == byte) {
            Some((unit, _)) => *unit,
            None => u16::from(*byte),
        },
    };
    Some((rest, Unescaped::Escaped(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_wine_does() {
        let cases: [(&[u16], &str); 6] = [
            (&[0x41, 0x5D, 0x22, 0x5C], r#"A]\"\\"#),
            (&[0xE4, 0x67], r"\xe4g"),
            (&[0xE4, 0x66], r"\x00e4f"),
            (&[0xD800, 0x20AC], r"\xd800\x20ac"),
            (&[0, 0x37, 0, 0x38], r"\0007\08"),
            (&[9, 10, 27, 1, 127], "\\t\\n\\e\\1\x7F"),
        ];
        for (units, expected) in cases {
            let mut text = Vec::new();
            escape(AnyName::Units(units), *b"\"\"", &mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
            text.push(b'"');
            let mut rest = &text[..];
            let mut again = Vec::new();
            while let Some((after, Some(unit))) = unescape(rest, b'"') {
                again.push(unit.unit());
                rest = after;
            }
            assert_eq!((again, rest), (units.to_vec(), &b"\""[..]));
        }
    }
}
