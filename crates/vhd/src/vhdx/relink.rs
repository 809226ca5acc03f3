//! Changing in place which parent a differencing file has.

use super::allocation::{FILE, Ledger, Pending, SECTORS_LOGGED};
use super::bat::{BatEntry, BlockState, Geometry};
use super::batch::Batch;
use super::metadata::MetadataTable;
use super::parent_locator::ParentReference;
use super::structures::{
    FileParameters, ITEM_FILE_PARAMETERS, ITEM_PARENT_LOCATOR, METADATA_TABLE_SIZE, MetadataTableEntry, encode,
};
use super::writer::VhdxWriter;
use cv_disk::{ExtentKind, WriteError};

impl VhdxWriter {
    /// Replaces what a differencing file in place says of its parent; its content stays as it is, so that it belongs to
    /// the new parent only if that reads the same where this file holds nothing.
    pub fn relink(&mut self, parent: ParentReference) -> Result<(), WriteError> {
        self.check_has_parent()?;
        let bytes = parent
            .to_bytes()
            .map_err(|key| WriteError::Limit(format!("the parent's {key} is empty or longer than 32767 characters")))?;
        self.begin(FILE)?;
        let mut table = self.structure.metadata_table.clone();
        let Some((entry, at)) = table.find(ITEM_PARENT_LOCATOR) else {
            return Err(WriteError::Limit("the file has no parent locator".into()));
        };
        let length = bytes.len() as u32;
        let mut entry = *entry;
        if length > entry.length {
            entry.offset = table.room_for(u64::from(length)).ok_or_else(|| {
                WriteError::Limit(format!("the metadata has no room for a locator of {length} bytes"))
            })?;
        }
        entry.length = length;
        let place = table.place(&entry, at)?;
        let mut batch = Batch::default();
        batch.write(&self.overlay, place.start, &bytes)?;
        batch.write(&self.overlay, at, &encode(&entry))?;
        self.record(&mut self.state(), batch)?;
        for old in &mut table.entries {
            if old.item_id == entry.item_id && old.flags & MetadataTableEntry::IS_USER == 0 {
                *old = entry;
            }
        }
        self.structure.metadata_table = table;
        self.structure.metadata.parent = Some(parent);
        Ok(())
    }

    /// Makes a dynamic disk of a differencing file in place. What it left to its parent reads as zeros from now on, so
    /// that the parent's content must have been copied before.
    pub fn remove_parent(&mut self) -> Result<(), WriteError> {
        self.check_has_parent()?;
        self.begin(FILE)?;
        self.store_partial_blocks_whole()?;
        self.drop_bitmaps()?;

        let table = &self.structure.metadata_table;
        let mut parameters = self.structure.metadata.file_parameters;
        parameters.flags &= !(FileParameters::HAS_PARENT | FileParameters::LEAVE_BLOCK_ALLOCATED);
        let Some((entry, at)) = table.find(ITEM_FILE_PARAMETERS) else {
            return Err(WriteError::Limit("the file has no file parameters".into()));
        };
        let place = table.place(entry, at)?;
        let mut entries = table.entries.clone();
        entries
            .retain(|entry| entry.item_id.0 != ITEM_PARENT_LOCATOR || entry.flags & MetadataTableEntry::IS_USER != 0);
        let mut batch = Batch::default();
        batch.write(&self.overlay, place.start, &encode(&parameters))?;
        let bytes = MetadataTable::to_bytes(&entries);
        debug_assert_eq!(bytes.len() as u64, METADATA_TABLE_SIZE);
        batch.write_changed(&self.overlay, table.region.start, &bytes)?;
        self.record(&mut self.state(), batch)?;

        self.structure.metadata_table.entries = entries;
        self.structure.metadata.file_parameters = parameters;
        self.structure.metadata.parent = None;
        self.blocks.parent = None;
        let geometry = Geometry {
            has_parent: false,
            ..self.blocks.geometry
        };
        self.adopt(&geometry)
    }

    fn check_has_parent(&self) -> Result<(), WriteError> {
        if self.structure.metadata.parent.is_none() {
            return Err(WriteError::Limit("the file has no parent".into()));
        }
        match self.state().ledger {
            Ledger::New => Err(WriteError::Limit("a new file keeps the parent it was made with".into())),
            Ledger::InPlace(_) => Ok(()),
        }
    }

    /// Lets every partially present block be fully present, with zeros where it holds nothing.
    fn store_partial_blocks_whole(&self) -> Result<(), WriteError> {
        let geometry = self.blocks.geometry;
        let mut partial = Vec::new();
        self.blocks.for_each_entry(|index, entry| {
            let block = geometry.block_at(index);
            let is_payload = !geometry.is_bitmap_index(index) && block < geometry.block_count();
            if is_payload && entry.state() == Some(BlockState::PartiallyPresent) {
                partial.push((block, entry.file_offset()));
            }
            Ok(())
        })?;
        let mut pending = Pending::default();
        for (block, place) in partial {
            let start = block * geometry.block_size;
            let end = start + geometry.length_of(block);
            let mut position = start;
            while position < end {
                let extent = self.blocks.own_extent_at(position)?.clipped(end);
                if extent.kind == ExtentKind::Hole {
                    let within = place + position - start;
                    self.file.write_zeros_at(within..within + extent.length)?;
                }
                position = extent.end();
            }
            pending.present(block, place, true);
        }
        self.commit(&pending)
    }

    fn drop_bitmaps(&self) -> Result<(), WriteError> {
        let geometry = self.blocks.geometry;
        let mut bitmaps = Vec::new();
        self.blocks.for_each_entry(|index, entry| {
            if geometry.is_bitmap_index(index) {
                bitmaps.push((index, entry));
            }
            Ok(())
        })?;
        let mut batch = Batch::default();
        for (index, entry) in bitmaps {
            if entry.state_bits() == 6 {
                let start = entry.file_offset();
                batch.released.push(start..start + Geometry::BITMAP_BLOCK);
            }
            batch.set_entry(&self.blocks, &self.overlay, index, BatEntry(0))?;
            if batch.sectors.len() >= SECTORS_LOGGED {
                self.record(&mut self.state(), std::mem::take(&mut batch))?;
            }
        }
        self.record(&mut self.state(), batch)
    }
}
