//! LZX as WOF and WIM use it: chunks of 32 KiB that do not depend on each other (\[MS-PATCH\] with a window of 2^15, and the
//! differences of WIM: block sizes of 16 bits or the default, and call translation in every chunk).

use super::bits::BitReader;
use super::huffman::HuffmanCode;
use super::{DecodeError, copy_match};

/// Bytes of a chunk, of the window, and of a block that does not say its size.
pub const CHUNK: usize = 32 << 10;

const LITERALS: usize = 256;
/// Eight lengths for each of the 30 slots of distances that a window of 32 KiB has.
const MAIN_SYMBOLS: usize = LITERALS + 8 * SLOTS;
const SLOTS: usize = 30;
const LENGTH_SYMBOLS: usize = 249;
const PRE_SYMBOLS: usize = 20;
const ALIGNED_SYMBOLS: usize = 8;
const MIN_MATCH: usize = 2;
/// The size of an executable that call translation supposes.
const TRANSLATION_SIZE: i32 = 12_000_000;

/// The code lengths of the last block, from which the next one's are said.
struct Lengths {
    main: [u8; MAIN_SYMBOLS],
    length: [u8; LENGTH_SYMBOLS],
}

/// How many bits follow the slot, and the distance (plus two) where they are zeros.
fn slot(number: usize) -> (u32, usize) {
    let bits = (number / 2).saturating_sub(1) as u32;
    let base = if number < 2 { number } else { (2 + number % 2) << bits };
    (bits, base)
}

/// Decodes `input`, a chunk, until `output`, of 32 KiB at most, is full.
pub fn decode(input: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
    let mut bits = BitReader::new(input);
    let mut lengths = Lengths {
        main: [0; MAIN_SYMBOLS],
        length: [0; LENGTH_SYMBOLS],
    };
    let mut recent = [1_usize; 3];
    let mut position = 0;
    if output.len() > CHUNK {
        return Err(DecodeError::new("a chunk of more than 32 KiB", 0));
    }
    while position < output.len() {
        if bits.is_beyond_end() {
            return Err(DecodeError::new("the end of the chunk", bits.position()));
        }
        let kind = bits.take(3);
        let size = if bits.take(1) == 1 {
            CHUNK
        } else {
            bits.take(16) as usize
        };
        if size == 0 || size > output.len() - position {
            return Err(DecodeError::new("an impossible block size", bits.position()));
        }
        let block = &mut output[..position + size];
        match kind {
            1 | 2 => compressed_block(&mut bits, kind == 2, &mut lengths, &mut recent, block, position)?,
            3 => uncompressed_block(&mut bits, &mut recent, &mut block[position..])
                .ok_or_else(|| DecodeError::new("a stored block that is cut off", bits.position()))?,
            _ => return Err(DecodeError::new("an unknown block type", bits.position())),
        }
        position += size;
    }
    undo_call_translation(output);
    Ok(())
}

fn uncompressed_block(bits: &mut BitReader, recent: &mut [usize; 3], block: &mut [u8]) -> Option<()> {
    bits.align();
    for distance in recent {
        *distance = u32::from_le_bytes(bits.bytes()?) as usize;
    }
    block.copy_from_slice(bits.slice(block.len())?);
    if block.len() % 2 == 1 {
        // The padding of the last block may be missing.
        let _ = bits.slice(1);
    }
    Some(())
}

fn compressed_block(
    bits: &mut BitReader,
    is_aligned: bool,
    lengths: &mut Lengths,
    recent: &mut [usize; 3],
    output: &mut [u8],
    mut position: usize,
) -> Result<(), DecodeError> {
    let no_code = |bits: &BitReader| DecodeError::new("bits that are no code", bits.position());
    let impossible = |bits: &BitReader| DecodeError::new("impossible code lengths", bits.position());
    let mut aligned_lengths = [0; ALIGNED_SYMBOLS];
    if is_aligned {
        aligned_lengths.fill_with(|| bits.take(3) as u8);
    }
    let (literals, matches) = lengths.main.split_at_mut(LITERALS);
    for part in [literals, matches, &mut lengths.length] {
        read_lengths(bits, part).ok_or_else(|| impossible(bits))?;
    }
    let aligned_code = HuffmanCode::<ALIGNED_SYMBOLS>::new(&aligned_lengths).ok_or_else(|| impossible(bits))?;
    let main_code = HuffmanCode::<MAIN_SYMBOLS>::new(&lengths.main).ok_or_else(|| impossible(bits))?;
    let length_code = HuffmanCode::<LENGTH_SYMBOLS>::new(&lengths.length).ok_or_else(|| impossible(bits))?;
    while position < output.len() {
        let symbol = main_code
            .decode(bits)
            .filter(|_| !bits.is_beyond_end())
            .ok_or_else(|| no_code(bits))?;
        if let Ok(literal) = u8::try_from(symbol) {
            output[position] = literal;
            position += 1;
            continue;
        }
        let symbol = symbol - LITERALS;
        let mut length = symbol % 8 + MIN_MATCH;
        if symbol % 8 == 7 {
            length += length_code.decode(bits).ok_or_else(|| no_code(bits))?;
        }
        let distance = match symbol / 8 {
            number @ 0..3 => {
                recent.swap(0, number);
                recent[0]
            }
            number => {
                let (extra, base) = slot(number);
                let offset = if is_aligned && extra >= 3 {
                    let high = (bits.take(extra - 3) as usize) << 3;
                    high + aligned_code.decode(bits).ok_or_else(|| no_code(bits))?
                } else {
                    bits.take(extra) as usize
                };
                *recent = [base + offset - 2, recent[0], recent[1]];
                recent[0]
            }
        };
        if !copy_match(output, position, distance, length) {
            return Err(DecodeError::new("a match that leaves the chunk", position));
        }
        position += length;
    }
    Ok(())
}

/// Reads code lengths, said as differences to the last block's in a code of their own.
fn read_lengths(bits: &mut BitReader, lengths: &mut [u8]) -> Option<()> {
    let mut pre_lengths = [0; PRE_SYMBOLS];
    pre_lengths.fill_with(|| bits.take(4) as u8);
    let code = HuffmanCode::<PRE_SYMBOLS>::new(&pre_lengths)?;
    let less = |length: u8, by: usize| {
        (usize::from(length) + 17)
            .checked_sub(by)
            .map(|value| (value % 17) as u8)
    };
    let mut position = 0;
    while position < lengths.len() {
        if bits.is_beyond_end() {
            return None;
        }
        let symbol = code.decode(bits)?;
        let (count, value) = match symbol {
            17 => (4 + bits.take(4) as usize, 0),
            18 => (20 + bits.take(5) as usize, 0),
            19 => {
                let count = 4 + bits.take(1) as usize;
                (count, less(lengths[position], code.decode(bits)?)?)
            }
            difference => (1, less(lengths[position], difference)?),
        };
        // A run may say more than there are.
        let end = lengths.len().min(position + count);
        lengths[position..end].fill(value);
        position = end;
    }
    Some(())
}

/// Makes the targets of x86 calls relative again, which were made absolute to compress better.
fn undo_call_translation(chunk: &mut [u8]) {
    let Some(end) = chunk.len().checked_sub(10) else {
        return;
    };
    let mut position = 0;
    while position < end {
        let Ok(here) = i32::try_from(position) else {
            return;
        };
        if chunk[position] != 0xE8 {
            position += 1;
            continue;
        }
        let target: [u8; 4] = std::array::from_fn(|byte| chunk[position + 1 + byte]);
        let absolute = i32::from_le_bytes(target);
        let relative = if (0..TRANSLATION_SIZE).contains(&absolute) {
            Some(absolute - here)
        } else if absolute < 0 && absolute >= -here {
            Some(absolute + TRANSLATION_SIZE)
        } else {
            None
        };
        if let Some(relative) = relative {
            chunk[position + 1..position + 5].copy_from_slice(&relative.to_le_bytes());
        }
        position += 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slots_cover_the_window() {
        let mut next = 0;
        for number in 0..SLOTS {
            let (bits, base) = slot(number);
            assert_eq!(base, next, "slot {number}");
            next = base + (1 << bits);
        }
        assert_eq!(next, CHUNK);
    }

    #[test]
    fn a_stored_block_is_copied() {
        // Type 3, size given as 5 in 16 bits, aligned; three distances; the bytes.
        let header: u32 = 0b011 << 29 | 5 << 12;
        let mut input = Vec::new();
        input.extend(((header >> 16) as u16).to_le_bytes());
        input.extend((header as u16).to_le_bytes());
        for _ in 0..3 {
            input.extend(1_u32.to_le_bytes());
        }
        input.extend(b"hello");
        let mut output = [0; 5];
        decode(&input, &mut output).unwrap();
        assert_eq!(&output, b"hello");
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(mut input in prop::collection::vec(any::<u8>(), 0..800), size in 0_usize..33_000, kind in 0_u8..4) {
            if let Some(byte) = input.get_mut(1) {
                *byte = *byte & 0x1F | kind << 5;
            }
            let _ = decode(&input, &mut vec![0; size]);
        }
    }
}
