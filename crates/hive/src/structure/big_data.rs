//! Big data (`db`): the data of a value in several cells.

use super::fixed_size;
use binrw::binrw;

/// Where the list of segments is. Hives below version 1.4 have none and keep data of any size in one cell.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigData {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 2],
    /// 2: number of segments.
    pub number_of_segments: u16,
    /// 4: the list of their offsets.
    pub segments_list_offset: u32,
}

fixed_size!(BigData, "big data", 8);

impl BigData {
    /// What a big data record begins with.
    pub const SIGNATURE: [u8; 2] = *b"db";
    /// Bytes of each segment but the last.
    pub const SEGMENT: usize = 16344;
    /// Bytes that the cell of every segment has room for, the last one's too: Windows takes it for granted when data grows,
    /// and hivex takes 4 bytes less of a cell than it has.
    pub const SEGMENT_CELL: usize = Self::SEGMENT + 4;
    /// The first minor version that has big data.
    pub const SINCE_MINOR_VERSION: u32 = 4;
    /// Bytes of the longest data.
    pub const MAX_DATA: usize = Self::SEGMENT * u16::MAX as usize;
}
