//! The cylinder, head and sector numbers that BIOS-era readers want.

use binrw::binrw;

/// The disk geometry field of the footer ("Hard Disk Footer Format", Disk Geometry).
///
/// It is written because the specification demands it and never read for the size: it rounds, and it ends at 127 GiB.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors per track.
    pub sectors_per_track: u8,
}

impl Geometry {
    /// The geometry of a disk of `size` bytes, by the specification's appendix "CHS Calculation".
    pub fn of_size(size: u64) -> Self {
        let sectors = (size / 512).min(65535 * 16 * 255);
        let (heads, sectors_per_track) = if sectors >= 65535 * 16 * 63 {
            (16, 255)
        } else {
            let tracks = sectors / 17;
            let heads = tracks.div_ceil(1024).max(4);
            if heads <= 16 && tracks < heads * 1024 {
                (heads, 17)
            } else if sectors / 31 < 16 * 1024 {
                (16, 31)
            } else {
                (16, 63)
            }
        };
        Self {
            cylinders: (sectors / sectors_per_track / heads) as u16,
            heads: heads as u8,
            sectors_per_track: sectors_per_track as u8,
        }
    }

    /// Bytes that the geometry covers, at most those of the disk.
    pub fn size(&self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors_per_track) * 512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: u64) -> (u16, u8, u8) {
        let geometry = Geometry::of_size(size);
        (geometry.cylinders, geometry.heads, geometry.sectors_per_track)
    }

    /// Sizes and geometries found in files made by Windows, Hyper-V and disk2vhd.
    #[test]
    fn geometries_are_those_of_microsofts_own_files() {
        assert_eq!(of(4 << 20), (0x78, 4, 17));
        assert_eq!(of(104_448), (3, 4, 17));
        assert_eq!(of(1 << 30), (0x820, 16, 63));
        assert_eq!(of(1 << 41), (65535, 16, 255));
    }

    #[test]
    fn no_geometry_covers_more_than_the_disk() {
        for shift in 9..44 {
            for size in [(1 << shift) - 512, 1 << shift, (1 << shift) + 512] {
                assert!(Geometry::of_size(size).size() <= size);
            }
        }
    }
}
