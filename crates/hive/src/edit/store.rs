//! The bytes of a hive that is edited: cells given out and taken back, and which pages changed.

use super::error::EditError;
use super::free_cells::FreeCells;
use crate::structure::{BASE_BLOCK_SIZE, Cells, HiveBin, Structure, cell, in_file};
use std::collections::BTreeSet;
use std::ops::Range;

/// Bytes that the hive bins data has at most: offsets have 31 bits.
const LIMIT: u64 = 1 << 31;
/// Pages in which changes are noted.
const PAGE: u64 = 4096;

/// The bytes, the free cells, the changed pages.
#[derive(Debug)]
pub(super) struct Store {
    bytes: Vec<u8>,
    /// Bytes of the hive bins data.
    size: usize,
    free: FreeCells,
    changed: BTreeSet<u64>,
}

impl Store {
    /// The sound hive that is `bytes`, with `size` bytes of hive bins data.
    pub fn new(bytes: Vec<u8>, size: usize) -> Self {
        let free = FreeCells::of(Cells::new(&bytes[BASE_BLOCK_SIZE..BASE_BLOCK_SIZE + size]));
        Self {
            bytes,
            size,
            free,
            changed: BTreeSet::new(),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn cells(&self) -> Cells<'_> {
        Cells::new(&self.bytes[BASE_BLOCK_SIZE..BASE_BLOCK_SIZE + self.size])
    }

    pub fn data_size(&self) -> u32 {
        self.size as u32
    }

    /// Fails unless `bytes` more in a few cells surely find room: an edit must not stop halfway.
    pub fn ensure_room(&self, bytes: usize) -> Result<(), EditError> {
        // Bins round up, and lists that grow are written anew.
        const ALLOWANCE: u64 = 8 << 20;
        let needed = (bytes as u64).saturating_mul(2).saturating_add(ALLOWANCE);
        if self.size as u64 + needed <= LIMIT {
            Ok(())
        } else {
            Err(EditError::TooLarge)
        }
    }

    /// A cell in use of `length` zeros.
    pub fn allocate(&mut self, length: usize) -> Result<u32, EditError> {
        let size = cell::size_for(length);
        let (offset, found) = match self.free.take(size) {
            Some(found) => found,
            None => self.add_bin(size)?,
        };
        self.give_back(offset, size, found);
        self.put_size(offset, size.cast_signed().wrapping_neg());
        let zeros = vec![0; size as usize - 4];
        self.put(offset, 0, &zeros);
        Ok(offset)
    }

    /// A cell in use that holds `content`.
    pub fn allocate_with(&mut self, content: &[u8]) -> Result<u32, EditError> {
        let offset = self.allocate(content.len())?;
        self.put(offset, 0, content);
        Ok(offset)
    }

    /// Frees what a cell of `found` bytes has beyond `size`.
    fn give_back(&mut self, offset: u32, size: u32, found: u32) {
        if found > size {
            self.add_free(offset + size, found - size);
        }
    }

    fn add_free(&mut self, offset: u32, size: u32) {
        let (offset, size) = self.free.add(offset, size);
        self.put_size(offset, size.cast_signed());
    }

    /// Frees a cell.
    pub fn free(&mut self, offset: u32) {
        let size = self.cell_size(offset);
        self.add_free(offset, size);
    }

    /// Frees several cells.
    pub fn free_all(&mut self, cells: Vec<u32>) {
        for cell in cells {
            self.free(cell);
        }
    }

    /// Makes the cell at `offset` one that holds `content`, in its place where it fits there.
    pub fn replace(&mut self, offset: u32, content: &[u8]) -> Result<u32, EditError> {
        let (size, wanted) = (self.cell_size(offset), cell::size_for(content.len()));
        if wanted > size {
            let Some(next) = self.free.take_at(offset + size, wanted - size) else {
                let new = self.allocate_with(content)?;
                self.free(offset);
                return Ok(new);
            };
            self.give_back(offset, wanted, size + next);
        } else {
            self.give_back(offset, wanted, size);
        }
        self.put_size(offset, wanted.cast_signed().wrapping_neg());
        self.put(offset, 0, content);
        let padding = vec![0; wanted as usize - 4 - content.len()];
        self.put(offset, content.len(), &padding);
        Ok(offset)
    }

    /// Adds a bin whose first cell has at least `size` bytes; gives the place and the size of the one that fills it.
    fn add_bin(&mut self, size: u32) -> Result<(u32, u32), EditError> {
        let start = self.size as u32;
        let bin = (u64::from(size) + u64::from(HiveBin::HEADER)).next_multiple_of(u64::from(HiveBin::UNIT));
        if self.size as u64 + bin > LIMIT {
            return Err(EditError::TooLarge);
        }
        self.size += bin as usize;
        let end = BASE_BLOCK_SIZE + self.size;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let bin = bin as u32;
        let place = in_file(start) as usize;
        // What was behind the last bin had no meaning.
        self.bytes[place..end].fill(0);
        HiveBin::new(start, bin, 0).put(&mut self.bytes[place..]);
        self.note(place, bin as usize);
        Ok((start + HiveBin::HEADER, bin - HiveBin::HEADER))
    }

    fn cell_size(&self, offset: u32) -> u32 {
        self.cells().size_field(offset).unwrap_or_default().unsigned_abs()
    }

    fn put_size(&mut self, offset: u32, size: i32) {
        let place = in_file(offset) as usize;
        self.bytes[place..place + 4].copy_from_slice(&size.to_le_bytes());
        self.note(place, 4);
    }

    /// Puts bytes into the cell at `offset`, from its byte `at` on.
    pub fn put(&mut self, offset: u32, at: usize, content: &[u8]) {
        let place = in_file(offset) as usize + 4 + at;
        self.bytes[place..place + content.len()].copy_from_slice(content);
        self.note(place, content.len());
    }

    /// Puts bytes into the first bin's header.
    pub fn put_in_bins(&mut self, at: usize, content: &[u8]) {
        let place = BASE_BLOCK_SIZE + at;
        self.bytes[place..place + content.len()].copy_from_slice(content);
        self.note(place, content.len());
    }

    /// Puts the base block's first bytes.
    pub fn put_base_block(&mut self, content: &[u8]) {
        self.bytes[..content.len()].copy_from_slice(content);
        self.note(0, content.len());
    }

    fn note(&mut self, place: usize, length: usize) {
        if length > 0 {
            let last = (place + length - 1) as u64 / PAGE;
            self.changed.extend(place as u64 / PAGE..=last);
        }
    }

    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The pages that changed, joined, and none from now on.
    pub fn take_changes(&mut self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for page in std::mem::take(&mut self.changed) {
            let start = page * PAGE;
            let end = (start + PAGE).min(self.bytes.len() as u64);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }
}
