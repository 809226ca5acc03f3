//! 16-bit names as bytes and back.
//!
//! WTF-8 is UTF-8 that also encodes lone surrogates (U+D800 to U+DFFF), each as the three bytes its number would take.
//! Every sequence of 16-bit units has exactly one WTF-8 form; for well-formed UTF-16 it is the UTF-8 form.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Bytes that are no WTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWtf8 {
    /// The first byte that does not fit.
    pub offset: usize,
}

impl fmt::Display for NotWtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the byte at {} is not WTF-8", self.offset)
    }
}

impl core::error::Error for NotWtf8 {}

/// The WTF-8 form of a name.
pub fn encode(units: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len());
    encode_into(units, &mut bytes);
    bytes
}

/// Appends the WTF-8 form of a name to `bytes`.
pub fn encode_into(units: &[u16], bytes: &mut Vec<u8>) {
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                bytes.extend([
                    0xE0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3F) as u8,
                    0x80 | (unit & 0x3F) as u8,
                ]);
            }
        }
    }
}

/// The name whose WTF-8 form is `bytes`.
///
/// A surrogate pair written as two three-byte sequences (CESU-8) is refused: it is not the form that [`encode`] gives, and
/// two byte strings for one name would let a name pass a check under the other.
pub fn decode(bytes: &[u8]) -> Result<Vec<u16>, NotWtf8> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let rest = &bytes[position..];
        let valid = match core::str::from_utf8(rest) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
        };
        units.extend(valid.encode_utf16());
        position += valid.len();
        if position == bytes.len() {
            break;
        }
        let unit = match bytes[position..] {
            [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
                0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F)
            }
            _ => return Err(NotWtf8 { offset: position }),
        };
        let is_low = unit >= 0xDC00;
        let follows_lone_high = valid.is_empty() && matches!(units.last(), Some(0xD800..=0xDBFF));
        if is_low && follows_lone_high {
            return Err(NotWtf8 { offset: position });
        }
        units.push(unit);
        position += 3;
    }
    Ok(units)
}

/// The name as text for people: what is no character is shown as U+FFFD.
pub fn display(units: &[u16]) -> String {
    String::from_utf16_lossy(units)
}

/// The units that stand as little-endian bytes on disk; an odd last byte is left out.
pub fn from_le_bytes(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_units_come_back(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xD800_u16..0xE000], 0..40)) {
            prop_assert_eq!(decode(&encode(&units)).unwrap(), units);
        }

        #[test]
        fn what_decodes_is_the_only_form(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(0xED), 0xA0_u8..0xC0], 0..12)) {
            if let Ok(units) = decode(&bytes) {
                prop_assert_eq!(encode(&units), bytes);
            }
        }

        #[test]
        fn text_is_utf_8(text in any::<String>()) {
            let units: Vec<u16> = text.encode_utf16().collect();
            prop_assert_eq!(encode(&units), text.as_bytes());
        }
    }

    #[test]
    fn a_pair_in_two_pieces_is_refused() {
        assert_eq!(decode(b"a\xED\xA0\xBD\xED\xB8\x80"), Err(NotWtf8 { offset: 4 }));
        assert_eq!(decode(b"\xED\xB8\x80\xED\xA0\xBD").unwrap(), [0xDE00, 0xD83D]);
        assert_eq!(decode(b"\xFF"), Err(NotWtf8 { offset: 0 }));
    }
}
