//! XPRESS with Huffman codes: LZ77+Huffman of \[MS-XCA\] 2.2, as WOF and WIM use it.

use super::bits::BitReader;
use super::huffman::HuffmanCode;
use super::{DecodeError, copy_match};

/// Literals, and matches by 16 lengths and 16 logarithms of the distance.
const SYMBOLS: usize = 512;
/// Bytes of the code lengths, four bits each, with which the input begins.
const LENGTHS: usize = SYMBOLS / 2;
const MIN_MATCH: usize = 3;

/// Decodes `input` until `output` is full.
pub fn decode(input: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
    let fault = |what, offset| Err(DecodeError::new(what, offset));
    let Some((packed, rest)) = input.split_at_checked(LENGTHS) else {
        return fault("the code lengths are cut off", input.len());
    };
    let mut lengths = [0; SYMBOLS];
    for (pair, byte) in lengths.chunks_exact_mut(2).zip(packed) {
        pair[0] = byte & 0xF;
        pair[1] = byte >> 4;
    }
    let Some(code) = HuffmanCode::<SYMBOLS>::new(&lengths) else {
        return fault("impossible code lengths", 0);
    };
    let mut bits = BitReader::new(rest);
    let mut position = 0;
    while position < output.len() {
        let Some(symbol) = code.decode(&mut bits).filter(|_| !bits.is_beyond_end()) else {
            return fault("bits that are no code", LENGTHS + bits.position());
        };
        // Whole bytes follow the units of which 16 bits are still to come.
        bits.ensure(16);
        if let Ok(literal) = u8::try_from(symbol) {
            output[position] = literal;
            position += 1;
            continue;
        }
        let Some(length) = match_length(symbol & 0xF, &mut bits) else {
            return fault("a match length that is cut off or too short", LENGTHS + bits.position());
        };
        let distance_bits = (symbol >> 4 & 0xF) as u32;
        let distance = 1 << distance_bits | bits.take(distance_bits) as usize;
        // The last match may say more than there is room for.
        let length = length.min(output.len() - position);
        if !copy_match(output, position, distance, length) {
            return fault("a match from before the beginning", position);
        }
        position += length;
    }
    Ok(())
}

fn match_length(low: usize, bits: &mut BitReader) -> Option<usize> {
    let length = if low == 0xF {
        match bits.bytes().map(u8::from_le_bytes)? {
            0xFF => match bits.bytes().map(u16::from_le_bytes)? {
                0 => bits.bytes().map(u32::from_le_bytes)? as usize,
                length => usize::from(length),
            },
            more => 0xF + usize::from(more),
        }
    } else {
        low
    };
    (length >= low).then(|| length.saturating_add(MIN_MATCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packed code lengths.
    fn lengths(symbols: &[(usize, u8)]) -> Vec<u8> {
        let mut packed = vec![0; LENGTHS];
        for (symbol, length) in symbols {
            packed[symbol / 2] |= length << (4 * (symbol % 2));
        }
        packed
    }

    #[test]
    fn literals_decode_by_their_codes() {
        // 26 letters in codes of five bits: the code is the letter's number.
        let letters: Vec<(usize, u8)> = (b'a'..=b'z').map(|letter| (usize::from(letter), 5)).collect();
        let mut input = lengths(&letters);
        let mut bits: Vec<bool> = (0..26_u8)
            .rev()
            .flat_map(|code| (0..5).rev().map(move |bit| code >> bit & 1 == 1))
            .collect();
        bits.resize(bits.len().next_multiple_of(16) + 16, false);
        for unit in bits.chunks(16) {
            let value = unit.iter().fold(0_u16, |value, bit| value << 1 | u16::from(*bit));
            input.extend(value.to_le_bytes());
        }
        let mut output = [0; 26];
        decode(&input, &mut output).unwrap();
        assert_eq!(&output, b"zyxwvutsrqponmlkjihgfedcba");
        assert!(decode(&input[..LENGTHS - 1], &mut output).is_err());
    }

    #[test]
    fn long_matches_take_their_lengths_from_bytes() {
        // `a` 0, match with length bytes and distance 1: 1.
        let mut input = lengths(&[(97, 1), (271, 1)]);
        input.extend(0x4000_u16.to_le_bytes());
        input.extend(0_u16.to_le_bytes());
        input.push(0xFF);
        input.extend(1000_u16.to_le_bytes());
        let mut output = [0; 1004];
        decode(&input, &mut output).unwrap();
        assert!(output.iter().all(|byte| *byte == b'a'));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(
            codes in prop::collection::vec((0_usize..512, 1_u8..6), 0..40),
            rest in prop::collection::vec(any::<u8>(), 0..600), size in 0_usize..5000, raw in any::<bool>()
        ) {
            let mut input = if raw { Vec::new() } else { lengths(&codes) };
            input.extend(rest);
            let _ = decode(&input, &mut vec![0; size]);
        }
    }
}
