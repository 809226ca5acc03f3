//! Where on a disk the volume goes.

use cv_disk::partition::{Gpt, GptPartition, Mbr, MbrPartition, PartitionName, SectorSize, gpt_type};
use cv_disk::{ReadAt, ReadError, Slice, WriteAt, WriteError};
use cv_ntfs::write::PlanOptions;
use std::ops::Range;
use uuid::Uuid;

/// Where the first partition begins at least, and what disks are a multiple of.
const MEBIBYTE: u64 = 1 << 20;

/// The partition type of an MBR for NTFS.
const MBR_NTFS: u8 = 0x07;

/// Sectors that an MBR can count.
const MBR_SECTORS: u64 = 1 << 32;

/// How a disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Not at all: the volume is the whole disk.
    Bare,
    /// A master boot record.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// A disk with one volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLayout {
    /// How it is divided; an MBR becomes a GPT where it cannot count the sectors.
    pub scheme: Scheme,
    /// Bytes of a sector.
    pub sector_size: SectorSize,
    /// The volume begins at a multiple of this many bytes, a power of two.
    pub alignment: u64,
}

impl DiskLayout {
    /// Where the volume begins, in bytes.
    pub fn start(&self) -> u64 {
        match self.scheme {
            Scheme::Bare => 0,
            Scheme::Mbr | Scheme::Gpt => MEBIBYTE.max(self.alignment.next_power_of_two()),
        }
    }

    /// Bytes behind the volume: room for the second GPT.
    fn tail(&self) -> u64 {
        match self.scheme {
            Scheme::Bare | Scheme::Mbr => 0,
            Scheme::Gpt => MEBIBYTE,
        }
    }

    /// The size of a disk that holds a volume of `volume` bytes.
    pub fn disk_size(&self, volume: u64) -> u64 {
        let size = self.start().saturating_add(volume).saturating_add(self.tail());
        if self.scheme == Scheme::Bare {
            size
        } else {
            size.next_multiple_of(MEBIBYTE)
        }
    }

    /// The size of the volume on a disk of `disk` bytes; `None` where there is no room for one.
    pub fn volume_size(&self, disk: u64) -> Option<u64> {
        let room = disk.checked_sub(self.start())?.checked_sub(self.tail())?;
        let size = room - room % self.sector_size.bytes();
        (size > 0).then_some(size)
    }

    /// The same with a GPT where an MBR cannot count the sectors of a disk of `disk` bytes.
    #[must_use]
    pub fn for_size(self, disk: u64) -> Self {
        if self.scheme == Scheme::Mbr && disk / self.sector_size.bytes() >= MBR_SECTORS {
            Self {
                scheme: Scheme::Gpt,
                ..self
            }
        } else {
            self
        }
    }

    /// How to plan the volume of such a disk: of one with `disk_size` bytes where that is settled, else as small as fits.
    /// `None` where that has no room for a volume.
    pub fn plan_options(&self, disk_size: Option<u64>) -> Option<PlanOptions> {
        let volume_size = match disk_size {
            Some(size) => Some(self.volume_size(size)?),
            None => None,
        };
        Some(PlanOptions {
            volume_size,
            sector_size: self.sector_size.bytes() as u32,
            hidden_sectors: u32::try_from(self.start() / self.sector_size.bytes()).ok()?,
            data_alignment: self.alignment,
            ..PlanOptions::default()
        })
    }

    /// The disk for a planned volume of `volume` bytes: how it is divided, and its size, which is `disk_size` where that is
    /// settled. The volume begins where it began here.
    #[must_use]
    pub fn fitted(self, volume: u64, disk_size: Option<u64>) -> (Self, u64) {
        let size = |layout: Self| disk_size.unwrap_or_else(|| layout.disk_size(volume));
        // Where the volume begins is the same behind a GPT.
        let layout = self.for_size(size(self));
        (layout, size(layout))
    }

    /// The volume's place on a disk that has one of `volume` bytes.
    pub fn place<D: ReadAt>(&self, disk: D, volume: u64) -> Result<Slice<D>, ReadError> {
        Slice::new(disk, self.start()..self.start().saturating_add(volume))
    }

    /// Writes the partition table. Its identities follow from `seed`.
    pub fn write_table(&self, disk: &dyn WriteAt, volume: u64, label: &str, seed: &str) -> Result<(), WriteError> {
        let range: Range<u64> = self.start()..self.start() + volume;
        let identity = |purpose: &str| Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{purpose}\0{seed}").as_bytes());
        match self.scheme {
            Scheme::Bare => Ok(()),
            Scheme::Mbr => {
                let signature = (identity("mbr signature").as_u128() as u32).max(1);
                let partition = MbrPartition {
                    number: 1,
                    range,
                    type_code: MBR_NTFS,
                    active: false,
                };
                Mbr::new(self.sector_size, signature, vec![partition]).write(disk)
            }
            Scheme::Gpt => {
                let name = PartitionName::new(label).or_else(|_| PartitionName::new("Basic data partition"))?;
                let partition = GptPartition {
                    number: 1,
                    range,
                    type_id: gpt_type::BASIC_DATA,
                    id: identity("gpt partition"),
                    attributes: 0,
                    name,
                };
                Gpt::new(disk.len(), self.sector_size, identity("gpt disk"), vec![partition])?.write(disk)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::{MemoryDisk, partition};

    #[test]
    fn tables_hold_the_volume() {
        for scheme in [Scheme::Mbr, Scheme::Gpt] {
            for sector_size in SectorSize::ALL {
                let layout = DiskLayout {
                    scheme,
                    sector_size,
                    alignment: 4096,
                };
                let volume = 7 << 20;
                let disk = MemoryDisk::new(layout.disk_size(volume));
                layout.write_table(&disk, volume, "label", "seed").unwrap();
                let table = partition::read(&disk, Some(sector_size)).unwrap();
                assert_eq!(table.partitions()[0].range, 1 << 20..8 << 20);
                assert!(partition::check(&disk, Some(sector_size)).unwrap().is_empty());
                assert!(layout.volume_size(disk.len()).unwrap() >= volume);
            }
        }
    }

    #[test]
    fn large_disks_have_a_gpt() {
        let layout = DiskLayout {
            scheme: Scheme::Mbr,
            sector_size: SectorSize::Bytes512,
            alignment: 1 << 21,
        };
        assert_eq!(layout.for_size(2 << 40).scheme, Scheme::Gpt);
        assert_eq!(layout.for_size((2 << 40) - 512).scheme, Scheme::Mbr);
        assert_eq!(layout.start(), 1 << 21);
        assert_eq!(layout.volume_size(1 << 20), None);
        let bare = DiskLayout {
            scheme: Scheme::Bare,
            ..layout
        };
        assert_eq!((bare.start(), bare.disk_size(12345)), (0, 12345));
    }
}
