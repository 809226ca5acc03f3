//! The header of an ESX sparse extent, `vmfsSparse` (Virtual Disk Format 5.0, "ESX Server Sparse Extents").

use binrw::binrw;
use cv_disk::Damage;

/// `COWDisk_Header`: the part at the start that both root and child extents have.
#[binrw]
#[brw(little, magic = b"COWD")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CowdHeader {
    /// 0x04: 1
    pub version: u32,
    /// 0x08: 3
    pub flags: u32,
    /// 0x0C: sectors of the disk in this extent.
    pub num_sectors: u32,
    /// 0x10: sectors of a grain.
    pub grain_size: u32,
    /// 0x14: sector of the grain directory, 4.
    pub gd_offset: u32,
    /// 0x18: entries of the grain directory.
    pub num_gd_entries: u32,
    /// 0x1C: the first sector not in use.
    pub free_sector: u32,
}

impl CowdHeader {
    /// Entries of a grain table.
    pub const GTES_PER_GT: u32 = 4096;
    /// Bytes of the whole header.
    pub const SIZE: usize = 2048;

    /// Number of grain tables that cover the capacity, after [`validate`](Self::validate).
    pub fn table_count(&self) -> u64 {
        u64::from(self.num_sectors).div_ceil(u64::from(self.grain_size) * u64::from(Self::GTES_PER_GT))
    }

    /// Every field that makes the extent unreadable when it is wrong, the first one found.
    pub fn validate(&self) -> Result<(), Damage> {
        let wrong = |field: &str, offset: u64, expected: String, found: u64| {
            Err(Damage::new(
                format!("COWD header, {field}"),
                offset,
                expected,
                found.to_string(),
            ))
        };
        if self.version != 1 {
            return wrong("version", 0x04, "1".into(), self.version.into());
        }
        if self.num_sectors == 0 {
            return wrong("numSectors", 0x0C, "at least one sector".into(), 0);
        }
        if !self.grain_size.is_power_of_two() || self.grain_size > 1 << 16 {
            return wrong(
                "grainSize",
                0x10,
                "a power of two of at most 65536 sectors".into(),
                self.grain_size.into(),
            );
        }
        if u64::from(self.num_gd_entries) < self.table_count() {
            return wrong(
                "numGDEntries",
                0x18,
                format!("at least {} for this capacity", self.table_count()),
                self.num_gd_entries.into(),
            );
        }
        Ok(())
    }
}
