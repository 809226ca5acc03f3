//! 8.3 names.

use alloc::vec::Vec;

const DOT: u16 = b'.' as u16;
const SPACE: u16 = b' ' as u16;

/// How an 8.3 name takes a unit of a long name.
enum Taken {
    /// As this byte.
    As(u8),
    /// Not at all.
    Dropped,
}

/// Spaces, dots and what is not ASCII are dropped; what 8.3 names forbid becomes `_`; letters become upper case.
fn taken(unit: u16) -> Taken {
    match u8::try_from(unit) {
        Ok(byte @ 0x21..=0x7E) if byte != b'.' => Taken::As(if is_forbidden(byte) {
            b'_'
        } else {
            byte.to_ascii_uppercase()
        }),
        _ => Taken::Dropped,
    }
}

fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 || br#""*+,/:;<=>?[\]|"#.contains(&byte)
}

/// Whether Windows would use the name as its own 8.3 name, so that no second one is made: ASCII, at most eight and three
/// characters, no space, nothing forbidden, not in need of upper casing for more than comparison.
///
/// Lower case is allowed: NTFS stores such a name once, in the namespace `WIN32_AND_DOS`.
pub fn is_short_name(name: &[u16]) -> bool {
    let mut parts = name.split(|unit| *unit == DOT);
    let (base, extension, more) = (parts.next(), parts.next(), parts.next());
    let fits = |part: &[u16], length: usize| {
        (1..=length).contains(&part.len())
            && part
                .iter()
                .all(|unit| u8::try_from(*unit).is_ok_and(|byte| (0x21..=0x7E).contains(&byte) && !is_forbidden(byte)))
    };
    more.is_none() && base.is_some_and(|base| fits(base, 8)) && extension.is_none_or(|extension| fits(extension, 3))
}

/// The 8.3 names that Windows tries for a long name, one after the other until one is free in the directory.
///
/// `LONGNA~1.TXT` to `LONGNA~4.TXT`, then two letters and four digits of a hash of the long name, `LO1A2B~1.TXT` on; where
/// no more than two letters are usable the hash comes at once. As `RtlGenerate8dot3Name` of Windows 7 to 11 with
/// extended characters off, which is the default. Ends after `~999999`.
#[derive(Debug, Clone)]
pub struct ShortNames {
    base: Vec<u8>,
    extension: Vec<u8>,
    hash: u16,
    has_hash: bool,
    index: u32,
}

impl ShortNames {
    /// The names to try for `name`.
    pub fn of(name: &[u16]) -> Self {
        let start = name
            .iter()
            .position(|unit| *unit != DOT && *unit != SPACE)
            .unwrap_or(name.len());
        let visible = &name[start..];
        let dot = visible.iter().rposition(|unit| *unit == DOT).unwrap_or(visible.len());
        let letters = |units: &[u16], length: usize| -> Vec<u8> {
            units
                .iter()
                .filter_map(|unit| match taken(*unit) {
                    Taken::As(byte) => Some(byte),
                    Taken::Dropped => None,
                })
                .take(length)
                .collect()
        };
        let mut names = Self {
            base: letters(&visible[..dot], 6),
            extension: letters(visible.get(dot + 1..).unwrap_or_default(), 3),
            hash: hash(name),
            has_hash: false,
            index: 0,
        };
        if names.base.len() <= 2 {
            names.insert_hash();
        }
        names
    }

    fn insert_hash(&mut self) {
        self.base.truncate(2);
        // The digits stand lowest first.
        for digit in 0..4 {
            self.base
                .push(b"0123456789ABCDEF"[usize::from(self.hash >> (4 * digit) & 0xF)]);
        }
        self.has_hash = true;
    }
}

impl Iterator for ShortNames {
    type Item = Vec<u16>;

    fn next(&mut self) -> Option<Vec<u16>> {
        self.index += 1;
        if self.index > 4 && !self.has_hash {
            self.insert_hash();
            self.index = 1;
        }
        if self.index > 999_999 {
            return None;
        }
        let digits = self.index.ilog10() as usize + 1;
        let mut name: Vec<u16> = Vec::with_capacity(12);
        name.extend(self.base.iter().take(7 - digits).map(|byte| u16::from(*byte)));
        name.push(u16::from(b'~'));
        for digit in (0..digits as u32).rev() {
            name.push(u16::from(b'0') + (self.index / 10_u32.pow(digit) % 10) as u16);
        }
        if !self.extension.is_empty() {
            name.push(DOT);
            name.extend(self.extension.iter().map(|byte| u16::from(*byte)));
        }
        Some(name)
    }
}

/// The hash of a long name that its 8.3 names carry.
fn hash(name: &[u16]) -> u16 {
    let sum = name
        .iter()
        .fold(0_u16, |sum, unit| sum.wrapping_mul(37).wrapping_add(*unit));
    let product = u32::from(sum).wrapping_mul(314_159_269).cast_signed().unsigned_abs();
    (product % 1_000_000_007) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn nth(name: &str, number: usize) -> String {
        crate::wtf8::display(&ShortNames::of(&units(name)).nth(number - 1).unwrap())
    }

    #[test]
    fn names_are_those_of_windows() {
        for (name, number, expected) in [
            ("Program Files", 1, "PROGRA~1"),
            ("Program Files (x86)", 2, "PROGRA~2"),
            ("5+6 June Report.doc", 1, "5_6JUN~1.DOC"),
            ("1+2+3 Hello World.exe", 1, "1_2_3H~1.EXE"),
            ("SomeStuff.aspx", 1, "SOMEST~1.ASP"),
            ("SomeStuff.aspx", 4, "SOMEST~4.ASP"),
            ("SomeStuff.aspx", 5, "SOBC84~1.ASP"),
            ("SomeStuff.aspx", 14, "SOBC8~10.ASP"),
            ("a.txt3", 1, "AEE90~1.TXT"),
            (".gitignore", 1, "GITIGN~1"),
            ("a.testing.file.bat", 1, "ATESTI~1.BAT"),
        ] {
            assert_eq!(nth(name, number), expected, "{name}");
        }
    }

    #[test]
    fn a_name_without_usable_letters_still_gets_one() {
        let name = nth("日本語.txt", 1);
        assert!(name.ends_with("~1.TXT") && name.len() == 10, "{name}");
    }

    #[test]
    fn every_name_tried_is_an_8_3_name_and_new() {
        let mut seen: Vec<Vec<u16>> = Vec::new();
        for name in ShortNames::of(&units("Some long name.with text")).take(1200) {
            assert!(is_short_name(&name), "{}", crate::wtf8::display(&name));
            assert!(!seen.contains(&name));
            seen.push(name);
        }
        assert!(ShortNames::of(&units("a")).last().is_some_and(|name| name.len() == 8));
    }

    #[test]
    fn what_is_an_8_3_name() {
        for (name, expected) in [
            ("README.TXT", true),
            ("readme.txt", true),
            ("12345678.123", true),
            ("123456789", false),
            ("a.1234", false),
            ("a.b.c", false),
            (".a", false),
            ("a.", false),
            ("a b", false),
            ("a+b", false),
            ("é", false),
            ("", false),
            ("A~1", true),
        ] {
            assert_eq!(is_short_name(&units(name)), expected, "{name}");
        }
    }
}
