//! Changing the virtual disk's size in place.

use super::allocation::{DATA, FILE, Ledger, Pending, SECTORS_LOGGED};
use super::bat::{BatEntry, BlockState, Geometry};
use super::batch::Batch;
use super::metadata::U64;
use super::region_table::RegionTable;
use super::structures::{ITEM_VIRTUAL_DISK_SIZE, REGION_BAT, REGION_TABLE_OFFSETS, VIRTUAL_SIZE_MAX, encode};
use super::writer::VhdxWriter;
use cv_disk::{PagedTable, ReadAt, WriteError};
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
        let mut batch = if new.bat_length() > self.structure.regions.bat.end - self.structure.regions.bat.start {
            self.move_bat(new)?
        } else {
            self.set_new_entries(new)?;
            Batch::default()
        };
        self.log_size(&mut batch, new)?;
        // What becomes visible must be on stable storage before.
        self.stability.reach(&*self.file)?;
        self.record(&mut self.state(), batch)?;
        self.adopt(new)
    }

    /// Lets the part of the last block that comes into view read as zeros.
    fn clear_tail(&mut self, new: &Geometry) -> Result<(), WriteError> {
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

    /// The entries that growing adds, with the room that a fixed file's blocks take.
    fn new_entries(&self, new: &Geometry) -> Result<impl Iterator<Item = (u64, BatEntry)> + use<>, WriteError> {
        let old = self.blocks.geometry;
        let new = *new;
        let blocks = old.block_count()..new.block_count();
        let start = if self.leaves_blocks_allocated() && !blocks.is_empty() {
            let length = (blocks.end - blocks.start) * new.block_size;
            Some(self.state().space.allocate(&*self.file, length)?)
        } else {
            None
        };
        let hides_parent = self.parent_reaches(old.virtual_size);
        let first = blocks.start;
        let payload = blocks.map(move |block| {
            let entry = match start {
                Some(start) => BatEntry::payload(BlockState::FullyPresent, start + (block - first) * new.block_size),
                None if hides_parent => BatEntry::payload(BlockState::Zero, 0),
                None => BatEntry::payload(BlockState::NotPresent, 0),
            };
            (new.payload_index(block), entry)
        });
        let chunks = if new.has_parent { old.chunk_count() } else { 0 }..new.chunk_count();
        let bitmaps = chunks
            .map(move |chunk| (new.bitmap_index(chunk), BatEntry(0)))
            .filter(move |(index, _)| (old.entry_count()..new.entry_count()).contains(index));
        Ok(payload.chain(bitmaps))
    }

    /// Gives the entries behind the present end of the BAT their first values, while nobody looks at them.
    fn set_new_entries(&self, new: &Geometry) -> Result<(), WriteError> {
        let entries = self.new_entries(new)?;
        let start = self.structure.regions.bat.start;
        let all = PagedTable::<8>::new(self.overlay.clone(), start, new.entry_count())?;
        let mut batch = Batch::default();
        for (index, entry) in entries {
            if all.get(index)? != entry.to_bytes() {
                batch.write(&self.overlay, all.offset_of(index), &entry.to_bytes())?;
                if batch.sectors.len() >= SECTORS_LOGGED {
                    self.record(&mut self.state(), std::mem::take(&mut batch))?;
                }
            }
        }
        self.record(&mut self.state(), batch)
    }

    /// Copies the BAT to a new place where it has room for `new`, and returns the change that lets it stand there.
    fn move_bat(&mut self, new: &Geometry) -> Result<Batch, WriteError> {
        let entries = self.new_entries(new)?;
        let start = self.state().space.allocate(&*self.file, new.bat_length())?;
        let old = self.structure.regions.bat.clone();
        let end = old.start + self.blocks.geometry.entry_count() * 8;
        let mut buffer = vec![0; COPY_STEP as usize];
        let mut position = old.start;
        while position < end {
            let step = (end - position).min(COPY_STEP);
            let buffer = &mut buffer[..step as usize];
            self.overlay.read_at(buffer, position)?;
            self.file.write_at(buffer, start + position - old.start)?;
            position += step;
        }
        for (index, entry) in entries.filter(|(_, entry)| entry.0 != 0) {
            self.file.write_at(&entry.to_bytes(), start + index * 8)?;
        }
        let bat = start..start + new.bat_length();
        let mut batch = Batch::default();
        self.log_region(&mut batch, &bat)?;
        batch.released.push(old);
        self.structure.regions.bat = bat;
        Ok(batch)
    }

    /// Lets both region tables say that the BAT stands at `bat`.
    fn log_region(&mut self, batch: &mut Batch, bat: &Range<u64>) -> Result<(), WriteError> {
        let mut table = self.structure.region_tables.usable()?.clone();
        for entry in table.entries.iter_mut().filter(|entry| entry.guid.0 == REGION_BAT) {
            entry.file_offset = bat.start;
            entry.length = (bat.end - bat.start) as u32;
        }
        let bytes = RegionTable::to_bytes(&table.entries);
        for offset in REGION_TABLE_OFFSETS {
            batch.write_changed(&self.overlay, offset, &bytes)?;
        }
        self.structure.region_tables.copies = [Ok(table.clone()), Ok(table)];
        Ok(())
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

        let mut batch = Batch::default();
        let payload = (new.block_count()..old.block_count()).map(|block| (old.payload_index(block), old.block_size));
        let bitmaps = (new.chunk_count()..old.chunk_count())
            .map(|chunk| (old.bitmap_index(chunk), Geometry::BITMAP_BLOCK))
            .filter(|(index, _)| *index < old.entry_count());
        for (index, length) in payload.chain(bitmaps) {
            let entry = BatEntry::from_bytes(self.blocks.bat.get(index)?);
            if entry.0 == 0 {
                continue;
            }
            if entry.state().is_some_and(BlockState::is_stored) {
                batch.released.push(entry.file_offset()..entry.file_offset() + length);
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
