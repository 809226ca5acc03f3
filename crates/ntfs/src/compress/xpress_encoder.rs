//! Compressing by XPRESS with Huffman codes; [`xpress`](super::xpress) decodes it (\[MS-XCA\] 2.1).

use super::matches::{MIN_MATCH, MatchFinder};

/// Literals, and matches by 16 lengths and 16 logarithms of the distance.
const SYMBOLS: usize = 512;
/// A match of three bytes at distance 1, which ends the data where that is already complete.
const END_OF_DATA: usize = 256;
/// The longest code.
const MAX_CODE: u32 = 15;
/// Lengths from here on need more than the symbol.
const LONG: usize = 15;
/// Candidates that are looked at for a match.
const DEPTH: usize = 24;
/// The longest match that is looked for.
const MAX_MATCH: usize = 0xFFFF;

/// Compresses pieces of at most 64 KiB (less a byte) one after the other.
#[derive(Debug)]
pub struct XpressEncoder {
    finder: MatchFinder,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Literal(u8),
    Match { length: u16, distance: u16 },
}

impl Item {
    fn symbol(self) -> usize {
        match self {
            Self::Literal(byte) => usize::from(byte),
            Self::Match { length, distance } => {
                let low = (usize::from(length) - MIN_MATCH).min(LONG);
                256 + (distance.ilog2() as usize) * 16 + low
            }
        }
    }
}

impl Default for XpressEncoder {
    fn default() -> Self {
        Self {
            finder: MatchFinder::new(DEPTH),
            items: Vec::new(),
        }
    }
}

impl XpressEncoder {
    /// Appends `input` to `output` in compressed form, where that is shorter than `input`; else appends nothing.
    ///
    /// ```
    /// use cv_ntfs::compress::{xpress, xpress_encoder::XpressEncoder};
    ///
    /// let content = b"again and again and again".repeat(100);
    /// let mut compressed = Vec::new();
    /// assert!(XpressEncoder::default().encode(&content, &mut compressed));
    /// let mut decoded = vec![0; content.len()];
    /// xpress::decode(&compressed, &mut decoded)?;
    /// assert_eq!(decoded, content);
    /// # Ok::<(), cv_ntfs::compress::DecodeError>(())
    /// ```
    ///
    /// # Panics
    /// Where `input` is longer than 65535 bytes.
    pub fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> bool {
        assert!(input.len() <= MAX_MATCH, "XPRESS compresses pieces of less than 64 KiB");
        self.parse(input);
        let mut frequencies = [0_u32; SYMBOLS];
        for item in &self.items {
            frequencies[item.symbol()] += 1;
        }
        frequencies[END_OF_DATA] += 1;
        let lengths = code_lengths(&frequencies);
        let start = output.len();
        output.extend(lengths.chunks_exact(2).map(|pair| pair[0] | pair[1] << 4));
        let codes = canonical_codes(&lengths);
        let mut bits = BitWriter::new(output);
        for item in &self.items {
            let symbol = item.symbol();
            bits.write(codes[symbol], u32::from(lengths[symbol]));
            if let Item::Match { length, distance } = *item {
                let length = usize::from(length) - MIN_MATCH;
                if length >= LONG {
                    match u8::try_from(length - LONG) {
                        Ok(more) if more < 0xFF => bits.write_bytes(&[more]),
                        _ => {
                            bits.write_bytes(&[0xFF]);
                            bits.write_bytes(&(length as u16).to_le_bytes());
                        }
                    }
                }
                let logarithm = distance.ilog2();
                bits.write(distance - (1 << logarithm), logarithm);
            }
        }
        bits.write(codes[END_OF_DATA], u32::from(lengths[END_OF_DATA]));
        bits.finish();
        let is_shorter = output.len() - start < input.len();
        if !is_shorter {
            output.truncate(start);
        }
        is_shorter
    }

    fn parse(&mut self, input: &[u8]) {
        self.finder.reset(input.len());
        self.items.clear();
        let mut position = 0;
        while position < input.len() {
            let found = self.finder.longest(input, position, MAX_MATCH);
            self.finder.insert(input, position);
            let is_taken =
                found.length > 0 && self.finder.longest(input, position + 1, MAX_MATCH).length <= found.length;
            if is_taken {
                self.items.push(Item::Match {
                    length: found.length as u16,
                    distance: found.distance as u16,
                });
                for inside in position + 1..position + found.length {
                    self.finder.insert(input, inside);
                }
                position += found.length;
            } else {
                self.items.push(Item::Literal(input[position]));
                position += 1;
            }
        }
    }
}

/// Lengths of an optimal prefix code for these frequencies with codes of [`MAX_CODE`] bits at most; two symbols at least
/// get one.
fn code_lengths(frequencies: &[u32; SYMBOLS]) -> [u8; SYMBOLS] {
    let mut frequencies = *frequencies;
    let mut used = frequencies.iter().filter(|frequency| **frequency > 0).count();
    for frequency in &mut frequencies {
        if used >= 2 {
            break;
        }
        if *frequency == 0 {
            *frequency = 1;
            used += 1;
        }
    }
    loop {
        if let Some(lengths) = huffman(&frequencies) {
            return lengths;
        }
        // Flatter frequencies make shorter codes.
        for frequency in frequencies.iter_mut().filter(|frequency| **frequency > 0) {
            *frequency = (*frequency).div_ceil(2);
        }
    }
}

/// Huffman's code; `None` where a code would be too long.
fn huffman(frequencies: &[u32; SYMBOLS]) -> Option<[u8; SYMBOLS]> {
    // Leaves by frequency, then inner nodes as they arise, which is by frequency too.
    let mut leaves: Vec<(u32, u16)> = (0..)
        .zip(frequencies)
        .filter(|(_, frequency)| **frequency > 0)
        .map(|(symbol, frequency)| (*frequency, symbol))
        .collect();
    leaves.sort_unstable();
    let count = leaves.len();
    let mut weights: Vec<u32> = leaves.iter().map(|leaf| leaf.0).collect();
    let mut parents = vec![0; 2 * count - 1];
    let (mut leaf, mut inner) = (0, count);
    for node in count..2 * count - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            let takes_leaf = leaf < count && (inner >= node || weights[leaf] <= weights[inner]);
            let child = if takes_leaf { &mut leaf } else { &mut inner };
            weight += weights[*child];
            parents[*child] = node;
            *child += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0_u8; 2 * count - 1];
    for node in (0..2 * count - 2).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    let mut lengths = [0; SYMBOLS];
    for ((_, symbol), depth) in leaves.iter().zip(&depths) {
        if u32::from(*depth) > MAX_CODE {
            return None;
        }
        lengths[usize::from(*symbol)] = *depth;
    }
    Some(lengths)
}

/// The codes with these lengths: in ascending order by length, then symbol.
fn canonical_codes(lengths: &[u8; SYMBOLS]) -> [u16; SYMBOLS] {
    let mut counts = [0_u16; MAX_CODE as usize + 1];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let mut next = [0_u16; MAX_CODE as usize + 1];
    for length in 1..next.len() {
        next[length] = (next[length - 1] + counts[length - 1]) << 1;
    }
    let mut codes = [0; SYMBOLS];
    for (code, length) in codes.iter_mut().zip(lengths) {
        if *length > 0 {
            *code = next[usize::from(*length)];
            next[usize::from(*length)] += 1;
        }
    }
    codes
}

/// Writes bits in 16-bit units, and bytes between them where a decoder that reads two units ahead expects them.
struct BitWriter<'a> {
    output: &'a mut Vec<u8>,
    buffer: u32,
    count: u32,
    /// Where the next two units go.
    units: [usize; 2],
}

impl<'a> BitWriter<'a> {
    fn new(output: &'a mut Vec<u8>) -> Self {
        let start = output.len();
        output.extend([0; 4]);
        Self {
            output,
            buffer: 0,
            count: 0,
            units: [start, start + 2],
        }
    }

    /// Writes the low `count` (up to 15) bits of `bits`.
    fn write(&mut self, bits: u16, count: u32) {
        self.buffer = self.buffer << count | u32::from(bits);
        self.count += count;
        if self.count > 16 {
            self.count -= 16;
            let unit = (self.buffer >> self.count) as u16;
            self.put(unit);
        }
    }

    fn put(&mut self, unit: u16) {
        let place = self.units[0];
        self.output[place..place + 2].copy_from_slice(&unit.to_le_bytes());
        self.units = [self.units[1], self.output.len()];
        self.output.extend([0; 2]);
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Writes the last unit; the one after it, which a decoder reads ahead, stays 0.
    fn finish(self) {
        let unit = (self.buffer << (16 - self.count)) as u16;
        let place = self.units[0];
        self.output[place..place + 2].copy_from_slice(&unit.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::xpress::decode;
    use super::*;
    use proptest::prelude::*;

    fn check(content: &[u8]) -> usize {
        let mut compressed = Vec::new();
        if !XpressEncoder::default().encode(content, &mut compressed) {
            assert!(compressed.is_empty());
            return content.len();
        }
        let mut decoded = vec![0xAA; content.len()];
        decode(&compressed, &mut decoded).unwrap();
        assert!(decoded == content);
        compressed.len()
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..800),
        ) {
            let mut content: Vec<u8> = order.iter().flat_map(|index| words[index.index(words.len())].clone()).collect();
            content.truncate(MAX_MATCH);
            check(&content);
        }
    }

    #[test]
    fn extremes_come_back() {
        check(&[]);
        check(&[1]);
        assert!(check(&[0; 4096]) < 300);
        assert!(check(&vec![0; 65535]) < 300);
        // Frequencies like Fibonacci's numbers make the longest codes.
        let mut content = Vec::new();
        let (mut a, mut b) = (1_usize, 1);
        for symbol in 0..22_u8 {
            for number in 0..a {
                content.extend([symbol, (number * 7 + usize::from(symbol)) as u8 | 0x80]);
            }
            (a, b) = (b, a + b);
        }
        content.truncate(65535);
        check(&content);
    }
}
