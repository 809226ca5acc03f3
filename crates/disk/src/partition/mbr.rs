//! The master boot record, and the chain of extended boot records.
//!
//! Source: UEFI specification 2.10, section 5.2; the extended boot record as Windows and Linux read and write it.

use super::{SectorSize, overlaps};
use crate::access::{ReadAt, WriteAt};
use crate::error::{Damage, ReadError, WriteError};
use crate::fault::{Fault, Faults, Severity};
use binrw::{BinRead, BinWrite, binrw};
use std::collections::HashSet;
use std::io::Cursor;
use std::ops::Range;

/// `OSType` of the record that covers a disk with a GPT.
const PROTECTIVE: u8 = 0xEE;
/// `BootIndicator` of the partition that a BIOS boots.
const ACTIVE: u8 = 0x80;
/// First byte of the boot record that belongs to the partition table; boot code stands before it.
const RECORD_OFFSET: usize = 440;
/// Extended boot records followed at most; no operating system numbers as many.
const CHAIN_LIMIT: usize = 1024;

/// A master boot record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mbr {
    /// The sectors in which positions are counted.
    pub sector_size: SectorSize,
    /// The disk signature (the specification's `UniqueMBRDiskSignature`), by which Windows knows the disk.
    pub signature: u32,
    /// The partitions: primary ones in the order of their records, then logical ones in the order of the chain.
    pub partitions: Vec<MbrPartition>,
    /// Why the chain of logical partitions could not be followed to its end.
    pub chain_damage: Option<Damage>,
}

/// A partition of an [`Mbr`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbrPartition {
    /// 1 to 4 for the place of a primary partition; logical partitions are counted from 5.
    pub number: u32,
    /// Where it lies on the disk, in bytes.
    pub range: Range<u64>,
    /// What it holds (the specification's `OSType`), see [`mbr_type_name`](super::mbr_type_name).
    pub type_code: u8,
    /// Whether a BIOS boots it.
    pub active: bool,
}

impl MbrPartition {
    /// Whether it only holds logical partitions.
    pub fn is_extended(&self) -> bool {
        is_extended(self.type_code)
    }
}

fn is_extended(type_code: u8) -> bool {
    matches!(type_code, 0x05 | 0x0F | 0x85)
}

/// The end of a master or extended boot record, from byte 440 (section 5.2.1, table 5.1).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BootRecord {
    /// Byte 440.
    unique_mbr_disk_signature: u32,
    /// Byte 444.
    unknown: u16,
    /// Byte 446.
    partition_record: [PartitionRecord; 4],
    /// Byte 510: 0x55, 0xAA.
    signature: [u8; 2],
}

/// A partition record (section 5.2.1, table 5.2), 16 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PartitionRecord {
    /// Byte 0: 0x80 where a BIOS boots it, else 0.
    boot_indicator: u8,
    /// Byte 1: head, sector and cylinder of the first sector.
    starting_chs: [u8; 3],
    /// Byte 4.
    os_type: u8,
    /// Byte 5: head, sector and cylinder of the last sector.
    ending_chs: [u8; 3],
    /// Byte 8.
    starting_lba: u32,
    /// Byte 12.
    size_in_lba: u32,
}

/// Whether a sector ends with 0x55, 0xAA at byte 510.
pub(super) fn has_signature(sector: &[u8; 512]) -> bool {
    sector[510..] == [0x55, 0xAA]
}

impl BootRecord {
    /// The record in `sector`; `None` without its signature.
    pub(super) fn parse(sector: &[u8; 512]) -> Option<Self> {
        if !has_signature(sector) {
            return None;
        }
        Self::read(&mut Cursor::new(&sector[RECORD_OFFSET..])).ok()
    }

    /// The records that describe something, with their numbers from 1.
    pub(super) fn used(&self) -> impl Iterator<Item = (u32, &PartitionRecord)> {
        (1..)
            .zip(&self.partition_record)
            .filter(|(_, record)| record.os_type != 0 && record.size_in_lba != 0)
    }

    /// Whether a record says that the disk has a GPT.
    pub(super) fn is_protective(&self) -> bool {
        self.used().any(|(_, record)| record.os_type == PROTECTIVE)
    }

    /// Whether the records look like records and not like the code of a volume's boot sector.
    pub(super) fn has_valid_boot_indicators(&self) -> bool {
        self.partition_record
            .iter()
            .all(|record| matches!(record.boot_indicator, 0 | ACTIVE))
    }

    /// The record that protects a disk of `sectors` sectors with a GPT (section 5.2.3).
    fn protective(sectors: u64) -> Self {
        let size = protective_size(sectors);
        let last = sectors.saturating_sub(1);
        Self {
            partition_record: [
                PartitionRecord {
                    boot_indicator: 0,
                    starting_chs: [0, 2, 0],
                    os_type: PROTECTIVE,
                    ending_chs: chs(last).unwrap_or([0xFF; 3]),
                    starting_lba: 1,
                    size_in_lba: size,
                },
                PartitionRecord::default(),
                PartitionRecord::default(),
                PartitionRecord::default(),
            ],
            signature: [0x55, 0xAA],
            ..Self::default()
        }
    }

    /// Writes the record into the first sector, whose boot code stays.
    fn write_to(&self, disk: &dyn WriteAt) -> Result<(), WriteError> {
        let mut bytes = Cursor::new([0; 512 - RECORD_OFFSET]);
        self.write(&mut bytes).expect("the record fills the buffer exactly");
        disk.write_at(bytes.get_ref(), RECORD_OFFSET as u64)
    }
}

/// `SizeInLBA` of a protective record: everything behind the first sector, as far as the field reaches.
fn protective_size(sectors: u64) -> u32 {
    u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Head, sector and cylinder of a sector, in the geometry of 255 heads and 63 sectors that every system assumes; `None`
/// beyond cylinder 1023.
fn chs(lba: u64) -> Option<[u8; 3]> {
    let cylinder = lba / (255 * 63);
    let head = lba / 63 % 255;
    let sector = lba % 63 + 1;
    (cylinder < 1024).then_some([head as u8, (sector | cylinder >> 8 << 6) as u8, cylinder as u8])
}

impl Mbr {
    /// A table of primary partitions; see [`write`](Self::write) for what it may hold.
    pub fn new(sector_size: SectorSize, signature: u32, partitions: Vec<MbrPartition>) -> Self {
        Self {
            sector_size,
            signature,
            partitions,
            chain_damage: None,
        }
    }

    pub(super) fn read(disk: &dyn ReadAt, sector_size: SectorSize) -> Result<Self, ReadError> {
        let record = read_boot_record(disk, 0)?;
        let mut mbr = Self::new(sector_size, record.unique_mbr_disk_signature, Vec::new());
        for (number, record) in record.used() {
            mbr.partitions.push(MbrPartition {
                number,
                range: byte_range(sector_size, 0, record),
                type_code: record.os_type,
                active: record.boot_indicator == ACTIVE,
            });
        }
        // Windows and Linux follow the first extended partition alone.
        let extended = mbr.partitions.iter().find(|partition| partition.is_extended());
        if let Some(extended) = extended.map(|partition| partition.range.clone()) {
            mbr.chain_damage = mbr.read_chain(disk, extended).err();
        }
        Ok(mbr)
    }

    /// Adds the logical partitions. Each extended boot record holds one partition, counted from the record, and the
    /// place of the next record, counted from the start of the extended partition.
    fn read_chain(&mut self, disk: &dyn ReadAt, extended: Range<u64>) -> Result<(), Damage> {
        let mut position = extended.start;
        let mut seen = HashSet::new();
        loop {
            if !extended.contains(&position) {
                return Err(Damage::new(
                    "extended boot record",
                    position,
                    format!("a place within the extended partition, {extended:#x?}"),
                    format!("{position:#x}"),
                ));
            }
            if !seen.insert(position) || seen.len() > CHAIN_LIMIT {
                return Err(Damage::new(
                    "chain of extended boot records",
                    position,
                    format!("an end after at most {CHAIN_LIMIT} records"),
                    "a loop or a longer chain",
                ));
            }
            let record = read_boot_record(disk, position).map_err(|error| match error {
                ReadError::Damaged(damage) => damage,
                error => Damage::new("extended boot record", position, "a readable sector", error.to_string()),
            })?;
            let of_logical = record.used().find(|(_, record)| !is_extended(record.os_type));
            if let Some((_, logical)) = of_logical {
                self.partitions.push(MbrPartition {
                    number: self.partitions.iter().map(|last| last.number).max().unwrap_or(0).max(4) + 1,
                    range: byte_range(self.sector_size, position, logical),
                    type_code: logical.os_type,
                    active: logical.boot_indicator == ACTIVE,
                });
            }
            let Some((_, next)) = record.used().find(|(_, record)| is_extended(record.os_type)) else {
                return Ok(());
            };
            position = byte_range(self.sector_size, extended.start, next).start;
        }
    }

    /// Writes the table into the first sector of `disk`, whose boot code stays; the caller flushes.
    ///
    /// Fails with [`WriteError::Limit`] unless the partitions are primary, on whole sectors behind the first, below
    /// 2^32 sectors, within the disk and apart from each other.
    pub fn write(&self, disk: &dyn WriteAt) -> Result<(), WriteError> {
        let mut record = BootRecord {
            unique_mbr_disk_signature: self.signature,
            signature: [0x55, 0xAA],
            ..BootRecord::default()
        };
        let sector_size = self.sector_size.bytes();
        for partition in &self.partitions {
            let MbrPartition { number, range, .. } = partition;
            let refuse = |reason: &str| {
                let (start, end) = (range.start, range.end);
                WriteError::Limit(format!("MBR partition {number} at {start:#x}..{end:#x} {reason}"))
            };
            let place = match number {
                1..=4 => &mut record.partition_record[*number as usize - 1],
                _ => return Err(refuse("is not one of the four primary partitions")),
            };
            if *place != PartitionRecord::default() {
                return Err(refuse("has the number of another"));
            }
            if range.start >= range.end || range.start % sector_size != 0 || range.end % sector_size != 0 {
                return Err(refuse(&format!(
                    "does not consist of whole sectors of {sector_size} bytes"
                )));
            }
            if range.start == 0 || range.end > disk.len() {
                return Err(refuse("does not lie between the first sector and the end of the disk"));
            }
            if partition.type_code == 0 {
                return Err(refuse("has the type of an unused record"));
            }
            let first = range.start / sector_size;
            let count = (range.end - range.start) / sector_size;
            let (Ok(starting_lba), Ok(size_in_lba)) = (u32::try_from(first), u32::try_from(count)) else {
                return Err(refuse("reaches beyond what an MBR can express"));
            };
            let beyond = [0xFE, 0xFF, 0xFF];
            *place = PartitionRecord {
                boot_indicator: if partition.active { ACTIVE } else { 0 },
                starting_chs: chs(first).unwrap_or(beyond),
                os_type: partition.type_code,
                ending_chs: chs(first + count - 1).unwrap_or(beyond),
                starting_lba,
                size_in_lba,
            };
        }
        let ranges: Vec<_> = self
            .partitions
            .iter()
            .map(|partition| partition.range.clone())
            .collect();
        if let Some((one, other)) = overlaps(&ranges).first() {
            return Err(WriteError::Limit(format!(
                "MBR partitions {} and {} overlap",
                self.partitions[*one].number, self.partitions[*other].number
            )));
        }
        record.write_to(disk)
    }
}

/// Writes the protective MBR of a disk of `end` bytes; boot code stays.
pub(super) fn write_protective(disk: &dyn WriteAt, sector_size: SectorSize, end: u64) -> Result<(), WriteError> {
    BootRecord::protective(end / sector_size.bytes()).write_to(disk)
}

/// What is wrong with the protective MBR of a disk of `disk.len()` bytes. A fault is repairable where rewriting loses
/// nothing: a hybrid MBR, which lists partitions beside the protective one, is left alone.
pub(super) fn check_protective(disk: &dyn ReadAt, sector_size: SectorSize) -> Option<Fault> {
    let record = match read_boot_record(disk, 0) {
        Ok(record) => record,
        Err(ReadError::Damaged(damage)) => return Some(Fault::new(Severity::Warning, damage).repairable()),
        Err(error) => {
            let damage = Damage::new("protective MBR", 0, "a readable sector", error.to_string());
            return Some(Fault::new(Severity::Warning, damage));
        }
    };
    let record_offset = RECORD_OFFSET as u64 + 6;
    let mut used = record.used();
    let (first, more) = (used.next(), used.next());
    let (Some((number, only)), None) = (first, more) else {
        let damage = Damage::new(
            "protective MBR",
            record_offset,
            "one partition of type 0xee",
            if first.is_none() { "none" } else { "more, a hybrid MBR" },
        );
        return Some(match first {
            None => Fault::new(Severity::Warning, damage).repairable(),
            Some(_) => Fault::new(Severity::Note, damage),
        });
    };
    let place = record_offset + u64::from(number - 1) * 16;
    let expected = protective_size(disk.len() / sector_size.bytes());
    if only.os_type != PROTECTIVE {
        let found = format!("{:#04x}", only.os_type);
        return Some(Fault::new(
            Severity::Warning,
            Damage::new("type of the protective MBR's partition", place + 4, "0xee", found),
        ));
    }
    if only.starting_lba != 1 {
        let found = only.starting_lba.to_string();
        return Some(
            Fault::new(
                Severity::Warning,
                Damage::new("start of the protective MBR's partition", place + 8, "sector 1", found),
            )
            .repairable(),
        );
    }
    // 0xFFFFFFFF is what many tools write whatever the size is, and every reader takes it.
    if only.size_in_lba != expected && only.size_in_lba != u32::MAX {
        let found = format!("{} sectors", only.size_in_lba);
        let expected = format!("{expected} sectors");
        return Some(
            Fault::new(
                Severity::Note,
                Damage::new("size of the protective MBR's partition", place + 12, expected, found),
            )
            .repairable(),
        );
    }
    None
}

/// What is wrong with an MBR and its chain.
pub(super) fn check(disk: &dyn ReadAt, sector_size: SectorSize) -> Result<Faults, ReadError> {
    let mbr = Mbr::read(disk, sector_size)?;
    let mut faults = Faults::new();
    let (primary, logical): (Vec<_>, Vec<_>) = mbr.partitions.iter().partition(|partition| partition.number <= 4);
    for partition in &mbr.partitions {
        if partition.range.end > disk.len() {
            faults.push(Fault::new(
                Severity::Error,
                Damage::new(
                    format!("MBR partition {}", partition.number),
                    partition.range.start,
                    format!("an end within the disk's {:#x} bytes", disk.len()),
                    format!("{:#x}", partition.range.end),
                ),
            ));
        }
    }
    for group in [&primary, &logical] {
        let ranges: Vec<_> = group.iter().map(|partition| partition.range.clone()).collect();
        for (one, other) in overlaps(&ranges) {
            faults.push(Fault::new(
                Severity::Error,
                Damage::new(
                    format!("MBR partition {}", group[other].number),
                    ranges[other].start,
                    format!(
                        "a start behind partition {}, at {:#x}",
                        group[one].number, ranges[one].end
                    ),
                    format!("{:#x}", ranges[other].start),
                ),
            ));
        }
    }
    let extended: Vec<_> = primary.iter().filter(|partition| partition.is_extended()).collect();
    if let [first, second, ..] = extended[..] {
        faults.push(Fault::new(
            Severity::Warning,
            Damage::new(
                format!("MBR partition {}", second.number),
                second.range.start,
                "one extended partition alone",
                format!("another in partition {}", first.number),
            ),
        ));
    }
    for partition in &logical {
        let holder = extended.first().map_or(0..0, |extended| extended.range.clone());
        if partition.range.start < holder.start || partition.range.end > holder.end {
            faults.push(Fault::new(
                Severity::Warning,
                Damage::new(
                    format!("logical partition {}", partition.number),
                    partition.range.start,
                    format!("a place within the extended partition, {holder:#x?}"),
                    format!("{:#x?}", partition.range),
                ),
            ));
        }
    }
    if primary.iter().filter(|partition| partition.active).count() > 1 {
        faults.push(Fault::new(
            Severity::Warning,
            Damage::new("MBR", RECORD_OFFSET as u64 + 6, "one active partition", "several"),
        ));
    }
    if let Some(damage) = mbr.chain_damage {
        faults.push(Fault::new(Severity::Error, damage));
    }
    Ok(faults)
}

/// The boot record of the sector at byte `offset`.
fn read_boot_record(disk: &dyn ReadAt, offset: u64) -> Result<BootRecord, ReadError> {
    let mut sector = [0; 512];
    disk.read_at(&mut sector, offset)?;
    BootRecord::parse(&sector).ok_or_else(|| {
        let found = format!("{:02x} {:02x}", sector[510], sector[511]);
        Damage::new("boot record signature", offset.saturating_add(510), "55 aa", found).into()
    })
}

/// Where a record says its partition lies, counted from byte `base`. Both fields have 32 bits and `base` is such a
/// position, so that nothing overflows.
fn byte_range(sector_size: SectorSize, base: u64, record: &PartitionRecord) -> Range<u64> {
    let start = base + u64::from(record.starting_lba) * sector_size.bytes();
    start..start + u64::from(record.size_in_lba) * sector_size.bytes()
}
