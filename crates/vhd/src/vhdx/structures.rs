//! The on-disk structures of [MS-VHDX] section 2, each declared once.

use binrw::{BinRead, BinWrite, binrw};
use cv_disk::Damage;
use std::io::Cursor;
use uuid::{Uuid, uuid};

/// The unit of every place in the file: regions, the log and blocks begin at multiples of it.
pub(super) const MIB: u64 = 1 << 20;
/// The unit of the log: entries, descriptors' targets and data sectors.
pub(super) const LOG_SECTOR: u64 = 4096;
/// Where the file type identifier stands.
pub(super) const FILE_TYPE_OFFSET: u64 = 0;
/// Where the two headers stand.
pub(super) const HEADER_OFFSETS: [u64; 2] = [64 << 10, 128 << 10];
/// Bytes of a header, all covered by its checksum.
pub(super) const HEADER_SIZE: usize = 4096;
/// Where the two region tables stand.
pub(super) const REGION_TABLE_OFFSETS: [u64; 2] = [192 << 10, 256 << 10];
/// Bytes of a region table, all covered by its checksum.
pub(super) const REGION_TABLE_SIZE: usize = 64 << 10;
/// Bytes of the metadata table at the start of the metadata region; items lie behind it.
pub(super) const METADATA_TABLE_SIZE: u64 = 64 << 10;
/// Entries in a region table or a metadata table at most.
pub(super) const TABLE_ENTRIES_MAX: u32 = 2047;
/// Largest virtual disk, 64 TiB (section 2.6.2.2).
pub(super) const VIRTUAL_SIZE_MAX: u64 = 64 << 40;

/// Region: the block allocation table.
pub(super) const REGION_BAT: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");
/// Region: the metadata.
pub(super) const REGION_METADATA: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");

/// Metadata item: [`FileParameters`].
pub(super) const ITEM_FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
/// Metadata item: the virtual disk's size in bytes, a `u64`.
pub(super) const ITEM_VIRTUAL_DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
/// Metadata item: the virtual disk's identity, a GUID.
pub(super) const ITEM_VIRTUAL_DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
/// Metadata item: the logical sector size in bytes, a `u32`.
pub(super) const ITEM_LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
/// Metadata item: the physical sector size in bytes, a `u32`.
pub(super) const ITEM_PHYSICAL_SECTOR_SIZE: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");
/// Metadata item: where and what the parent is.
pub(super) const ITEM_PARENT_LOCATOR: Uuid = uuid!("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");

/// The only parent locator type there is (section 2.6.2.6.3).
pub(super) const LOCATOR_TYPE_VHDX: Uuid = uuid!("B04AEFB7-D19E-4A81-B789-25B8E9445913");

/// A GUID in its on-disk form: the first three fields little-endian.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Guid(
    #[br(map = Uuid::from_bytes_le)]
    #[bw(map = Uuid::to_bytes_le)]
    pub Uuid,
);

/// File type identifier (section 2.2.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone)]
pub(super) struct FileTypeIdentifier {
    /// Offset 0: `vhdxfile`.
    pub signature: [u8; 8],
    /// Offset 8: the creator's name in UTF-16, padded with zeros.
    pub creator: [u16; 256],
}

impl FileTypeIdentifier {
    pub const SIGNATURE: [u8; 8] = *b"vhdxfile";
    pub const SIZE: usize = 520;
}

/// Header (section 2.2.2).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Offset 0: `head`.
    pub signature: [u8; 4],
    /// Offset 4: CRC-32C of the 4 KiB with this field zero.
    pub checksum: u32,
    /// Offset 8: the valid header with the greater number is current.
    pub sequence_number: u64,
    /// Offset 16: changed before the first modification of the file after each open.
    pub file_write_guid: Guid,
    /// Offset 32: changed before the first modification that the virtual disk's user can see after each open.
    pub data_write_guid: Guid,
    /// Offset 48: nil when there is nothing to replay, else what valid log entries carry.
    pub log_guid: Guid,
    /// Offset 64: zero.
    pub log_version: u16,
    /// Offset 66: 1.
    pub version: u16,
    /// Offset 68: bytes of the log, a multiple of 1 MiB.
    pub log_length: u32,
    /// Offset 72: where the log stands, a multiple of 1 MiB.
    pub log_offset: u64,
}

impl Header {
    pub const SIGNATURE: [u8; 4] = *b"head";
}

/// Region table header (section 2.2.3.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RegionTableHeader {
    /// Offset 0: `regi`.
    pub signature: [u8; 4],
    /// Offset 4: CRC-32C of the 64 KiB with this field zero.
    pub checksum: u32,
    /// Offset 8: number of entries behind this header, at most 2047.
    pub entry_count: u32,
    /// Offset 12: zero.
    pub reserved: u32,
}

impl RegionTableHeader {
    pub const SIGNATURE: [u8; 4] = *b"regi";
    pub const SIZE: usize = 16;
}

/// Region table entry (section 2.2.3.2).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RegionTableEntry {
    /// Offset 0: which region.
    pub guid: Guid,
    /// Offset 16: where it stands, a multiple of 1 MiB.
    pub file_offset: u64,
    /// Offset 24: its length in bytes, a multiple of 1 MiB.
    pub length: u32,
    /// Offset 28: bit 0 says that the file must not be opened by those who do not know the region.
    pub required: u32,
}

impl RegionTableEntry {
    pub const SIZE: usize = 32;
}

/// Metadata table header (section 2.6.1.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy)]
pub(super) struct MetadataTableHeader {
    /// Offset 0: `metadata`.
    pub signature: [u8; 8],
    /// Offset 8: zero.
    pub reserved: u16,
    /// Offset 10: number of entries behind this header, at most 2047.
    pub entry_count: u16,
    /// Offset 12: zero.
    pub reserved2: [u8; 20],
}

impl MetadataTableHeader {
    pub const SIGNATURE: [u8; 8] = *b"metadata";
    pub const SIZE: usize = 32;
}

/// Metadata table entry (section 2.6.1.2).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MetadataTableEntry {
    /// Offset 0: which item.
    pub item_id: Guid,
    /// Offset 16: where it stands, from the start of the metadata region; at least 64 KiB.
    pub offset: u32,
    /// Offset 20: its length in bytes, at most 1 MiB.
    pub length: u32,
    /// Offset 24: [`IS_USER`](Self::IS_USER), [`IS_VIRTUAL_DISK`](Self::IS_VIRTUAL_DISK) and
    /// [`IS_REQUIRED`](Self::IS_REQUIRED).
    pub flags: u32,
    /// Offset 28: zero.
    pub reserved2: u32,
}

impl MetadataTableEntry {
    pub const SIZE: usize = 32;
    pub const IS_USER: u32 = 1;
    pub const IS_VIRTUAL_DISK: u32 = 2;
    pub const IS_REQUIRED: u32 = 4;
}

/// File parameters (section 2.6.2.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileParameters {
    /// Offset 0: bytes of a payload block, a power of two from 1 MiB to 256 MiB.
    pub block_size: u32,
    /// Offset 4: [`LEAVE_BLOCK_ALLOCATED`](Self::LEAVE_BLOCK_ALLOCATED) and [`HAS_PARENT`](Self::HAS_PARENT).
    pub flags: u32,
}

impl FileParameters {
    pub const LEAVE_BLOCK_ALLOCATED: u32 = 1;
    pub const HAS_PARENT: u32 = 2;
}

/// Parent locator header (section 2.6.2.6.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentLocatorHeader {
    /// Offset 0: how the entries are meant.
    pub locator_type: Guid,
    /// Offset 16: zero.
    pub reserved: u16,
    /// Offset 18: number of [`ParentLocatorEntry`] behind this header.
    pub key_value_count: u16,
}

impl ParentLocatorHeader {
    pub const SIZE: usize = 20;
}

/// Parent locator entry (section 2.6.2.6.2). Offsets are from the start of the item; strings are UTF-16.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentLocatorEntry {
    /// Offset 0.
    pub key_offset: u32,
    /// Offset 4.
    pub value_offset: u32,
    /// Offset 8: in bytes.
    pub key_length: u16,
    /// Offset 10: in bytes.
    pub value_length: u16,
}

impl ParentLocatorEntry {
    pub const SIZE: usize = 12;
}

/// Log entry header (section 2.3.1.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEntryHeader {
    /// Offset 0: `loge`.
    pub signature: [u8; 4],
    /// Offset 4: CRC-32C of the whole entry with this field zero.
    pub checksum: u32,
    /// Offset 8: bytes of the entry, a multiple of 4 KiB.
    pub entry_length: u32,
    /// Offset 12: where in the log the oldest entry stands that must be replayed with this one.
    pub tail: u32,
    /// Offset 16: one more than that of the entry before, never zero.
    pub sequence_number: u64,
    /// Offset 24.
    pub descriptor_count: u32,
    /// Offset 28: zero.
    pub reserved: u32,
    /// Offset 32: the header's `log_guid`.
    pub log_guid: Guid,
    /// Offset 48: a file size that was on stable storage when the entry was written.
    pub flushed_file_offset: u64,
    /// Offset 56: a file size that holds every structure.
    pub last_file_offset: u64,
}

impl LogEntryHeader {
    pub const SIGNATURE: [u8; 4] = *b"loge";
    pub const SIZE: usize = 64;
}

/// A log entry's descriptor: zero descriptor (section 2.3.1.2) or data descriptor (section 2.3.1.3), both 32 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogDescriptor {
    /// `zero`: a range that becomes zero.
    #[brw(magic = b"zero")]
    Zero {
        /// Offset 4: zero.
        reserved: u32,
        /// Offset 8: bytes, a multiple of 4 KiB.
        zero_length: u64,
        /// Offset 16: a multiple of 4 KiB.
        file_offset: u64,
        /// Offset 24: the entry's.
        sequence_number: u64,
    },
    /// `desc`: a sector that takes the content of the entry's next data sector.
    #[brw(magic = b"desc")]
    Data {
        /// Offset 4: the sector's last four bytes.
        trailing_bytes: [u8; 4],
        /// Offset 8: the sector's first eight bytes.
        leading_bytes: [u8; 8],
        /// Offset 16: a multiple of 4 KiB.
        file_offset: u64,
        /// Offset 24: the entry's.
        sequence_number: u64,
    },
}

impl LogDescriptor {
    pub const SIZE: usize = 32;
}

/// The signature of a data sector (section 2.3.1.4), which is: signature, the sequence number's upper half, bytes 8 to
/// 4091 of the content, the sequence number's lower half.
pub(super) const DATA_SECTOR_SIGNATURE: [u8; 4] = *b"data";

/// Reads a structure from `bytes`, which stand at `offset` of the file.
pub(super) fn decode<T>(bytes: &[u8], structure: &str, offset: u64) -> Result<T, Damage>
where
    T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian,
{
    T::read(&mut Cursor::new(bytes))
        .map_err(|error| Damage::new(structure, offset, "a whole structure", error.to_string()))
}

/// The bytes of a structure.
pub(super) fn encode<T>(structure: &T) -> Vec<u8>
where
    T: for<'a> BinWrite<Args<'a> = ()> + binrw::meta::WriteEndian,
{
    let mut bytes = Cursor::new(Vec::new());
    structure
        .write(&mut bytes)
        .expect("writing a fixed structure to memory cannot fail");
    bytes.into_inner()
}

/// CRC-32C of `bytes`, whose checksum field at 4 to 7 counts as zero.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&bytes[..4]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &bytes[8..])
}

/// The checksum field that `bytes` hold.
pub(super) fn stored_checksum(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Puts the right checksum into `bytes`.
pub(super) fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_specification() {
        let nil = Guid(Uuid::nil());
        assert_eq!(
            encode(&LogDescriptor::Zero {
                reserved: 0,
                zero_length: 0,
                file_offset: 0,
                sequence_number: 0
            })
            .len(),
            LogDescriptor::SIZE
        );
        assert_eq!(
            encode(&LogDescriptor::Data {
                trailing_bytes: [0; 4],
                leading_bytes: [0; 8],
                file_offset: 0,
                sequence_number: 0
            })
            .len(),
            LogDescriptor::SIZE
        );
        assert_eq!(
            encode(&RegionTableEntry {
                guid: nil,
                file_offset: 0,
                length: 0,
                required: 0
            })
            .len(),
            RegionTableEntry::SIZE
        );
        assert_eq!(
            encode(&FileTypeIdentifier {
                signature: FileTypeIdentifier::SIGNATURE,
                creator: [0; 256]
            })
            .len(),
            FileTypeIdentifier::SIZE
        );
    }

    #[test]
    fn guids_are_stored_with_little_endian_fields() {
        assert_eq!(
            encode(&Guid(REGION_BAT)),
            [
                0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42, 0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08
            ]
        );
    }
}
