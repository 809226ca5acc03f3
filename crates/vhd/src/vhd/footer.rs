//! The hard disk footer, the structure that makes a file a VHD.

use super::geometry::Geometry;
use binrw::{BinRead, BinWrite, binrw};
use std::io::Cursor;
use uuid::Uuid;

/// Bytes of a footer.
pub(super) const FOOTER_SIZE: u64 = 512;
/// The footer's first bytes.
pub(super) const COOKIE: &[u8; 8] = b"conectix";
/// Offset of the checksum within the footer.
const CHECKSUM_OFFSET: usize = 64;
/// What `data_offset` says where no structure follows.
pub(super) const NO_STRUCTURE: u64 = u64::MAX;
/// The one version of the footer and of the dynamic header that exists: 1.0.
pub(super) const FORMAT_VERSION: u32 = 0x0001_0000;
/// Seconds from the Unix epoch to 2000-01-01T00:00:00Z, from which VHD counts.
pub(super) const EPOCH_2000: i64 = 946_684_800;

/// What the footer says how the disk is stored ("Disk Type").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskType {
    /// Type 2: the whole disk, then the footer.
    Fixed,
    /// Type 3: blocks that are allocated when they are first written.
    Dynamic,
    /// Type 4: as dynamic, over a parent disk.
    Differencing,
}

impl DiskType {
    /// The type that the footer's field names, where it is one that exists.
    pub(super) fn from_field(field: u32) -> Option<Self> {
        match field {
            2 => Some(Self::Fixed),
            3 => Some(Self::Dynamic),
            4 => Some(Self::Differencing),
            _ => None,
        }
    }

    /// The value of the footer's field.
    pub(super) fn field(self) -> u32 {
        match self {
            Self::Fixed => 2,
            Self::Dynamic => 3,
            Self::Differencing => 4,
        }
    }
}

/// "Hard Disk Footer Format". Big-endian, 512 bytes; at the end of every file, and at the start of dynamic and
/// differencing ones.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    /// Offset 0: "conectix".
    pub cookie: [u8; 8],
    /// Offset 8: bit 1 is always set, bit 0 marks a temporary disk.
    pub features: u32,
    /// Offset 12: `0x0001_0000`.
    pub file_format_version: u32,
    /// Offset 16: where the dynamic disk header stands, in bytes; all ones for fixed disks.
    pub data_offset: u64,
    /// Offset 24: creation, in seconds since 2000-01-01T00:00:00Z.
    pub time_stamp: u32,
    /// Offset 28: "win ", "vpc ", "d2v\0", ...
    pub creator_application: [u8; 4],
    /// Offset 32: major version in the upper half.
    pub creator_version: u32,
    /// Offset 36: "Wi2k" or "Mac ".
    pub creator_host_os: [u8; 4],
    /// Offset 40: size at creation, in bytes.
    pub original_size: u64,
    /// Offset 48: size of the disk, in bytes.
    pub current_size: u64,
    /// Offset 56.
    pub disk_geometry: Geometry,
    /// Offset 60: see [`DiskType`].
    pub disk_type: u32,
    /// Offset 64: ones' complement of the sum of all bytes but these four.
    pub checksum: u32,
    /// Offset 68: the disk's identity, that children name.
    pub unique_id: [u8; 16],
    /// Offset 84: 1 where a virtual machine is suspended on the disk.
    pub saved_state: u8,
    /// Offset 85: zeros, kept as found.
    pub reserved: [u8; 427],
}

impl Footer {
    /// The footer in `bytes`, whatever its checksum; `None` where the cookie is not there.
    pub fn parse(bytes: &[u8; FOOTER_SIZE as usize]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes))
            .ok()
            .filter(|footer| footer.cookie == *COOKIE)
    }

    /// The footer's bytes, with the right checksum.
    pub fn to_bytes(&self) -> [u8; FOOTER_SIZE as usize] {
        let mut bytes = [0; FOOTER_SIZE as usize];
        self.write(&mut Cursor::new(&mut bytes[..]))
            .expect("a footer is 512 bytes long");
        let checksum = checksum(&bytes, CHECKSUM_OFFSET);
        bytes[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// What the checksum field should be.
    pub fn expected_checksum(&self) -> u32 {
        let bytes = self.to_bytes();
        checksum(&bytes, CHECKSUM_OFFSET)
    }

    /// Whether the checksum field is right.
    pub fn has_good_checksum(&self) -> bool {
        self.checksum == self.expected_checksum()
    }

    /// How the disk is stored.
    pub fn disk_type(&self) -> Option<DiskType> {
        DiskType::from_field(self.disk_type)
    }

    /// The disk's identity.
    pub fn identity(&self) -> Uuid {
        Uuid::from_bytes(self.unique_id)
    }

    /// The same footer for a disk of `size` bytes.
    ///
    /// The original size follows, which is for information alone, but by which libvhdi goes. A creator whose readers go
    /// by the geometry gives way to "win ": the geometry of most sizes is not exact.
    #[must_use]
    pub fn resized(&self, size: u64) -> Self {
        let mut footer = self.clone();
        footer.original_size = size;
        footer.current_size = size;
        footer.disk_geometry = Geometry::of_size(size);
        if !is_sized_by_current_size(footer.creator_application) {
            footer.creator_application = *b"win ";
        }
        footer.checksum = footer.expected_checksum();
        footer
    }
}

/// Creators whose disks every reader takes to be as large as the footer's current size; of all others some readers
/// multiply the geometry out, and find less.
pub(super) fn is_sized_by_current_size(creator_application: [u8; 4]) -> bool {
    matches!(
        &creator_application,
        b"win " | b"d2v " | b"d2v\0" | b"qem2" | b"tap\0" | b"CTXS" | b"wa\0\0"
    )
}

/// Ones' complement of the sum of all bytes but the four of the checksum at `field`.
pub(super) fn checksum(bytes: &[u8], field: usize) -> u32 {
    let sum = |part: &[u8]| part.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    !(sum(&bytes[..field]) + sum(&bytes[field + 4..]))
}

/// Four characters of a creator field as text.
pub(super) fn creator_text(field: [u8; 4]) -> String {
    field
        .iter()
        .filter(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .flat_map(char::escape_default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_survives_and_gets_its_checksum() {
        let mut bytes = [0; 512];
        bytes[..8].copy_from_slice(COOKIE);
        bytes[60..64].copy_from_slice(&3_u32.to_be_bytes());
        bytes[511] = 7;
        let footer = Footer::parse(&bytes).unwrap();
        assert_eq!(footer.disk_type(), Some(DiskType::Dynamic));
        assert!(!footer.has_good_checksum());
        let written = Footer::parse(&footer.to_bytes()).unwrap();
        assert!(written.has_good_checksum());
        assert_eq!(written.reserved[426], 7);
        bytes[0] = b'C';
        assert!(Footer::parse(&bytes).is_none());
    }
}
