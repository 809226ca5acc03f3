//! What a VHDX file says of itself.

use super::image::Structure;
use super::log::LogState;
use super::metadata::OtherItem;
use super::parent_locator::ParentReference;
use super::structures::FileParameters;
use cv_disk::Damage;
use std::ops::Range;
use uuid::Uuid;

/// How a VHDX file stores its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VhdxSubformat {
    /// Every block has its place from the beginning.
    Fixed,
    /// Blocks get their place when they are first written.
    #[default]
    Dynamic,
    /// As dynamic, and what is not written is the parent's.
    Differencing,
}

/// The GUIDs that identify a file and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VhdxIdentity {
    /// The virtual disk's SCSI page 83 identity (section 2.6.2.3); the same in every file of a chain.
    pub virtual_disk_id: Uuid,
    /// The header's `DataWriteGuid` (section 2.2.2), which changes with the content; children name their parent by it.
    pub data_write_guid: Uuid,
    /// The header's `FileWriteGuid`, which changes with the file.
    pub file_write_guid: Uuid,
}

/// Everything that a VHDX file says of itself. Sizes and places are in bytes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VhdxInfo {
    /// Fixed, dynamic or differencing.
    pub subformat: VhdxSubformat,
    /// Size of the virtual disk.
    pub virtual_size: u64,
    /// Size of a payload block.
    pub block_size: u64,
    /// Size of a logical sector, 512 or 4096.
    pub logical_sector_size: u32,
    /// Size of a physical sector, 512 or 4096.
    pub physical_sector_size: u32,
    /// The GUIDs that identify file and content.
    pub identity: VhdxIdentity,
    /// Who made the file.
    pub creator: String,
    /// The sequence number of the current header.
    pub sequence_number: u64,
    /// Why each copy of the header is not valid; `None` for a good one.
    pub header_faults: [Option<Damage>; 2],
    /// Why each copy of the region table is not valid; `None` for a good one.
    pub region_table_faults: [Option<Damage>; 2],
    /// Where the log stands; `None` where the header does not say so validly.
    pub log: Option<Range<u64>>,
    /// What the log holds that has not reached its place yet; `None` for a clean file.
    pub log_to_replay: Option<LogState>,
    /// Where the block allocation table stands.
    pub bat: Range<u64>,
    /// Where the metadata stands.
    pub metadata: Range<u64>,
    /// What a differencing file says of its parent.
    pub parent: Option<ParentReference>,
    /// Metadata items that are not known to this library, the first 64 up to 1 MiB.
    pub other_items: Vec<OtherItem>,
}

impl VhdxInfo {
    pub(super) fn new(structure: &Structure) -> Self {
        let metadata = &structure.metadata;
        let flags = metadata.file_parameters.flags;
        let [first, second] = &structure.headers.copies;
        let [first_table, second_table] = &structure.region_tables.copies;
        Self {
            subformat: if metadata.parent.is_some() {
                VhdxSubformat::Differencing
            } else if flags & FileParameters::LEAVE_BLOCK_ALLOCATED != 0 {
                VhdxSubformat::Fixed
            } else {
                VhdxSubformat::Dynamic
            },
            virtual_size: metadata.virtual_disk_size,
            block_size: u64::from(metadata.file_parameters.block_size),
            logical_sector_size: metadata.logical_sector_size,
            physical_sector_size: metadata.physical_sector_size,
            identity: structure.identity(),
            creator: structure.creator.clone(),
            sequence_number: structure.header.sequence_number,
            header_faults: [first.as_ref().err().cloned(), second.as_ref().err().cloned()],
            region_table_faults: [
                first_table.as_ref().err().cloned(),
                second_table.as_ref().err().cloned(),
            ],
            log: structure.log.clone(),
            log_to_replay: structure.log_state,
            bat: structure.regions.bat.clone(),
            metadata: structure.regions.metadata.clone(),
            parent: metadata.parent.clone(),
            other_items: metadata.others.clone(),
        }
    }
}
