//! Compressing by LZNT1; [`lznt1`](super::lznt1) says the format.

use super::lznt1::{CHUNK, length_bits};
use super::matches::{MIN_MATCH, MatchFinder};

/// Candidates that are looked at for a match.
const DEPTH: usize = 24;
/// Flags of a chunk's header: the signature 3, and whether it is compressed.
const SIGNATURE: u16 = 0x3000;
const COMPRESSED: u16 = 0x8000;

/// Compresses pieces one after the other.
#[derive(Debug)]
pub struct Lznt1Encoder {
    finder: MatchFinder,
}

impl Default for Lznt1Encoder {
    fn default() -> Self {
        Self {
            finder: MatchFinder::new(DEPTH),
        }
    }
}

impl Lznt1Encoder {
    /// Appends `input`, filled up with zeros to whole chunks of 4 KiB, to `output` in compressed form.
    ///
    /// ```
    /// use cv_ntfs::compress::{lznt1, lznt1_encoder::Lznt1Encoder};
    ///
    /// let content = b"again and again and again".repeat(100);
    /// let mut compressed = Vec::new();
    /// Lznt1Encoder::default().encode(&content, &mut compressed);
    /// assert!(compressed.len() < content.len() / 4);
    /// let mut decoded = vec![0; content.len()];
    /// lznt1::decode(&compressed, &mut decoded)?;
    /// assert_eq!(decoded, content);
    /// # Ok::<(), cv_ntfs::compress::DecodeError>(())
    /// ```
    pub fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) {
        for chunk in input.chunks(CHUNK) {
            let mut whole = [0; CHUNK];
            whole[..chunk.len()].copy_from_slice(chunk);
            encode_chunk(&mut self.finder, &whole, output);
        }
    }
}

fn encode_chunk(finder: &mut MatchFinder, chunk: &[u8; CHUNK], output: &mut Vec<u8>) {
    let start = output.len();
    output.extend([0; 2]);
    finder.reset(CHUNK);
    let mut flags_at = 0;
    let mut item = 8;
    let mut position = 0;
    while position < CHUNK && output.len() - start < CHUNK + 2 {
        if item == 8 {
            flags_at = output.len();
            output.push(0);
            item = 0;
        }
        let length_bits = if position == 0 { 0 } else { length_bits(position) };
        let most = (1 << length_bits) - 1 + MIN_MATCH;
        let found = finder.longest(chunk, position, most);
        finder.insert(chunk, position);
        // A literal is taken where the match that begins behind it is longer.
        let is_taken = found.length > 0
            && (found.length == most || finder.longest(chunk, position + 1, most).length <= found.length);
        if is_taken {
            let token = (found.distance - 1) << length_bits | (found.length - MIN_MATCH);
            output.extend((token as u16).to_le_bytes());
            output[flags_at] |= 1 << item;
            for inside in position + 1..position + found.length {
                finder.insert(chunk, inside);
            }
            position += found.length;
        } else {
            output.push(chunk[position]);
            position += 1;
        }
        item += 1;
    }
    let size = output.len() - start - 2;
    let header = if position == CHUNK && size < CHUNK {
        SIGNATURE | COMPRESSED | (size - 1) as u16
    } else {
        output.truncate(start + 2);
        output.extend_from_slice(chunk);
        SIGNATURE | (CHUNK - 1) as u16
    };
    output[start..start + 2].copy_from_slice(&header.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::lznt1::decode;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..800),
        ) {
            let content: Vec<u8> = order.iter().flat_map(|index| words[index.index(words.len())].clone()).collect();
            let mut compressed = Vec::new();
            Lznt1Encoder::default().encode(&content, &mut compressed);
            prop_assert!(compressed.len() <= content.len().div_ceil(CHUNK) * (CHUNK + 2));
            let mut decoded = vec![0xAA; content.len()];
            decode(&compressed, &mut decoded).unwrap();
            prop_assert!(decoded == content);
        }
    }

    #[test]
    fn a_chunk_of_one_byte_becomes_a_few() {
        let mut compressed = Vec::new();
        Lznt1Encoder::default().encode(&[7; 2 * CHUNK], &mut compressed);
        assert!(compressed.len() < 20, "{}", compressed.len());
    }
}
