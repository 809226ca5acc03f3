//! Which parts of a dynamic or differencing file are in use, and where two claim the same bytes.

use super::dynamic_header::{DynamicHeader, HEADER_SIZE};
use super::footer::FOOTER_SIZE;
use super::footer_copies::FooterCopies;
use super::layout::{SECTOR, bitmap_size, table_end, visit_table};
use cv_disk::{Damage, Fault, ReadAt, ReadError, Severity};
use std::ops::{ControlFlow, Range};

/// First bytes of the header of the batmap of `XenServer`, which follows the BAT and says which blocks are full.
const BATMAP_COOKIE: &[u8; 8] = b"tdbatmap";

/// What is in use in a file.
#[derive(Debug)]
pub(super) struct Occupancy {
    /// Everything but the blocks and the footer at the end.
    pub metadata: Vec<(&'static str, Range<u64>)>,
    /// Where blocks begin, in sectors, with their numbers; in ascending order.
    pub blocks: Vec<(u32, u32)>,
    /// The byte after the last in use, padded to sectors; the footer is behind.
    pub end: u64,
    /// Bytes of a block with its bitmap.
    stored_size: u64,
}

impl Occupancy {
    /// Reads the whole BAT of a file with that header, and gives every fault found there to `report`.
    pub fn read(
        file: &dyn ReadAt,
        copies: &FooterCopies,
        header: &DynamicHeader,
        header_offset: u64,
        report: &mut dyn FnMut(Fault),
    ) -> Result<Self, ReadError> {
        let metadata = metadata(file, header, header_offset)?;
        let block_size = u64::from(header.block_size);
        let stored_size = bitmap_size(block_size) + block_size;
        let limit = copies.tail.as_ref().map_or(file.len(), |tail| tail.offset);
        let table_end = header
            .table_offset
            .saturating_add(u64::from(header.max_table_entries) * 4);
        if table_end > limit {
            report(Fault::new(
                Severity::Error,
                Damage::new(
                    "BAT",
                    header.table_offset,
                    format!("{} entries before {limit:#x}", header.max_table_entries),
                    format!("an end at {table_end:#x}"),
                ),
            ));
        }
        // More blocks than fit must overlap, which the first ones show; an attacker's BAT is not kept beyond that.
        let most = limit / stored_size + 2;
        let mut blocks: Vec<(u32, u32)> = Vec::new();
        visit_table(
            file,
            header.table_offset,
            0..u64::from(header.max_table_entries),
            |index, sector| {
                let start = u64::from(sector) * SECTOR;
                if start + stored_size > limit {
                    report(Fault::new(
                        Severity::Error,
                        entry_damage(
                            header,
                            index as u32,
                            format!("a block of {stored_size} bytes before {limit:#x}"),
                            start,
                        ),
                    ));
                } else {
                    blocks.push((sector, index as u32));
                }
                if (blocks.len() as u64) < most {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )?;
        blocks.sort_unstable();

        for pair in blocks.windows(2) {
            let [(first, first_index), (second, second_index)] = [pair[0], pair[1]];
            if u64::from(second - first) * SECTOR < stored_size {
                report(Fault::new(
                    Severity::Error,
                    entry_damage(
                        header,
                        second_index,
                        format!(
                            "a block that does not overlap that of entry {first_index} at {:#x}",
                            u64::from(first) * SECTOR
                        ),
                        u64::from(second) * SECTOR,
                    ),
                ));
            }
        }
        for (name, range) in &metadata {
            let after = blocks.partition_point(|(sector, _)| u64::from(*sector) * SECTOR < range.end);
            let overlapping = blocks[..after]
                .iter()
                .rev()
                .take_while(|(sector, _)| u64::from(*sector) * SECTOR + stored_size > range.start);
            for (sector, index) in overlapping {
                report(Fault::new(
                    Severity::Error,
                    entry_damage(
                        header,
                        *index,
                        format!("a block outside the {name} at {:#x}..{:#x}", range.start, range.end),
                        u64::from(*sector) * SECTOR,
                    ),
                ));
            }
        }

        let metadata_end = metadata.iter().map(|(_, range)| range.end).max().unwrap_or_default();
        let blocks_end = blocks
            .last()
            .map_or(0, |(sector, _)| u64::from(*sector) * SECTOR + stored_size);
        Ok(Self {
            metadata,
            blocks,
            end: metadata_end.max(blocks_end).next_multiple_of(SECTOR),
            stored_size,
        })
    }

    /// As [`read`](Self::read), for a file that is to be written to: any fault that makes two things share bytes is an
    /// error.
    pub fn read_sound(
        file: &dyn ReadAt,
        copies: &FooterCopies,
        header: &DynamicHeader,
        header_offset: u64,
    ) -> Result<Self, ReadError> {
        let mut first = None;
        let occupancy = Self::read(file, copies, header, header_offset, &mut |fault| {
            first.get_or_insert(fault.damage);
        })?;
        match first {
            Some(damage) => Err(damage.into()),
            None => Ok(occupancy),
        }
    }

    /// Up to where the BAT may grow without meeting anything.
    pub fn room_for_table(&self, header: &DynamicHeader) -> u64 {
        let start = header.table_offset;
        let blocks = self.blocks.iter().map(|(sector, _)| u64::from(*sector) * SECTOR);
        let metadata = self.metadata.iter().map(|(_, range)| range.start);
        blocks
            .chain(metadata)
            .filter(|used| *used > start)
            .min()
            .unwrap_or(self.end)
    }

    /// The bytes of the blocks, each with its bitmap.
    pub fn block_bytes(&self) -> u64 {
        self.blocks.len() as u64 * self.stored_size
    }
}

fn entry_damage(header: &DynamicHeader, index: u32, expected: String, found: u64) -> Damage {
    Damage::new(
        format!("BAT entry {index}"),
        header.table_offset + u64::from(index) * 4,
        expected,
        format!("one at {found:#x}"),
    )
}

fn metadata(
    file: &dyn ReadAt,
    header: &DynamicHeader,
    header_offset: u64,
) -> Result<Vec<(&'static str, Range<u64>)>, ReadError> {
    let size = file.len();
    let table_end = table_end(header);
    let mut metadata = vec![
        ("footer copy", 0..FOOTER_SIZE),
        ("dynamic disk header", header_offset..header_offset + HEADER_SIZE),
    ];
    if header.table_offset < table_end.min(size) {
        metadata.push(("BAT", header.table_offset..table_end.min(size)));
    }
    for entry in header.parent_locator_entries.iter().filter(|entry| entry.is_used()) {
        let start = entry.platform_data_offset;
        let end = start.saturating_add(entry.space()).min(size);
        if start < end {
            metadata.push(("parent locator", start..end));
        }
    }
    if table_end.saturating_add(SECTOR) <= size {
        let mut batmap = [0; 20];
        file.read_at(&mut batmap, table_end)?;
        if batmap[..8] == *BATMAP_COOKIE {
            let offset = u64::from_be_bytes(std::array::from_fn(|i| batmap[8 + i]));
            let sectors = u32::from_be_bytes(std::array::from_fn(|i| batmap[16 + i]));
            let end = offset.saturating_add(u64::from(sectors) * SECTOR).min(size);
            metadata.push(("batmap", table_end..end.max(table_end + SECTOR)));
        }
    }
    Ok(metadata)
}
