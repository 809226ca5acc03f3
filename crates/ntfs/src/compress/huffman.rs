//! Canonical Huffman codes of up to 16 bits.

use super::bits::BitReader;

/// Bits that one look into the table decodes.
const TABLE_BITS: u32 = 10;
const MAX_BITS: usize = 16;

/// A code for up to `SYMBOLS` symbols.
pub(super) struct HuffmanCode<const SYMBOLS: usize> {
    /// By the next bits: symbol and length, 0 where the code is longer.
    table: [u16; 1 << TABLE_BITS],
    /// The symbols by length, then number.
    sorted: [u16; SYMBOLS],
    /// By length: the first code of it, and where its symbol stands in `sorted`; and the code after the last.
    first: [u32; MAX_BITS + 1],
    end: [u32; MAX_BITS + 1],
    start: [u16; MAX_BITS + 1],
}

impl<const SYMBOLS: usize> HuffmanCode<SYMBOLS> {
    /// The code with these lengths, 0 for a symbol that does not occur; `None` where there are more codes than bits allow. A
    /// code that leaves some bits without symbol is accepted: only using them is an error.
    pub(super) fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; MAX_BITS + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        let mut code = Self {
            table: [0; 1 << TABLE_BITS],
            sorted: [0; SYMBOLS],
            first: [0; MAX_BITS + 1],
            end: [0; MAX_BITS + 1],
            start: [0; MAX_BITS + 1],
        };
        let mut next = 0_u32;
        let mut position = 0;
        for (length, count) in counts.iter().enumerate().skip(1) {
            next <<= 1;
            code.first[length] = next;
            code.start[length] = position;
            next += u32::from(*count);
            code.end[length] = next;
            position += count;
            if next > 1 << length {
                return None;
            }
        }
        let mut place = code.start;
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length != 0) {
            let length = usize::from(*length);
            *code.sorted.get_mut(usize::from(place[length]))? = symbol as u16;
            let bits = code.first[length] + u32::from(place[length] - code.start[length]);
            place[length] += 1;
            if let Some(spare) = TABLE_BITS.checked_sub(length as u32) {
                let entry = (symbol as u16) << 4 | length as u16;
                code.table[(bits << spare) as usize..((bits + 1) << spare) as usize].fill(entry);
            }
        }
        Some(code)
    }

    /// The next symbol; `None` where the bits are no code.
    pub(super) fn decode(&self, bits: &mut BitReader) -> Option<usize> {
        bits.ensure(MAX_BITS as u32);
        let entry = self.table[bits.peek(TABLE_BITS) as usize];
        if entry != 0 {
            bits.skip(u32::from(entry & 0xF));
            return Some(usize::from(entry >> 4));
        }
        let next = bits.peek(MAX_BITS as u32);
        for length in TABLE_BITS as usize + 1..=MAX_BITS {
            let code = next >> (MAX_BITS - length);
            if (self.first[length]..self.end[length]).contains(&code) {
                bits.skip(length as u32);
                let place = usize::from(self.start[length]) + (code - self.first[length]) as usize;
                return self.sorted.get(place).map(|symbol| usize::from(*symbol));
            }
        }
        None
    }
}
