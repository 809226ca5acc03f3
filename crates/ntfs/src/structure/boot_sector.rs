//! The boot sector: the first sector of `$Boot`, and its copy behind the volume's last cluster.

use super::fixed_size;
use binrw::binrw;

/// `PACKED_BOOT_SECTOR`.
///
/// The copy stands in the sector after the [`total_sectors`](Self::total_sectors) of the volume, the last of the
/// partition.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSector {
    /// 0x00: a jump over the parameters, `EB 52 90`.
    pub jump: [u8; 3],
    /// 0x03: [`BootSector::OEM`].
    pub oem: [u8; 8],
    /// 0x0B: bytes per sector, 256 to 4096.
    pub bytes_per_sector: u16,
    /// 0x0D: sectors per cluster; above 128 it is 2^(256 − value).
    pub sectors_per_cluster: u8,
    /// 0x0E: reserved sectors, 0.
    pub reserved_sectors: u16,
    /// 0x10: number of FATs, 0.
    pub fats: u8,
    /// 0x11: root entries, 0.
    pub root_entries: u16,
    /// 0x13: sectors in 16 bits, 0.
    pub sectors: u16,
    /// 0x15: media, 0xF8.
    pub media: u8,
    /// 0x16: sectors per FAT, 0.
    pub sectors_per_fat: u16,
    /// 0x18: sectors per track, 63 as a rule.
    pub sectors_per_track: u16,
    /// 0x1A: heads, 255 as a rule.
    pub heads: u16,
    /// 0x1C: sectors before the partition.
    pub hidden_sectors: u32,
    /// 0x20: sectors in 32 bits, 0.
    pub large_sectors: u32,
    /// 0x24: `80 00 80 00` or `80 00 00 00`.
    pub unused: [u8; 4],
    /// 0x28: sectors of the volume, without the copy of the boot sector.
    pub total_sectors: u64,
    /// 0x30: first cluster of `$MFT`.
    pub mft_start_lcn: u64,
    /// 0x38: first cluster of `$MFTMirr`.
    pub mft2_start_lcn: u64,
    /// 0x40: clusters per file record; below 0 the record is 2^(−value) bytes.
    pub clusters_per_file_record_segment: i8,
    /// 0x41: 0.
    pub reserved0: [u8; 3],
    /// 0x44: clusters per index block; below 0 the block is 2^(−value) bytes.
    pub default_clusters_per_index_allocation_buffer: i8,
    /// 0x45: 0.
    pub reserved1: [u8; 3],
    /// 0x48: serial number.
    pub serial_number: u64,
    /// 0x50: checksum, 0.
    pub checksum: u32,
    /// 0x54: boot code.
    pub boot_strap: [u8; 426],
    /// 0x1FE: [`BootSector::SIGNATURE`].
    pub signature: u16,
}

fixed_size!(BootSector, "boot sector", 512);

impl BootSector {
    /// The OEM identifier of an NTFS volume.
    pub const OEM: [u8; 8] = *b"NTFS    ";
    /// The last two bytes, `55 AA`.
    pub const SIGNATURE: u16 = 0xAA55;
    /// Bytes of `$Boot`, unless a cluster is larger.
    pub const FILE_SIZE: u64 = 8192;
}
