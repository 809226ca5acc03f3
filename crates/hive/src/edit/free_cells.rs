//! The free cells of a hive.

use crate::structure::{Cells, HiveBin, cell, u32_at};
use std::collections::{BTreeMap, BTreeSet};

/// The free cells, by place and by size.
#[derive(Debug, Default)]
pub(super) struct FreeCells {
    by_place: BTreeMap<u32, u32>,
    by_size: BTreeSet<(u32, u32)>,
}

impl FreeCells {
    /// The free cells of a hive whose bins are sound.
    pub fn of(cells: Cells<'_>) -> Self {
        let mut free = Self::default();
        let mut start = 0;
        while start < cells.len() {
            let size = u32_at(cells.data(), start + 8).max(HiveBin::UNIT);
            let end = start as u32 + size;
            let mut offset = start as u32 + HiveBin::HEADER;
            while offset < end {
                let field = cells.size_field(offset).unwrap_or_default();
                if field > 0 {
                    free.insert(offset, field.unsigned_abs());
                }
                offset += field.unsigned_abs().max(cell::ALIGNMENT);
            }
            start = end as usize;
        }
        free
    }

    fn insert(&mut self, offset: u32, size: u32) {
        self.by_place.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: u32) -> Option<u32> {
        let size = self.by_place.remove(&offset)?;
        self.by_size.remove(&(size, offset));
        Some(size)
    }

    /// Takes the smallest cell of at least `size` bytes, the first of several; gives its place and its size.
    pub fn take(&mut self, size: u32) -> Option<(u32, u32)> {
        let (size, offset) = *self.by_size.range((size, 0)..).next()?;
        self.remove(offset);
        Some((offset, size))
    }

    /// Takes the cell at `offset`, if there is one of at least `size` bytes.
    pub fn take_at(&mut self, offset: u32, size: u32) -> Option<u32> {
        let found = *self.by_place.get(&offset)?;
        (found >= size).then(|| self.remove(offset))?
    }

    /// Adds a cell, and joins it with its free neighbours, of which none lies in another bin: headers stand between bins.
    /// Gives the cell that it has become.
    pub fn add(&mut self, offset: u32, size: u32) -> (u32, u32) {
        let (mut offset, mut size) = (offset, size);
        if let Some(next) = self.remove(offset + size) {
            size += next;
        }
        let previous = self.by_place.range(..offset).next_back();
        let previous = previous.map(|(place, size)| (*place, *size));
        if let Some((place, length)) = previous
            && place + length == offset
        {
            self.remove(place);
            offset = place;
            size += length;
        }
        self.insert(offset, size);
        (offset, size)
    }
}
