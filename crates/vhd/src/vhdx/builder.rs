//! Making new VHDX files, laid out as Windows lays them out.

use super::allocation::Ledger;
use super::bat::{BatEntry, BlockState, Geometry};
use super::header::Headers;
use super::image::{Structure, Vhdx};
use super::info::{VhdxIdentity, VhdxSubformat};
use super::metadata::{Metadata, MetadataTable, OtherItem};
use super::overlay::Overlay;
use super::parent_locator::ParentReference;
use super::region_table::{RegionTable, RegionTables, Regions};
use super::space::Space;
use super::structures::{
    FILE_TYPE_OFFSET, FileParameters, FileTypeIdentifier, Guid, HEADER_OFFSETS, Header, MIB, REGION_BAT,
    REGION_METADATA, REGION_TABLE_OFFSETS, RegionTableEntry, VIRTUAL_SIZE_MAX, encode,
};
use super::writer::VhdxWriter;
use cv_disk::{ReadAt, Resize, WriteError};
use std::sync::Arc;
use uuid::Uuid;

/// How a new VHDX file is to be.
///
/// The same options and the same writes in the same order (see [`WriteAt::reserve`](cv_disk::WriteAt::reserve)) give
/// the same bytes.
#[derive(Debug, Clone)]
pub struct VhdxBuilder {
    virtual_size: u64,
    identity: VhdxIdentity,
    subformat: VhdxSubformat,
    block_size: Option<u32>,
    logical_sector_size: u32,
    physical_sector_size: u32,
    creator: String,
    parent: Option<ParentReference>,
    other_items: Vec<OtherItem>,
}

/// Where Windows puts the log.
const LOG_OFFSET: u64 = MIB;
/// Bytes of the log.
const LOG_LENGTH: u64 = MIB;
/// Where Windows puts the metadata region, of 1 MiB.
const METADATA_OFFSET: u64 = 2 * MIB;
/// Where Windows puts the BAT.
const BAT_OFFSET: u64 = 3 * MIB;
/// The creator's name holds this many UTF-16 units.
const CREATOR_UNITS: usize = 256;

impl VhdxBuilder {
    /// A dynamic disk of `virtual_size` bytes with 512 byte logical and 4096 byte physical sectors.
    ///
    /// It needs an [`identity`](Self::identity) yet.
    pub fn new(virtual_size: u64) -> Self {
        Self {
            virtual_size,
            identity: VhdxIdentity::default(),
            subformat: VhdxSubformat::Dynamic,
            block_size: None,
            logical_sector_size: 512,
            physical_sector_size: 4096,
            creator: concat!("cv-vhd ", env!("CARGO_PKG_VERSION")).into(),
            parent: None,
            other_items: Vec::new(),
        }
    }

    /// A file like `image` in everything but its blocks: sizes, identities, parent, creator, other metadata.
    pub fn like(image: &Vhdx) -> Self {
        let info = image.info();
        Self {
            virtual_size: info.virtual_size,
            identity: info.identity,
            subformat: info.subformat,
            block_size: Some(info.block_size as u32),
            logical_sector_size: info.logical_sector_size,
            physical_sector_size: info.physical_sector_size,
            creator: info.creator,
            parent: info.parent,
            other_items: info.other_items,
        }
    }

    /// The GUIDs of the file: new ones for every file, unless a file is to be rebuilt.
    #[must_use]
    pub fn identity(self, identity: VhdxIdentity) -> Self {
        Self { identity, ..self }
    }

    /// Every block gets its place at once. What is not written takes no room where the host has sparse files.
    #[must_use]
    pub fn fixed(self) -> Self {
        Self {
            subformat: VhdxSubformat::Fixed,
            parent: None,
            ..self
        }
    }

    /// What is not written is read from a parent.
    #[must_use]
    pub fn parent(self, parent: ParentReference) -> Self {
        Self {
            subformat: VhdxSubformat::Differencing,
            parent: Some(parent),
            ..self
        }
    }

    /// Makes it a dynamic file of its own, the opposite of [`parent`](Self::parent).
    #[must_use]
    pub fn without_parent(self) -> Self {
        Self {
            subformat: VhdxSubformat::Dynamic,
            parent: None,
            ..self
        }
    }

    /// Bytes of a payload block: a power of two from 1 MiB to 256 MiB.
    ///
    /// Unless set, see [`default_block_size`](Self::default_block_size).
    #[must_use]
    pub fn block_size(self, bytes: u32) -> Self {
        Self {
            block_size: Some(bytes),
            ..self
        }
    }

    /// Bytes of a logical and of a physical sector, 512 or 4096 each.
    #[must_use]
    pub fn sector_sizes(self, logical: u32, physical: u32) -> Self {
        Self {
            logical_sector_size: logical,
            physical_sector_size: physical,
            ..self
        }
    }

    /// Who makes the file: up to 256 UTF-16 units, what is beyond is cut off.
    #[must_use]
    pub fn creator(self, name: impl Into<String>) -> Self {
        Self {
            creator: name.into(),
            ..self
        }
    }

    /// Bytes of a payload block unless one is set.
    ///
    /// Dynamic: Windows takes 32 MiB; for smaller disks 8 MiB (up to 1 GiB) and 16 MiB (up to 100 GiB) keep the file
    /// small where data is scattered. Differencing: 2 MiB, as Windows takes. Fixed: what wastes least at the disk's end
    /// and in the BAT.
    pub fn default_block_size(&self) -> u32 {
        let dynamic = match self.virtual_size {
            0..=0x4000_0000 => 8 << 20,
            0x4000_0001..=0x19_0000_0000 => 16 << 20,
            _ => 32 << 20,
        };
        match self.subformat {
            VhdxSubformat::Dynamic => dynamic,
            VhdxSubformat::Differencing => 2 << 20,
            VhdxSubformat::Fixed => {
                let file_size = |block_size: &u32| {
                    let geometry = self.geometry(*block_size);
                    geometry.block_count() * geometry.block_size + geometry.bat_length()
                };
                let sizes = (0..=5).rev().map(|power| 1 << (20 + power));
                sizes.min_by_key(file_size).unwrap_or(dynamic)
            }
        }
    }

    fn geometry(&self, block_size: u32) -> Geometry {
        Geometry {
            virtual_size: self.virtual_size,
            block_size: u64::from(block_size),
            logical_sector_size: u64::from(self.logical_sector_size),
            has_parent: self.parent.is_some(),
        }
    }

    /// Begins the file in `file`, which must be empty. It becomes a VHDX file with [`VhdxWriter::finish`].
    pub fn create(&self, file: Arc<dyn Resize>) -> Result<VhdxWriter, WriteError> {
        let structure = self.structure()?;
        if !file.is_empty() {
            return Err(WriteError::Limit("a new VHDX file needs an empty file".into()));
        }
        let geometry = structure.geometry();
        let fixed = self.subformat == VhdxSubformat::Fixed;
        let data_start = structure.regions.bat.end;
        let data_length = if fixed {
            geometry.block_count() * geometry.block_size
        } else {
            0
        };
        file.set_len(data_start + data_length)?;
        if fixed {
            write_fixed_bat(&*file, &geometry, data_start)?;
        }
        let readable: Arc<dyn ReadAt> = file.clone();
        let overlay = Arc::new(Overlay::new(readable));
        let writer = VhdxWriter::new(file, overlay, structure, Ledger::New, Arc::new(Uuid::nil))?;
        writer.state().space = Space::new(data_start + data_length, Vec::new());
        Ok(writer)
    }

    fn structure(&self) -> Result<Structure, WriteError> {
        let limit = |why: String| Err(WriteError::Limit(why));
        let block_size = self.block_size.unwrap_or_else(|| self.default_block_size());
        if !block_size.is_power_of_two() || !(1 << 20..=256 << 20).contains(&block_size) {
            return limit(format!(
                "a block of {block_size} bytes is not a power of two from 1 MiB to 256 MiB"
            ));
        }
        for size in [self.logical_sector_size, self.physical_sector_size] {
            if size != 512 && size != 4096 {
                return limit(format!("a sector of {size} bytes is neither of 512 nor of 4096"));
            }
        }
        if self.virtual_size > VIRTUAL_SIZE_MAX
            || !self.virtual_size.is_multiple_of(u64::from(self.logical_sector_size))
        {
            return limit(format!(
                "a disk of {} bytes is not a multiple of {} up to 64 TiB",
                self.virtual_size, self.logical_sector_size
            ));
        }
        if self.identity.data_write_guid.is_nil() || self.identity.file_write_guid.is_nil() {
            return limit("the identity of a new file is nil".into());
        }
        let fixed = self.subformat == VhdxSubformat::Fixed;
        let metadata = Metadata {
            file_parameters: FileParameters {
                block_size,
                flags: if fixed {
                    FileParameters::LEAVE_BLOCK_ALLOCATED
                } else {
                    0
                } | if self.parent.is_some() {
                    FileParameters::HAS_PARENT
                } else {
                    0
                },
            },
            virtual_disk_size: self.virtual_size,
            virtual_disk_id: self.identity.virtual_disk_id,
            logical_sector_size: self.logical_sector_size,
            physical_sector_size: self.physical_sector_size,
            parent: self.parent.clone(),
            others: self.other_items.clone(),
        };
        metadata.to_region().map_err(WriteError::Limit)?;
        let regions = Regions {
            bat: BAT_OFFSET..BAT_OFFSET + metadata.geometry().bat_length(),
            metadata: METADATA_OFFSET..METADATA_OFFSET + MIB,
        };
        let table = RegionTable {
            offset: REGION_TABLE_OFFSETS[0],
            entries: vec![
                RegionTableEntry::required(REGION_BAT, &regions.bat),
                RegionTableEntry::required(REGION_METADATA, &regions.metadata),
            ],
        };
        let header = Header {
            signature: Header::SIGNATURE,
            checksum: 0,
            sequence_number: 1,
            file_write_guid: Guid(self.identity.file_write_guid),
            data_write_guid: Guid(self.identity.data_write_guid),
            log_guid: Guid::default(),
            log_version: 0,
            version: 1,
            log_length: LOG_LENGTH as u32,
            log_offset: LOG_OFFSET,
        };
        Ok(Structure {
            creator: self.creator.clone(),
            headers: Headers {
                copies: [Ok(header), Ok(header)],
            },
            header,
            log: Some(LOG_OFFSET..LOG_OFFSET + LOG_LENGTH),
            log_state: None,
            region_tables: RegionTables {
                copies: [Ok(table.clone()), Ok(table)],
            },
            metadata_table: MetadataTable {
                region: regions.metadata.clone(),
                entries: Vec::new(),
            },
            regions,
            metadata,
            replayed: None,
        })
    }
}

/// Fills the BAT of a fixed file: block after block behind it.
fn write_fixed_bat(file: &dyn Resize, geometry: &Geometry, data_start: u64) -> Result<(), WriteError> {
    let mut bytes = Vec::new();
    let mut position = BAT_OFFSET;
    for index in 0..geometry.entry_count() {
        let entry = if geometry.is_bitmap_index(index) {
            BatEntry::payload(BlockState::NotPresent, 0)
        } else {
            let block = index - index / (geometry.chunk_ratio() + 1);
            BatEntry::payload(BlockState::FullyPresent, data_start + block * geometry.block_size)
        };
        bytes.extend(entry.to_bytes());
        if bytes.len() == MIB as usize {
            file.write_at(&bytes, position)?;
            position += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_at(&bytes, position)
}

/// Writes everything but the BAT, the bitmaps and the blocks of a new file; what makes it a VHDX file comes last.
pub(super) fn write_structure(file: &dyn Resize, structure: &Structure) -> Result<(), WriteError> {
    let region = structure.metadata.to_region().map_err(WriteError::Limit)?;
    file.write_at(&region, structure.regions.metadata.start)?;
    let table = RegionTable::to_bytes(&structure.region_tables.usable()?.entries);
    for offset in REGION_TABLE_OFFSETS {
        file.write_at(&table, offset)?;
    }
    let mut header = structure.header;
    for offset in HEADER_OFFSETS {
        file.write_at(&header.to_bytes(), offset)?;
        header.sequence_number += 1;
    }
    let mut creator = [0; CREATOR_UNITS];
    for (place, unit) in creator.iter_mut().zip(structure.creator.encode_utf16()) {
        *place = unit;
    }
    let identifier = FileTypeIdentifier {
        signature: FileTypeIdentifier::SIGNATURE,
        creator,
    };
    file.write_at(&encode(&identifier), FILE_TYPE_OFFSET)
}
