//! The compressions that Windows uses on NTFS volumes.
//!
//! [`lznt1`] is NTFS's own; [`xpress`] and [`lzx`] are those of WOF (system compression, `compact /exe`), in the form that
//! WIM files use too. Each decodes one piece of known size into a buffer of that size. A damaged piece yields an error,
//! never more bytes than the buffer, and never a panic; the time is bounded by the sizes of input and output.
//! [`lznt1_encoder`] and [`xpress_encoder`] make what the decoders, and Windows, read.

mod bits;
mod huffman;
pub mod lznt1;
pub mod lznt1_encoder;
pub mod lzx;
mod matches;
pub(crate) mod wof_encoder;
pub mod xpress;
pub mod xpress_encoder;

/// Compressed bytes that decode to nothing sensible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct DecodeError {
    /// What was found.
    pub what: &'static str,
    /// Where in the compressed bytes, or (of a match) in what was decoded.
    pub offset: usize,
}

impl DecodeError {
    const fn new(what: &'static str, offset: usize) -> Self {
        Self { what, offset }
    }
}

/// Repeats `length` bytes from `distance` back at `position` of `output`; false where that leaves the buffer.
fn copy_match(output: &mut [u8], position: usize, distance: usize, length: usize) -> bool {
    let Some(start) = position.checked_sub(distance) else {
        return false;
    };
    if distance == 0 || length > output.len() - position {
        return false;
    }
    if distance >= length {
        output.copy_within(start..start + length, position);
    } else {
        for offset in 0..length {
            output[position + offset] = output[start + offset];
        }
    }
    true
}
