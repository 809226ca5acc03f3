//! Records of a change journal, laid out by the structures that Microsoft publishes, and damaged at random.

#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/bodies/usn.rs"]
mod body;

use cv_windows::usn::{UsnError, UsnRecord, records};
use proptest::prelude::*;
use std::mem::offset_of;
use windows_sys::Win32::System::Ioctl::{USN_RECORD_V2, USN_RECORD_V3, USN_RECORD_V4};

/// What `fuzz/seeds/usn/two_versions` holds: a record of each version.
const SEED: &[u8] = include_bytes!("../fuzz/seeds/usn/two_versions");

fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
    bytes[place..place + value.len()].copy_from_slice(value);
}

/// A record as Windows would write it.
macro_rules! record {
    ($version:ty, $number:literal, $record:expr, $reference:expr) => {{
        let record: &UsnRecord = $record;
        let start = offset_of!($version, FileName);
        let name: Vec<u8> = record.name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let length = (start + name.len()).next_multiple_of(8);
        let mut bytes = vec![0; length];
        put(
            &mut bytes,
            offset_of!($version, RecordLength),
            &(length as u32).to_le_bytes(),
        );
        put(&mut bytes, offset_of!($version, MajorVersion), &[$number, 0]);
        put(
            &mut bytes,
            offset_of!($version, FileReferenceNumber),
            &$reference(record.file),
        );
        put(
            &mut bytes,
            offset_of!($version, ParentFileReferenceNumber),
            &$reference(record.parent),
        );
        put(&mut bytes, offset_of!($version, Usn), &record.usn.to_le_bytes());
        put(&mut bytes, offset_of!($version, TimeStamp), &record.time.to_le_bytes());
        put(&mut bytes, offset_of!($version, Reason), &record.reason.to_le_bytes());
        put(
            &mut bytes,
            offset_of!($version, FileAttributes),
            &record.attributes.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!($version, FileNameLength),
            &(name.len() as u16).to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!($version, FileNameOffset),
            &(start as u16).to_le_bytes(),
        );
        put(&mut bytes, start, &name);
        bytes
    }};
}

fn version_2(record: &UsnRecord) -> Vec<u8> {
    record!(USN_RECORD_V2, 2, record, u64::to_le_bytes)
}

fn version_3(record: &UsnRecord) -> Vec<u8> {
    record!(USN_RECORD_V3, 3, record, |id: u64| u128::from(id).to_le_bytes())
}

/// A record of ranges, which names no file.
fn version_4() -> Vec<u8> {
    let mut bytes = vec![0; size_of::<USN_RECORD_V4>().next_multiple_of(8)];
    let length = bytes.len() as u32;
    put(&mut bytes, 0, &length.to_le_bytes());
    put(&mut bytes, 4, &[4, 0]);
    bytes
}

fn sample(usn: u64, name: &str) -> UsnRecord {
    UsnRecord {
        file: 0x0007_0000_0000_1234,
        parent: 0x0005_0000_0000_0005,
        usn,
        time: 0x01DB_4567_89AB_CDEF,
        reason: 0x8000_0102,
        attributes: 0x20,
        name: name.encode_utf16().collect(),
    }
}

fn journal(next: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = next.to_le_bytes().to_vec();
    bytes.extend(parts.concat());
    bytes
}

#[test]
fn records_of_both_versions_are_read_and_ranges_passed_over() {
    let (one, other) = (sample(100, "setup.exe"), sample(200, "größer"));
    let bytes = journal(300, &[version_2(&one), version_4(), version_3(&other)]);
    let batch = records(&bytes).unwrap();
    assert_eq!(batch.next, 300);
    assert_eq!(batch.records, [one, other]);
    assert!(!batch.records[0].is_deletion());
    let gone = UsnRecord {
        reason: 0x8000_0200,
        ..sample(1, "x")
    };
    assert!(records(&journal(0, &[version_2(&gone)])).unwrap().records[0].is_deletion());
}

#[test]
fn the_seed_is_what_the_structures_say() {
    let expected = journal(300, &[version_2(&sample(100, "a.txt")), version_3(&sample(200, "b"))]);
    assert_eq!(SEED, expected);
}

#[test]
fn damage_is_told_with_its_place() {
    assert_eq!(
        records(&[1, 2]).unwrap_err(),
        UsnError::Short { length: 2, expected: 8 }
    );
    let good = version_2(&sample(1, "name"));
    let mut bytes = journal(0, &[good.clone(), good.clone()]);
    let second = 8 + good.len();
    bytes[second] = 4;
    let found = records(&bytes).unwrap_err();
    let left = good.len();
    assert_eq!(
        found,
        UsnError::Length {
            offset: second,
            length: 4,
            left
        }
    );
    let mut bytes = journal(0, std::slice::from_ref(&good));
    bytes[8 + 4] = 9;
    assert_eq!(
        records(&bytes).unwrap_err(),
        UsnError::Version { offset: 8, version: 9 }
    );
    let mut bytes = journal(0, &[good]);
    bytes[8 + 56] = 0xF0;
    let found = records(&bytes).unwrap_err();
    assert_eq!(
        found,
        UsnError::Name {
            offset: 8,
            start: 60,
            length: 0xF0
        }
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        usn in any::<u64>(), file in any::<u64>(), name in prop::collection::vec(any::<u16>(), 0..40), wide in any::<bool>(),
    ) {
        let record = UsnRecord { file, name, ..sample(usn, "") };
        let bytes = if wide { version_3(&record) } else { version_2(&record) };
        prop_assert_eq!(records(&journal(9, &[bytes])).unwrap().records, [record]);
    }

    #[test]
    fn damaged_records_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = SEED.to_vec();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        body::usn(&bytes);
        body::usn(&bytes[..cut.index(bytes.len())]);
    }
}
