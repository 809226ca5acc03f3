//! How the characters of a `.reg` file stand in its bytes.

use std::borrow::Cow;
use std::sync::LazyLock;

use cv_winname::wtf8;
use encoding_rs::WINDOWS_1252;

use super::VERSION_4;

/// What a `.reg` file that is written begins with, and how its characters are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// "Windows Registry Editor Version 5.00" in UTF-16LE with a byte order mark, as regedit writes since Windows 2000. It
    /// holds lone surrogates.
    #[default]
    Version5,
    /// "Windows Registry Editor Version 5.00" in UTF-8, for tools that read no UTF-16.
    Version5Utf8,
    /// "REGEDIT4" in Windows-1252, as regedit wrote before: texts of all types are in that code page too.
    Regedit4,
}

/// The characters of a file as WTF-8, and whether it is one of version 4, whose texts in hexadecimal are of the code page.
pub(super) fn decode(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        wtf8::encode(&units)
    };
    let text: Cow<'_, [u8]> = match bytes {
        [0xFF, 0xFE, text @ ..] => utf16(text, u16::from_le_bytes).into(),
        [0xFE, 0xFF, text @ ..] => utf16(text, u16::from_be_bytes).into(),
        [first, 0, ..] if first.is_ascii() => utf16(bytes, u16::from_le_bytes).into(),
        [0xEF, 0xBB, 0xBF, text @ ..] if wtf8::decode(text).is_ok() => text.into(),
        text if text.is_ascii() => text.into(),
        text if !text.starts_with(VERSION_4.as_bytes()) && wtf8::decode(text).is_ok() => text.into(),
        text => match WINDOWS_1252.decode_without_bom_handling(text).0 {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        },
    };
    let is_version_4 = text.starts_with(VERSION_4.as_bytes());
    (text, is_version_4)
}

/// The units that the bytes of the code page stand for, as UTF-16LE.
pub(super) fn utf16_of_ansi(bytes: &[u8]) -> Vec<u8> {
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The byte of the code page that stands for a unit.
pub(super) fn ansi(unit: u16) -> Option<u8> {
    /// What the bytes 0x80 to 0x9F stand for; the others stand for the character of their number.
    static ODD: LazyLock<Vec<u16>> = LazyLock::new(|| {
        let bytes: Vec<u8> = (0x80..=0x9F).collect();
        WINDOWS_1252
            .decode_without_bom_handling(&bytes)
            .0
            .encode_utf16()
            .collect()
    });
    match unit {
        0..=0x7F | 0xA0..=0xFF => Some(unit as u8),
        _ => ODD
            .iter()
            .position(|odd| *odd == unit)
            .map(|position| 0x80 + position as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_code_page_comes_back() {
        for byte in 0..=u8::MAX {
            let unit = utf16_of_ansi(&[byte]);
            assert_eq!(ansi(u16::from_le_bytes([unit[0], unit[1]])), Some(byte));
        }
        assert_eq!(ansi(0x20AC), Some(0x80));
        assert_eq!(ansi(0x3B1), None);
    }

    #[test]
    fn encodings_are_told_apart() {
        let text = "Windows Registry Editor Version 5.00\r\n\"\u{e4}\"";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let ansi: Vec<u8> = text.encode_utf16().map(|unit| unit as u8).collect();
        for bytes in [
            [&[0xFF, 0xFE][..], &little].concat(),
            [&[0xFE, 0xFF][..], &big].concat(),
            little,
            [&[0xEF, 0xBB, 0xBF][..], text.as_bytes()].concat(),
            text.as_bytes().to_vec(),
            ansi,
        ] {
            assert_eq!(&*decode(&bytes).0, text.as_bytes());
        }
        let (text, is_version_4) = decode(b"REGEDIT4\r\n\"\xC3\xA4\"");
        assert!(is_version_4);
        assert_eq!(&*text, "REGEDIT4\r\n\"\u{c3}\u{a4}\"".as_bytes());
    }
}
