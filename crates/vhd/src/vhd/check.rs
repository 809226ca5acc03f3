//! Finding what is wrong in a file.

use super::dynamic_header::DynamicHeader;
use super::footer::{DiskType, FOOTER_SIZE, FORMAT_VERSION, Footer, is_sized_by_current_size};
use super::footer_copies::{FooterCopies, FooterCopy, FooterPlace};
use super::layout::{SECTOR, bitmap_size, check_block_size, read_header};
use super::occupancy::Occupancy;
use super::parent::{ParentReference, PathKind};
use super::sector_bitmap::SectorBitmap;
use cv_disk::{Damage, ExtentKind, Fault, Faults, ReadAt, ReadError, Severity, is_zero};
use std::ops::Range;
use std::sync::Arc;

/// Room that alignment may leave between the last block and the footer.
const ALIGNMENT_ROOM: u64 = 8192;

/// Every fault of `file`, also of one that [`Vhd::open`](super::Vhd::open) refuses. Its parent is not looked at.
pub fn check(file: &Arc<dyn ReadAt>) -> Result<Faults, ReadError> {
    let mut check = Check {
        file: &**file,
        faults: Faults::new(),
    };
    check.run()?;
    Ok(check.faults)
}

struct Check<'a> {
    file: &'a dyn ReadAt,
    faults: Faults,
}

impl Check<'_> {
    fn add(&mut self, severity: Severity, damage: Damage) {
        self.faults.push(Fault::new(severity, damage));
    }

    fn add_repairable(&mut self, severity: Severity, damage: Damage) {
        self.faults.push(Fault::new(severity, damage).repairable());
    }

    /// Notes damage; other failures to read end the check.
    fn add_error<T>(&mut self, result: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(ReadError::Damaged(damage)) => {
                self.add(Severity::Error, damage);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn run(&mut self) -> Result<(), ReadError> {
        let copies = FooterCopies::locate(self.file)?;
        let Some((place, chosen)) = copies.chosen() else {
            let end = self.file.len().saturating_sub(FOOTER_SIZE);
            self.add(
                Severity::Error,
                Damage::new("footer", end, "\"conectix\" here or at the start", "neither"),
            );
            return Ok(());
        };
        let Some(disk_type) = chosen.footer.disk_type() else {
            self.add(
                Severity::Error,
                Damage::new(
                    "disk type of the footer",
                    chosen.offset + 60,
                    "2, 3 or 4",
                    chosen.footer.disk_type.to_string(),
                ),
            );
            return Ok(());
        };
        self.fields(&chosen.footer, chosen.offset);
        if disk_type == DiskType::Fixed {
            self.fixed(chosen);
            return Ok(());
        }
        let structure = self.blocks(&copies, chosen, disk_type)?;
        self.copies(&copies, place, chosen, structure);
        Ok(())
    }

    fn fields(&mut self, footer: &Footer, offset: u64) {
        if footer.file_format_version != FORMAT_VERSION {
            self.add(
                Severity::Warning,
                Damage::new(
                    "file format version of the footer",
                    offset + 12,
                    format!("{FORMAT_VERSION:#x}"),
                    format!("{:#x}", footer.file_format_version),
                ),
            );
        }
        if !footer.current_size.is_multiple_of(SECTOR) {
            self.add(
                Severity::Warning,
                Damage::new(
                    "current size of the footer",
                    offset + 48,
                    "a multiple of 512",
                    footer.current_size.to_string(),
                ),
            );
        }
        let geometry = footer.disk_geometry.size();
        if !is_sized_by_current_size(footer.creator_application) && geometry != footer.current_size {
            self.add(
                Severity::Note,
                Damage::new(
                    "disk geometry of the footer, by which readers of this creator's disks go",
                    offset + 56,
                    format!("{} bytes, the current size", footer.current_size),
                    format!("{geometry} bytes"),
                ),
            );
        }
    }

    fn fixed(&mut self, footer: &FooterCopy) {
        let size = footer.footer.current_size;
        let end = footer.offset + footer.length;
        if size > footer.offset {
            self.add(
                Severity::Error,
                Damage::new(
                    "current size of the footer",
                    footer.offset + 48,
                    format!("at most the {} bytes before the footer", footer.offset),
                    format!("{size} bytes"),
                ),
            );
        } else if size < footer.offset {
            self.add(
                Severity::Note,
                Damage::new(
                    "footer",
                    footer.offset,
                    format!("right behind the disk at {size:#x}"),
                    format!("{} bytes further", footer.offset - size),
                ),
            );
        }
        if end < self.file.len() {
            self.add_repairable(
                Severity::Warning,
                Damage::new(
                    "end of the file, left by a resize that was cut short",
                    end,
                    "nothing behind the footer",
                    format!("{} zeros", self.file.len() - end),
                ),
            );
        }
        let is_certain = footer.footer.has_good_checksum() || size == footer.offset;
        self.checksum(footer, Severity::Warning, is_certain);
        self.length(footer, is_certain);
    }

    /// The faults of both copies. `structure` is what else was found: whether all is where the footer says, and where
    /// the footer at the end should be.
    fn copies(&mut self, copies: &FooterCopies, place: FooterPlace, chosen: &FooterCopy, structure: Option<u64>) {
        let file_end = self.file.len();
        let chosen_is_good = chosen.footer.has_good_checksum();
        let is_certain = chosen_is_good || structure.is_some();
        for (this, copy, at) in [
            (FooterPlace::Head, &copies.head, 0),
            (FooterPlace::Tail, &copies.tail, file_end.saturating_sub(FOOTER_SIZE)),
        ] {
            let Some(copy) = copy else {
                let damage = Damage::new("footer", at, "a copy of the footer", "none");
                self.faults.push(Fault {
                    repairable: is_certain,
                    ..Fault::new(Severity::Warning, damage)
                });
                continue;
            };
            let severity = if this == place {
                Severity::Warning
            } else {
                Severity::Note
            };
            self.checksum(copy, severity, is_certain);
            self.length(copy, is_certain);
            let mut same = copy.footer.clone();
            same.checksum = chosen.footer.checksum;
            if copy.length < FOOTER_SIZE {
                same.reserved[426] = chosen.footer.reserved[426];
            }
            if same != chosen.footer {
                let damage = Damage::new(
                    "footer",
                    copy.offset,
                    format!("the same as the copy at {:#x}", chosen.offset),
                    format!("another, for a disk of {} bytes", copy.footer.current_size),
                );
                self.faults.push(Fault {
                    repairable: is_certain,
                    ..Fault::new(Severity::Warning, damage)
                });
            }
        }
        let tail_offset = copies.tail.as_ref().map_or(file_end, |tail| tail.offset);
        if let Some(end) = structure
            && tail_offset > end.saturating_add(ALIGNMENT_ROOM)
        {
            self.add_repairable(
                Severity::Note,
                Damage::new(
                    "end of the file",
                    end,
                    "the footer behind the last block",
                    format!("{} bytes before it that nothing uses", tail_offset - end),
                ),
            );
        }
    }

    fn checksum(&mut self, copy: &FooterCopy, severity: Severity, is_repairable: bool) {
        if copy.footer.has_good_checksum() {
            return;
        }
        let damage = Damage::new(
            "checksum of the footer",
            copy.offset + 64,
            format!("{:#010x}", copy.footer.expected_checksum()),
            format!("{:#010x}", copy.footer.checksum),
        );
        self.faults.push(Fault {
            repairable: is_repairable,
            ..Fault::new(severity, damage)
        });
    }

    fn length(&mut self, copy: &FooterCopy, is_repairable: bool) {
        if copy.length < FOOTER_SIZE {
            let damage = Damage::new(
                "footer",
                copy.offset,
                "512 bytes",
                format!("{}, as old versions of Virtual PC wrote it", copy.length),
            );
            self.faults.push(Fault {
                repairable: is_repairable,
                ..Fault::new(Severity::Note, damage)
            });
        }
    }

    /// The faults of all that dynamic and differencing disks have beyond the footer; returns where that ends if nothing
    /// contradicts it.
    fn blocks(
        &mut self,
        copies: &FooterCopies,
        chosen: &FooterCopy,
        disk_type: DiskType,
    ) -> Result<Option<u64>, ReadError> {
        let footer = &chosen.footer;
        let header_offset = footer.data_offset;
        let header = read_header(self.file, header_offset, chosen.offset);
        let Some(header) = self.add_error(header)? else {
            return Ok(None);
        };
        if let Err(damage) = check_block_size(&header, header_offset) {
            self.add(Severity::Error, damage);
            return Ok(None);
        }
        let faults_before = self.error_count();
        let count = footer.current_size.div_ceil(header.block_size.into());
        if count > u64::from(header.max_table_entries) {
            self.add(
                Severity::Error,
                Damage::new(
                    "max table entries of the dynamic disk header",
                    header_offset + 28,
                    format!("at least {count}"),
                    header.max_table_entries.to_string(),
                ),
            );
        }
        if disk_type == DiskType::Differencing {
            self.parent(&header, header_offset)?;
        }
        let mut found = Vec::new();
        let occupancy = Occupancy::read(self.file, copies, &header, header_offset, &mut |fault| {
            if found.len() <= Faults::LISTED {
                found.push(fault);
            }
        })?;
        for fault in found {
            self.faults.push(fault);
        }
        self.entries_beyond_disk(&occupancy, &header, count);
        if disk_type == DiskType::Dynamic {
            self.bitmaps(&occupancy, &header)?;
        }
        let is_sound = self.error_count() == faults_before;
        if !header.has_good_checksum() {
            let damage = Damage::new(
                "checksum of the dynamic disk header",
                header_offset + 36,
                format!("{:#010x}", header.expected_checksum()),
                format!("{:#010x}", header.checksum),
            );
            self.faults.push(Fault {
                repairable: is_sound,
                ..Fault::new(Severity::Warning, damage)
            });
        }
        if is_sound {
            self.unused_room(&occupancy);
        }
        Ok(is_sound.then_some(occupancy.end))
    }

    fn error_count(&self) -> usize {
        let errors = self.faults.listed().iter();
        errors.filter(|fault| fault.severity == Severity::Error).count()
    }

    fn parent(&mut self, header: &DynamicHeader, header_offset: u64) -> Result<(), ReadError> {
        let parent = ParentReference::read(self.file, header)?;
        for (number, entry) in header.parent_locator_entries.iter().enumerate() {
            let kind = PathKind::from_platform_code(entry.platform_code);
            let is_read = kind.is_some_and(|kind| kind == PathKind::MacAlias || parent.path(kind).is_some());
            if entry.is_used() && !is_read {
                self.add(
                    Severity::Warning,
                    Damage::new(
                        format!("parent locator {number}"),
                        header_offset + 576 + number as u64 * 24,
                        "a path within the file",
                        format!(
                            "\"{}\", {} bytes at {:#x}",
                            entry.platform_code.escape_ascii(),
                            entry.platform_data_length,
                            entry.platform_data_offset
                        ),
                    ),
                );
            }
        }
        if parent.paths.is_empty() {
            self.add(
                Severity::Warning,
                Damage::new("parent locators", header_offset + 576, "a path to the parent", "none"),
            );
        }
        Ok(())
    }

    fn entries_beyond_disk(&mut self, occupancy: &Occupancy, header: &DynamicHeader, count: u64) {
        for (sector, index) in &occupancy.blocks {
            if u64::from(*index) >= count {
                self.add(
                    Severity::Note,
                    Damage::new(
                        format!("BAT entry {index}"),
                        header.table_offset + u64::from(*index) * 4,
                        format!("no block: the disk has {count}"),
                        format!("one at {:#x}", u64::from(*sector) * SECTOR),
                    ),
                );
            }
        }
    }

    /// In a dynamic disk, finds blocks with content in sectors that their bitmap does not claim: readers disagree there.
    fn bitmaps(&mut self, occupancy: &Occupancy, header: &DynamicHeader) -> Result<(), ReadError> {
        let sectors = u64::from(header.block_size) / SECTOR;
        let mut bytes = vec![0; bitmap_size(header.block_size.into()) as usize];
        for (sector, index) in &occupancy.blocks {
            let start = u64::from(*sector) * SECTOR;
            let content = start + bytes.len() as u64;
            self.file.read_at(&mut bytes, start)?;
            let bitmap = SectorBitmap::from_bytes(&bytes, sectors);
            let mut position = 0;
            while position < sectors {
                let (is_held, end) = bitmap.run(position, sectors);
                let range = content + position * SECTOR..content + end * SECTOR;
                if !is_held && !is_zero_range(self.file, range)? {
                    self.add(
                        Severity::Warning,
                        Damage::new(
                            format!("sector bitmap of block {index}"),
                            start + position / 8,
                            "a bit for every sector with content, as some readers ignore the bitmaps of dynamic disks",
                            format!("content that is not claimed in sectors {position}..{end}"),
                        ),
                    );
                    break;
                }
                position = end;
            }
        }
        Ok(())
    }

    fn unused_room(&mut self, occupancy: &Occupancy) {
        let metadata: u64 = occupancy
            .metadata
            .iter()
            .map(|(_, range)| range.end - range.start)
            .sum();
        let alignment = occupancy.blocks.len() as u64 * 4096 + (64 << 10);
        let used = metadata + occupancy.block_bytes() + alignment;
        if occupancy.end > used {
            self.add(
                Severity::Note,
                Damage::new(
                    "file",
                    0,
                    "no room that nothing uses, as after compacting",
                    format!("about {} bytes of it", occupancy.end - used),
                ),
            );
        }
    }
}

/// Whether a range of the file is all zero; holes are not read.
fn is_zero_range(file: &dyn ReadAt, range: Range<u64>) -> Result<bool, ReadError> {
    let mut buffer = Vec::new();
    let mut position = range.start;
    while position < range.end {
        let extent = file.extent_at(position)?.clipped(range.end);
        if extent.kind == ExtentKind::Data {
            let length = extent.length.min(256 << 10);
            buffer.resize(length as usize, 0);
            file.read_at(&mut buffer, position)?;
            if !is_zero(&buffer) {
                return Ok(false);
            }
            position += length;
        } else {
            position = extent.end();
        }
    }
    Ok(true)
}
