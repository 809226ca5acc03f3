//! The dynamic disk header, which says where the blocks of a dynamic or differencing disk are.

use super::footer::checksum;
use binrw::{BinRead, BinWrite, binrw};
use std::io::Cursor;

/// Bytes of a dynamic disk header.
pub(super) const HEADER_SIZE: u64 = 1024;
/// The header's first bytes.
pub(super) const COOKIE: &[u8; 8] = b"cxsparse";
/// Offset of the checksum within the header.
pub(super) const CHECKSUM_OFFSET: usize = 36;
/// Parent locator entries in a header.
pub(super) const LOCATOR_ENTRIES: usize = 8;

/// "Dynamic Disk Header Format". Big-endian, 1024 bytes.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DynamicHeader {
    /// Offset 0: "cxsparse".
    pub cookie: [u8; 8],
    /// Offset 8: all ones; no structure follows.
    pub data_offset: u64,
    /// Offset 16: where the BAT stands, in bytes.
    pub table_offset: u64,
    /// Offset 24: `0x0001_0000`.
    pub header_version: u32,
    /// Offset 28: entries in the BAT, one a block of the disk.
    pub max_table_entries: u32,
    /// Offset 32: bytes of a block without its sector bitmap; a power of two times 512.
    pub block_size: u32,
    /// Offset 36: ones' complement of the sum of all bytes but these four.
    pub checksum: u32,
    /// Offset 40: the unique id of the parent's footer.
    pub parent_unique_id: [u8; 16],
    /// Offset 56: the parent's modification time in seconds since 2000-01-01T00:00:00Z; zero from Windows 8 on.
    pub parent_time_stamp: u32,
    /// Offset 60.
    pub reserved1: u32,
    /// Offset 64: the parent's name, UTF-16 big-endian.
    pub parent_unicode_name: [u8; 512],
    /// Offset 576: where the parent's paths are.
    pub parent_locator_entries: [ParentLocatorEntry; LOCATOR_ENTRIES],
    /// Offset 768: zeros, kept as found.
    pub reserved2: [u8; 256],
}

/// "Parent Locator Entry". Big-endian, 24 bytes.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ParentLocatorEntry {
    /// Offset 0: how the path is written, see [`PathKind`](super::PathKind); zero for an unused entry.
    pub platform_code: [u8; 4],
    /// Offset 4: room for the path, in sectors by the specification and in bytes as Windows writes it.
    pub platform_data_space: u32,
    /// Offset 8: bytes of the path.
    pub platform_data_length: u32,
    /// Offset 12.
    pub reserved: u32,
    /// Offset 16: where the path stands, in bytes.
    pub platform_data_offset: u64,
}

impl ParentLocatorEntry {
    /// Whether the entry names a path.
    pub fn is_used(&self) -> bool {
        self.platform_code != [0; 4]
    }

    /// Bytes that the entry takes at its offset, whichever unit its space is in: no path needs fewer than 512 bytes of
    /// room, and none needs 512 sectors.
    pub fn space(&self) -> u64 {
        let space = u64::from(self.platform_data_space);
        let space = if space < 512 { space * 512 } else { space };
        space.max(self.platform_data_length.into())
    }
}

impl DynamicHeader {
    /// The header in `bytes`, whatever its checksum; `None` where the cookie is not there.
    pub fn parse(bytes: &[u8; HEADER_SIZE as usize]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes))
            .ok()
            .filter(|header| header.cookie == *COOKIE)
    }

    /// The header's bytes, with the right checksum.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE as usize] {
        let mut bytes = [0; HEADER_SIZE as usize];
        self.write(&mut Cursor::new(&mut bytes[..]))
            .expect("a dynamic disk header is 1024 bytes long");
        let checksum = checksum(&bytes, CHECKSUM_OFFSET);
        bytes[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// What the checksum field should be.
    pub fn expected_checksum(&self) -> u32 {
        checksum(&self.to_bytes(), CHECKSUM_OFFSET)
    }

    /// Whether the checksum field is right.
    pub fn has_good_checksum(&self) -> bool {
        self.checksum == self.expected_checksum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_gets_its_checksum() {
        let mut bytes = [0; 1024];
        bytes[..8].copy_from_slice(COOKIE);
        bytes[576 + 24..576 + 28].copy_from_slice(b"W2ru");
        bytes[1023] = 9;
        let header = DynamicHeader::parse(&bytes).unwrap();
        assert!(header.parent_locator_entries[1].is_used());
        assert!(!header.has_good_checksum());
        let written = DynamicHeader::parse(&header.to_bytes()).unwrap();
        assert!(written.has_good_checksum());
        assert_eq!(written.reserved2[255], 9);
    }

    #[test]
    fn the_space_of_a_locator_is_read_in_either_unit() {
        let entry = |platform_data_space| ParentLocatorEntry {
            platform_data_space,
            platform_data_length: 84,
            ..ParentLocatorEntry::default()
        };
        assert_eq!(entry(1).space(), 512);
        assert_eq!(entry(4096).space(), 4096);
        assert_eq!(entry(0).space(), 84);
    }
}
