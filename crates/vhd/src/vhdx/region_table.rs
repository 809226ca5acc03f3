//! The two region tables: where the BAT and the metadata stand ([MS-VHDX] section 2.2.3).

use super::error::OpenError;
use super::structures::{
    Guid, MIB, REGION_BAT, REGION_METADATA, REGION_TABLE_OFFSETS, REGION_TABLE_SIZE, RegionTableEntry,
    RegionTableHeader, TABLE_ENTRIES_MAX, checksum, decode, encode, seal, stored_checksum,
};
use cv_disk::{Damage, ReadAt, ReadError};
use std::ops::Range;
use uuid::Uuid;

/// Both copies of the region table as they were found.
#[derive(Debug, Clone)]
pub(super) struct RegionTables {
    /// Each copy, or why it is not valid.
    pub copies: [Result<RegionTable, Damage>; 2],
}

impl RegionTables {
    /// Reads both copies.
    pub fn read(file: &dyn ReadAt) -> Result<Self, ReadError> {
        let [first, second] = REGION_TABLE_OFFSETS;
        Ok(Self {
            copies: [RegionTable::read(file, first)?, RegionTable::read(file, second)?],
        })
    }

    /// The first valid copy.
    pub fn usable(&self) -> Result<&RegionTable, Damage> {
        match &self.copies {
            [Ok(table), _] | [Err(_), Ok(table)] => Ok(table),
            [Err(damage), Err(_)] => Err(damage.clone()),
        }
    }
}

/// One copy of the region table.
#[derive(Debug, Clone)]
pub(super) struct RegionTable {
    /// Where the copy stands in the file.
    pub offset: u64,
    /// Its entries, in the order of the table.
    pub entries: Vec<RegionTableEntry>,
}

impl RegionTable {
    fn read(file: &dyn ReadAt, offset: u64) -> Result<Result<Self, Damage>, ReadError> {
        let mut bytes = vec![0; REGION_TABLE_SIZE];
        match file.read_at(&mut bytes, offset) {
            Ok(()) => Ok(Self::parse(&bytes, offset)),
            Err(ReadError::BeyondEnd { size, .. }) => Ok(Err(Damage::new(
                "region table",
                offset,
                format!("{REGION_TABLE_SIZE} bytes"),
                format!("the file's end at {size:#x}"),
            ))),
            Err(error) => Err(error),
        }
    }

    fn parse(bytes: &[u8], offset: u64) -> Result<Self, Damage> {
        let header: RegionTableHeader = decode(bytes, "region table header", offset)?;
        if header.signature != RegionTableHeader::SIGNATURE {
            return Err(Damage::new(
                "region table Signature",
                offset,
                "\"regi\"",
                format!("\"{}\"", header.signature.escape_ascii()),
            ));
        }
        let (stored, computed) = (stored_checksum(bytes), checksum(bytes));
        if stored != computed {
            return Err(Damage::new(
                "region table Checksum",
                offset + 4,
                format!("{computed:#010x}"),
                format!("{stored:#010x}"),
            ));
        }
        if header.entry_count > TABLE_ENTRIES_MAX {
            return Err(Damage::new(
                "region table EntryCount",
                offset + 8,
                format!("at most {TABLE_ENTRIES_MAX}"),
                header.entry_count.to_string(),
            ));
        }
        let entries = bytes[RegionTableHeader::SIZE..]
            .chunks_exact(RegionTableEntry::SIZE)
            .take(header.entry_count as usize)
            .enumerate()
            .map(|(index, bytes)| decode(bytes, "region table entry", Self::entry_offset(offset, index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { offset, entries })
    }

    /// Where entry `index` of the copy at `offset` stands in the file.
    pub fn entry_offset(offset: u64, index: usize) -> u64 {
        offset + (RegionTableHeader::SIZE + index * RegionTableEntry::SIZE) as u64
    }

    /// Where the BAT and the metadata stand in a file of `length` bytes; fails where a region is required and unknown.
    pub fn regions(&self, length: u64) -> Result<Regions, OpenError> {
        for (index, entry) in self.entries.iter().enumerate() {
            let guid = entry.guid.0;
            if entry.required & 1 != 0 && guid != REGION_BAT && guid != REGION_METADATA {
                return Err(OpenError::UnknownRegion {
                    guid,
                    offset: Self::entry_offset(self.offset, index),
                });
            }
        }
        let regions = Regions {
            bat: self.region(REGION_BAT, "BAT", length)?,
            metadata: self.region(REGION_METADATA, "metadata", length)?,
        };
        if regions.bat.start < regions.metadata.end && regions.metadata.start < regions.bat.end {
            return Err(Damage::new(
                "region table",
                self.offset,
                "regions apart from each other",
                format!("BAT at {:#x?}, metadata at {:#x?}", regions.bat, regions.metadata),
            )
            .into());
        }
        Ok(regions)
    }

    fn region(&self, guid: Uuid, name: &str, length: u64) -> Result<Range<u64>, Damage> {
        let mut found = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.guid.0 == guid);
        let Some((index, entry)) = found.next() else {
            return Err(Damage::new(
                "region table",
                self.offset,
                format!("an entry for the {name} region"),
                format!("{} entries without it", self.entries.len()),
            ));
        };
        if let Some((second, _)) = found.next() {
            return Err(Damage::new(
                "region table entry",
                Self::entry_offset(self.offset, second),
                format!("one entry for the {name} region"),
                "a second one",
            ));
        }
        entry.range(Self::entry_offset(self.offset, index), length)
    }

    /// The 64 KiB of a table with these entries, with their checksum.
    pub fn to_bytes(entries: &[RegionTableEntry]) -> Vec<u8> {
        let mut bytes = encode(&RegionTableHeader {
            signature: RegionTableHeader::SIGNATURE,
            checksum: 0,
            entry_count: entries.len() as u32,
            reserved: 0,
        });
        for entry in entries {
            bytes.extend(encode(entry));
        }
        bytes.resize(REGION_TABLE_SIZE, 0);
        seal(&mut bytes);
        bytes
    }
}

impl RegionTableEntry {
    /// A required region.
    pub fn required(guid: Uuid, range: &Range<u64>) -> Self {
        Self {
            guid: Guid(guid),
            file_offset: range.start,
            length: (range.end - range.start) as u32,
            required: 1,
        }
    }

    /// The region in a file of `length` bytes; `offset` is where this entry stands.
    pub fn range(&self, offset: u64, length: u64) -> Result<Range<u64>, Damage> {
        if self.file_offset < MIB || !self.file_offset.is_multiple_of(MIB) {
            return Err(Damage::new(
                "region table entry FileOffset",
                offset + 16,
                "a multiple of 1 MiB, at least 1 MiB",
                format!("{:#x}", self.file_offset),
            ));
        }
        let region = u64::from(self.length);
        if region == 0 || !region.is_multiple_of(MIB) {
            return Err(Damage::new(
                "region table entry Length",
                offset + 24,
                "a multiple of 1 MiB",
                format!("{region:#x}"),
            ));
        }
        match self.file_offset.checked_add(region) {
            Some(end) if end <= length => Ok(self.file_offset..end),
            _ => Err(Damage::new(
                "region table entry FileOffset",
                offset + 16,
                format!("a region within the file of {length:#x} bytes"),
                format!("{:#x} and {region:#x} bytes", self.file_offset),
            )),
        }
    }
}

/// Where the regions stand in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Regions {
    /// The block allocation table.
    pub bat: Range<u64>,
    /// The metadata table and its items.
    pub metadata: Range<u64>,
}
