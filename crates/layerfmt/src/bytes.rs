//! Bytes of a structure that may be anyone's, taken one after the other.

use cv_disk::Damage;
use encoding_rs::WINDOWS_1252;

/// What is left of some bytes, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest<'a> {
    bytes: &'a [u8],
    place: u64,
}

impl<'a> Rest<'a> {
    /// All of `bytes`, which stand at `place` of the file.
    pub fn new(bytes: &'a [u8], place: u64) -> Self {
        Self { bytes, place }
    }

    /// What is left.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where it stands in the file.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Damage> {
        match self.bytes.split_at_checked(count) {
            Some((taken, rest)) => {
                self.bytes = rest;
                self.place += count as u64;
                Ok(taken)
            }
            None => Err(Damage::new(
                what,
                self.place,
                format!("{count} bytes"),
                format!("{} bytes", self.bytes.len()),
            )),
        }
    }

    /// The next 16-bit number.
    pub fn u16(&mut self, what: &str) -> Result<u16, Damage> {
        Ok(u16_at(self.take(2, what)?, 0).unwrap_or_default())
    }

    /// The next 32-bit number.
    pub fn u32(&mut self, what: &str) -> Result<u32, Damage> {
        Ok(u32_at(self.take(4, what)?, 0).unwrap_or_default())
    }
}

/// The 16-bit number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// Text of the Western code page up to a zero, or to the end.
pub(crate) fn ansi_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    WINDOWS_1252.decode_without_bom_handling(&bytes[..end]).0.into_owned()
}

/// UTF-16LE text up to a zero unit, or to the end.
pub(crate) fn utf16_text(bytes: &[u8]) -> String {
    let units = cv_winname::wtf8::from_le_bytes(bytes);
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

/// A text in UTF-16LE with a zero unit behind it, as the registry has it.
pub(crate) fn utf16_bytes(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}
