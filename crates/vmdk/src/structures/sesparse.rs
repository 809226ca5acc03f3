//! The headers of a space-efficient sparse extent, `seSparse`. VMware has not published them; the fields are as QEMU and
//! libvmdk know them.

use super::SECTOR;
use binrw::binrw;
use cv_disk::Damage;

/// The header that never changes, one sector at the start. All offsets and sizes are in sectors.
#[binrw]
#[brw(little, magic = 0x0000_0000_cafe_babe_u64)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeSparseConstHeader {
    /// 0x08: major version in the upper, minor version in the lower half.
    pub version: u64,
    /// 0x10: sectors of the disk in this extent.
    pub capacity: u64,
    /// 0x18: sectors of a grain, 8.
    pub grain_size: u64,
    /// 0x20: sectors of a grain table, 64.
    pub grain_table_size: u64,
    /// 0x28
    pub flags: u64,
    /// 0x30
    pub reserved: [u64; 4],
    /// 0x50
    pub volatile_header_offset: u64,
    pub volatile_header_size: u64,
    /// 0x60
    pub journal_header_offset: u64,
    pub journal_header_size: u64,
    pub journal_offset: u64,
    pub journal_size: u64,
    /// 0x80
    pub grain_dir_offset: u64,
    pub grain_dir_size: u64,
    /// 0x90
    pub grain_tables_offset: u64,
    pub grain_tables_size: u64,
    /// 0xA0
    pub free_bitmap_offset: u64,
    pub free_bitmap_size: u64,
    pub backmap_offset: u64,
    pub backmap_size: u64,
    /// 0xC0
    pub grains_offset: u64,
    #[brw(pad_after = 304)]
    pub grains_size: u64,
}

/// The header that says whether the journal must be replayed first.
#[binrw]
#[brw(little, magic = 0x0000_0000_cafe_cafe_u64)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeSparseVolatileHeader {
    pub free_gt_number: u64,
    pub next_txn_seq_number: u64,
    /// Not zero where the journal holds changes that the tables do not.
    #[brw(pad_after = 480)]
    pub replay_journal: u64,
}

impl SeSparseConstHeader {
    /// The only version known.
    pub const VERSION: u64 = 0x0000_0002_0000_0001;
    /// Sectors of a grain.
    pub const GRAIN_SECTORS: u64 = 8;
    /// Sectors of a grain table.
    pub const GRAIN_TABLE_SECTORS: u64 = 64;
    /// Entries of a grain table, 8 bytes each.
    pub const GTES_PER_GT: u32 = (Self::GRAIN_TABLE_SECTORS * SECTOR / 8) as u32;

    /// Number of grain tables that cover the capacity.
    pub fn table_count(&self) -> u64 {
        self.capacity
            .div_ceil(Self::GRAIN_SECTORS * u64::from(Self::GTES_PER_GT))
    }

    /// Every field that makes the extent unreadable when it is wrong, the first one found.
    pub fn validate(&self) -> Result<(), Damage> {
        let known = [
            ("version", 0x08, self.version, Self::VERSION),
            ("grain size", 0x18, self.grain_size, Self::GRAIN_SECTORS),
            (
                "grain table size",
                0x20,
                self.grain_table_size,
                Self::GRAIN_TABLE_SECTORS,
            ),
            ("flags", 0x28, self.flags, 0),
        ];
        for (field, offset, found, expected) in known {
            if found != expected {
                return Err(Damage::new(
                    format!("seSparse header, {field}"),
                    offset,
                    format!("{expected:#x}"),
                    format!("{found:#x}"),
                ));
            }
        }
        if self.capacity == 0 || self.capacity > u64::MAX / SECTOR / 2 {
            return Err(Damage::new(
                "seSparse header, capacity",
                0x10,
                "between one sector and 2^54 sectors",
                format!("{} sectors", self.capacity),
            ));
        }
        let directory = self.grain_dir_size.saturating_mul(SECTOR / 8);
        if directory < self.table_count() {
            return Err(Damage::new(
                "seSparse header, grain directory size",
                0x88,
                format!("room for {} entries", self.table_count()),
                format!("{directory} entries"),
            ));
        }
        Ok(())
    }
}
