//! Bits in little-endian 16-bit units, the highest bit first, mixed with whole bytes: as XPRESS and LZX store them.

/// Reads bits; beyond the end they are zeros, as the formats' own decoders have it.
pub(super) struct BitReader<'a> {
    input: &'a [u8],
    position: usize,
    /// Bits not yet taken, the next one highest.
    buffer: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            position: 0,
            buffer: 0,
            count: 0,
        }
    }

    /// Where the next unit or byte is read.
    pub(super) fn position(&self) -> usize {
        self.position.min(self.input.len())
    }

    /// Whether more was read than there is.
    pub(super) fn is_beyond_end(&self) -> bool {
        self.position > self.input.len() + 8
    }

    /// Loads units until at least `count` (up to 32) bits are there.
    pub(super) fn ensure(&mut self, count: u32) {
        while self.count < count {
            let unit = match self.input.get(self.position..self.position + 2) {
                Some(unit) => u64::from(u16::from_le_bytes([unit[0], unit[1]])),
                None => 0,
            };
            self.position += 2;
            self.buffer |= unit << (48 - self.count);
            self.count += 16;
        }
    }

    /// The next `count` (1 to 32) bits, which were ensured.
    pub(super) fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (64 - count)) as u32
    }

    /// Leaves the next `count` bits, which were ensured, behind.
    pub(super) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// Takes the next `count` (up to 32) bits.
    pub(super) fn take(&mut self, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        self.ensure(count);
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// Leaves the rest of the unit behind; a whole unit where none is loaded.
    pub(super) fn align(&mut self) {
        self.ensure(1);
        self.buffer = 0;
        self.count = 0;
    }

    /// Takes `N` whole bytes that follow the units loaded so far.
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    /// Takes `length` whole bytes that follow the units loaded so far.
    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(length)?;
        let bytes = self.input.get(self.position..end)?;
        self.position = end;
        Some(bytes)
    }
}
