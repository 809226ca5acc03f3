//! Partition tables written and read back, damaged, repaired, moved and interrupted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cv_disk::partition::{
    self, Gpt, GptPartition, Mbr, MbrPartition, PartitionName, PartitionTable, SectorSize, gpt_type,
};
use cv_disk::testing::RecordingDisk;
use cv_disk::{Fault, MemoryDisk, ReadAt, ReadError, Resize, Severity, WriteAt, WriteError};
use proptest::prelude::*;
use std::ops::Range;
use uuid::Uuid;

const MIB: u64 = 1 << 20;

fn volume(number: u32, range: Range<u64>) -> GptPartition {
    GptPartition {
        number,
        range,
        type_id: gpt_type::BASIC_DATA,
        id: Uuid::from_u128(number.into()),
        attributes: 1 << 60,
        name: PartitionName::new("Volume \u{1F4BE}").unwrap(),
    }
}

fn two_volumes(disk_length: u64, sector_size: SectorSize) -> Gpt {
    let volumes = vec![volume(1, MIB..2 * MIB), volume(3, 2 * MIB..3 * MIB)];
    Gpt::new(disk_length, sector_size, Uuid::from_u128(99), volumes).unwrap()
}

fn faults(disk: &dyn ReadAt) -> Vec<Fault> {
    partition::check(disk, None).unwrap().into_iter().collect()
}

fn expect_gpt(disk: &dyn ReadAt) -> Gpt {
    match partition::read(disk, None).unwrap() {
        PartitionTable::Gpt(gpt) => gpt,
        other => panic!("a GPT was expected, {other:?} found"),
    }
}

fn corrupt(disk: &MemoryDisk, offset: u64) {
    let mut byte = [0];
    disk.read_at(&mut byte, offset).unwrap();
    disk.write_at(&[!byte[0]], offset).unwrap();
}

/// Ranges in units of `unit` bytes behind `start`, apart from each other.
fn ranges(start: u64, unit: u64, lengths: &[(u64, u64)]) -> Vec<Range<u64>> {
    let mut position = start;
    lengths
        .iter()
        .map(|(gap, length)| {
            let first = position + gap * unit;
            position = first + length * unit;
            first..position
        })
        .collect()
}

proptest! {
    #[test]
    fn a_gpt_reads_back_as_it_was_written(
        sector_size in prop::sample::select(SectorSize::ALL.to_vec()),
        disk_id in any::<u128>(),
        slack in 0_u64..10_000,
        numbers in prop::sample::subsequence((1..=128_u32).collect::<Vec<_>>(), 0..12),
        lengths in prop::collection::vec((0_u64..50, 1_u64..50), 12),
        contents in prop::collection::vec((1..=u128::MAX, any::<u128>(), any::<u64>(), prop::collection::vec(any::<u16>(), 0..=36)), 12),
    ) {
        let bytes = sector_size.bytes();
        let length = 2000 * bytes + slack;
        let partitions: Vec<_> = numbers
            .iter()
            .zip(ranges(34 * bytes, bytes, &lengths))
            .zip(contents)
            .map(|((number, range), (type_id, id, attributes, name))| GptPartition {
                number: *number,
                range,
                type_id: Uuid::from_u128(type_id),
                id: Uuid::from_u128(id),
                attributes,
                name: PartitionName::from_units(&name).unwrap(),
            })
            .collect();
        let gpt = Gpt::new(length, sector_size, Uuid::from_u128(disk_id), partitions).unwrap();
        let disk = MemoryDisk::new(length);
        gpt.write(&disk).unwrap();
        let table = partition::read(&disk, None).unwrap();
        prop_assert_eq!(&table, &PartitionTable::Gpt(gpt.clone()));
        prop_assert_eq!(partition::read(&disk, Some(sector_size)).unwrap(), PartitionTable::Gpt(gpt.clone()));
        prop_assert!(partition::check(&disk, None).unwrap().is_empty());
        for partition in &gpt.partitions {
            let slice = table.slice(&disk, partition.number).unwrap();
            prop_assert_eq!(slice.start()..slice.start() + slice.len(), partition.range.clone());
        }
        let again = MemoryDisk::new(length);
        gpt.write(&again).unwrap();
        prop_assert!(disk.to_vec() == again.to_vec());
    }

    #[test]
    fn an_mbr_reads_back_as_it_was_written(
        sector_size in prop::sample::select(SectorSize::ALL.to_vec()),
        signature in any::<u32>(),
        numbers in prop::sample::subsequence(vec![1_u32, 2, 3, 4], 0..=4),
        lengths in prop::collection::vec((0_u64..1 << 20, 1_u64..1 << 24), 4),
        type_codes in prop::collection::vec(prop::sample::select(vec![0x01_u8, 0x07, 0x0C, 0x27, 0x83, 0xEF, 0xFF]), 4),
        active in any::<bool>(),
    ) {
        let bytes = sector_size.bytes();
        let partitions: Vec<_> = numbers
            .iter()
            .zip(ranges(bytes, bytes, &lengths))
            .zip(type_codes)
            .enumerate()
            .map(|(index, ((number, range), type_code))| MbrPartition {
                number: *number,
                range,
                type_code,
                active: active && index == 0,
            })
            .collect();
        let mbr = Mbr::new(sector_size, signature, partitions);
        let disk = MemoryDisk::new(bytes << 27);
        disk.write_at(&[0xCC; 440], 0).unwrap();
        mbr.write(&disk).unwrap();
        prop_assert_eq!(partition::read(&disk, Some(sector_size)).unwrap(), PartitionTable::Mbr(mbr));
        prop_assert!(partition::check(&disk, Some(sector_size)).unwrap().is_empty());
        let mut code = [0; 440];
        disk.read_at(&mut code, 0).unwrap();
        prop_assert_eq!(code, [0xCC; 440]);
    }
}

#[test]
fn either_copy_of_a_gpt_serves_and_repair_restores_the_other() {
    for sector_size in SectorSize::ALL {
        let bytes = sector_size.bytes();
        let disk = MemoryDisk::new(4 * MIB);
        let gpt = two_volumes(disk.len(), sector_size);
        gpt.write(&disk).unwrap();
        let whole = disk.to_vec();
        let last = disk.len() - bytes;
        let primary = [bytes, bytes + 16, bytes + 60, 2 * bytes, 2 * bytes + 300];
        let backup = [last, last + 16, last - 128 * 128, last - 1];
        for place in primary.into_iter().chain(backup) {
            corrupt(&disk, place);
            let read = expect_gpt(&disk);
            assert_eq!(read.partitions, gpt.partitions);
            assert_eq!(read.primary_damage.is_some(), primary.contains(&place));
            let found = faults(&disk);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].severity, Severity::Warning);
            assert!(found[0].repairable);
            partition::repair(&disk, None).unwrap();
            assert!(disk.to_vec() == whole, "sector size {bytes}, damage at {place:#x}");
        }
    }
}

#[test]
fn a_gpt_damaged_in_both_copies_is_refused_and_left_alone() {
    let disk = MemoryDisk::new(4 * MIB);
    two_volumes(disk.len(), SectorSize::Bytes512).write(&disk).unwrap();
    corrupt(&disk, 512 + 24);
    corrupt(&disk, disk.len() - 512 + 24);
    let damaged = disk.to_vec();
    let error = partition::read(&disk, None).unwrap_err();
    assert!(
        matches!(&error, ReadError::Damaged(damage) if damage.offset == 528),
        "{error}"
    );
    let found = partition::repair(&disk, None).unwrap();
    assert_eq!(found.listed()[0].severity, Severity::Error);
    assert!(!found.listed()[0].repairable);
    assert!(disk.to_vec() == damaged);
}

#[test]
fn a_wiped_first_sector_and_primary_are_rebuilt_from_the_backup() {
    let disk = MemoryDisk::new(4 * MIB);
    let gpt = two_volumes(disk.len(), SectorSize::Bytes4096);
    gpt.write(&disk).unwrap();
    let whole = disk.to_vec();
    disk.write_zeros_at(0..MIB).unwrap();
    assert_eq!(expect_gpt(&disk).partitions, gpt.partitions);
    partition::repair(&disk, None).unwrap();
    assert!(disk.to_vec() == whole);
}

#[test]
fn the_protective_mbr_is_checked_and_put_right() {
    let disk = MemoryDisk::new(4 * MIB);
    two_volumes(disk.len(), SectorSize::Bytes512).write(&disk).unwrap();
    let whole = disk.to_vec();
    for (range, severity) in [
        (510..512, Severity::Warning),
        (446..462, Severity::Warning),
        (454..458, Severity::Warning),
        (459..460, Severity::Note),
    ] {
        let range: Range<u64> = range;
        disk.write_zeros_at(range.clone()).unwrap();
        let found = faults(&disk);
        assert_eq!(found.len(), 1, "{range:?}: {found:?}");
        assert_eq!((found[0].severity, found[0].repairable), (severity, true));
        partition::repair(&disk, None).unwrap();
        assert!(disk.to_vec() == whole);
    }
    // A second partition makes it a hybrid MBR, which somebody wants.
    disk.write_at(&[0, 0, 2, 0, 7, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0], 462)
        .unwrap();
    let hybrid = disk.to_vec();
    let found = faults(&disk);
    assert_eq!((found[0].severity, found[0].repairable), (Severity::Note, false));
    partition::repair(&disk, None).unwrap();
    assert!(disk.to_vec() == hybrid);
    assert_eq!(expect_gpt(&disk).partitions.len(), 2);
}

#[test]
fn the_backup_follows_a_disk_that_grows_and_shrinks() {
    for sector_size in SectorSize::ALL {
        for grown in [4 * MIB + sector_size.bytes(), 4 * MIB + 16384, 9 * MIB] {
            let disk = MemoryDisk::new(4 * MIB);
            let gpt = two_volumes(disk.len(), sector_size);
            gpt.write(&disk).unwrap();
            let small = disk.to_vec();

            disk.set_len(grown).unwrap();
            assert!(
                faults(&disk)
                    .iter()
                    .any(|fault| fault.damage.structure.contains("AlternateLBA"))
            );
            assert!(faults(&disk).iter().all(|fault| fault.repairable));
            partition::move_backup(&disk, sector_size, grown).unwrap();
            assert_eq!(faults(&disk), []);
            let fresh = MemoryDisk::new(grown);
            two_volumes(grown, sector_size).write(&fresh).unwrap();
            assert!(disk.to_vec() == fresh.to_vec(), "nothing of the old place is left");

            partition::move_backup(&disk, sector_size, 4 * MIB).unwrap();
            disk.set_len(4 * MIB).unwrap();
            assert!(disk.to_vec() == small);
        }
    }
}

#[test]
fn the_backup_does_not_move_into_a_partition() {
    let disk = MemoryDisk::new(4 * MIB);
    two_volumes(disk.len(), SectorSize::Bytes512).write(&disk).unwrap();
    let before = disk.to_vec();
    let error = partition::move_backup(&disk, SectorSize::Bytes512, 3 * MIB).unwrap_err();
    assert!(error.to_string().contains("GPT partition 3"), "{error}");
    assert!(disk.to_vec() == before);
    assert!(partition::move_backup(&disk, SectorSize::Bytes512, 5 * MIB).is_err());

    // Cut through the last partition: everything in front of the cut still reads, nothing can be mended.
    disk.set_len(5 * MIB / 2).unwrap();
    assert_eq!(expect_gpt(&disk).partitions.len(), 2);
    assert!(faults(&disk).iter().any(|fault| fault.severity == Severity::Error));
    let table = partition::read(&disk, None).unwrap();
    assert!(table.slice(&disk, 1).is_ok());
    assert!(matches!(table.slice(&disk, 3), Err(ReadError::BeyondEnd { .. })));
    assert!(matches!(table.slice(&disk, 2), Err(ReadError::Damaged(_))));
}

/// Every state that a kill may leave reads as one of the tables `expected`.
fn survives_every_kill(disk: &RecordingDisk, expected: &[Vec<GptPartition>]) {
    let check = |state: &MemoryDisk, what: &str| {
        let found = expect_gpt(state).partitions;
        assert!(expected.contains(&found), "{what}: {found:?}");
        partition::repair(state, None).unwrap();
        assert_eq!(expect_gpt(state).partitions, found, "{what}, after repair");
        assert_eq!(faults(state), [], "{what}, after repair");
    };
    for count in 0..=disk.count() {
        check(&disk.after(count), &format!("after {count} changes"));
        for bytes in [1, 20, 100, 511] {
            check(
                &disk.after_torn(count, bytes),
                &format!("{bytes} bytes into change {count}"),
            );
        }
        for parity in 0..2 {
            let state = disk.after_power_failure(count, |number| number % 2 == parity);
            check(&state, &format!("a power failure after {count} changes"));
        }
    }
}

#[test]
fn a_kill_while_the_backup_moves_leaves_a_table() {
    for (from, to) in [(4 * MIB, 6 * MIB), (4 * MIB, 4 * MIB + 4096), (6 * MIB, 4 * MIB)] {
        let disk = MemoryDisk::new(from);
        let gpt = two_volumes(from, SectorSize::Bytes512);
        gpt.write(&disk).unwrap();
        disk.set_len(from.max(to)).unwrap();
        let disk = RecordingDisk::new(disk);
        partition::move_backup(&disk, SectorSize::Bytes512, to).unwrap();
        survives_every_kill(&disk, &[gpt.partitions]);
    }
}

#[test]
fn a_kill_while_a_table_is_repaired_or_replaced_leaves_a_table() {
    let disk = MemoryDisk::new(4 * MIB);
    let old = two_volumes(disk.len(), SectorSize::Bytes512);
    old.write(&disk).unwrap();
    for damage in [512, 1024, disk.len() - 512, disk.len() - 1024 - 16000] {
        let damaged = disk.clone();
        corrupt(&damaged, damage);
        let damaged = RecordingDisk::new(damaged);
        partition::repair(&damaged, None).unwrap();
        survives_every_kill(&damaged, std::slice::from_ref(&old.partitions));
    }
    let new = Gpt::new(
        disk.len(),
        SectorSize::Bytes512,
        Uuid::from_u128(5),
        vec![volume(2, MIB..3 * MIB)],
    )
    .unwrap();
    let disk = RecordingDisk::new(disk);
    new.write(&disk).unwrap();
    survives_every_kill(&disk, &[old.partitions, new.partitions]);
}

#[test]
fn lone_surrogates_in_a_name_are_replaced_and_kept() {
    let units = [0x0041, 0xD800, 0x0042, 0xDC00];
    let name = PartitionName::from_units(&units).unwrap();
    assert_eq!(name.to_string(), "A\u{FFFD}B\u{FFFD}");
    assert_eq!(name.units(), units);
    assert!(PartitionName::new(&"x".repeat(37)).is_err());
    assert!(PartitionName::new("a\0b").is_err());
    assert_eq!(PartitionName::new(&"\u{1F4BE}".repeat(18)).unwrap().units().len(), 36);
}

#[test]
fn what_a_gpt_cannot_hold_is_refused() {
    let refused = |partitions: Vec<GptPartition>| {
        let refusal = Gpt::new(4 * MIB, SectorSize::Bytes512, Uuid::nil(), partitions).unwrap_err();
        assert!(matches!(refusal, WriteError::Limit(_)), "{refusal}");
        refusal.to_string()
    };
    assert!(refused(vec![volume(0, MIB..2 * MIB)]).contains("number"));
    assert!(refused(vec![volume(129, MIB..2 * MIB)]).contains("number"));
    assert!(refused(vec![volume(1, MIB..MIB + 1)]).contains("whole sectors"));
    assert!(refused(vec![volume(1, MIB..MIB)]).contains("whole sectors"));
    assert!(refused(vec![volume(1, 33 * 512..MIB)]).contains("leaves"));
    assert!(refused(vec![volume(1, MIB..4 * MIB - 32 * 512)]).contains("leaves"));
    assert!(refused(vec![volume(1, MIB..2 * MIB), volume(1, 2 * MIB..3 * MIB)]).contains("another"));
    assert!(refused(vec![volume(1, MIB..2 * MIB), volume(2, 2 * MIB - 512..3 * MIB)]).contains("overlap"));
    assert!(Gpt::new(67 * 512, SectorSize::Bytes512, Uuid::nil(), Vec::new()).is_err());
    let smallest = Gpt::new(68 * 512, SectorSize::Bytes512, Uuid::nil(), Vec::new()).unwrap();
    smallest.write(&MemoryDisk::new(68 * 512)).unwrap();
    assert!(smallest.write(&MemoryDisk::new(67 * 512)).is_err());
}

#[test]
fn overlapping_and_outlying_partitions_are_found() {
    let disk = MemoryDisk::new(4 * MIB);
    // The library refuses to write such a table; two good ones mixed give it, checksums put right.
    two_volumes(disk.len(), SectorSize::Bytes512).write(&disk).unwrap();
    let put = |number: u64, first: u64, last: u64| {
        for array in [1024, disk.len() - 512 - 128 * 128] {
            let entry = array + (number - 1) * 128 + 32;
            disk.write_at(&first.to_le_bytes(), entry).unwrap();
            disk.write_at(&last.to_le_bytes(), entry + 8).unwrap();
            let mut entries = [0; 128 * 128];
            disk.read_at(&mut entries, array).unwrap();
            let header = if array == 1024 { 512 } else { disk.len() - 512 };
            disk.write_at(&crc32fast::hash(&entries).to_le_bytes(), header + 88)
                .unwrap();
            disk.write_at(&[0; 4], header + 16).unwrap();
            let mut bytes = [0; 92];
            disk.read_at(&mut bytes, header).unwrap();
            disk.write_at(&crc32fast::hash(&bytes).to_le_bytes(), header + 16)
                .unwrap();
        }
    };
    for (first, last, expected) in [
        (3000, 5000, "GPT partition 3 at 0x10000"),
        (6000, 8191, "GPT partition 3"),
        (7000, 6999, "GPT partition 3"),
        (0, u64::MAX, "GPT partition"),
        (u64::MAX, u64::MAX, "GPT partition 3"),
    ] {
        put(3, first, last);
        let found = faults(&disk);
        assert!(
            !found.is_empty()
                && found
                    .iter()
                    .all(|fault| fault.severity == Severity::Error && !fault.repairable)
        );
        assert!(
            found
                .iter()
                .any(|fault| fault.to_string().contains(expected.split(" at").next().unwrap())),
            "{found:?}"
        );
        let table = partition::read(&disk, None).unwrap();
        if last > 9000 || first > last {
            assert!(table.slice(&disk, 3).is_err());
        }
    }
}

/// An MBR with an extended partition at sector 100, and what its chain's records hold: start, size and next.
fn with_chain(records: &[(u32, [u32; 2], u32)]) -> MemoryDisk {
    let disk = MemoryDisk::new(1 << 20);
    let record = |type_code: u8, start: u32, size: u32| {
        let mut bytes = [0; 16];
        bytes[4] = type_code;
        bytes[8..12].copy_from_slice(&start.to_le_bytes());
        bytes[12..].copy_from_slice(&size.to_le_bytes());
        bytes
    };
    disk.write_at(&record(0x0F, 100, 1000), 446).unwrap();
    disk.write_at(&[0x55, 0xAA], 510).unwrap();
    for (place, [start, size], next) in records {
        let offset = u64::from(*place) * 512;
        disk.write_at(&record(0x83, *start, *size), offset + 446).unwrap();
        if *next != 0 {
            disk.write_at(&record(0x05, *next, 1), offset + 462).unwrap();
        }
        disk.write_at(&[0x55, 0xAA], offset + 510).unwrap();
    }
    disk
}

#[test]
fn logical_partitions_are_followed_and_a_broken_chain_ends() {
    let logical = |disk: &MemoryDisk| match partition::read(disk, None).unwrap() {
        PartitionTable::Mbr(mbr) => {
            let found: Vec<_> = mbr.partitions[1..]
                .iter()
                .map(|part| (part.number, part.range.start / 512))
                .collect();
            (found, mbr.chain_damage)
        }
        other => panic!("{other:?}"),
    };
    let good = with_chain(&[(100, [10, 50], 200), (300, [10, 50], 0)]);
    assert_eq!(logical(&good), (vec![(5, 110), (6, 310)], None));
    assert_eq!(faults(&good), []);
    assert_eq!(
        partition::read(&good, None).unwrap().partitions().len(),
        2,
        "the extended one is no volume"
    );

    for (next, second) in [(0, 0), (200, 200), (200, 0), (5000, 0), (150, 0)] {
        let looped = with_chain(&[(100, [10, 50], next), (300, [10, 50], second)]);
        let (found, damage) = logical(&looped);
        let is_whole = next == 0 || (next == 200 && second == 0);
        assert_eq!(damage.is_some(), !is_whole, "next {next}, second {second}: {found:?}");
        assert_eq!(faults(&looped).is_empty(), is_whole);
    }
    // Two records that name each other, and one that names itself.
    let (found, damage) = logical(&with_chain(&[(100, [10, 50], 200), (300, [10, 50], 200)]));
    assert_eq!((found.len(), damage.is_some()), (2, true));
}

#[test]
fn mbr_faults_are_found() {
    let disk = with_chain(&[(100, [10, 5000], 0)]);
    let found = faults(&disk);
    assert_eq!(
        found.len(),
        2,
        "a logical partition beyond the disk and beyond its holder: {found:?}"
    );

    let disk = MemoryDisk::new(MIB);
    let part = |number, range: Range<u64>| MbrPartition {
        number,
        range,
        type_code: 7,
        active: false,
    };
    let write = |partitions| Mbr::new(SectorSize::Bytes512, 1, partitions).write(&disk);
    assert!(write(vec![part(1, 512..1024), part(1, 1024..2048)]).is_err());
    assert!(write(vec![part(5, 512..1024)]).is_err());
    assert!(write(vec![part(1, 0..1024)]).is_err());
    assert!(write(vec![part(1, 512..1000)]).is_err());
    assert!(write(vec![part(1, 512..2 * MIB)]).is_err());
    assert!(write(vec![part(1, 512..4096), part(2, 2048..8192)]).is_err());
    write(vec![part(1, 512..4096), part(2, 4096..8192)]).unwrap();
    disk.write_at(&[0x80], 446).unwrap();
    disk.write_at(&[0x80], 462).unwrap();
    disk.write_at(&[2], 470).unwrap();
    let found: Vec<_> = faults(&disk).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("partition 2"), "{found:?}");
    assert!(found[1].contains("active"), "{found:?}");

    let large = MemoryDisk::new(1 << 50);
    let beyond = Mbr::new(SectorSize::Bytes512, 1, vec![part(1, (1 << 41)..(1 << 41) + 512)]);
    assert!(beyond.write(&large).is_err());
}

#[test]
fn a_table_is_told_from_a_volume_and_from_left_overs() {
    let none = |disk: &MemoryDisk| partition::read(disk, None).unwrap() == PartitionTable::None;
    assert!(none(&MemoryDisk::new(0)));
    assert!(none(&MemoryDisk::new(511)));
    assert!(none(&MemoryDisk::new(MIB)));

    let ntfs = MemoryDisk::new(MIB);
    ntfs.write_at(b"\xEB\x52\x90NTFS    ", 0).unwrap();
    ntfs.write_at(&[0x80, 1, 2, 3, 7, 1, 2, 3, 1, 0, 0, 0, 1, 0, 0, 0], 446)
        .unwrap();
    ntfs.write_at(&[0x55, 0xAA], 510).unwrap();
    assert!(none(&ntfs));

    // An MBR written over a GPT: the GPT is a left-over.
    let disk = MemoryDisk::new(4 * MIB);
    two_volumes(disk.len(), SectorSize::Bytes512).write(&disk).unwrap();
    let partition = MbrPartition {
        number: 1,
        range: MIB..2 * MIB,
        type_code: 7,
        active: true,
    };
    Mbr::new(SectorSize::Bytes512, 7, vec![partition]).write(&disk).unwrap();
    assert!(matches!(partition::read(&disk, None).unwrap(), PartitionTable::Mbr(_)));

    // An empty MBR in front of nothing but an old backup.
    disk.write_zeros_at(0..MIB).unwrap();
    Mbr::new(SectorSize::Bytes512, 7, Vec::new()).write(&disk).unwrap();
    assert!(matches!(partition::read(&disk, None).unwrap(), PartitionTable::Mbr(mbr) if mbr.partitions.is_empty()));
}
