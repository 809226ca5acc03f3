//! The sizes that the boot sector says.

use super::boot_sector::BootSector;
use cv_disk::Damage;

/// Sizes of a volume's parts, in bytes unless the name says otherwise. All are powers of two but the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes per sector.
    pub sector_size: u32,
    /// Bytes per cluster.
    pub cluster_size: u32,
    /// Bytes per file record.
    pub record_size: u32,
    /// Bytes per block of a directory's index.
    pub index_block_size: u32,
    /// Sectors of the volume, without the copy of the boot sector.
    pub total_sectors: u64,
    /// Whole clusters of the volume.
    pub total_clusters: u64,
    /// First cluster of `$MFT`.
    pub mft_lcn: u64,
    /// First cluster of `$MFTMirr`.
    pub mirror_lcn: u64,
}

impl Geometry {
    /// The largest cluster, 2 MiB.
    pub const MAX_CLUSTER: u32 = 2 << 20;
    /// The largest file record or index block that is read. Windows makes records of 1024 and 4096 bytes, and index
    /// blocks of 4096.
    pub const MAX_BLOCK: u32 = 64 << 10;

    /// What `boot` says, where that is a volume; the first field at fault where not.
    pub fn of(boot: &BootSector) -> Result<Self, Damage> {
        let fault = |offset, field: &str, expected: &str, found: String| {
            Err(Damage::new(format!("boot sector, {field}"), offset, expected, found))
        };
        if boot.oem != BootSector::OEM {
            return fault(0x03, "OEM", "`NTFS    `", format!("{:02x?}", boot.oem));
        }
        let sector_size = u32::from(boot.bytes_per_sector);
        if !sector_size.is_power_of_two() || !(256..=4096).contains(&sector_size) {
            return fault(
                0x0B,
                "bytes per sector",
                "a power of two from 256 to 4096",
                sector_size.to_string(),
            );
        }
        let sectors_per_cluster = match boot.sectors_per_cluster {
            count @ 1..=128 if count.is_power_of_two() => u32::from(count),
            // 2^(256 - value).
            count @ 0xE0.. => 1_u32.checked_shl(256 - u32::from(count)).unwrap_or(0),
            _ => 0,
        };
        let Some(cluster_size @ 1..=Self::MAX_CLUSTER) = sectors_per_cluster.checked_mul(sector_size) else {
            return fault(
                0x0D,
                "sectors per cluster",
                "a power of two that gives clusters of 2 MiB at most",
                format!("{:#04x}", boot.sectors_per_cluster),
            );
        };
        let block = |value: i8| {
            let size = if value < 0 {
                1_u32.checked_shl(u32::from(value.unsigned_abs()))
            } else {
                u32::try_from(value)
                    .ok()
                    .and_then(|count| count.checked_mul(cluster_size))
            };
            size.filter(|size| size.is_power_of_two() && (512..=Self::MAX_BLOCK).contains(size))
        };
        let Some(record_size) = block(boot.clusters_per_file_record_segment) else {
            let found = boot.clusters_per_file_record_segment.to_string();
            return fault(0x40, "clusters per file record", "512 bytes to 64 KiB", found);
        };
        let Some(index_block_size) = block(boot.default_clusters_per_index_allocation_buffer) else {
            let found = boot.default_clusters_per_index_allocation_buffer.to_string();
            return fault(0x44, "clusters per index block", "512 bytes to 64 KiB", found);
        };
        let total_clusters = boot.total_sectors / u64::from(sectors_per_cluster);
        if total_clusters == 0
            || total_clusters
                .checked_mul(u64::from(cluster_size))
                .is_none_or(|size| size >> 63 != 0)
        {
            return fault(
                0x28,
                "total sectors",
                "at least a cluster, less than 2^63 bytes",
                boot.total_sectors.to_string(),
            );
        }
        Ok(Self {
            sector_size,
            cluster_size,
            record_size,
            index_block_size,
            total_sectors: boot.total_sectors,
            total_clusters,
            mft_lcn: boot.mft_start_lcn,
            mirror_lcn: boot.mft2_start_lcn,
        })
    }

    /// Bytes of the volume up to the end of its last whole cluster.
    pub fn size(&self) -> u64 {
        self.total_clusters * u64::from(self.cluster_size)
    }

    /// Where cluster `lcn` begins, in bytes; `None` beyond the volume's end.
    pub fn cluster_offset(&self, lcn: u64) -> Option<u64> {
        (lcn < self.total_clusters).then(|| lcn * u64::from(self.cluster_size))
    }

    /// Where the clusters `lcn..lcn + count` begin, in bytes; `None` where they reach beyond the volume's end.
    pub fn clusters_offset(&self, lcn: u64, count: u64) -> Option<u64> {
        let end = lcn.checked_add(count)?;
        (end <= self.total_clusters).then(|| lcn * u64::from(self.cluster_size))
    }

    /// Clusters that hold `bytes`.
    pub fn clusters_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.cluster_size))
    }

    /// Bytes per unit of the virtual cluster numbers of index blocks: a cluster, or 512 where a cluster is larger than an
    /// index block of `block_size`.
    pub fn index_vcn_unit(&self, block_size: u32) -> u32 {
        if self.cluster_size <= block_size {
            self.cluster_size
        } else {
            512
        }
    }

    /// The boot sector's form of `sectors` per cluster, a power of two.
    pub const fn sectors_per_cluster_code(sectors: u32) -> u8 {
        if sectors <= 128 {
            sectors as u8
        } else {
            (256 - sectors.trailing_zeros()) as u8
        }
    }

    /// The boot sector's form of a file record's or an index block's size, a power of two, where clusters are of
    /// `cluster_size`.
    pub const fn block_size_code(size: u32, cluster_size: u32) -> i8 {
        if size >= cluster_size {
            (size / cluster_size) as i8
        } else {
            -(size.trailing_zeros() as i8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::Structure;
    use proptest::prelude::*;

    fn boot(sector: u16, sectors_per_cluster: u8, record: i8, index: i8) -> BootSector {
        let mut boot = BootSector::read_from(&[0; 512], 0).unwrap();
        boot.oem = BootSector::OEM;
        boot.bytes_per_sector = sector;
        boot.sectors_per_cluster = sectors_per_cluster;
        boot.clusters_per_file_record_segment = record;
        boot.default_clusters_per_index_allocation_buffer = index;
        boot.total_sectors = 1 << 20;
        boot
    }

    #[test]
    fn sizes_of_every_cluster_size_come_back() {
        for sector in [512_u32, 4096] {
            for shift in 9..=21 {
                let cluster = 1_u32 << shift;
                if cluster < sector {
                    continue;
                }
                let record = 1024.max(sector);
                let geometry = Geometry::of(&boot(
                    sector as u16,
                    Geometry::sectors_per_cluster_code(cluster / sector),
                    Geometry::block_size_code(record, cluster),
                    Geometry::block_size_code(4096, cluster),
                ))
                .unwrap();
                assert_eq!(geometry.cluster_size, cluster);
                assert_eq!(geometry.record_size, record);
                assert_eq!(geometry.index_block_size, 4096);
            }
        }
        assert_eq!(Geometry::sectors_per_cluster_code(256), 0xF8);
        assert_eq!(Geometry::block_size_code(1024, 4096), -10);
    }

    proptest! {
        #[test]
        fn any_bytes_give_sizes_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 512)) {
            let mut boot = BootSector::read_from(&bytes, 0).unwrap();
            prop_assert_eq!(&boot.to_bytes(), &bytes);
            boot.oem = BootSector::OEM;
            boot.bytes_per_sector = 512;
            if let Ok(geometry) = Geometry::of(&boot) {
                prop_assert!(geometry.record_size >= 512);
                prop_assert!(geometry.size() > 0);
            }
        }
    }
}
