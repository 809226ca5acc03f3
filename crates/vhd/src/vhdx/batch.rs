//! Changes of metadata that become visible together.

use super::bat::BatEntry;
use super::blocks::Blocks;
use super::journal::Sectors;
use super::overlay::Overlay;
use super::structures::LOG_SECTOR;
use cv_disk::ReadError;
use std::ops::Range;

/// Sectors about to be changed, and what follows from the change.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// New contents of sectors.
    pub sectors: Sectors,
    /// Changed BAT entries.
    pub entries: Vec<(u64, BatEntry)>,
    /// Room that the change sets free.
    pub released: Vec<Range<u64>>,
    /// Payload blocks whose reserved room is now their own.
    pub placed_blocks: Vec<u64>,
    /// Chunks whose sector bitmap's reserved room is now its own.
    pub placed_bitmaps: Vec<u64>,
}

impl Batch {
    /// Replaces the bytes from `offset` on.
    pub fn write(&mut self, overlay: &Overlay, offset: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let mut rest = bytes;
        let mut position = offset;
        while !rest.is_empty() {
            let within = (position % LOG_SECTOR) as usize;
            let step = rest.len().min(LOG_SECTOR as usize - within);
            let start = position - within as u64;
            let sector = match self.sectors.entry(start) {
                std::collections::btree_map::Entry::Occupied(sector) => sector.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => place.insert(overlay.sector(start)?),
            };
            sector[within..within + step].copy_from_slice(&rest[..step]);
            rest = &rest[step..];
            position += step as u64;
        }
        Ok(())
    }

    /// Replaces the bytes from `offset` on, a multiple of 4 KiB, in the sectors where they differ.
    pub fn write_changed(&mut self, overlay: &Overlay, offset: u64, bytes: &[u8]) -> Result<(), ReadError> {
        for (number, new) in bytes.chunks(LOG_SECTOR as usize).enumerate() {
            let start = offset + number as u64 * LOG_SECTOR;
            if self.read(overlay, start, new.len())? != new {
                self.write(overlay, start, new)?;
            }
        }
        Ok(())
    }

    /// The bytes from `offset` on as they will be.
    pub fn read(&self, overlay: &Overlay, offset: u64, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::with_capacity(length);
        let end = offset + length as u64;
        let mut position = offset;
        while position < end {
            let within = position % LOG_SECTOR;
            let start = position - within;
            let step = (end - position).min(LOG_SECTOR - within);
            let range = within as usize..(within + step) as usize;
            match self.sectors.get(&start) {
                Some(sector) => bytes.extend(&sector[range]),
                None => bytes.extend(&overlay.sector(start)?[range]),
            }
            position += step;
        }
        Ok(bytes)
    }

    /// Changes BAT entry `index`.
    pub fn set_entry(
        &mut self,
        blocks: &Blocks,
        overlay: &Overlay,
        index: u64,
        entry: BatEntry,
    ) -> Result<(), ReadError> {
        self.write(overlay, blocks.bat.offset_of(index), &entry.to_bytes())?;
        self.entries.push((index, entry));
        Ok(())
    }
}

/// Sets bits `range` of `bytes`, the lowest bit of each byte first.
pub(super) fn set_bits(bytes: &mut [u8], range: Range<u64>) {
    let mut bit = range.start;
    while bit < range.end {
        let (byte, first) = ((bit / 8) as usize, bit % 8);
        let count = (8 - first).min(range.end - bit);
        bytes[byte] |= ((0xFF_u16 >> (8 - count)) << first) as u8;
        bit += count;
    }
}

/// Whether the first `count` bits of `bytes` are set.
pub(super) fn all_bits_set(bytes: &[u8], count: u64) -> bool {
    let whole = (count / 8) as usize;
    let rest = (1_u8 << (count % 8)) - 1;
    bytes[..whole].iter().all(|byte| *byte == 0xFF) && (rest == 0 || bytes[whole] & rest == rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_lowest() {
        for (start, end) in [(0, 0), (0, 1), (3, 5), (6, 17), (0, 24), (23, 24)] {
            let mut bytes = [0; 3];
            set_bits(&mut bytes, start..end);
            for bit in 0..24 {
                let set = bytes[bit as usize / 8] >> (bit % 8) & 1 == 1;
                assert_eq!(set, (start..end).contains(&bit), "bit {bit} of {start}..{end}");
            }
            assert!(start > 0 || all_bits_set(&bytes, end));
            assert!(end == 24 || !all_bits_set(&bytes, 24));
        }
    }
}
