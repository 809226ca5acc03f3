//! Finding room for blocks, and noting in the BAT and the sector bitmaps what they hold.

use super::bat::{BatEntry, BlockState, Geometry};
use super::batch::{Batch, all_bits_set, set_bits};
use super::journal::{Journal, write_home};
use super::overlay::Content;
use super::space::{Space, UsedMap};
use super::structures::{Guid, LOG_SECTOR, MIB, RegionTableEntry};
use super::writer::VhdxWriter;
use cv_disk::{Damage, ReadError, WriteError};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The file's GUID has been changed since it was opened.
pub(super) const FILE: u8 = 1;
/// The content's GUID has been changed since the file was opened.
pub(super) const DATA: u8 = 2;

/// Sectors of metadata that a new file keeps in memory, 8 MiB.
const SECTORS_KEPT: usize = 2048;
/// Sectors after which a long change of metadata is logged; a block's bitmap and its entries, all or nothing, are at
/// most 20 more.
pub(super) const SECTORS_LOGGED: usize = 64;

/// What threads change one at a time.
#[derive(Debug)]
pub(super) struct State {
    pub space: Space,
    /// Room for payload blocks whose BAT entries do not tell yet.
    reserved_blocks: HashMap<u64, u64>,
    /// Room for sector bitmap blocks by chunk.
    reserved_bitmaps: HashMap<u64, u64>,
    pub ledger: Ledger,
}

/// Where changes of metadata go.
#[derive(Debug)]
pub(super) enum Ledger {
    /// A new file: to memory, and to their places in the end.
    New,
    /// A file in place: to the log.
    InPlace(Journal),
}

impl State {
    pub fn new(ledger: Ledger) -> Self {
        Self {
            space: Space::default(),
            reserved_blocks: HashMap::new(),
            reserved_bitmaps: HashMap::new(),
            ledger,
        }
    }
}

/// Payload blocks' changes of state that a write has yet to note.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: Vec<Change>,
    /// Whether a power failure that kept the note and lost the data would lose what the parent holds.
    hides_parent: bool,
}

#[derive(Debug)]
enum Change {
    /// All of the block is stored at this place.
    Present { block: u64, place: u64 },
    /// These sectors of the block are stored at this place, the others are as they were.
    Partial {
        block: u64,
        place: u64,
        sectors: Range<u64>,
    },
    /// The block reads as zeros and its room is free.
    Zero { block: u64 },
}

impl Pending {
    /// All of `block` is stored at `place`.
    pub fn present(&mut self, block: u64, place: u64, hides_parent: bool) {
        self.changes.push(Change::Present { block, place });
        self.hides_parent |= hides_parent;
    }

    /// `sectors` of `block` are stored at `place`.
    pub fn partial(&mut self, block: u64, place: u64, sectors: Range<u64>) {
        self.changes.push(Change::Partial { block, place, sectors });
        self.hides_parent = true;
    }

    /// `block` reads as zeros.
    pub fn zero(&mut self, block: u64) {
        self.changes.push(Change::Zero { block });
    }

    /// Whether it should be committed before more is added.
    pub fn is_long(&self) -> bool {
        self.changes.len() >= 1 << 16
    }
}

impl VhdxWriter {
    /// Changes the GUIDs of the file ([`FILE`]) and its content ([`DATA`]) if this is the first modification.
    pub(super) fn begin(&self, what: u8) -> Result<(), WriteError> {
        if self.begun.load(Ordering::Acquire) & what == what {
            return Ok(());
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let done = self.begun.load(Ordering::Acquire);
        if done & what == what {
            return Ok(());
        }
        if let Ledger::InPlace(journal) = &mut state.ledger {
            let file_write_guid = (done & FILE == 0).then(|| Guid((self.new_guid)()));
            let data_write_guid = (what & !done & DATA != 0).then_some(Guid(self.next_data_write_guid));
            journal.update_headers(|header| {
                header.file_write_guid = file_write_guid.unwrap_or(header.file_write_guid);
                header.data_write_guid = data_write_guid.unwrap_or(header.data_write_guid);
            })?;
            if journal.log().is_empty() {
                let start = state.space.allocate(&*self.file, MIB)?;
                journal.move_log(start..start + MIB)?;
            }
        }
        self.begun.store(done | what, Ordering::Release);
        Ok(())
    }

    /// Where `block` lies or will lie in the file; with room for its sector bitmap where it is to be stored in part.
    pub(super) fn room(&self, block: u64, in_part: bool) -> Result<u64, WriteError> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (entry, stored) = self.blocks.entry(block)?;
        if stored.is_stored() {
            return Ok(entry.file_offset());
        }
        let geometry = self.blocks.geometry;
        if in_part && geometry.has_parent {
            self.bitmap_room(state, geometry.chunk_of(block))?;
        }
        if let Some(place) = state.reserved_blocks.get(&block) {
            return Ok(*place);
        }
        if state.space.wants_checkpoint()
            && let Ledger::InPlace(journal) = &mut state.ledger
        {
            journal.checkpoint()?;
            state.space.recycle(&*self.file)?;
        }
        let place = state.space.allocate(&*self.file, geometry.block_size)?;
        state.reserved_blocks.insert(block, place);
        Ok(place)
    }

    fn bitmap_room(&self, state: &mut State, chunk: u64) -> Result<u64, WriteError> {
        let index = self.blocks.geometry.bitmap_index(chunk);
        let entry = BatEntry::from_bytes(self.blocks.bat.get(index)?);
        if entry.state_bits() == 6 {
            return Ok(self.blocks.bitmap(chunk)?);
        }
        if let Some(place) = state.reserved_bitmaps.get(&chunk) {
            return Ok(*place);
        }
        let place = state.space.allocate(&*self.file, Geometry::BITMAP_BLOCK)?;
        state.reserved_bitmaps.insert(chunk, place);
        Ok(place)
    }

    /// Notes what has been written. On return a reader finds it, whatever happens to this program.
    pub(super) fn commit(&self, pending: &Pending) -> Result<(), WriteError> {
        if pending.changes.is_empty() {
            return Ok(());
        }
        if pending.hides_parent && self.is_in_place() {
            self.stability.reach(&*self.file)?;
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let mut batch = Batch::default();
        for change in &pending.changes {
            self.apply(change, state, &mut batch)?;
            if batch.sectors.len() >= SECTORS_LOGGED {
                self.record(state, std::mem::take(&mut batch))?;
            }
        }
        self.record(state, batch)
    }

    fn is_in_place(&self) -> bool {
        matches!(self.state().ledger, Ledger::InPlace(_))
    }

    fn apply(&self, change: &Change, state: &mut State, batch: &mut Batch) -> Result<(), WriteError> {
        let geometry = self.blocks.geometry;
        let (Change::Present { block, .. } | Change::Partial { block, .. } | Change::Zero { block }) = change;
        let block = *block;
        let index = geometry.payload_index(block);
        let (entry, before) = self.blocks.entry(block)?;
        let after = match change {
            Change::Present { place, .. } => BatEntry::payload(BlockState::FullyPresent, *place),
            // Another thread wrote the rest.
            Change::Partial { .. } if before == BlockState::FullyPresent => return Ok(()),
            Change::Partial { place, sectors, .. } => {
                let state = if self.mark_sectors(block, sectors, before, state, batch)? {
                    BlockState::FullyPresent
                } else {
                    BlockState::PartiallyPresent
                };
                BatEntry::payload(state, *place)
            }
            Change::Zero { .. } => {
                if before.is_stored() {
                    let start = entry.file_offset();
                    batch.released.push(start..start + geometry.block_size);
                }
                BatEntry::payload(BlockState::Zero, 0)
            }
        };
        if !matches!(change, Change::Zero { .. }) {
            batch.placed_blocks.push(block);
        }
        if after != entry {
            batch.set_entry(&self.blocks, &self.overlay, index, after)?;
        }
        Ok(())
    }

    /// Sets the bits of `sectors` of `block` and says whether the block is now stored as a whole.
    fn mark_sectors(
        &self,
        block: u64,
        sectors: &Range<u64>,
        before: BlockState,
        state: &mut State,
        batch: &mut Batch,
    ) -> Result<bool, WriteError> {
        let geometry = self.blocks.geometry;
        let chunk = geometry.chunk_of(block);
        let index = geometry.bitmap_index(chunk);
        let place = self.bitmap_room(state, chunk)?;
        if BatEntry::from_bytes(self.blocks.bat.get(index)?).state_bits() != 6 && !batch.placed_bitmaps.contains(&chunk)
        {
            batch.set_entry(&self.blocks, &self.overlay, index, BatEntry::sector_bitmap(place))?;
            batch.placed_bitmaps.push(chunk);
        }
        let start = place + geometry.bitmap_start(block);
        let old = batch.read(&self.overlay, start, geometry.bitmap_bytes() as usize)?;
        let mut bits = old.clone();
        if before != BlockState::PartiallyPresent {
            // Left over from when the block was last stored in part.
            bits.fill(0);
        }
        set_bits(&mut bits, sectors.clone());
        let differs = |(old, new): (&u8, &u8)| old != new;
        if let (Some(first), Some(last)) = (
            old.iter().zip(&bits).position(differs),
            old.iter().zip(&bits).rposition(differs),
        ) {
            batch.write(&self.overlay, start + first as u64, &bits[first..=last])?;
        }
        let count = geometry.length_of(block) / geometry.logical_sector_size;
        Ok(all_bits_set(&bits, count))
    }

    /// Makes the batch visible, and durable as far as the log goes.
    pub(super) fn record(&self, state: &mut State, batch: Batch) -> Result<(), WriteError> {
        match &mut state.ledger {
            Ledger::InPlace(journal) => journal.commit(&batch.sectors)?,
            Ledger::New => {
                for (offset, sector) in batch.sectors {
                    self.overlay
                        .patch(offset..offset + LOG_SECTOR, Content::Held(Arc::new(sector)));
                }
                if self.overlay.patch_count() >= SECTORS_KEPT {
                    write_home(&*self.file, &self.overlay)?;
                    self.overlay.clear();
                }
            }
        }
        for (index, entry) in batch.entries {
            self.blocks.bat.written(index, entry.to_bytes())?;
        }
        for block in batch.placed_blocks {
            state.reserved_blocks.remove(&block);
        }
        for chunk in batch.placed_bitmaps {
            state.reserved_bitmaps.remove(&chunk);
        }
        for range in batch.released {
            state.space.release(range);
        }
        if let Ledger::New = state.ledger {
            state.space.recycle(&*self.file)?;
        }
        Ok(())
    }

    /// Finds out which parts of a file in place are free, and that none is taken twice.
    pub(super) fn survey(&self) -> Result<Space, ReadError> {
        let mut map = UsedMap::default();
        map.mark(&(0..MIB));
        let mut end = MIB;
        let mut take = |name: String, at: u64, range: Range<u64>| {
            if range.start < MIB || range.end > UsedMap::REACH {
                return Err(Damage::new(
                    name,
                    at,
                    format!("a place from 1 MiB up to {:#x}", UsedMap::REACH),
                    format!("{range:#x?}"),
                ));
            }
            end = end.max(range.end);
            if map.mark(&range) {
                Ok(())
            } else {
                Err(Damage::new(
                    name,
                    at,
                    "a place that nothing else takes",
                    format!("{range:#x?}"),
                ))
            }
        };
        if let Some(log) = &self.structure.log {
            take("log".into(), log.start, log.clone())?;
        }
        let table = self.structure.region_tables.usable()?;
        for (index, entry) in table.entries.iter().enumerate() {
            let at = super::region_table::RegionTable::entry_offset(table.offset, index);
            let RegionTableEntry {
                file_offset, length, ..
            } = *entry;
            let range = file_offset..file_offset.saturating_add(u64::from(length));
            take("region table entry".into(), at, range)?;
        }
        let geometry = self.blocks.geometry;
        let mut kept = Vec::new();
        self.blocks.for_each_entry(|index, entry| {
            let start = entry.file_offset();
            let is_bitmap = geometry.is_bitmap_index(index);
            let length = if is_bitmap {
                Geometry::BITMAP_BLOCK
            } else {
                geometry.block_size
            };
            let range = start..start.saturating_add(length);
            let is_stored = if is_bitmap {
                entry.state_bits() == 6
            } else {
                // What lies behind the disk's end means nothing, and growing replaces it.
                let block = geometry.block_at(index);
                block < geometry.block_count() && entry.state().is_some_and(BlockState::is_stored)
            };
            if is_stored {
                take(format!("BAT entry {index}"), self.blocks.bat.offset_of(index), range)?;
            } else if start >= MIB && range.end <= UsedMap::REACH {
                kept.push(range);
            }
            Ok(())
        })?;
        // Blocks that are not stored may still name the place where they were.
        for range in kept {
            map.mark(&range);
        }
        Ok(Space::new(end, map.gaps(MIB, self.file.len())))
    }
}
