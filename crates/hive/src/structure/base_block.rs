//! Base block: the first 4096 bytes of a hive, which say how large it is and where its root is.

use super::{Structure, fixed_size, u32_at};
use binrw::binrw;

/// Bytes of the base block, all of it.
pub const BASE_BLOCK_SIZE: usize = 4096;

/// The part of the base block that means something, and that is protected by its checksum: the first 512 bytes. What
/// follows holds nothing that is needed (three GUIDs of a frozen hive at 4040, two fields of the boot loader at 4088).
/// A transaction log begins with a copy of it.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseBlock {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 4],
    /// 4: counted up when a write begins.
    pub primary_sequence_number: u32,
    /// 8: counted up when a write has ended; else than the primary one, the hive is dirty.
    pub secondary_sequence_number: u32,
    /// 12: when the hive was last written, in 100 ns since 1601-01-01 UTC.
    pub last_written: u64,
    /// 20: 1.
    pub major_version: u32,
    /// 24: 3, 4, 5 or 6.
    pub minor_version: u32,
    /// 28: [`PRIMARY_FILE`](Self::PRIMARY_FILE), or the kind of transaction log.
    pub file_type: u32,
    /// 32: 1, direct memory load.
    pub file_format: u32,
    /// 36: where the root's key node is.
    pub root_cell_offset: u32,
    /// 40: bytes of all hive bins.
    pub hive_bins_data_size: u32,
    /// 44: bytes of the disk's sectors, divided by 512; 1 on all disks that there are.
    pub clustering_factor: u32,
    /// 48: the end of the file's path, UTF-16.
    pub file_name: [u16; 32],
    /// 112: GUID of the resource manager, for transactions.
    pub rm_id: [u8; 16],
    /// 128: GUID of its log.
    pub log_id: [u8; 16],
    /// 144: 1 where a transaction is pending, 2 where the hive was defragmented.
    pub flags: u32,
    /// 148: GUID of the transaction manager.
    pub tm_id: [u8; 16],
    /// 164: `rmtm`, where the GUIDs are valid.
    pub guid_signature: u32,
    /// 168: when Windows last reorganised the hive, in 100 ns since 1601-01-01 UTC.
    pub last_reorganized: u64,
    /// 176: zeros.
    pub reserved: [u8; 332],
    /// 508: [`checksum`](Self::checksum_of) of what precedes it.
    pub checksum: u32,
}

fixed_size!(BaseBlock, "base block", 512);

impl BaseBlock {
    /// What a hive begins with.
    pub const SIGNATURE: [u8; 4] = *b"regf";
    /// [`file_type`](Self::file_type) of a hive.
    pub const PRIMARY_FILE: u32 = 0;

    /// The checksum of the base block with which `bytes` begin: the exclusive or of the 127 numbers before it, but never
    /// 0 nor `0xFFFF_FFFF`. Bytes that are missing count as zeros.
    pub fn checksum_of(bytes: &[u8]) -> u32 {
        match (0..508).step_by(4).fold(0, |sum, at| sum ^ u32_at(bytes, at)) {
            0 => 1,
            u32::MAX => u32::MAX - 1,
            sum => sum,
        }
    }

    /// Whether the bytes hold the checksum that they should.
    pub fn has_valid_checksum(bytes: &[u8]) -> bool {
        bytes.len() >= Self::SIZE && u32_at(bytes, 508) == Self::checksum_of(bytes)
    }

    /// Its bytes, with the checksum that they should have.
    pub fn to_sealed_bytes(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes();
        Self::seal(&mut bytes);
        bytes
    }

    /// Gives the base block with which `bytes` begin the checksum that it should have.
    ///
    /// # Panics
    /// Where there are fewer than 512 bytes.
    pub fn seal(bytes: &mut [u8]) {
        let checksum = Self::checksum_of(bytes);
        bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_never_all_zeros_or_ones() {
        let mut bytes = vec![0; 512];
        assert_eq!(BaseBlock::checksum_of(&bytes), 1);
        bytes[..4].fill(0xFF);
        assert_eq!(BaseBlock::checksum_of(&bytes), 0xFFFF_FFFE);
        bytes[7] = 0x80;
        assert_eq!(BaseBlock::checksum_of(&bytes), 0x7FFF_FFFF);
        assert!(!BaseBlock::has_valid_checksum(&bytes));
        BaseBlock::seal(&mut bytes);
        assert!(BaseBlock::has_valid_checksum(&bytes));
        assert!(!BaseBlock::has_valid_checksum(&bytes[..511]));
    }
}
