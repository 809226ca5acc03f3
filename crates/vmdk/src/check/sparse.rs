//! Checking a sparse extent of any kind.

use super::grains::{TakenGrains, TakenRanges};
use super::{Checker, Target};
use crate::error::OpenError;
use crate::sparse::{Directory, Grain, GrainDecoder, SparseExtent, SparseKind};
use crate::structures::{
    CowdHeader, FLAG_MARKERS, FLAG_REDUNDANT_TABLE, FLAG_ZEROED_GRAINS, GD_AT_END, SECTOR, SparseExtentHeader,
    from_bytes, to_sector,
};
use cv_disk::{Damage, Faults, ReadAt, ReadError, Resize, Severity, WriteError};
use std::collections::HashSet;
use std::ops::Range;

/// A walk over the tables of an extent.
struct Walk<'a> {
    target: &'a Target,
    extent: &'a SparseExtent,
    structures: TakenRanges,
    grains: TakenGrains,
    decoder: Option<GrainDecoder>,
    /// Whether the directory stands at the end of a stream, so that tables have markers.
    directory_at_end: bool,
}

impl Checker {
    /// Checks the sparse extent in the target; `sectors` is the size that the descriptor says.
    pub(super) fn check_sparse(&mut self, target: &Target, sectors: Option<u64>) -> Result<(), WriteError> {
        self.has_error = false;
        let extent = match SparseExtent::open(target.file.clone()) {
            Ok(extent) => extent,
            Err(OpenError::Damaged(damage)) => {
                self.fault(Severity::Error, damage);
                return Ok(());
            }
            Err(OpenError::Read(error @ ReadError::BeyondEnd { .. })) => {
                let damage = Damage::new("sparse extent", 0, "its tables within the file", error.to_string());
                self.fault(Severity::Error, damage);
                return Ok(());
            }
            Err(OpenError::Read(error)) => return Err(error.into()),
            Err(other) => {
                self.fault(
                    Severity::Error,
                    Damage::new("sparse extent", 0, "one that can be opened", other.to_string()),
                );
                return Ok(());
            }
        };
        if let Some(sectors) = sectors.filter(|sectors| extent.len() / SECTOR != *sectors) {
            let damage = Damage::new(
                "sparse extent header, capacity",
                0x0C,
                format!("{sectors} sectors, as the descriptor says"),
                (extent.len() / SECTOR).to_string(),
            );
            let severity = if extent.len() / SECTOR < sectors {
                Severity::Error
            } else {
                Severity::Warning
            };
            self.fault(severity, damage);
        }
        self.check_directories(target, &extent)?;
        self.walk(target, &extent)?;
        if let SparseKind::Hosted(header) = extent.kind() {
            if extent.is_compressed() {
                self.check_stream_end(target)?;
            }
            if header.unclean_shutdown != 0 {
                self.check_closed(target, header)?;
            }
        }
        Ok(())
    }

    /// The mark of a writer that did not close the extent. It can go where everything else is in order.
    fn check_closed(&mut self, target: &Target, header: &SparseExtentHeader) -> Result<(), WriteError> {
        let at = SparseExtentHeader::UNCLEAN_SHUTDOWN_OFFSET;
        let damage = Damage::new(
            "sparse extent header, uncleanShutdown",
            at,
            "0",
            format!("{}: the last writer did not close the extent", header.unclean_shutdown),
        );
        if self.has_error {
            self.fault(Severity::Warning, damage);
            return Ok(());
        }
        self.repairable(Severity::Warning, damage, target, |sink| sink.write_at(&[0], at))
    }

    /// Whether both directories can be reached.
    fn check_directories(&mut self, target: &Target, extent: &SparseExtent) -> Result<(), WriteError> {
        let SparseKind::Hosted(header) = extent.kind() else {
            return Ok(());
        };
        if extent.uses_redundant_directory() {
            let damage = Damage::new(
                "sparse extent header, gdOffset",
                0x38,
                "a grain directory within the file",
                format!("sector {:#x}; the redundant directory serves", header.gd_offset),
            );
            let mended = SparseExtentHeader {
                gd_offset: header.rgd_offset,
                rgd_offset: 0,
                flags: header.flags & !FLAG_REDUNDANT_TABLE,
                ..header.clone()
            };
            self.repairable(Severity::Error, damage, target, |sink| {
                sink.write_at(&to_sector(&mended), 0)
            })?;
        } else if header.has(FLAG_REDUNDANT_TABLE) && extent.tables().redundant().is_none() {
            let damage = Damage::new(
                "sparse extent header, rgdOffset",
                0x30,
                "a redundant grain directory within the file",
                format!("sector {:#x}", header.rgd_offset),
            );
            let mended = SparseExtentHeader {
                rgd_offset: 0,
                flags: header.flags & !FLAG_REDUNDANT_TABLE,
                ..header.clone()
            };
            self.repairable(Severity::Warning, damage, target, |sink| {
                sink.write_at(&to_sector(&mended), 0)
            })?;
        }
        Ok(())
    }

    /// Every table and every grain.
    fn walk(&mut self, target: &Target, extent: &SparseExtent) -> Result<(), WriteError> {
        let mut structures = TakenRanges::default();
        for range in fixed_structures(extent) {
            structures.take(range);
        }
        let directory = extent.tables().directory();
        let entry = extent.tables().directory_entry_bytes();
        let directories = [Some(directory), extent.tables().redundant()];
        for directory in directories.into_iter().flatten() {
            let start = directory.offset_of(0);
            if !structures.take(start..start + directory.len() * entry) {
                let damage = Damage::new(
                    "grain directory",
                    start,
                    "a place of its own",
                    "one that another structure has",
                );
                self.fault(Severity::Error, damage);
            }
        }
        let (decoder, directory_at_end) = match extent.kind() {
            SparseKind::Hosted(header) if extent.is_compressed() => {
                let mut sector = [0; SECTOR as usize];
                target.file.read_at(&mut sector, 0)?;
                let first = from_bytes::<SparseExtentHeader>(&sector);
                (
                    Some(GrainDecoder::new(extent.grain_size(), header.has(FLAG_MARKERS))),
                    first.is_some_and(|header| header.gd_offset == GD_AT_END),
                )
            }
            _ => (None, false),
        };
        let mut walk = Walk {
            target,
            extent,
            structures,
            grains: TakenGrains::new(extent.grain_size()),
            decoder,
            directory_at_end,
        };
        // Tables first: a grain must not lie on any of them.
        let mut unusable = HashSet::new();
        for table in 0..directory.len() {
            if !self.check_table(&mut walk, table)? {
                unusable.insert(table);
                if unusable.len() >= Faults::LISTED {
                    // A directory of nothing but faults; more of them tell nothing.
                    return Ok(());
                }
            }
        }
        for table in 0..directory.len() {
            if !unusable.contains(&table) && !matches!(directory.place(table), Ok(None)) {
                self.check_grains(&mut walk, table)?;
            }
        }
        self.check_lost_room(&walk);
        Ok(())
    }

    /// Checks where a table is, if there is one, and that its copies agree; whether its entries can be looked at.
    fn check_table(&mut self, walk: &mut Walk<'_>, table: u64) -> Result<bool, WriteError> {
        let tables = walk.extent.tables();
        let bytes = tables.table_bytes();
        let file = &walk.target.file;
        let place_in = |directory: &Directory| match directory.place(table) {
            Ok(None) => Ok(Place::None),
            Ok(Some(at)) if ReadError::check_range(at, bytes, file.len()).is_ok() => Ok(Place::At(at)),
            Ok(Some(at)) => Ok(Place::Outside(at)),
            Err(ReadError::Damaged(_)) => Ok(Place::Outside(u64::MAX)),
            Err(error) => Err(error),
        };
        let main = place_in(tables.directory())?;
        let redundant = tables.redundant().map(place_in).transpose()?;
        let outside = |directory: &Directory, at: u64| {
            Damage::new(
                format!("grain directory entry {table}"),
                directory.offset_of(table),
                format!("a grain table within the file of {:#x} bytes", file.len()),
                format!("{at:#x}"),
            )
        };
        match (main, redundant) {
            (Place::Outside(at), Some(Place::At(good))) => {
                let damage = outside(tables.directory(), at);
                self.repairable(Severity::Error, damage, walk.target, |sink| {
                    copy_table(sink, good, bytes, tables.directory(), table)
                })?;
            }
            (Place::Outside(at), _) => {
                self.fault(Severity::Error, outside(tables.directory(), at));
                return Ok(false);
            }
            (Place::At(good), Some(Place::Outside(at))) => {
                if let Some(redundant) = tables.redundant() {
                    self.repairable(Severity::Warning, outside(redundant, at), walk.target, |sink| {
                        copy_table(sink, good, bytes, redundant, table)
                    })?;
                }
            }
            (Place::At(main), Some(Place::At(copy))) if main != copy => self.compare_tables(walk, table, main, copy)?,
            _ => {}
        }
        for place in [Some(main), redundant].into_iter().flatten() {
            let Place::At(at) = place else { continue };
            if !walk.structures.take(at..at + bytes) {
                let damage = Damage::new(
                    format!("grain table {table}"),
                    at,
                    "a place of its own",
                    "one that another structure has",
                );
                self.fault(Severity::Error, damage);
                return Ok(false);
            }
            if walk.directory_at_end {
                self.check_table_marker(&**file, at, bytes.div_ceil(SECTOR))?;
            }
        }
        Ok(true)
    }

    /// Compares a table with its copy. An entry that names a place outside the file gives way to one that does not; else
    /// the main table is right, as it is written first.
    fn compare_tables(&mut self, walk: &Walk<'_>, table: u64, main: u64, copy: u64) -> Result<(), WriteError> {
        let bytes = walk.extent.tables().table_bytes() as usize;
        let (mut one, mut other) = (vec![0; bytes], vec![0; bytes]);
        walk.target.file.read_at(&mut one, main)?;
        walk.target.file.read_at(&mut other, copy)?;
        if one == other {
            return Ok(());
        }
        let sector = |entry: &[u8]| u64::from(u32::from_le_bytes(std::array::from_fn(|byte| entry[byte])));
        let file_sectors = walk.target.file.len() / SECTOR;
        let mut merged = one.clone();
        let mut first = None;
        let mut count = 0;
        let mut is_lost = false;
        let entries = one
            .chunks_exact(4)
            .zip(other.chunks_exact(4))
            .zip(merged.chunks_exact_mut(4));
        for (index, ((main_entry, copy_entry), merged)) in entries.enumerate() {
            if main_entry == copy_entry {
                continue;
            }
            first.get_or_insert((index, sector(main_entry), sector(copy_entry)));
            count += 1;
            if sector(main_entry) >= file_sectors && sector(copy_entry) < file_sectors {
                merged.copy_from_slice(copy_entry);
                is_lost = true;
            }
        }
        let (index, found, expected) = first.unwrap_or_default();
        let damage = Damage::new(
            format!("grain table {table}, {count} entries"),
            main + index as u64 * 4,
            format!("what the redundant table at {copy:#x} holds: {expected:#x}"),
            format!("{found:#x}"),
        );
        let severity = if is_lost { Severity::Error } else { Severity::Warning };
        self.repairable(severity, damage, walk.target, |sink| {
            sink.write_at(&merged, main)?;
            sink.write_at(&merged, copy)
        })
    }

    /// Checks the grains that a table names.
    fn check_grains(&mut self, walk: &mut Walk<'_>, table: u64) -> Result<(), WriteError> {
        let tables = walk.extent.tables();
        let per_table = tables.entries_per_table();
        let first = table * per_table;
        let count = per_table.min(tables.grain_count().saturating_sub(first));
        let mut grains = vec![Grain::Unallocated; count as usize];
        match tables.lookup(first, &mut grains) {
            Err(ReadError::Damaged(damage)) => {
                self.fault(Severity::Error, damage);
                return Ok(());
            }
            outcome => outcome?,
        }
        let table_at = tables.directory().place(table).ok().flatten().unwrap_or(0);
        for (index, grain) in grains.into_iter().enumerate() {
            let entry_at = table_at + index as u64 * (tables.table_bytes() / per_table);
            self.check_grain(walk, first + index as u64, grain, entry_at)?;
        }
        Ok(())
    }

    fn check_grain(&mut self, walk: &mut Walk<'_>, number: u64, grain: Grain, entry_at: u64) -> Result<(), WriteError> {
        let file = &*walk.target.file;
        let structure = format!("grain table entry of grain {number}");
        let offset = match grain {
            Grain::Unallocated => return Ok(()),
            Grain::Zeroed => {
                if matches!(walk.extent.kind(), SparseKind::Hosted(header) if !header.has(FLAG_ZEROED_GRAINS)) {
                    let expected = "the flag for zeroed grains in the header";
                    self.fault(
                        Severity::Warning,
                        Damage::new(structure, entry_at, expected, "1 without it"),
                    );
                }
                return Ok(());
            }
            Grain::Invalid(raw) => {
                let damage = Damage::new(structure, entry_at, "a known kind of entry", format!("{raw:#x}"));
                self.fault(Severity::Error, damage);
                return Ok(());
            }
            Grain::At(offset) => offset,
        };
        // The last grain may be cut short by the end of the disk, and then by the end of the file.
        let rest = walk.extent.len() - number * walk.extent.grain_size();
        let needed = if walk.decoder.is_some() {
            1
        } else {
            rest.min(walk.extent.grain_size())
        };
        if ReadError::check_range(offset, needed, file.len()).is_err() {
            let expected = format!("a place within the file of {:#x} bytes", file.len());
            let damage = Damage::new(structure, entry_at, expected, format!("{offset:#x}"));
            self.fault(Severity::Error, damage);
            return Ok(());
        }
        let (start, is_alone) = if let (Some(decoder), SparseKind::Hosted(header)) = (&walk.decoder, walk.extent.kind())
        {
            let range = match self.check_compressed(file, header, decoder, number, offset) {
                Err(ReadError::BeyondEnd { .. }) => {
                    let damage = Damage::new("compressed grain", offset, "all of it within the file", "a part");
                    self.fault(Severity::Error, damage);
                    return Ok(());
                }
                outcome => outcome?,
            };
            let range = range.start..range.end.next_multiple_of(SECTOR);
            (range.start, walk.structures.take(range))
        } else {
            let is_off_structures = !walk.structures.meets(&(offset..offset + needed));
            (offset, walk.grains.take(offset) && is_off_structures)
        };
        if !is_alone {
            let damage = Damage::new(
                structure,
                entry_at,
                "a place of its own",
                format!("{start:#x}, which another grain or structure has"),
            );
            self.fault(Severity::Error, damage);
        }
        Ok(())
    }

    /// Room that no grain and no structure takes.
    fn check_lost_room(&mut self, walk: &Walk<'_>) {
        if walk.decoder.is_some() || !matches!(walk.extent.kind(), SparseKind::Hosted(_)) {
            return;
        }
        let grain = walk.extent.grain_size();
        let taken = walk
            .structures
            .total()
            .saturating_add(walk.grains.count().saturating_mul(grain));
        let lost = walk.target.file.len().saturating_sub(taken) / grain;
        // Structures behind the first grain are padded to whole grains.
        if lost > 1 {
            self.fault(
                Severity::Note,
                Damage::new(
                    "sparse extent",
                    0,
                    "every grain of the file in use",
                    format!("{lost} grains that nothing names"),
                ),
            );
        }
    }
}

/// Where a directory says that a table is.
#[derive(Clone, Copy)]
enum Place {
    None,
    At(u64),
    Outside(u64),
}

/// The structures at fixed places: headers, the descriptor, and what the header keeps free before the first grain.
fn fixed_structures(extent: &SparseExtent) -> Vec<Range<u64>> {
    let sectors = |start: u64, count: u64| {
        let start = start.saturating_mul(SECTOR);
        start..start.saturating_add(count.saturating_mul(SECTOR))
    };
    match extent.kind() {
        SparseKind::Hosted(header) => vec![0..SECTOR, sectors(header.descriptor_offset, header.descriptor_size)],
        SparseKind::Cowd(_) => vec![sectors(0, CowdHeader::SIZE as u64 / SECTOR)],
        SparseKind::SeSparse(header) => vec![
            0..SECTOR,
            sectors(header.volatile_header_offset, header.volatile_header_size),
            sectors(header.journal_header_offset, header.journal_header_size),
            sectors(header.journal_offset, header.journal_size),
        ],
    }
}

/// Appends a copy of the table at `good` and lets the directory name it.
fn copy_table(sink: &dyn Resize, good: u64, bytes: u64, directory: &Directory, table: u64) -> Result<(), WriteError> {
    let mut content = vec![0; bytes as usize];
    sink.read_at(&mut content, good)?;
    let place = sink.len().next_multiple_of(SECTOR);
    sink.set_len(place + bytes)?;
    sink.write_at(&content, place)?;
    directory.set_place(sink, table, place)
}
