//! Finding every fault of a file, also of one that cannot be opened.

use super::bat::{BatEntry, BlockState, Geometry};
use super::blocks::Blocks;
use super::error::OpenError;
use super::header::Headers;
use super::image::{Structure, Vhdx};
use super::log::ActiveSequence;
use super::metadata::{KNOWN_ITEMS, Metadata, MetadataTable};
use super::overlay::Overlay;
use super::region_table::{RegionTable, RegionTables, Regions};
use super::space::UsedMap;
use super::structures::{
    FILE_TYPE_OFFSET, FileParameters, HEADER_OFFSETS, Header, ITEM_PARENT_LOCATOR, MIB, MetadataTableEntry, REGION_BAT,
    REGION_METADATA, REGION_TABLE_OFFSETS,
};
use cv_disk::{Damage, Fault, Faults, PagedTable, ReadAt, ReadError, Severity};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Lists every fault of the VHDX file `file` with its place. The parent of a differencing file is not looked at.
///
/// A log that is to be replayed counts as a fault that a [`repair`](super::repair) mends; what lies behind it is checked
/// as it will be after the replay.
pub fn check(file: &Arc<dyn ReadAt>) -> Result<Faults, ReadError> {
    let mut check = Check {
        file: file.clone(),
        faults: Faults::new(),
        used: UsedMap::default(),
    };
    match check.run() {
        // What cannot be understood ends the check; it is the last fault.
        Err(OpenError::Read(error)) if !matches!(error, ReadError::Damaged(_)) => return Err(error),
        Err(error) => check.error(damage_of(error)),
        Ok(()) => {}
    }
    Ok(check.faults)
}

struct Check {
    file: Arc<dyn ReadAt>,
    faults: Faults,
    used: UsedMap,
}

fn damage_of(error: OpenError) -> Damage {
    match error {
        OpenError::NotVhdx => Damage::new(
            "file type identifier",
            FILE_TYPE_OFFSET,
            "\"vhdxfile\"",
            "something else",
        ),
        OpenError::UnknownRegion { guid, offset } => Damage::new(
            "region table entry",
            offset,
            "no unknown region that is required",
            guid.to_string(),
        ),
        OpenError::UnknownItem { guid, offset } => Damage::new(
            "metadata table entry",
            offset,
            "no unknown item that is required",
            guid.to_string(),
        ),
        OpenError::UnknownLocator { guid, offset } => {
            Damage::new("parent locator LocatorType", offset, "the VHDX type", guid.to_string())
        }
        OpenError::Read(ReadError::Damaged(damage)) => damage,
        OpenError::Read(error) => Damage::new("file", 0, "readable structures", error.to_string()),
        OpenError::Replay(error) => Damage::new("log", 0, "a log that can be replayed", error.to_string()),
    }
}

impl Check {
    fn error(&mut self, damage: Damage) {
        self.faults.push(Fault::new(Severity::Error, damage));
    }

    fn warning(&mut self, damage: Damage) {
        self.faults.push(Fault::new(Severity::Warning, damage));
    }

    fn mendable(&mut self, damage: Damage) {
        self.faults.push(Fault::new(Severity::Warning, damage).repairable());
    }

    fn note(&mut self, damage: Damage) {
        self.faults.push(Fault::new(Severity::Note, damage));
    }

    fn run(&mut self) -> Result<(), OpenError> {
        if !Vhdx::probe(&*self.file)? {
            self.error(damage_of(OpenError::NotVhdx));
        }
        let (header, offset) = self.headers()?;
        let view = self.log(&header, offset)?;
        let regions = self.regions(&*view)?;
        let metadata = self.metadata(&*view, &regions)?;
        self.bat(&view, &regions, &metadata)
    }

    fn headers(&mut self) -> Result<(Header, u64), OpenError> {
        let headers = Headers::read(&*self.file)?;
        let usable = headers.usable()?;
        match &headers.copies {
            [Ok(first), Ok(second)] if first.sequence_number == second.sequence_number => {
                let damage = Damage::new(
                    "header SequenceNumber",
                    HEADER_OFFSETS[1] + 8,
                    format!("another number than the first header's {}", first.sequence_number),
                    second.sequence_number.to_string(),
                );
                if first == second {
                    self.note(damage);
                } else {
                    self.warning(damage);
                }
            }
            copies => copies
                .iter()
                .filter_map(|copy| copy.as_ref().err())
                .for_each(|damage| self.mendable(damage.clone())),
        }
        Ok(usable)
    }

    /// Checks the log and gives the file as it is after a replay.
    fn log(&mut self, header: &Header, offset: u64) -> Result<Arc<dyn ReadAt>, OpenError> {
        let guid = header.log_guid.0;
        let range = match header.log_range(offset, self.file.len()) {
            Ok(range) => range,
            Err(damage) => {
                if guid.is_nil() {
                    self.warning(damage);
                } else {
                    self.error(damage);
                }
                return Ok(self.file.clone());
            }
        };
        self.take("log", offset + 72, &range);
        if guid.is_nil() {
            return Ok(self.file.clone());
        }
        let overlay = Overlay::new(self.file.clone());
        let replayed = ActiveSequence::find(&*self.file, range.clone(), guid).and_then(|sequence| {
            sequence.replay(&*self.file, &range, &overlay)?;
            Ok(sequence.state())
        });
        match replayed {
            Ok(state) => {
                self.mendable(Damage::new(
                    "header LogGuid",
                    offset + 48,
                    "nil, as nothing is left to be replayed",
                    format!("{guid}, {} entries of {} sectors", state.entries, state.data_sectors),
                ));
                Ok(Arc::new(overlay))
            }
            Err(ReadError::Damaged(damage)) => {
                self.error(damage);
                Ok(self.file.clone())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn regions(&mut self, view: &dyn ReadAt) -> Result<Regions, OpenError> {
        let tables = RegionTables::read(view)?;
        let table = tables.usable()?;
        match &tables.copies {
            [Ok(first), Ok(second)] if first.entries != second.entries => self.mendable(Damage::new(
                "region table",
                REGION_TABLE_OFFSETS[1],
                "the same entries as the first copy",
                format!("{} entries, not the same", second.entries.len()),
            )),
            copies => copies
                .iter()
                .filter_map(|copy| copy.as_ref().err())
                .for_each(|damage| self.mendable(damage.clone())),
        }
        let mut seen = BTreeSet::new();
        for (index, entry) in table.entries.iter().enumerate() {
            let at = RegionTable::entry_offset(table.offset, index);
            if !seen.insert(entry.guid.0) {
                self.error(Damage::new(
                    "region table entry Guid",
                    at,
                    "a region once",
                    entry.guid.0.to_string(),
                ));
            }
            match entry.range(at, view.len()) {
                Ok(range) => self.take("region table entry", at, &range),
                // The known ones end the check below.
                Err(_) if entry.guid.0 == REGION_BAT || entry.guid.0 == REGION_METADATA => {}
                Err(damage) => self.error(damage),
            }
        }
        table.regions(view.len())
    }

    fn metadata(&mut self, view: &dyn ReadAt, regions: &Regions) -> Result<Metadata, OpenError> {
        let table = MetadataTable::read(view, regions.metadata.clone())?;
        let mut places: Vec<(Range<u64>, u64)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, entry) in table.entries.iter().enumerate() {
            let at = table.entry_offset(index);
            let is_user = entry.flags & MetadataTableEntry::IS_USER != 0;
            match table.place(entry, at) {
                Ok(place) if place.is_empty() => {}
                Ok(place) => places.push((place, at)),
                Err(_) if !is_user && KNOWN_ITEMS.contains(&entry.item_id.0) => {}
                Err(damage) => self.error(damage),
            }
            if !seen.insert((entry.item_id.0, is_user)) && !KNOWN_ITEMS.contains(&entry.item_id.0) {
                self.error(Damage::new(
                    "metadata table entry ItemId",
                    at,
                    "an item once",
                    entry.item_id.0.to_string(),
                ));
            }
        }
        places.sort_by_key(|(place, _)| place.start);
        for pair in places.windows(2) {
            let [(left, _), (right, at)] = pair else { continue };
            if right.start < left.end {
                self.error(Damage::new(
                    "metadata table entry Offset",
                    at + 16,
                    format!("an item that does not overlap the one at {left:#x?}"),
                    format!("{right:#x?}"),
                ));
            }
        }
        let metadata = Metadata::read(view, &table)?;
        if let Some((_, at)) = table.find(ITEM_PARENT_LOCATOR) {
            match &metadata.parent {
                None => self.note(Damage::new(
                    "metadata table entry",
                    at,
                    "no parent locator, as the file has no parent",
                    "a parent locator",
                )),
                Some(parent) if parent.candidates().next().is_none() => {
                    self.warning(Damage::new("parent locator", at, "a path to the parent", "none"));
                }
                Some(_) => {}
            }
        }
        Ok(metadata)
    }

    fn bat(&mut self, view: &Arc<dyn ReadAt>, regions: &Regions, metadata: &Metadata) -> Result<(), OpenError> {
        let geometry = metadata.geometry();
        Structure::check_bat_length(&regions.bat, &geometry)?;
        let blocks = Blocks {
            bat: PagedTable::new(view.clone(), regions.bat.start, geometry.entry_count())?,
            data: view.clone(),
            metadata: view.clone(),
            geometry,
            parent: None,
        };
        let fixed = metadata.file_parameters.flags & FileParameters::LEAVE_BLOCK_ALLOCATED != 0 && !geometry.has_parent;
        let mut partial_chunks = BTreeSet::new();
        let mut present_bitmaps = BTreeSet::new();
        let mut stored_blocks = 0;
        blocks.for_each_entry(|index, entry| {
            let at = blocks.bat.offset_of(index);
            if entry.reserved() != 0 {
                self.note(Damage::new(
                    format!("BAT entry {index} Reserved"),
                    at,
                    "0",
                    format!("{:#x}", entry.reserved()),
                ));
            }
            if geometry.is_bitmap_index(index) {
                if self.bitmap_entry(index, entry, at, &geometry, view.len()) {
                    present_bitmaps.insert(index / (geometry.chunk_ratio() + 1));
                }
                return Ok(());
            }
            let block = geometry.block_at(index);
            if block >= geometry.block_count() {
                return Ok(());
            }
            stored_blocks += u64::from(entry.state().is_some_and(BlockState::is_stored));
            if entry.state() == Some(BlockState::PartiallyPresent) {
                partial_chunks.insert(geometry.chunk_of(block));
            }
            self.payload_entry(block, index, entry, at, &geometry, view.len());
            Ok(())
        })?;
        for chunk in partial_chunks.difference(&present_bitmaps) {
            let index = geometry.bitmap_index(*chunk);
            self.error(Damage::new(
                format!("BAT entry {index} State"),
                blocks.bat.offset_of(index),
                "6, as a block of the chunk is partially present",
                "no sector bitmap block",
            ));
        }
        // qemu-img leaves blocks of zeros out, and every reader copes.
        if fixed && stored_blocks < geometry.block_count() {
            self.note(Damage::new(
                "BAT",
                regions.bat.start,
                format!("all {} blocks of a fixed disk", geometry.block_count()),
                format!("{stored_blocks} blocks"),
            ));
        }
        Ok(())
    }

    /// Checks a sector bitmap block's entry and says whether the block is present.
    fn bitmap_entry(&mut self, index: u64, entry: BatEntry, at: u64, geometry: &Geometry, size: u64) -> bool {
        let name = format!("BAT entry {index}");
        match entry.state_bits() {
            0 => false,
            6 if geometry.has_parent => {
                self.stored(&name, at, entry.file_offset(), Geometry::BITMAP_BLOCK, MIB, size);
                true
            }
            6 => {
                self.error(Damage::new(
                    name,
                    at,
                    "no sector bitmap block, as the file has no parent",
                    format!("{:#x}", entry.0),
                ));
                true
            }
            state => {
                self.error(Damage::new(format!("{name} State"), at, "0 or 6", state.to_string()));
                false
            }
        }
    }

    fn payload_entry(&mut self, block: u64, index: u64, entry: BatEntry, at: u64, geometry: &Geometry, size: u64) {
        let name = format!("BAT entry {index}");
        match entry.state() {
            None => self.error(Damage::new(
                format!("{name} State"),
                at,
                "0, 1, 2, 3, 6 or 7",
                entry.state_bits().to_string(),
            )),
            Some(BlockState::PartiallyPresent) if !geometry.has_parent => self.error(Damage::new(
                format!("{name} State"),
                at,
                "no partially present block, as the file has no parent",
                "7",
            )),
            Some(state) if state.is_stored() => {
                let needed = geometry.length_of(block);
                self.stored(&name, at, entry.file_offset(), geometry.block_size, needed, size);
            }
            Some(BlockState::Zero | BlockState::NotPresent) if entry.file_offset() != 0 => self.note(Damage::new(
                format!("{name} FileOffsetMB"),
                at,
                "0, as the block is not stored",
                format!("{:#x}", entry.file_offset()),
            )),
            Some(_) => {}
        }
    }

    /// Checks the place of a stored block of `length` bytes, of which `needed` must lie in the file.
    fn stored(&mut self, name: &str, at: u64, start: u64, length: u64, needed: u64, size: u64) {
        if start < MIB || start.saturating_add(needed) > size {
            self.error(Damage::new(
                format!("{name} FileOffsetMB"),
                at,
                format!("a block behind the header section and within the file of {size:#x} bytes"),
                format!("{start:#x}"),
            ));
            return;
        }
        if start.saturating_add(length) > size {
            self.note(Damage::new(
                format!("{name} FileOffsetMB"),
                at,
                format!("a whole block within the file of {size:#x} bytes"),
                format!("{start:#x}"),
            ));
        }
        self.take(name, at, &(start..start + length));
    }

    /// Notes that `range` is used, and a fault where it is used already.
    fn take(&mut self, name: &str, at: u64, range: &Range<u64>) {
        if range.end > UsedMap::REACH {
            self.error(Damage::new(
                name,
                at,
                format!("a place up to {:#x}", UsedMap::REACH),
                format!("{range:#x?}"),
            ));
        } else if !self.used.mark(range) {
            self.error(Damage::new(
                name,
                at,
                "a place that nothing else takes",
                format!("{range:#x?}"),
            ));
        }
    }
}
