//! Buffers that Windows fills, aligned as it wants them, and numbers in them.

/// Bytes that begin at a multiple of eight.
#[derive(Debug)]
pub struct Buffer(Vec<u64>);

impl Buffer {
    /// At least `bytes` bytes, all zero.
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(8)])
    }

    /// Makes room for `bytes` bytes at least.
    pub fn grow(&mut self, bytes: usize) {
        let words = bytes.div_ceil(8).max(self.0.len());
        self.0.resize(words, 0);
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len() * 8
    }

    /// The place of the first byte, to be written to.
    pub fn as_mut_ptr(&mut self) -> *mut u64 {
        self.0.as_mut_ptr()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        crate::sys::file::bytes_of(&self.0)
    }
}

/// Four bytes at a place; zero behind the end.
pub fn u32_at(bytes: &[u8], place: usize) -> u32 {
    let found = bytes.get(place..).and_then(|rest| rest.first_chunk::<4>());
    found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Eight bytes at a place; zero behind the end.
pub fn u64_at(bytes: &[u8], place: usize) -> u64 {
    let found = bytes.get(place..).and_then(|rest| rest.first_chunk::<8>());
    found.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A text of `length` bytes at a place, as far as it is there.
pub fn units_at(bytes: &[u8], place: usize, length: usize) -> Vec<u16> {
    let rest = bytes.get(place..).unwrap_or_default();
    let text = &rest[..length.min(rest.len())];
    cv_winname::wtf8::from_le_bytes(text)
}
