//! LZNT1, NTFS's own compression (\[MS-XCA\] 2.5).
//!
//! A compression unit is a sequence of chunks of 4 KiB. A chunk begins with 16 bits: its length in the low twelve, and in
//! the highest whether it is compressed. A flag byte then says for each of eight items whether it is a byte or a match of 16
//! bits; the farther the chunk has got, the more of those are the distance's.

use super::{DecodeError, copy_match};

/// Bytes that are compressed together.
pub const CHUNK: usize = 4096;

const COMPRESSED: u16 = 0x8000;
const LENGTH: u16 = 0x0FFF;
const MIN_MATCH: usize = 3;

/// Decodes `input` into `output`; what the chunks leave of it becomes zero.
pub fn decode(input: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
    let mut position = 0;
    let mut chunks = output.chunks_mut(CHUNK);
    while let Some(header) = input.get(position..position + 2) {
        let header = u16::from_le_bytes([header[0], header[1]]);
        if header == 0 {
            break;
        }
        let Some(chunk) = chunks.next() else {
            break;
        };
        let start = position + 2;
        let end = start + usize::from(header & LENGTH) + 1;
        let Some(bytes) = input.get(start..end) else {
            return Err(DecodeError::new("a chunk that is cut off", position));
        };
        let written = if header & COMPRESSED != 0 {
            decode_chunk(bytes, chunk).map_err(|error| DecodeError::new(error.what, start + error.offset))?
        } else {
            let length = bytes.len().min(chunk.len());
            chunk[..length].copy_from_slice(&bytes[..length]);
            length
        };
        chunk[written..].fill(0);
        position = end;
    }
    chunks.for_each(|chunk| chunk.fill(0));
    Ok(())
}

/// Bytes of `chunk` that were written.
fn decode_chunk(input: &[u8], chunk: &mut [u8]) -> Result<usize, DecodeError> {
    let mut position = 0;
    let mut items = input.iter().copied().enumerate();
    while let Some((_, flags)) = items.next() {
        for item in 0..8 {
            let Some((offset, low)) = items.next() else {
                return Ok(position);
            };
            if position == chunk.len() {
                return Ok(position);
            }
            if flags >> item & 1 == 0 {
                chunk[position] = low;
                position += 1;
                continue;
            }
            let Some((_, high)) = items.next() else {
                return Err(DecodeError::new("a match that is cut off", offset));
            };
            if position == 0 {
                return Err(DecodeError::new("a match from before the chunk", offset));
            }
            let token = usize::from(u16::from_le_bytes([low, high]));
            let length_bits = length_bits(position);
            let distance = (token >> length_bits) + 1;
            let length = (token & ((1 << length_bits) - 1)) + MIN_MATCH;
            let length = length.min(chunk.len() - position);
            if !copy_match(chunk, position, distance, length) {
                return Err(DecodeError::new("a match from before the chunk", offset));
            }
            position += length;
        }
    }
    Ok(position)
}

/// Bits of a match at `position` (1 to 4095) of a chunk that are its length's: as few as leave the distance's enough to reach
/// the chunk's start, twelve at most.
pub(crate) fn length_bits(position: usize) -> u32 {
    let distance_bits = usize::BITS - (position - 1).leading_zeros();
    16 - distance_bits.clamp(4, 12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_decodes() {
        // [MS-XCA] 3.3.
        let input = [
            0x38, 0xB0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xA2, 0x47, 0x01, 0xA0, 0x45,
            0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xC0, 0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xB4,
            0x02, 0x4A, 0x44, 0xEF, 0x03, 0x58, 0x02, 0x8C, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xBE, 0x00, 0x9E, 0x00,
            0x04, 0x01, 0x18, 0x90, 0x00,
        ];
        let expected = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E \
            F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        let mut output = vec![0xAA; 200];
        decode(&input, &mut output).unwrap();
        assert_eq!(&output[..expected.len()], &expected[..]);
        assert!(output[expected.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn lengths_lose_bits_as_the_chunk_grows() {
        for (position, bits) in [
            (1, 12),
            (16, 12),
            (17, 11),
            (32, 11),
            (33, 10),
            (2048, 5),
            (2049, 4),
            (4095, 4),
        ] {
            assert_eq!(length_bits(position), bits, "{position}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(mut input in prop::collection::vec(any::<u8>(), 0..5000), size in 0_usize..10_000) {
            if let [low, high, ..] = &mut input[..] {
                *low = 0xFF;
                *high = *high & 3 | 0xB0;
            }
            let _ = decode(&input, &mut vec![0; size]);
        }
    }
}
