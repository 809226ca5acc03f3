//! Names as they stand in a hive.

use crate::Name;
use crate::structure::subkeys_list::name_hash;
use cv_winname::{UpcaseTable, wtf8};
use std::cmp::Ordering;
use std::fmt;

/// The name of a key, value or class, where it stands: compared and decoded without a copy.
#[derive(Clone, Copy)]
pub struct NameRef<'a> {
    bytes: &'a [u8],
    is_compressed: bool,
}

impl<'a> NameRef<'a> {
    /// A name of `bytes`, of which each is a unit where the name is compressed, and each pair otherwise; a byte too many is
    /// ignored.
    pub fn new(bytes: &'a [u8], is_compressed: bool) -> Self {
        let length = if is_compressed { bytes.len() } else { bytes.len() & !1 };
        Self {
            bytes: &bytes[..length],
            is_compressed,
        }
    }

    /// The bytes, as stored.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether each byte is a unit below 256; otherwise the bytes are UTF-16.
    pub fn is_compressed(self) -> bool {
        self.is_compressed
    }

    /// Number of UTF-16 units.
    pub fn len(self) -> usize {
        if self.is_compressed {
            self.bytes.len()
        } else {
            self.bytes.len() / 2
        }
    }

    /// Whether it has no units.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The UTF-16 units.
    pub fn units(self) -> Units<'a> {
        Units(self)
    }

    /// A copy that stands by itself.
    pub fn to_name(self) -> Name {
        Name::from(self.units().collect::<Vec<u16>>())
    }

    /// The order of this name and another by the `$UpCase` table, in which subkeys are listed.
    pub fn compare(self, other: &[u16]) -> Ordering {
        compare(self.units(), other.iter().copied())
    }

    /// As [`compare`](Self::compare), with another name of a hive.
    pub fn compare_to(self, other: NameRef<'_>) -> Ordering {
        compare(self.units(), other.units())
    }

    /// Whether both are the same name to Windows.
    pub fn matches(self, other: &[u16]) -> bool {
        self.len() == other.len() && self.compare(other).is_eq()
    }

    /// The hash of hash leaves.
    pub fn hash(self) -> u32 {
        name_hash(self.units())
    }
}

/// A name in a message: without the control characters that would break its line.
pub(crate) fn shown(name: impl fmt::Display) -> String {
    name.to_string().replace(char::is_control, "\u{FFFD}")
}

fn compare(left: impl Iterator<Item = u16>, right: impl Iterator<Item = u16>) -> Ordering {
    let table = UpcaseTable::windows();
    left.map(|unit| table.upcase(unit))
        .cmp(right.map(|unit| table.upcase(unit)))
}

/// The UTF-16 units of a name.
#[derive(Debug, Clone)]
pub struct Units<'a>(NameRef<'a>);

impl Iterator for Units<'_> {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        let bytes = &mut self.0.bytes;
        if self.0.is_compressed {
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            Some(u16::from(*first))
        } else {
            let (first, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Some(u16::from_le_bytes(*first))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl ExactSizeIterator for Units<'_> {}

/// As text; a lone surrogate as the replacement character.
impl fmt::Display for NameRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_compressed && self.bytes.is_ascii() {
            // ASCII is UTF-8.
            return formatter.write_str(std::str::from_utf8(self.bytes).unwrap_or_default());
        }
        formatter.write_str(&wtf8::display(&self.units().collect::<Vec<u16>>()))
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_name_are_one_name() {
        let latin = NameRef::new(b"Stra\xDFe", true);
        let wide: Vec<u8> = "sTRA\u{DF}E".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let wide = NameRef::new(&wide, false);
        assert_eq!(latin.compare_to(wide), Ordering::Equal);
        assert_eq!(latin.hash(), wide.hash());
        assert_eq!((latin.len(), wide.len()), (6, 6));
        assert_eq!(latin.to_string(), "Stra\u{DF}e");
        assert!(latin.matches(&wide.units().collect::<Vec<_>>()));
        assert!(!latin.matches(&[0x53]));
        assert_eq!(NameRef::new(&[0x00, 0xD8, 0x41], false).to_string(), "\u{FFFD}");
    }
}
