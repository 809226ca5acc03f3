//! Finding what is wrong with a GPT, mending it, and following a disk that changed its size.

use super::structures::{Copy, Header, PRIMARY_LBA, sector_count};
use super::{damage_of, load_backup};
use crate::access::{ReadAt, WriteAt};
use crate::error::{Damage, WriteError};
use crate::fault::{Fault, Faults, Severity};
use crate::partition::{SectorSize, mbr, overlaps};
use std::collections::HashMap;
use std::ops::Range;
use uuid::Uuid;

/// Names what is wrong with a GPT.
pub(in crate::partition) fn check(disk: &dyn ReadAt, sector_size: SectorSize) -> Faults {
    let mut faults = Faults::new();
    // First, because a hostile table may hold more other faults than are listed.
    if let Some(fault) = mbr::check_protective(disk, sector_size) {
        faults.push(fault);
    }
    faults_of_copies(disk, sector_size, &mut faults);
    faults
}

fn faults_of_copies(disk: &dyn ReadAt, sector_size: SectorSize, faults: &mut Faults) {
    let bytes = sector_size.bytes();
    let last_lba = sector_count(disk, sector_size).saturating_sub(1);
    let mut push = |severity, damage, repairable| {
        faults.push(Fault {
            severity,
            damage,
            repairable,
        });
    };
    let primary = match Copy::load(disk, sector_size, PRIMARY_LBA) {
        Ok(primary) => primary,
        Err(failure) => {
            let damage = damage_of(failure, PRIMARY_LBA * bytes);
            match load_backup(disk, sector_size) {
                Some(backup) => {
                    push(Severity::Warning, damage, primary_of(&backup, sector_size).is_ok());
                    faults_of_content(&backup, sector_size, disk.len(), faults);
                }
                None => push(Severity::Error, damage, false),
            }
            return;
        }
    };
    let header = &primary.header;
    let can_move = placed_at_end(&primary, sector_size, disk.len()).is_ok();
    if header.alternate_lba != last_lba {
        push(
            Severity::Warning,
            Damage::new(
                "GPT header AlternateLBA",
                PRIMARY_LBA * bytes + 32,
                format!("the disk's last sector, {last_lba}"),
                header.alternate_lba.to_string(),
            ),
            can_move,
        );
    }
    match Copy::load(disk, sector_size, header.alternate_lba) {
        Ok(backup) => {
            let differs = |field: &str, at: u64, expected: String, found: String| {
                let place = backup.header.my_lba * bytes + at;
                let damage = Damage::new(format!("backup GPT header {field}"), place, expected, found);
                Fault::new(Severity::Warning, damage)
            };
            for (field, at, expected, found) in differences(header, &backup.header) {
                let fault = differs(field, at, expected, found);
                push(fault.severity, fault.damage, can_move);
            }
        }
        Err(failure) => {
            let place = header.alternate_lba.saturating_mul(bytes);
            let mut damage = damage_of(failure, place);
            damage.structure = format!("backup {}", damage.structure);
            push(Severity::Warning, damage, can_move);
        }
    }
    faults_of_content(&primary, sector_size, disk.len(), faults);
}

/// The fields in which a backup must agree with its primary and does not: name, offset, expected and found.
fn differences(primary: &Header, backup: &Header) -> Vec<(&'static str, u64, String, String)> {
    let guid = |header: &Header| Uuid::from_bytes_le(header.disk_guid).to_string();
    let crc = |header: &Header| format!("{:#010x}", header.partition_entry_array_crc32);
    [
        (
            "AlternateLBA",
            32,
            PRIMARY_LBA.to_string(),
            backup.alternate_lba.to_string(),
        ),
        (
            "FirstUsableLBA",
            40,
            primary.first_usable_lba.to_string(),
            backup.first_usable_lba.to_string(),
        ),
        (
            "LastUsableLBA",
            48,
            primary.last_usable_lba.to_string(),
            backup.last_usable_lba.to_string(),
        ),
        ("DiskGUID", 56, guid(primary), guid(backup)),
        (
            "NumberOfPartitionEntries",
            80,
            primary.number_of_partition_entries.to_string(),
            backup.number_of_partition_entries.to_string(),
        ),
        ("PartitionEntryArrayCRC32", 88, crc(primary), crc(backup)),
    ]
    .into_iter()
    .filter(|(_, _, expected, found)| expected != found)
    .collect()
}

/// What is wrong with the content of a copy whose checksums are right.
fn faults_of_content(copy: &Copy, sector_size: SectorSize, disk_length: u64, faults: &mut Faults) {
    let header = &copy.header;
    let bytes = sector_size.bytes();
    let own = header.my_lba * bytes;
    let array = header.partition_entry_lba * bytes;
    let usable = sector_size.byte_range(header.first_usable_lba, header.last_usable_lba);
    let usable = usable.unwrap_or_default();
    let mut error = |structure: String, offset, expected: String, found: String| {
        faults.push(Fault::new(
            Severity::Error,
            Damage::new(structure, offset, expected, found),
        ));
    };
    let found = format!("sectors {} to {}", header.first_usable_lba, header.last_usable_lba);
    if usable.is_empty() || usable.end > disk_length {
        let expected = format!("a range within the disk's {disk_length:#x} bytes");
        error("GPT usable range".into(), own + 40, expected, found);
    } else if copy.byte_ranges(sector_size).iter().any(|range| meet(range, &usable)) {
        let expected = "a range without the table itself".to_string();
        error("GPT usable range".into(), own + 40, expected, found);
    }

    let place = |number: u32| array + u64::from(number - 1) * u64::from(header.size_of_partition_entry);
    let mut ranges = Vec::new();
    let mut numbers = Vec::new();
    let mut ids = HashMap::new();
    for (number, entry) in &copy.entries {
        let structure = format!("GPT partition {number}");
        match sector_size.byte_range(entry.starting_lba, entry.ending_lba) {
            Some(range) => {
                if range.start < usable.start || range.end > usable.end {
                    error(
                        structure,
                        place(*number) + 32,
                        format!("sectors {} to {}", header.first_usable_lba, header.last_usable_lba),
                        format!("{} to {}", entry.starting_lba, entry.ending_lba),
                    );
                }
                ranges.push(range);
                numbers.push(*number);
            }
            None => error(
                structure,
                place(*number) + 32,
                "a first sector and one not before it".into(),
                format!("{} and {}", entry.starting_lba, entry.ending_lba),
            ),
        }
        if let Some(other) = ids.insert(entry.unique_partition_guid, *number) {
            error(
                format!("GUID of GPT partition {number}"),
                place(*number) + 16,
                "one of its own".into(),
                format!("that of partition {other}"),
            );
        }
    }
    for (one, other) in overlaps(&ranges) {
        error(
            format!("GPT partition {}", numbers[other]),
            place(numbers[other]) + 32,
            format!("a start behind partition {}, at {:#x}", numbers[one], ranges[one].end),
            format!("{:#x}", ranges[other].start),
        );
    }
}

/// Rewrites the damaged copy from the good one and puts the backup and the protective MBR right, as far as `check` calls
/// it repairable.
pub(in crate::partition) fn repair(disk: &dyn WriteAt, sector_size: SectorSize) -> Result<(), WriteError> {
    if let Some(primary) = good_primary(disk, sector_size)?
        && placed_at_end(&primary, sector_size, disk.len()).is_ok()
    {
        move_backup(disk, sector_size, disk.len())?;
    }
    match mbr::check_protective(disk, sector_size) {
        Some(fault) if fault.repairable => {
            mbr::write_protective(disk, sector_size, disk.len())?;
            disk.flush()
        }
        _ => Ok(()),
    }
}

/// Moves the backup GPT to the end of a disk that is to have `end` bytes: `disk.len()` after it grew, or fewer before it
/// is cut. What partitions may use ends there too, and the protective MBR says the new size.
///
/// A primary that is damaged is first rewritten from the backup. A kill at any moment leaves a table that reads as
/// before. Fails with [`WriteError::Limit`] where `end` leaves no room behind the last partition.
pub fn move_backup(disk: &dyn WriteAt, sector_size: SectorSize, end: u64) -> Result<(), WriteError> {
    WriteError::check_range(0, end, disk.len())?;
    let Some(primary) = good_primary(disk, sector_size)? else {
        // Neither copy is good; the error names what is wrong with the primary.
        return Err(match Copy::load(disk, sector_size, PRIMARY_LBA) {
            Err(failure) => failure.into(),
            Ok(primary) => primary_of(&primary, sector_size).err().unwrap_or_else(too_small),
        });
    };
    let (new_primary, new_backup) = placed_at_end(&primary, sector_size, end)?;
    let old_backup = Copy::load(disk, sector_size, primary.header.alternate_lba).ok();
    primary.write_as(disk, sector_size, &new_backup)?;
    if new_primary != primary.header {
        primary.write_as(disk, sector_size, &new_primary)?;
    }
    if let Some(old) = old_backup.filter(|old| old.header.my_lba != new_backup.my_lba) {
        erase(disk, sector_size, &old, &primary, &new_backup)?;
    }
    let is_own_mbr = mbr::check_protective(disk, sector_size).is_none_or(|fault| fault.repairable);
    if is_own_mbr {
        mbr::write_protective(disk, sector_size, end)?;
    }
    disk.flush()
}

/// The primary copy, rewritten from the backup where it is damaged and there is room for it.
fn good_primary(disk: &dyn WriteAt, sector_size: SectorSize) -> Result<Option<Copy>, WriteError> {
    if let Ok(primary) = Copy::load(disk, sector_size, PRIMARY_LBA) {
        return Ok(Some(primary));
    }
    let Some(backup) = load_backup(disk, sector_size) else {
        return Ok(None);
    };
    let Ok(header) = primary_of(&backup, sector_size) else {
        return Ok(None);
    };
    backup.write_as(disk, sector_size, &header)?;
    Ok(Some(Copy::load(disk, sector_size, PRIMARY_LBA)?))
}

/// The header of the primary that belongs to `backup`; fails where its array would meet a partition or the backup.
fn primary_of(backup: &Copy, sector_size: SectorSize) -> Result<Header, WriteError> {
    let header = Header {
        my_lba: PRIMARY_LBA,
        alternate_lba: backup.header.my_lba,
        partition_entry_lba: PRIMARY_LBA + 1,
        ..backup.header.clone()
    };
    let behind = header.partition_entry_lba + header.array_sectors(sector_size);
    let first_used = backup.entries.iter().map(|(_, entry)| entry.starting_lba).min();
    let first_used = first_used.unwrap_or(u64::MAX).min(header.first_usable_lba);
    if behind
        > first_used
            .min(backup.header.my_lba)
            .min(backup.header.partition_entry_lba)
    {
        return Err(too_small());
    }
    Ok(header)
}

/// The headers of both copies with the backup at the end of a disk of `end` bytes.
fn placed_at_end(primary: &Copy, sector_size: SectorSize, end: u64) -> Result<(Header, Header), WriteError> {
    let sectors = end / sector_size.bytes();
    let array_sectors = primary.header.array_sectors(sector_size);
    let Some(backup_lba) = sectors.checked_sub(1) else {
        return Err(too_small());
    };
    let Some(backup_array_lba) = backup_lba.checked_sub(array_sectors) else {
        return Err(too_small());
    };
    let behind_primary = primary.header.partition_entry_lba.saturating_add(array_sectors);
    if backup_array_lba < behind_primary || backup_array_lba <= primary.header.first_usable_lba {
        return Err(too_small());
    }
    for (number, entry) in &primary.entries {
        if entry.ending_lba >= backup_array_lba {
            return Err(WriteError::Limit(format!(
                "GPT partition {number} reaches sector {}, where {end} bytes leave room up to sector {}",
                entry.ending_lba,
                backup_array_lba - 1
            )));
        }
    }
    let new_primary = Header {
        alternate_lba: backup_lba,
        last_usable_lba: backup_array_lba - 1,
        ..primary.header.clone()
    };
    let new_backup = Header {
        my_lba: backup_lba,
        alternate_lba: PRIMARY_LBA,
        partition_entry_lba: backup_array_lba,
        ..new_primary.clone()
    };
    Ok((new_primary, new_backup))
}

/// Makes a copy that lost its place unreadable, so that no tool takes it for the backup; what others use of its room
/// stays.
fn erase(
    disk: &dyn WriteAt,
    sector_size: SectorSize,
    old: &Copy,
    primary: &Copy,
    backup: &Header,
) -> Result<(), WriteError> {
    let bytes = sector_size.bytes();
    let new_backup = backup.partition_entry_lba * bytes..(backup.my_lba + 1) * bytes;
    let partitions = primary
        .entries
        .iter()
        .filter_map(|(_, entry)| sector_size.byte_range(entry.starting_lba, entry.ending_lba));
    let mut in_use: Vec<_> = primary
        .byte_ranges(sector_size)
        .into_iter()
        .chain([0..bytes, new_backup])
        .chain(partitions)
        .collect();
    in_use.sort_by_key(|used| used.start);
    for range in old.byte_ranges(sector_size) {
        let mut position = range.start;
        for used in in_use.iter().chain([&(range.end..range.end)]) {
            let end = used.start.min(range.end);
            if position < end {
                disk.write_zeros_at(position..end)?;
            }
            position = position.max(used.end);
        }
    }
    Ok(())
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

fn too_small() -> WriteError {
    WriteError::Limit("the disk has no room for both copies of its GPT".into())
}
