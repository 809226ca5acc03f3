//! Partition tables: GPT and MBR, on disks of 512 and of 4096 byte sectors.
//!
//! [`read`] recognises the table of any [`ReadAt`], [`PartitionTable::slice`] gives a partition as a disk of its own,
//! [`check`] names what is wrong and [`repair`] mends what can be mended without guessing. A table is made with
//! [`Gpt::new`] or [`Mbr::new`] and put on a disk with its `write`.
//!
//! ```
//! use cv_disk::partition::{self, Gpt, GptPartition, PartitionName, SectorSize, gpt_type};
//! use cv_disk::{MemoryDisk, ReadAt};
//! use uuid::Uuid;
//!
//! let disk = MemoryDisk::new(16 << 20);
//! let volume = GptPartition {
//!     number: 1,
//!     range: 1 << 20..15 << 20,
//!     type_id: gpt_type::BASIC_DATA,
//!     id: Uuid::from_u128(1),
//!     attributes: 0,
//!     name: PartitionName::new("CVLAYER")?,
//! };
//! Gpt::new(disk.len(), SectorSize::Bytes512, Uuid::from_u128(2), vec![volume])?.write(&disk)?;
//!
//! let table = partition::read(&disk, None)?;
//! assert_eq!(table.partitions()[0].name, "CVLAYER");
//! assert_eq!(table.slice(&disk, 1)?.len(), 14 << 20);
//! assert!(partition::check(&disk, None)?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod detect;
mod gpt;
mod mbr;
mod type_names;

pub use gpt::{Gpt, GptPartition, PartitionName, move_backup};
pub use mbr::{Mbr, MbrPartition};
pub use type_names::{gpt_type, gpt_type_name, mbr_type_name};

use crate::access::{ReadAt, WriteAt};
use crate::error::{Damage, ReadError, WriteError};
use crate::fault::Faults;
use crate::slice::Slice;
use detect::{Scheme, detect};
use std::ops::Range;

/// Bytes in a logical sector (the block that a logical block address counts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SectorSize {
    /// 512 bytes: nearly every disk, and every VHD and VMDK.
    #[default]
    Bytes512,
    /// 4096 bytes: "4K native" disks, and VHDX files made so.
    Bytes4096,
}

impl SectorSize {
    /// Both sizes, the more common one first.
    pub const ALL: [Self; 2] = [Self::Bytes512, Self::Bytes4096];

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4096,
        }
    }

    /// The size of `bytes` bytes, where it is one that partition tables know here.
    pub fn from_bytes(bytes: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() == bytes)
    }

    /// The byte range of the sectors `first..=last`; `None` where there is none or its end is beyond 2^64.
    fn byte_range(self, first: u64, last: u64) -> Option<Range<u64>> {
        if first > last {
            return None;
        }
        Some(first.checked_mul(self.bytes())?..last.checked_add(1)?.checked_mul(self.bytes())?)
    }
}

/// What divides a disk into volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionTable {
    /// Nothing: an empty disk, or one volume that fills it.
    None,
    /// A master boot record, with the logical partitions that its extended partition chains.
    Mbr(Mbr),
    /// A GUID partition table.
    Gpt(Gpt),
}

/// A partition of either kind of table, as one prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The number by which operating systems call it, from 1; logical partitions of an MBR begin at 5.
    pub number: u32,
    /// Where it lies on the disk, in bytes; a damaged table may place it beyond the end.
    pub range: Range<u64>,
    /// What the type says it holds, or the type itself (a GUID, or a code such as `0x5b`) where it has no common name.
    pub type_name: String,
    /// Its name in a GPT, lone surrogates replaced; empty in an MBR.
    pub name: String,
}

impl PartitionTable {
    /// The partitions in the order of the table; extended partitions, which only hold others, are left out.
    pub fn partitions(&self) -> Vec<Partition> {
        match self {
            Self::None => Vec::new(),
            Self::Mbr(mbr) => mbr
                .partitions
                .iter()
                .filter(|partition| !partition.is_extended())
                .map(|partition| Partition {
                    number: partition.number,
                    range: partition.range.clone(),
                    type_name: mbr_type_name(partition.type_code)
                        .map_or_else(|| format!("{:#04x}", partition.type_code), str::to_string),
                    name: String::new(),
                })
                .collect(),
            Self::Gpt(gpt) => gpt
                .partitions
                .iter()
                .map(|partition| Partition {
                    number: partition.number,
                    range: partition.range.clone(),
                    type_name: gpt_type_name(partition.type_id)
                        .map_or_else(|| partition.type_id.to_string(), str::to_string),
                    name: partition.name.to_string(),
                })
                .collect(),
        }
    }

    /// Partition `number` as a disk of its own.
    ///
    /// Fails with [`ReadError::Damaged`] where the table has no such partition and with [`ReadError::BeyondEnd`] where
    /// it reaches beyond the end of `disk`.
    pub fn slice<D: ReadAt>(&self, disk: D, number: u32) -> Result<Slice<D>, ReadError> {
        let partitions = self.partitions();
        let Some(found) = partitions.iter().find(|partition| partition.number == number) else {
            let numbers: Vec<_> = partitions
                .iter()
                .map(|partition| partition.number.to_string())
                .collect();
            let found = match numbers.len() {
                0 => "none".to_string(),
                _ => format!("partitions {}", numbers.join(", ")),
            };
            return Err(Damage::new("partition table", 0, format!("partition {number}"), found).into());
        };
        Slice::new(disk, found.range.clone())
    }

    /// What the reader had to work around: a damaged primary GPT in whose place the backup was read, or a chain of
    /// logical partitions that breaks off.
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::None => None,
            Self::Mbr(mbr) => mbr.chain_damage.as_ref(),
            Self::Gpt(gpt) => gpt.primary_damage.as_ref(),
        }
    }
}

/// Reads the partition table of `disk`.
///
/// Without a `sector_size`, the GPT header is looked for at 512 and at 4096 bytes, and an MBR is taken to count sectors
/// of 512 bytes. A GPT whose primary copy is damaged is read from the backup, which [`PartitionTable::damage`] then
/// says. An MBR that lists partitions of its own and none of type 0xEE makes any GPT behind it a left-over, as Linux and
/// Windows see it; a volume without a partition table is told from an MBR by its boot sector.
pub fn read(disk: &dyn ReadAt, sector_size: Option<SectorSize>) -> Result<PartitionTable, ReadError> {
    Ok(match detect(disk, sector_size)? {
        Scheme::None => PartitionTable::None,
        Scheme::Mbr(sector_size) => PartitionTable::Mbr(Mbr::read(disk, sector_size)?),
        Scheme::Gpt(sector_size) => PartitionTable::Gpt(Gpt::read(disk, sector_size)?),
    })
}

/// Names what is wrong with the partition table of `disk`; a disk without one has no faults.
///
/// Fails only where the first sector cannot be read.
pub fn check(disk: &dyn ReadAt, sector_size: Option<SectorSize>) -> Result<Faults, ReadError> {
    match detect(disk, sector_size)? {
        Scheme::None => Ok(Faults::new()),
        Scheme::Mbr(sector_size) => mbr::check(disk, sector_size),
        Scheme::Gpt(sector_size) => Ok(gpt::check(disk, sector_size)),
    }
}

/// Mends every fault of the partition table that [`check`] calls repairable, and returns what `check` found before.
///
/// The damaged copy of a GPT is rewritten from the good one, a backup that is not at the end is moved there, and a
/// wrong protective MBR is replaced. A kill at any moment leaves at least one good copy.
pub fn repair(disk: &dyn WriteAt, sector_size: Option<SectorSize>) -> Result<Faults, WriteError> {
    let faults = check(disk, sector_size)?;
    if let Scheme::Gpt(sector_size) = detect(disk, sector_size)?
        && faults.listed().iter().any(|fault| fault.repairable)
    {
        gpt::repair(disk, sector_size)?;
    }
    Ok(faults)
}

/// The pairs of ranges that overlap, by index: each range with the one that reaches furthest of those that begin before.
fn overlaps(ranges: &[Range<u64>]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|index| (ranges[*index].start, *index));
    let mut furthest: Option<usize> = None;
    let mut found = Vec::new();
    for index in order {
        if let Some(before) = furthest
            && ranges[index].start < ranges[before].end
        {
            found.push((before, index));
        }
        if furthest.is_none_or(|before| ranges[before].end < ranges[index].end) {
            furthest = Some(index);
        }
    }
    found
}
