//! The metadata region: a table of items, and the items behind it ([MS-VHDX] section 2.6).

use super::bat::Geometry;
use super::error::OpenError;
use super::parent_locator::ParentReference;
use super::structures::{
    FileParameters, Guid, ITEM_FILE_PARAMETERS, ITEM_LOGICAL_SECTOR_SIZE, ITEM_PARENT_LOCATOR,
    ITEM_PHYSICAL_SECTOR_SIZE, ITEM_VIRTUAL_DISK_ID, ITEM_VIRTUAL_DISK_SIZE, METADATA_TABLE_SIZE, MIB,
    MetadataTableEntry, MetadataTableHeader, TABLE_ENTRIES_MAX, VIRTUAL_SIZE_MAX, decode, encode,
};
use cv_disk::{Damage, ReadAt, ReadError};
use std::ops::Range;
use uuid::Uuid;

/// Every item that this library knows.
pub(super) const KNOWN_ITEMS: [Uuid; 6] = [
    ITEM_FILE_PARAMETERS,
    ITEM_VIRTUAL_DISK_SIZE,
    ITEM_LOGICAL_SECTOR_SIZE,
    ITEM_PHYSICAL_SECTOR_SIZE,
    ITEM_VIRTUAL_DISK_ID,
    ITEM_PARENT_LOCATOR,
];

/// A metadata item that this library does not know and keeps: one of the user, or a system item that is not required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherItem {
    /// The item's identifier.
    pub item_id: Uuid,
    /// Whether it is the user's, not the system's.
    pub is_user: bool,
    /// Whether it belongs to the virtual disk and moves along a differencing chain, rather than to the file.
    pub is_virtual_disk: bool,
    /// Its content.
    pub content: Vec<u8>,
}

/// The metadata table: which items there are and where.
#[derive(Debug, Clone)]
pub(super) struct MetadataTable {
    /// Where the region stands in the file.
    pub region: Range<u64>,
    /// The entries, in the order of the table.
    pub entries: Vec<MetadataTableEntry>,
}

impl MetadataTable {
    /// Reads the table at the start of `region`.
    pub fn read(file: &dyn ReadAt, region: Range<u64>) -> Result<Self, OpenError> {
        let mut bytes = vec![0; METADATA_TABLE_SIZE as usize];
        file.read_at(&mut bytes, region.start)?;
        let header: MetadataTableHeader = decode(&bytes, "metadata table header", region.start)?;
        if header.signature != MetadataTableHeader::SIGNATURE {
            return Err(Damage::new(
                "metadata table Signature",
                region.start,
                "\"metadata\"",
                format!("\"{}\"", header.signature.escape_ascii()),
            )
            .into());
        }
        if u32::from(header.entry_count) > TABLE_ENTRIES_MAX {
            return Err(Damage::new(
                "metadata table EntryCount",
                region.start + 10,
                format!("at most {TABLE_ENTRIES_MAX}"),
                header.entry_count.to_string(),
            )
            .into());
        }
        let entries = bytes[MetadataTableHeader::SIZE..]
            .chunks_exact(MetadataTableEntry::SIZE)
            .take(usize::from(header.entry_count))
            .enumerate()
            .map(|(index, bytes)| decode(bytes, "metadata table entry", entry_offset(&region, index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { region, entries })
    }

    /// Where entry `index` stands in the file.
    pub fn entry_offset(&self, index: usize) -> u64 {
        entry_offset(&self.region, index)
    }

    /// The system item `item_id`, and where its entry stands.
    pub fn find(&self, item_id: Uuid) -> Option<(&MetadataTableEntry, u64)> {
        self.entries
            .iter()
            .position(|entry| entry.item_id.0 == item_id && entry.flags & MetadataTableEntry::IS_USER == 0)
            .map(|index| (&self.entries[index], self.entry_offset(index)))
    }

    fn is_ambiguous(&self, item_id: Uuid) -> bool {
        let system = |entry: &&MetadataTableEntry| entry.flags & MetadataTableEntry::IS_USER == 0;
        let found = self.entries.iter().filter(|entry| entry.item_id.0 == item_id);
        found.filter(system).count() > 1
    }

    /// Where the item of `entry` stands in the file; `offset` is where the entry stands.
    pub fn place(&self, entry: &MetadataTableEntry, offset: u64) -> Result<Range<u64>, Damage> {
        let (start, length) = (u64::from(entry.offset), u64::from(entry.length));
        let size = self.region.end - self.region.start;
        let fits = if length == 0 {
            start == 0
        } else {
            start >= METADATA_TABLE_SIZE && length <= MIB && start + length <= size
        };
        if !fits {
            return Err(Damage::new(
                "metadata table entry Offset",
                offset + 16,
                format!("an item behind the table and within the region of {size:#x} bytes"),
                format!("{length} bytes at {start:#x}"),
            ));
        }
        Ok(self.region.start + start..self.region.start + start + length)
    }

    /// The content of the item of `entry`, at most 1 MiB.
    pub fn content(
        &self,
        file: &dyn ReadAt,
        entry: &MetadataTableEntry,
        offset: u64,
    ) -> Result<(Vec<u8>, u64), OpenError> {
        let place = self.place(entry, offset)?;
        let mut bytes = vec![0; (place.end - place.start) as usize];
        file.read_at(&mut bytes, place.start)?;
        Ok((bytes, place.start))
    }

    fn required(&self, file: &dyn ReadAt, item_id: Uuid, name: &str) -> Result<(Vec<u8>, u64), OpenError> {
        match self.find(item_id) {
            Some((_, offset)) if self.is_ambiguous(item_id) => Err(Damage::new(
                "metadata table entry",
                offset,
                format!("one entry for the {name}"),
                "several",
            )
            .into()),
            Some((entry, offset)) => self.content(file, entry, offset),
            None => Err(Damage::new(
                "metadata table",
                self.region.start,
                format!("an entry for the {name}"),
                format!("{} entries without it", self.entries.len()),
            )
            .into()),
        }
    }

    /// The table's first bytes up to the last entry, and zeros up to `METADATA_TABLE_SIZE`.
    pub fn to_bytes(entries: &[MetadataTableEntry]) -> Vec<u8> {
        let mut bytes = encode(&MetadataTableHeader {
            signature: MetadataTableHeader::SIGNATURE,
            reserved: 0,
            entry_count: entries.len() as u16,
            reserved2: [0; 20],
        });
        for entry in entries {
            bytes.extend(encode(entry));
        }
        bytes.resize(METADATA_TABLE_SIZE as usize, 0);
        bytes
    }

    /// Room for `length` bytes in the region that no item takes, from its start; `None` where there is none.
    pub fn room_for(&self, length: u64) -> Option<u32> {
        let size = self.region.end - self.region.start;
        let mut taken: Vec<(u64, u64)> = self
            .entries
            .iter()
            .map(|entry| {
                (
                    u64::from(entry.offset),
                    u64::from(entry.offset) + u64::from(entry.length),
                )
            })
            .collect();
        taken.sort_unstable();
        let mut position = METADATA_TABLE_SIZE;
        for (start, end) in taken {
            if start >= position + length {
                break;
            }
            position = position.max(end.next_multiple_of(8));
        }
        (position + length <= size).then_some(position as u32)
    }
}

fn entry_offset(region: &Range<u64>, index: usize) -> u64 {
    region.start + (MetadataTableHeader::SIZE + index * MetadataTableEntry::SIZE) as u64
}

/// What the items say.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    pub file_parameters: FileParameters,
    pub virtual_disk_size: u64,
    pub virtual_disk_id: Uuid,
    pub logical_sector_size: u32,
    pub physical_sector_size: u32,
    pub parent: Option<ParentReference>,
    pub others: Vec<OtherItem>,
}

/// Other items kept in memory; what more there is stays in the file unread.
const OTHERS_KEPT: usize = 64;
/// Bytes of other items kept in memory.
const OTHERS_BYTES: usize = 1 << 20;

impl Metadata {
    /// Reads every known item of `table` and checks its value.
    pub fn read(file: &dyn ReadAt, table: &MetadataTable) -> Result<Self, OpenError> {
        for (index, entry) in table.entries.iter().enumerate() {
            if entry.flags & MetadataTableEntry::IS_REQUIRED != 0 && !KNOWN_ITEMS.contains(&entry.item_id.0) {
                return Err(OpenError::UnknownItem {
                    guid: entry.item_id.0,
                    offset: table.entry_offset(index),
                });
            }
        }
        let (bytes, offset) = table.required(file, ITEM_FILE_PARAMETERS, "file parameters")?;
        let file_parameters: FileParameters = decode(&bytes, "file parameters", offset)?;
        let block_size = file_parameters.block_size;
        if !block_size.is_power_of_two() || !(1 << 20..=256 << 20).contains(&block_size) {
            return Err(Damage::new(
                "file parameters BlockSize",
                offset,
                "a power of two from 1 MiB to 256 MiB",
                format!("{block_size:#x}"),
            )
            .into());
        }
        let sector_size = |item, name: &str| -> Result<u32, OpenError> {
            let (bytes, offset) = table.required(file, item, name)?;
            match decode::<U32>(&bytes, name, offset)?.0 {
                size @ (512 | 4096) => Ok(size),
                size => Err(Damage::new(name, offset, "512 or 4096", size.to_string()).into()),
            }
        };
        let logical_sector_size = sector_size(ITEM_LOGICAL_SECTOR_SIZE, "logical sector size")?;
        let physical_sector_size = sector_size(ITEM_PHYSICAL_SECTOR_SIZE, "physical sector size")?;
        let (bytes, offset) = table.required(file, ITEM_VIRTUAL_DISK_SIZE, "virtual disk size")?;
        let virtual_disk_size = decode::<U64>(&bytes, "virtual disk size", offset)?.0;
        if virtual_disk_size > VIRTUAL_SIZE_MAX || !virtual_disk_size.is_multiple_of(u64::from(logical_sector_size)) {
            return Err(Damage::new(
                "virtual disk size",
                offset,
                format!("a multiple of {logical_sector_size}, at most 64 TiB"),
                format!("{virtual_disk_size:#x}"),
            )
            .into());
        }
        let (bytes, offset) = table.required(file, ITEM_VIRTUAL_DISK_ID, "virtual disk id")?;
        let virtual_disk_id = decode::<Guid>(&bytes, "virtual disk id", offset)?.0;
        let parent = if file_parameters.flags & FileParameters::HAS_PARENT == 0 {
            None
        } else {
            let (bytes, offset) = table.required(file, ITEM_PARENT_LOCATOR, "parent locator")?;
            Some(ParentReference::parse(&bytes, offset)?)
        };
        Ok(Self {
            file_parameters,
            virtual_disk_size,
            virtual_disk_id,
            logical_sector_size,
            physical_sector_size,
            parent,
            others: other_items(file, table)?,
        })
    }

    pub fn geometry(&self) -> Geometry {
        Geometry {
            virtual_size: self.virtual_disk_size,
            block_size: u64::from(self.file_parameters.block_size),
            logical_sector_size: u64::from(self.logical_sector_size),
            has_parent: self.parent.is_some(),
        }
    }

    /// The region's bytes, the table and the items in the order in which Windows lays them out; fails with the reason
    /// why the region cannot hold them.
    pub fn to_region(&self) -> Result<Vec<u8>, String> {
        let virtual_disk = MetadataTableEntry::IS_VIRTUAL_DISK | MetadataTableEntry::IS_REQUIRED;
        let mut items = vec![
            (
                ITEM_FILE_PARAMETERS,
                MetadataTableEntry::IS_REQUIRED,
                encode(&self.file_parameters),
            ),
            (
                ITEM_VIRTUAL_DISK_SIZE,
                virtual_disk,
                encode(&U64(self.virtual_disk_size)),
            ),
            (
                ITEM_LOGICAL_SECTOR_SIZE,
                virtual_disk,
                encode(&U32(self.logical_sector_size)),
            ),
            (
                ITEM_PHYSICAL_SECTOR_SIZE,
                virtual_disk,
                encode(&U32(self.physical_sector_size)),
            ),
            (ITEM_VIRTUAL_DISK_ID, virtual_disk, encode(&Guid(self.virtual_disk_id))),
        ];
        if let Some(parent) = &self.parent {
            let bytes = parent
                .to_bytes()
                .map_err(|key| format!("the parent locator's {key} is empty or longer than 32767 characters"))?;
            items.push((ITEM_PARENT_LOCATOR, MetadataTableEntry::IS_REQUIRED, bytes));
        }
        for other in &self.others {
            let flags = if other.is_user { MetadataTableEntry::IS_USER } else { 0 }
                | if other.is_virtual_disk {
                    MetadataTableEntry::IS_VIRTUAL_DISK
                } else {
                    0
                };
            items.push((other.item_id, flags, other.content.clone()));
        }
        let mut entries = Vec::new();
        let mut contents = Vec::new();
        for (item_id, flags, content) in items {
            let offset = METADATA_TABLE_SIZE as usize + contents.len();
            entries.push(MetadataTableEntry {
                item_id: Guid(item_id),
                offset: if content.is_empty() { 0 } else { offset as u32 },
                length: content.len() as u32,
                flags,
                reserved2: 0,
            });
            contents.extend(content);
        }
        let mut region = MetadataTable::to_bytes(&entries);
        region.extend(contents);
        if region.len() as u64 > MIB {
            return Err(format!("{} bytes of metadata do not fit into 1 MiB", region.len()));
        }
        Ok(region)
    }
}

/// A `u32` item.
#[binrw::binrw]
#[brw(little)]
#[derive(Debug)]
pub(super) struct U32(pub u32);

/// A `u64` item.
#[binrw::binrw]
#[brw(little)]
#[derive(Debug)]
pub(super) struct U64(pub u64);

/// The items that are not known, as far as they are few and small.
fn other_items(file: &dyn ReadAt, table: &MetadataTable) -> Result<Vec<OtherItem>, OpenError> {
    let mut others = Vec::new();
    let mut bytes = 0;
    for (index, entry) in table.entries.iter().enumerate() {
        let is_user = entry.flags & MetadataTableEntry::IS_USER != 0;
        if !is_user && KNOWN_ITEMS.contains(&entry.item_id.0) {
            continue;
        }
        bytes += entry.length as usize;
        if others.len() == OTHERS_KEPT || bytes > OTHERS_BYTES {
            break;
        }
        let (content, _) = match table.content(file, entry, table.entry_offset(index)) {
            Ok(content) => content,
            // Nothing depends on it; the checker reports it.
            Err(OpenError::Read(ReadError::Damaged(_))) => continue,
            Err(error) => return Err(error),
        };
        others.push(OtherItem {
            item_id: entry.item_id.0,
            is_user,
            is_virtual_disk: entry.flags & MetadataTableEntry::IS_VIRTUAL_DISK != 0,
            content,
        });
    }
    Ok(others)
}
