//! Hive bins: the pieces of 4096 bytes or a multiple in which cells lie.

use super::{Structure, fixed_size};
use binrw::binrw;

/// Header of a hive bin; cells fill the rest of it without gaps.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiveBin {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 4],
    /// 4: where the bin itself begins, from the start of the hive bins data.
    pub offset: u32,
    /// 8: its bytes, a multiple of [`UNIT`](Self::UNIT).
    pub size: u32,
    /// 12: zeros.
    pub reserved: u64,
    /// 20: in the first bin, when the hive was last written, in 100 ns since 1601-01-01 UTC.
    pub timestamp: u64,
    /// 28: without meaning on disk.
    pub spare: u32,
}

fixed_size!(HiveBin, "hive bin", 32);

impl HiveBin {
    /// What a bin begins with.
    pub const SIGNATURE: [u8; 4] = *b"hbin";
    /// Bins begin and end at multiples of this.
    pub const UNIT: u32 = 4096;
    /// Bytes of the header.
    pub const HEADER: u32 = Self::SIZE as u32;

    /// The header of a bin of `size` bytes at `offset`.
    pub fn new(offset: u32, size: u32, timestamp: u64) -> Self {
        Self {
            signature: Self::SIGNATURE,
            offset,
            size,
            reserved: 0,
            timestamp,
            spare: 0,
        }
    }
}
