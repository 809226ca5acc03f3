//! What a file says of itself.

use super::footer::{DiskType, EPOCH_2000, creator_text};
use super::footer_copies::{FooterPlace, FooterState};
use super::geometry::Geometry;
use super::parent::ParentReference;
use super::read::Vhd;
use cv_disk::ReadAt;
use uuid::Uuid;

/// Everything that a VHD says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VhdInfo {
    /// How the disk is stored.
    pub disk_type: DiskType,
    /// Size of the disk in bytes: the footer's current size.
    pub size: u64,
    /// Size at creation, in bytes.
    pub original_size: u64,
    /// The geometry noted; for some sizes it covers fewer bytes.
    pub geometry: Geometry,
    /// The disk's unique id.
    pub identity: Uuid,
    /// Creation, in seconds since 2000-01-01T00:00:00Z.
    pub time_stamp: u32,
    /// The program that made the file, such as `win `.
    pub creator_application: String,
    /// Its version, major and minor.
    pub creator_version: (u16, u16),
    /// The system it ran on, such as `Wi2k`.
    pub creator_host_os: String,
    /// The features field; bit 0 marks a temporary disk.
    pub features: u32,
    /// Whether a virtual machine is suspended on the disk.
    pub saved_state: bool,
    /// Which copy of the footer was gone by.
    pub footer_used: FooterPlace,
    /// State of the copy at the start; fixed disks have none.
    pub head_footer: FooterState,
    /// State of the footer at the end.
    pub tail_footer: FooterState,
    /// What dynamic and differencing disks have beyond.
    pub blocks: Option<BlockInfo>,
    /// For differencing disks.
    pub parent: Option<ParentReference>,
}

/// What a dynamic or differencing disk says of its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// Bytes of a block.
    pub block_size: u32,
    /// Where the dynamic disk header stands, in bytes.
    pub header_offset: u64,
    /// Whether the header's checksum is right.
    pub header_checksum_good: bool,
    /// Where the BAT stands, in bytes.
    pub table_offset: u64,
    /// Entries in the BAT.
    pub max_table_entries: u32,
}

impl VhdInfo {
    /// Creation in seconds since 1970-01-01T00:00:00Z.
    pub fn created(&self) -> i64 {
        EPOCH_2000 + i64::from(self.time_stamp)
    }
}

impl Vhd {
    /// Everything that the file says of itself. Reads nothing.
    pub fn info(&self) -> VhdInfo {
        let layout = self.layout();
        let footer = &layout.footer;
        VhdInfo {
            disk_type: layout.disk_type,
            size: self.len(),
            original_size: footer.original_size,
            geometry: footer.disk_geometry,
            identity: self.identity(),
            time_stamp: footer.time_stamp,
            creator_application: creator_text(footer.creator_application),
            creator_version: ((footer.creator_version >> 16) as u16, footer.creator_version as u16),
            creator_host_os: creator_text(footer.creator_host_os),
            features: footer.features,
            saved_state: footer.saved_state != 0,
            footer_used: layout.footer_place,
            head_footer: layout.copies.state(FooterPlace::Head),
            tail_footer: layout.copies.state(FooterPlace::Tail),
            blocks: layout.blocks.as_ref().map(|blocks| BlockInfo {
                block_size: blocks.header.block_size,
                header_offset: blocks.header_offset,
                header_checksum_good: blocks.header.has_good_checksum(),
                table_offset: blocks.header.table_offset,
                max_table_entries: blocks.header.max_table_entries,
            }),
            parent: self.parent_reference().cloned(),
        }
    }
}
