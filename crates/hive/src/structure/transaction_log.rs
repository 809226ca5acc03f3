//! Transaction logs: what is to be written to a hive, noted before.
//!
//! Each begins with a sector that holds the base block, of another file type; the second sector begins the log. The old form
//! holds one dirty vector and its pages, the new one (Windows 8.1) log entries one after the other.

use super::fixed_size;
use binrw::binrw;

/// Bytes of a sector, by which everything in a log is aligned: where the second one begins, the log does.
pub const SECTOR: usize = 512;

/// What a dirty vector begins with. A bitmap follows, with a bit for each [page](DIRTY_VECTOR_PAGE) of the hive bins data,
/// the first of each byte being its lowest; from the next sector on, the pages whose bits are set.
pub const DIRTY_VECTOR_SIGNATURE: [u8; 4] = *b"DIRT";

/// Bytes of a page of a dirty vector.
pub const DIRTY_VECTOR_PAGE: usize = 512;

/// [`file_type`](super::BaseBlock::file_type) of a log in the old form.
pub const OLD_LOG: u32 = 1;

/// [`file_type`](super::BaseBlock::file_type) of a log in the new form.
pub const NEW_LOG: u32 = 6;

/// The start of a log entry; references to its dirty pages follow, then the pages.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 4],
    /// 4: bytes of the entry, a multiple of [`SECTOR`].
    pub size: u32,
    /// 8: the flags of the base block.
    pub flags: u32,
    /// 12: what both sequence numbers of the base block become.
    pub sequence_number: u32,
    /// 16: bytes of all hive bins.
    pub hive_bins_data_size: u32,
    /// 20: how many references follow.
    pub dirty_pages_count: u32,
    /// 24: Marvin32 hash of what follows this structure, to the end of the entry.
    pub hash_1: u64,
    /// 32: Marvin32 hash of the 32 bytes before.
    pub hash_2: u64,
}

fixed_size!(LogEntry, "log entry", 40);

impl LogEntry {
    /// What an entry begins with.
    pub const SIGNATURE: [u8; 4] = *b"HvLE";
}

/// Where a dirty page belongs.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirtyPageReference {
    /// 0: from the start of the hive bins data.
    pub offset: u32,
    /// 4: bytes of the page.
    pub size: u32,
}

fixed_size!(DirtyPageReference, "dirty page reference", 8);
