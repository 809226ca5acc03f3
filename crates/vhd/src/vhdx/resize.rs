//! Changing the virtual disk's size in place.

use super::allocation::{DATA, FILE, Ledger, Pending, SECTORS_LOGGED};
use super::bat::{BatEntry, BlockState, Geometry};
use super::batch::Batch;
use super::blocks::for_each_entry;
use super::metadata::U64;
use super::region_table::RegionTable;
use super::structures::{
    ITEM_VIRTUAL_DISK_SIZE, LOG_SECTOR, REGION_BAT, REGION_TABLE_OFFSETS, VIRTUAL_SIZE_MAX, encode,
};
use super::writer::VhdxWriter;
use cv_disk::{PagedTable, ReadAt, WriteError, data_runs};
use std::ops::Range;

/// Bytes of the BAT copied at once.
const COPY_STEP: u64 = 64 << 10;

impl VhdxWriter {
    /// Gives the virtual disk `size` bytes, a multiple of the logical sector size up to 64 TiB. Only of a file in place.
    ///
    /// What is new reads as zeros, also where a parent is larger. What is beyond a smaller size is lost. A kill leaves
    /// the old size or the new one.
    pub fn resize(&mut self, size: u64) -> Result<(), WriteError> {
        let old = self.blocks.geometry;
        if size > VIRTUAL_SIZE_MAX || !size.is_multiple_of(old.logical_sector_size) {
            return Err(WriteError::Limit(format!(
                "a disk of {size} bytes is not a multiple of {} up to 64 TiB",
                old.logical_sector_size
            )));
        }
        if let Ledger::New = self.state().ledger {
            return Err(WriteError::Limit("a new file keeps the size it was made with".into()));
        }
        let new = Geometry {
            virtual_size: size,
            ..old
        };
        if size == old.virtual_size {
            return Ok(());
        }
        self.begin(FILE | DATA)?;
        if size > old.virtual_size {
            self.grow(&new)
        } else {
            self.shrink(&new)
        }
    }

    fn grow(&mut self, new: &Geometry) -> Result<(), WriteError> {
        self.clear_tail(new)?;
        let region = self.structure.regions.bat.clone();
        let (mut batch, moved) = if new.bat_length() > region.end - region.start {
            let (batch, bat, table) = self.move_bat(new)?;
            (batch, Some((bat, table)))
        } else {
            self.set_new_entries(new)?;
            (Batch::default(), None)
        };
        self.log_size(&mut batch, new)?;
        // What becomes visible must be on stable storage before.
        self.stability.reach(&*self.file)?;
        self.record(&mut self.state(), batch)?;
        if let Some((bat, table)) = moved {
            self.structure.regions.bat = bat;
            self.structure.region_tables.copies = [Ok(table.clone()), Ok(table)];
        }
        self.adopt(new)
    }

    /// Lets the part of the last block that comes into view read as zeros.
    fn clear_tail(&self, new: &Geometry) -> Result<(), WriteError> {
        let old = self.blocks.geometry;
        let Some(block) = old.block_count().checked_sub(1) else {
            return Ok(());
        };
        let tail = old.length_of(block)..new.length_of(block);
        if tail.is_empty() {
            return Ok(());
        }
        let (entry, state) = self.blocks.entry(block)?;
        if state.is_stored() {
            let place = entry.file_offset();
            if self.file.len() < place + tail.end {
                self.file.set_len(place + old.block_size)?;
            }
            self.file.write_zeros_at(place + tail.start..place + tail.end)?;
        }
        let asks_parent = matches!(state, BlockState::NotPresent | BlockState::PartiallyPresent);
        if asks_parent && self.parent_reaches(old.virtual_size) {
            let place = self.room(block, true)?;
            let sector = old.logical_sector_size;
            let mut pending = Pending::default();
            pending.partial(block, place, tail.start / sector..tail.end / sector);
            self.commit(&pending)?;
        }
        Ok(())
    }

    /// Whether a parent may hold something from `offset` on.
    fn parent_reaches(&self, offset: u64) -> bool {
        self.blocks.geometry.has_parent && self.blocks.parent.as_ref().is_none_or(|parent| parent.len() > offset)
    }

    /// The entries that growing adds and that are not zero, with the room that a fixed file's blocks take.
    fn new_entries(&self, new: &Geometry) -> Result<impl Iterator<Item = (u64, BatEntry)> + use<>, WriteError> {
        let old = self.blocks.geometry;
        let new = *new;
        let mut blocks = old.block_count()..new.block_count();
        let first = blocks.start;
        let mut start = None;
        if self.leaves_blocks_allocated() {
            let length = (blocks.end - blocks.start) * new.block_size;
            start = Some(self.state().space.allocate(&*self.file, length)?);
        } else if !self.parent_reaches(old.virtual_size) {
            blocks = 0..0;
        }
        Ok(blocks.map(move |block| {
            let entry = match start {
                Some(start) => BatEntry::payload(BlockState::FullyPresent, start + (block - first) * new.block_size),
                None => BatEntry::payload(BlockState::Zero, 0),
            };
            (new.payload_index(block), entry)
        }))
    }

    /// The BAT index of the block behind the last one, and that of the last chunk's sector bitmap where it comes later.
    fn first_new_index(&self) -> (u64, Option<u64>) {
        let old = &self.blocks.geometry;
        let first = old.payload_index(old.block_count());
        let chunk = old.chunk_count().checked_sub(1).filter(|_| old.has_parent);
        let bitmap = chunk.map(|chunk| old.bitmap_index(chunk));
        (first, bitmap.filter(|index| *index >= first))
    }

    /// Gives the entries behind the present end of the BAT their first values, while nobody looks at them.
    fn set_new_entries(&self, new: &Geometry) -> Result<(), WriteError> {
        let bat = self.structure.regions.bat.start;
        let (first, last_bitmap) = self.first_new_index();
        let mut stale = Vec::new();
        for_each_entry(&*self.overlay, bat, first..new.entry_count().max(first), |index, _| {
            if Some(index) != last_bitmap {
                stale.push((index, BatEntry(0)));
            }
            Ok(())
        })?;
        let mut batch = Batch::default();
        for (index, entry) in stale.into_iter().chain(self.new_entries(new)?) {
            batch.write(&self.overlay, bat + index * 8, &entry.to_bytes())?;
            if batch.sectors.len() >= SECTORS_LOGGED {
                self.record(&mut self.state(), std::mem::take(&mut batch))?;
            }
        }
        self.record(&mut self.state(), batch)
    }

    /// Copies the BAT to a new place where it has room for `new`, and returns the change that lets it stand there, the
    /// place, and the region table that names it.
    fn move_bat(&self, new: &Geometry) -> Result<(Batch, Range<u64>, RegionTable), WriteError> {
        let entries = self.new_entries(new)?;
        let start = self.state().space.allocate(&*self.file, new.bat_length())?;
        let old = self.structure.regions.bat.clone();
        let (first, last_bitmap) = self.first_new_index();
        let end = old.start + first * 8;
        let mut buffer = vec![0; COPY_STEP as usize];
        let mut position = old.start;
        while position < end {
            let step = (end - position).min(COPY_STEP);
            let buffer = &mut buffer[..step as usize];
            self.overlay.read_at(buffer, position)?;
            // The new place is zero as it is.
            for run in data_runs(buffer, LOG_SECTOR as usize) {
                let place = start + position - old.start + run.start as u64;
                self.file.write_at(&buffer[run], place)?;
            }
            position += step;
        }
        let last_bitmap = match last_bitmap {
            Some(index) => Some((index, BatEntry::from_bytes(self.blocks.bat.get(index)?))),
            None => None,
        };
        let mut bytes = Vec::new();
        let mut first = 0;
        for (index, entry) in entries.chain(last_bitmap) {
            if index != first + bytes.len() as u64 / 8 || bytes.len() as u64 >= COPY_STEP {
                self.file.write_at(&bytes, start + first * 8)?;
                bytes.clear();
                first = index;
            }
            bytes.extend(entry.to_bytes());
        }
        self.file.write_at(&bytes, start + first * 8)?;
        let bat = start..start + new.bat_length();
        let mut table = self.structure.region_tables.usable()?.clone();
        for entry in table.entries.iter_mut().filter(|entry| entry.guid.0 == REGION_BAT) {
            entry.file_offset = bat.start;
            entry.length = (bat.end - bat.start) as u32;
        }
        let mut batch = Batch::default();
        let bytes = RegionTable::to_bytes(&table.entries);
        for offset in REGION_TABLE_OFFSETS {
            batch.write_changed(&self.overlay, offset, &bytes)?;
        }
        batch.released.push(old);
        Ok((batch, bat, table))
    }

    fn log_size(&self, batch: &mut Batch, new: &Geometry) -> Result<(), WriteError> {
        let table = &self.structure.metadata_table;
        let Some((entry, at)) = table.find(ITEM_VIRTUAL_DISK_SIZE) else {
            return Err(WriteError::Limit("the file has no virtual disk size".into()));
        };
        let place = table.place(entry, at)?;
        batch.write(&self.overlay, place.start, &encode(&U64(new.virtual_size)))?;
        Ok(())
    }

    /// Goes on with the new size, which has been logged.
    pub(super) fn adopt(&mut self, new: &Geometry) -> Result<(), WriteError> {
        let start = self.structure.regions.bat.start;
        self.blocks.bat = PagedTable::new(self.overlay.clone(), start, new.entry_count())?;
        self.blocks.geometry = *new;
        self.structure.metadata.virtual_disk_size = new.virtual_size;
        Ok(())
    }

    fn shrink(&mut self, new: &Geometry) -> Result<(), WriteError> {
        let old = self.blocks.geometry;
        let mut batch = Batch::default();
        self.log_size(&mut batch, new)?;
        self.record(&mut self.state(), batch)?;

        let mut cut = Vec::new();
        self.blocks.for_each_entry(|index, entry| {
            let start = entry.file_offset();
            let room = if old.is_bitmap_index(index) {
                let chunk = index / (old.chunk_ratio() + 1);
                (chunk >= new.chunk_count()).then_some(start..start.saturating_add(Geometry::BITMAP_BLOCK))
            } else {
                let block = old.block_at(index);
                // What lies behind the disk's end already means nothing.
                let end = if block < old.block_count() {
                    start.saturating_add(old.block_size)
                } else {
                    start
                };
                (block >= new.block_count()).then_some(start..end)
            };
            if let Some(room) = room {
                let is_stored = entry.state().is_some_and(BlockState::is_stored);
                cut.push((index, room, is_stored));
            }
            Ok(())
        })?;
        let mut batch = Batch::default();
        for (index, room, is_stored) in cut {
            if is_stored && !room.is_empty() {
                batch.released.push(room);
            }
            batch.set_entry(&self.blocks, &self.overlay, index, BatEntry(0))?;
            if batch.sectors.len() >= SECTORS_LOGGED {
                self.record(&mut self.state(), std::mem::take(&mut batch))?;
            }
        }
        self.record(&mut self.state(), batch)?;
        self.adopt(new)?;
        self.trim()
    }
}
