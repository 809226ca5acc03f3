//! The header of a hosted sparse extent (Virtual Disk Format 5.0, "Hosted Sparse Extents").

use super::SECTOR;
use binrw::binrw;
use cv_disk::Damage;

/// The four bytes for detecting a text-mode transfer are valid.
pub(crate) const FLAG_NEWLINE_TEST: u32 = 1;
/// A redundant grain directory and its tables are kept.
pub(crate) const FLAG_REDUNDANT_TABLE: u32 = 2;
/// Grain table entries of value 1 mean zeros.
pub(crate) const FLAG_ZEROED_GRAINS: u32 = 4;
/// Grains are compressed.
pub(crate) const FLAG_COMPRESSED: u32 = 1 << 16;
/// Markers stand before grains and metadata.
pub(crate) const FLAG_MARKERS: u32 = 1 << 17;

/// `gdOffset` of a stream whose footer, not its header, says where the grain directory is.
pub(crate) const GD_AT_END: u64 = u64::MAX;

/// `compressAlgorithm`: RFC 1950 streams.
pub(crate) const COMPRESSION_DEFLATE: u16 = 1;

/// Sectors of a grain at most: far above any in use (128), low enough that a grain fits memory.
const GRAIN_SECTORS_MAX: u64 = 1 << 16;
/// Entries of a grain table at most; the specification knows only 512.
const GTES_PER_GT_MAX: u32 = 4096;

/// `SparseExtentHeader`, 512 bytes at the start of a hosted sparse extent, and again as the footer of a stream.
#[binrw]
#[brw(little, magic = b"KDMV")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseExtentHeader {
    /// 0x04: 1; 2 with zeroed grains; 3 for streams and changed block tracking.
    pub version: u32,
    /// 0x08
    pub flags: u32,
    /// 0x0C: sectors of the disk in this extent.
    pub capacity: u64,
    /// 0x14: sectors of a grain, a power of two.
    pub grain_size: u64,
    /// 0x1C: sector of the embedded descriptor, 0 where there is none.
    pub descriptor_offset: u64,
    /// 0x24: sectors kept for the descriptor.
    pub descriptor_size: u64,
    /// 0x2C: entries of a grain table.
    pub num_gtes_per_gt: u32,
    /// 0x30: sector of the redundant grain directory.
    pub rgd_offset: u64,
    /// 0x38: sector of the grain directory.
    pub gd_offset: u64,
    /// 0x40: sectors before the first grain.
    pub overhead: u64,
    /// 0x48: not zero while a writer has the extent open.
    pub unclean_shutdown: u8,
    /// 0x49: the line ends that a text-mode transfer would change: LF, a space, CR, LF.
    pub newline_test: [u8; 4],
    /// 0x4D: 0 for none, 1 for deflate.
    #[brw(pad_after = 433)]
    pub compress_algorithm: u16,
}

impl SparseExtentHeader {
    /// What stands in [`newline_test`](Self::newline_test).
    pub const NEWLINE_TEST: [u8; 4] = *b"\n \r\n";
    /// Where `uncleanShutdown` stands in the header, in bytes.
    pub const UNCLEAN_SHUTDOWN_OFFSET: u64 = 0x48;

    /// Whether all of `flags` are set.
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether the grains are compressed.
    pub fn is_compressed(&self) -> bool {
        self.has(FLAG_COMPRESSED) || self.compress_algorithm == COMPRESSION_DEFLATE
    }

    /// Size of a grain in bytes, after [`validate`](Self::validate).
    pub fn grain_bytes(&self) -> u64 {
        self.grain_size * SECTOR
    }

    /// Number of grain tables that cover the capacity, after [`validate`](Self::validate).
    pub fn table_count(&self) -> u64 {
        self.capacity
            .div_ceil(self.grain_size * u64::from(self.num_gtes_per_gt))
    }

    /// Every field that makes the extent unreadable when it is wrong, the first one found; `at` is the header's own
    /// offset in bytes.
    pub fn validate(&self, at: u64) -> Result<(), Damage> {
        let wrong = |field: &str, offset: u64, expected: &str, found: String| {
            Err(Damage::new(
                format!("sparse extent header, {field}"),
                at + offset,
                expected,
                found,
            ))
        };
        if !(1..=3).contains(&self.version) {
            return wrong("version", 0x04, "1, 2 or 3", self.version.to_string());
        }
        if self.has(FLAG_NEWLINE_TEST) && self.newline_test != Self::NEWLINE_TEST {
            return wrong(
                "the line-end test",
                0x49,
                "0a 20 0d 0a; a transfer in text mode has changed the file",
                format!("{:02x?}", self.newline_test),
            );
        }
        if self.capacity == 0 || self.capacity > u64::MAX / SECTOR / 2 {
            return wrong(
                "capacity",
                0x0C,
                "between one sector and 2^54 sectors",
                format!("{} sectors", self.capacity),
            );
        }
        if !self.grain_size.is_power_of_two() || self.grain_size > GRAIN_SECTORS_MAX {
            return wrong(
                "grainSize",
                0x14,
                "a power of two of at most 65536 sectors",
                format!("{} sectors", self.grain_size),
            );
        }
        if self.num_gtes_per_gt == 0 || self.num_gtes_per_gt > GTES_PER_GT_MAX {
            return wrong(
                "numGTEsPerGT",
                0x2C,
                "512 (4096 at most)",
                self.num_gtes_per_gt.to_string(),
            );
        }
        let known = if self.is_compressed() { COMPRESSION_DEFLATE } else { 0 };
        if self.compress_algorithm != known {
            return wrong(
                "compressAlgorithm",
                0x4D,
                "0 (none) or 1 (deflate), in step with the flags",
                self.compress_algorithm.to_string(),
            );
        }
        Ok(())
    }
}
