//! The GUID partition table.
//!
//! Source: UEFI specification 2.10, section 5.3.

mod repair;
mod structures;

pub use repair::move_backup;
pub(super) use repair::{check, repair};

use super::{SectorSize, mbr, overlaps};
use crate::access::{ReadAt, WriteAt};
use crate::error::{Damage, ReadError, WriteError};
use std::fmt;
use std::ops::Range;
use structures::{Copy, ENTRY_SIZE, Entry, HEADER_SIZE, Header, PRIMARY_LBA, REVISION, SIGNATURE, peek, sector_count};
use uuid::Uuid;

/// Entries of a new table: what the specification reserves room for, and every tool writes.
const ENTRIES: u32 = 128;

/// A GUID partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpt {
    /// The sectors in which positions are counted.
    pub sector_size: SectorSize,
    /// The disk's own GUID.
    pub disk_id: Uuid,
    /// Where partitions may lie, in bytes.
    pub usable: Range<u64>,
    /// How many partitions the table has room for.
    pub entry_count: u32,
    /// The partitions in the order of their numbers. Entries that name no range of sectors are left out, as operating
    /// systems do; [`check`](super::check) reports them.
    pub partitions: Vec<GptPartition>,
    /// What is wrong with the primary copy, where the table was read from the backup.
    pub primary_damage: Option<Damage>,
}

/// A partition of a [`Gpt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GptPartition {
    /// Its place in the table, from 1.
    pub number: u32,
    /// Where it lies on the disk, in bytes.
    pub range: Range<u64>,
    /// What it holds (the specification's `PartitionTypeGUID`), see [`gpt_type`](super::gpt_type).
    pub type_id: Uuid,
    /// Its own GUID (the specification's `UniquePartitionGUID`).
    pub id: Uuid,
    /// Bit 0: required by the platform; bit 1: hidden from firmware; bit 2: legacy BIOS bootable; bits 48 to 63 belong
    /// to the type, for Microsoft basic data bit 60: read-only, bit 62: hidden, bit 63: no drive letter.
    pub attributes: u64,
    /// Its name.
    pub name: PartitionName,
}

/// The name of a GPT partition: up to 36 UTF-16 code units, of any value on a disk that others wrote.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartitionName([u16; 36]);

impl PartitionName {
    /// The name `name`; fails with [`WriteError::Limit`] where it takes more than 36 code units or holds U+0000.
    pub fn new(name: &str) -> Result<Self, WriteError> {
        let mut units = [0; 36];
        let count = name.encode_utf16().count();
        if count > units.len() || name.contains('\0') {
            return Err(WriteError::Limit(format!(
                "the partition name {name:?} is not one of up to 36 UTF-16 code units"
            )));
        }
        units
            .iter_mut()
            .zip(name.encode_utf16())
            .for_each(|(unit, value)| *unit = value);
        Ok(Self(units))
    }

    /// The name that `units` spell, whatever their values; `None` where they are more than 36.
    pub fn from_units(units: &[u16]) -> Option<Self> {
        let mut name = [0; 36];
        name.get_mut(..units.len())?.copy_from_slice(units);
        Some(Self(name))
    }

    /// The code units before the first zero.
    pub fn units(&self) -> &[u16] {
        let length = self.0.iter().position(|unit| *unit == 0).unwrap_or(self.0.len());
        &self.0[..length]
    }
}

/// No name.
impl Default for PartitionName {
    fn default() -> Self {
        Self([0; 36])
    }
}

/// The name as text, lone surrogates replaced by U+FFFD.
impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        char::decode_utf16(self.units().iter().copied())
            .try_for_each(|unit| write!(f, "{}", unit.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

impl fmt::Debug for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl Gpt {
    /// A table for a disk of `disk_length` bytes, with room for 128 partitions.
    ///
    /// Fails with [`WriteError::Limit`] where the disk is too small to hold it, or unless the partitions lie on whole
    /// sectors, within [`usable`](Self::usable) and apart from each other, with numbers of their own from 1 to 128.
    pub fn new(
        disk_length: u64,
        sector_size: SectorSize,
        disk_id: Uuid,
        partitions: Vec<GptPartition>,
    ) -> Result<Self, WriteError> {
        let bytes = sector_size.bytes();
        let array = u64::from(ENTRIES * ENTRY_SIZE);
        let start = (PRIMARY_LBA + 1) * bytes + array;
        let end = (disk_length / bytes * bytes).saturating_sub(bytes + array);
        if end <= start {
            return Err(WriteError::Limit(format!(
                "a disk of {disk_length} bytes is too small for a GPT"
            )));
        }
        let gpt = Self {
            sector_size,
            disk_id,
            usable: start..end,
            entry_count: ENTRIES,
            partitions,
            primary_damage: None,
        };
        gpt.check_partitions()?;
        Ok(gpt)
    }

    fn check_partitions(&self) -> Result<(), WriteError> {
        let bytes = self.sector_size.bytes();
        let mut numbers = std::collections::HashSet::new();
        for partition in &self.partitions {
            let GptPartition { number, range, .. } = partition;
            let refuse = |reason: String| {
                let (start, end) = (range.start, range.end);
                Err(WriteError::Limit(format!(
                    "GPT partition {number} at {start:#x}..{end:#x} {reason}"
                )))
            };
            if !(1..=self.entry_count).contains(number) {
                return refuse(format!("has a number outside 1 to {}", self.entry_count));
            }
            if !numbers.insert(*number) {
                return refuse("has the number of another".into());
            }
            if partition.type_id.is_nil() {
                return refuse("has the type of an unused entry".into());
            }
            if range.start >= range.end || range.start % bytes != 0 || range.end % bytes != 0 {
                return refuse(format!("does not consist of whole sectors of {bytes} bytes"));
            }
            if range.start < self.usable.start || range.end > self.usable.end {
                let (start, end) = (self.usable.start, self.usable.end);
                return refuse(format!(
                    "does not lie within {start:#x}..{end:#x}, which the table leaves"
                ));
            }
        }
        let ranges: Vec<_> = self
            .partitions
            .iter()
            .map(|partition| partition.range.clone())
            .collect();
        match overlaps(&ranges).first() {
            Some((one, other)) => Err(WriteError::Limit(format!(
                "GPT partitions {} and {} overlap",
                self.partitions[*one].number, self.partitions[*other].number
            ))),
            None => Ok(()),
        }
    }

    /// Reads the table in sectors of `sector_size`: the primary copy, or where that is damaged the backup.
    pub(super) fn read(disk: &dyn ReadAt, sector_size: SectorSize) -> Result<Self, ReadError> {
        let failure = match Copy::load(disk, sector_size, PRIMARY_LBA) {
            Ok(primary) => return Ok(Self::from_copy(&primary, sector_size)),
            Err(failure) => failure,
        };
        let Some(backup) = load_backup(disk, sector_size) else {
            return Err(failure);
        };
        let mut gpt = Self::from_copy(&backup, sector_size);
        gpt.primary_damage = Some(damage_of(failure, PRIMARY_LBA * sector_size.bytes()));
        Ok(gpt)
    }

    fn from_copy(copy: &Copy, sector_size: SectorSize) -> Self {
        let header = &copy.header;
        Self {
            sector_size,
            disk_id: Uuid::from_bytes_le(header.disk_guid),
            usable: sector_size
                .byte_range(header.first_usable_lba, header.last_usable_lba)
                .unwrap_or_default(),
            entry_count: header.number_of_partition_entries,
            partitions: copy
                .entries
                .iter()
                .filter_map(|(number, entry)| {
                    Some(GptPartition {
                        number: *number,
                        range: sector_size.byte_range(entry.starting_lba, entry.ending_lba)?,
                        type_id: Uuid::from_bytes_le(entry.partition_type_guid),
                        id: Uuid::from_bytes_le(entry.unique_partition_guid),
                        attributes: entry.attributes,
                        name: PartitionName(entry.partition_name),
                    })
                })
                .collect(),
            primary_damage: None,
        }
    }

    /// Writes both copies and the protective MBR to `disk`, whose boot code stays.
    ///
    /// The backup is on stable storage before the primary is touched, so that a kill while a table is replaced leaves
    /// one of the two whole. The same table gives the same bytes.
    pub fn write(&self, disk: &dyn WriteAt) -> Result<(), WriteError> {
        self.check_partitions()?;
        let bytes = self.sector_size.bytes();
        let array = self.entry_array()?;
        let array_sectors = (array.len() as u64).div_ceil(bytes);
        let sectors = sector_count(disk, self.sector_size);
        let first_usable_lba = self.usable.start / bytes;
        let last_usable_lba = (self.usable.end / bytes).saturating_sub(1);
        let backup_lba = sectors.saturating_sub(1);
        let backup_array_lba = backup_lba.saturating_sub(array_sectors);
        if first_usable_lba < PRIMARY_LBA + 1 + array_sectors
            || last_usable_lba < first_usable_lba
            || last_usable_lba >= backup_array_lba
        {
            let (start, end) = (self.usable.start, self.usable.end);
            return Err(WriteError::Limit(format!(
                "a GPT with {} entries around {start:#x}..{end:#x} does not fit a disk of {} bytes",
                self.entry_count,
                disk.len()
            )));
        }
        let primary = Header {
            signature: SIGNATURE,
            revision: REVISION,
            header_size: HEADER_SIZE,
            header_crc32: 0,
            reserved: 0,
            my_lba: PRIMARY_LBA,
            alternate_lba: backup_lba,
            first_usable_lba,
            last_usable_lba,
            disk_guid: self.disk_id.to_bytes_le(),
            partition_entry_lba: PRIMARY_LBA + 1,
            number_of_partition_entries: self.entry_count,
            size_of_partition_entry: ENTRY_SIZE,
            partition_entry_array_crc32: crc32fast::hash(&array),
        };
        let backup = Header {
            my_lba: backup_lba,
            alternate_lba: PRIMARY_LBA,
            partition_entry_lba: backup_array_lba,
            ..primary.clone()
        };
        for header in [backup, primary] {
            disk.write_at(&array, header.partition_entry_lba * bytes)?;
            header.write_new(disk, self.sector_size)?;
            disk.flush()?;
        }
        mbr::write_protective(disk, self.sector_size, disk.len())?;
        disk.flush()
    }

    fn entry_array(&self) -> Result<Vec<u8>, WriteError> {
        let length = u64::from(self.entry_count) * u64::from(ENTRY_SIZE);
        if length > structures::ARRAY_LIMIT {
            return Err(WriteError::Limit(format!(
                "a GPT cannot have {} entries",
                self.entry_count
            )));
        }
        let mut array = vec![0; length as usize];
        let bytes = self.sector_size.bytes();
        for partition in &self.partitions {
            let entry = Entry {
                partition_type_guid: partition.type_id.to_bytes_le(),
                unique_partition_guid: partition.id.to_bytes_le(),
                starting_lba: partition.range.start / bytes,
                ending_lba: partition.range.end / bytes - 1,
                attributes: partition.attributes,
                partition_name: partition.name.0,
            };
            let start = (partition.number as usize - 1) * ENTRY_SIZE as usize;
            array[start..start + ENTRY_SIZE as usize].copy_from_slice(&entry.to_bytes());
        }
        Ok(array)
    }
}

/// The sector size at which a primary header stands: of several the one whose copy is good.
pub(super) fn find_primary(disk: &dyn ReadAt, sizes: &[SectorSize]) -> Option<SectorSize> {
    let found = || {
        sizes
            .iter()
            .copied()
            .filter(|size| peek(disk, *size, PRIMARY_LBA).is_some())
    };
    found()
        .find(|size| Copy::load(disk, *size, PRIMARY_LBA).is_ok())
        .or_else(|| found().next())
}

/// The sector size at which a good backup copy stands at the end of the disk.
pub(super) fn find_backup(disk: &dyn ReadAt, sizes: &[SectorSize]) -> Option<SectorSize> {
    sizes.iter().copied().find(|size| load_backup(disk, *size).is_some())
}

/// The backup copy: where the primary header says, damaged as that may be, or in the last sector.
fn load_backup(disk: &dyn ReadAt, sector_size: SectorSize) -> Option<Copy> {
    let told = peek(disk, sector_size, PRIMARY_LBA).map(|primary| primary.alternate_lba);
    let last = sector_count(disk, sector_size).checked_sub(1);
    [told, last]
        .into_iter()
        .flatten()
        .filter(|lba| *lba > PRIMARY_LBA)
        .find_map(|lba| Copy::load(disk, sector_size, lba).ok())
}

/// A failure to load a copy, as something found damaged.
fn damage_of(failure: ReadError, offset: u64) -> Damage {
    match failure {
        ReadError::Damaged(damage) => damage,
        failure => Damage::new("GPT copy", offset, "readable sectors", failure.to_string()),
    }
}
