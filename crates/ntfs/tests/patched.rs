//! Volumes changed by hand: what neither ntfs-3g nor the corpus has.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod support;

use cv_disk::{MemoryDisk, ReadAt, WriteAt};
use cv_ntfs::structure::attribute::{Attribute, Form, NonResidentHeader, encode_non_resident, encode_resident};
use cv_ntfs::structure::index::I30;
use cv_ntfs::structure::run_list::{self, Run};
use cv_ntfs::structure::{
    AttributeFlags, AttributeListEntry, AttributeType, BootSector, FileRecordHeader, FileReference, RecordFlags,
    Structure, fixup,
};
use cv_ntfs::{FileError, Listing, Order, Volume};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use support::Mount;

/// A volume with a large directory and a file; `None` where the tools are missing.
fn volume(cluster: &str) -> Option<MemoryDisk> {
    if !support::have(&["mkntfs", "ntfs-3g", "fusermount"]) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    support::run(
        Command::new("mkntfs")
            .args(["-F", "-Q", "-q", "-c", cluster])
            .arg(&image),
    );
    {
        let mount = Mount::ntfs_3g(&image, &folder.path().join("mounted"), "streams_interface=xattr");
        std::fs::write(mount.folder.join("file"), vec![7; 100_000]).unwrap();
        std::fs::create_dir(mount.folder.join("large")).unwrap();
        for number in 0..500 {
            std::fs::write(mount.folder.join(format!("large/Entry number {number:03}")), b"x").unwrap();
        }
    }
    Some(MemoryDisk::from(&std::fs::read(&image).unwrap()[..]))
}

fn open(disk: &Arc<MemoryDisk>) -> Volume {
    Volume::open(disk.clone()).unwrap()
}

/// Writes a record's attributes anew, with its fixups and its copy in the mirror.
fn write_record(disk: &MemoryDisk, volume: &Volume, mut header: FileRecordHeader, attributes: &[Vec<u8>]) {
    let size = volume.geometry().record_size as usize;
    let number = u64::from(header.segment_number_low_part);
    let mut bytes = vec![0; size];
    let mut position = FileRecordHeader::first_attribute_offset(size as u32);
    for attribute in attributes {
        bytes[position..position + attribute.len()].copy_from_slice(attribute);
        position += attribute.len();
    }
    bytes[position..position + 4].fill(0xFF);
    header.first_free_byte = position as u32 + 8;
    header.first_attribute_offset = FileRecordHeader::first_attribute_offset(size as u32) as u16;
    header.next_attribute_instance = 100;
    header.write_to(&mut bytes, 0);
    fixup::protect(&mut bytes, 0x1234);
    let cluster_size = u64::from(volume.geometry().cluster_size);
    let start = volume.geometry().mft_lcn * cluster_size;
    disk.write_at(&bytes, start + number * size as u64).unwrap();
    if number < 4 {
        let mirror = volume.geometry().mirror_lcn * cluster_size;
        disk.write_at(&bytes, mirror + number * size as u64).unwrap();
    }
}

fn copied(attribute: &Attribute, record: &[u8]) -> Vec<u8> {
    record[attribute.offset..attribute.offset + attribute.header.record_length as usize].to_vec()
}

/// Makes every cluster of `$MFT` a run, so that its record needs further ones; gives the runs.
fn fragment_mft(disk: &MemoryDisk, before: &Volume) -> Vec<Run> {
    let record = before.record(0).unwrap();
    let clusters = before.mft_clusters().clone();
    let single: Vec<Run> = clusters
        .runs
        .iter()
        .flat_map(|run| {
            (0..run.clusters).map(|offset| Run {
                vcn: run.vcn + offset,
                lcn: run.lcn.map(|lcn| lcn + offset),
                clusters: 1,
            })
        })
        .collect();
    // For the base record, and for records 16 to 23.
    let extents: Vec<&[Run]> = std::iter::once(&single[..64]).chain(single[64..].chunks(250)).collect();
    let encode = |runs: &[Run], is_first: bool| {
        let header = NonResidentHeader {
            lowest_vcn: runs[0].vcn,
            highest_vcn: runs[runs.len() - 1].vcn,
            mapping_pairs_offset: 0,
            compression_unit: 0,
            reserved: [0; 5],
            allocated_length: if is_first { clusters.allocated_length } else { 0 },
            file_size: if is_first { clusters.file_size } else { 0 },
            valid_data_length: if is_first { clusters.valid_data_length } else { 0 },
        };
        let pairs = run_list::encode(runs);
        encode_non_resident(
            AttributeType::DATA,
            &[],
            AttributeFlags::empty(),
            50,
            &header,
            None,
            &pairs,
        )
    };
    let entry = |type_code, lowest_vcn, segment_reference, instance| AttributeListEntry {
        type_code,
        name: Vec::new(),
        lowest_vcn,
        segment_reference,
        instance,
    };
    let mut list = Vec::new();
    let mut attributes: Vec<(AttributeType, Vec<u8>)> = Vec::new();
    for attribute in record.attributes().unwrap() {
        let attribute = attribute.unwrap();
        let bytes = if attribute.type_code() == AttributeType::DATA {
            list.push(entry(AttributeType::DATA, 0, record.reference(), 50));
            for (number, runs) in extents.iter().enumerate().skip(1) {
                let reference = FileReference::new(15 + number as u64, 3);
                list.push(entry(AttributeType::DATA, runs[0].vcn, reference, 50));
                let mut header = FileRecordHeader::new(reference.record(), 3, RecordFlags::IN_USE, 1024);
                header.base_file_record_segment = record.reference();
                write_record(disk, before, header, &[encode(runs, false)]);
            }
            encode(extents[0], true)
        } else {
            list.push(entry(
                attribute.type_code(),
                0,
                record.reference(),
                attribute.header.instance,
            ));
            copied(&attribute, &record.bytes)
        };
        attributes.push((attribute.type_code(), bytes));
    }
    assert!((4..=9).contains(&extents.len()), "{} extents", extents.len());
    let value: Vec<u8> = list.iter().flat_map(AttributeListEntry::to_bytes).collect();
    attributes.push((
        AttributeType::ATTRIBUTE_LIST,
        encode_resident(
            AttributeType::ATTRIBUTE_LIST,
            &[],
            AttributeFlags::empty(),
            51,
            0,
            &value,
        ),
    ));
    attributes.sort_by_key(|(type_code, _)| *type_code);
    let attributes: Vec<Vec<u8>> = attributes.into_iter().map(|(_, bytes)| bytes).collect();
    write_record(disk, before, record.header, &attributes);
    single
}

#[test]
fn the_record_of_the_mft_may_need_further_records() {
    let Some(disk) = volume("512") else { return };
    let disk = Arc::new(disk);
    let before = open(&disk);
    let expected: Vec<String> = support::walk(&before).0.into_iter().map(|(path, _)| path).collect();
    let runs = fragment_mft(&disk, &before);

    let after = open(&disk);
    assert!(after.report().damage.is_empty(), "{:?}", after.report());
    assert_eq!(after.mft_clusters().runs, runs);
    let (files, errors) = support::walk(&after);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(files.into_iter().map(|(path, _)| path).collect::<Vec<_>>(), expected);
    // The records that were taken are not marked; nothing else is wrong.
    let faults = support::serious_faults(disk.clone());
    assert!(
        faults.iter().all(|fault| fault.contains("$MFT, $BITMAP")),
        "{faults:#?}"
    );

    // Without the record in the middle the files behind it are lost, and no others.
    disk.write_at(b"LOST", after.record(17).unwrap().offset).unwrap();
    let damaged = open(&disk);
    assert!(!damaged.report().damage.is_empty());
    assert!(damaged.open_str("$MFT").is_ok() && damaged.open_str("file").is_ok());
    let lost = Listing::of(&damaged, 2);
    let lost_count = Listing::of(&after, 1).files().len() - lost.files().len();
    assert!((100..=130).contains(&lost_count), "{lost_count} lost");
    let faults = support::serious_faults(disk.clone());
    let is_named = |text: &str| faults.iter().any(|fault| fault.contains(text));
    assert!(is_named("attributes in further records: FILE signature"), "{faults:#?}");
}

#[test]
fn a_damaged_block_costs_only_its_own_names() {
    let Some(disk) = volume("4096") else { return };
    let disk = Arc::new(disk);
    let before = open(&disk);
    let names = |volume: &Volume| -> (BTreeSet<Vec<u16>>, usize) {
        let directory = volume.open_str("large").unwrap().directory().unwrap();
        let (found, lost): (Vec<_>, Vec<_>) = directory.entries().partition(Result::is_ok);
        (
            found.into_iter().map(|entry| entry.unwrap().name().to_vec()).collect(),
            lost.len(),
        )
    };
    let (all, _) = names(&before);
    assert_eq!(all.len(), 500);
    let file = before.open_str("large").unwrap();
    let clusters = file
        .attribute_stream(file.attribute(AttributeType::INDEX_ALLOCATION, &I30).unwrap())
        .unwrap();
    let runs = clusters.clusters().unwrap().runs.clone();
    let blocks: Vec<u64> = runs
        .iter()
        .flat_map(|run| (0..run.clusters).map(|n| (run.lcn.unwrap() + n) * 4096))
        .collect();
    assert!(blocks.len() > 10);
    for block in blocks {
        let mut sector = [0; 512];
        disk.read_at(&mut sector, block + 512).unwrap();
        let mut torn = sector;
        torn[511] ^= 0x55;
        disk.write_at(&torn, block + 512).unwrap();
        let volume = open(&disk);
        let (left, errors) = names(&volume);
        assert!(errors == 1 && left.len() < 500, "{errors} errors, {} names", left.len());
        assert!(left.len() >= 450, "{} names", left.len());
        let directory = volume.open_str("large").unwrap().directory().unwrap();
        for name in &all {
            assert_eq!(
                directory.find(name).is_ok_and(|entry| entry.is_some()),
                left.contains(name)
            );
        }
        disk.write_at(&sector, block + 512).unwrap();
    }
}

#[test]
fn what_was_never_written_reads_as_zeros() {
    let Some(disk) = volume("4096") else { return };
    let disk = Arc::new(disk);
    let before = open(&disk);
    let file = before.open_str("file").unwrap();
    let record = before.record(file.reference().record()).unwrap();
    let attributes: Vec<Vec<u8>> = record
        .attributes()
        .unwrap()
        .map(|attribute| {
            let attribute = attribute.unwrap();
            let mut bytes = copied(&attribute, &record.bytes);
            if let (AttributeType::DATA, Form::NonResident { .. }) = (attribute.type_code(), attribute.form) {
                bytes[0x38..0x40].copy_from_slice(&5001_u64.to_le_bytes());
            }
            bytes
        })
        .collect();
    write_record(&disk, &before, record.header, &attributes);
    let volume = open(&disk);
    let stream = volume.open_str("file").unwrap().content().unwrap();
    let mut content = vec![1; 100_000];
    stream.read_at(&mut content, 0).unwrap();
    assert!(content[..5001].iter().all(|byte| *byte == 7) && cv_disk::is_zero(&content[5001..]));
    stream.read_at(&mut content[..10], 4996).unwrap();
    assert_eq!(content[..10], [7, 7, 7, 7, 7, 0, 0, 0, 0, 0]);
    let extents: Vec<_> = cv_disk::Extents::all(&stream)
        .map(|extent| extent.unwrap().length)
        .collect();
    assert_eq!(extents, [5001, 94_999]);
}

#[test]
fn references_of_another_time_are_refused() {
    let Some(disk) = volume("4096") else { return };
    let volume = open(&Arc::new(disk));
    let file = volume.open_str("FILE").unwrap();
    let reference = file.reference();
    let other = FileReference::new(reference.record(), reference.sequence() + 1);
    assert!(volume.file_by_reference(reference).is_ok());
    assert!(
        volume
            .file_by_reference(FileReference::new(reference.record(), 0))
            .is_ok()
    );
    assert!(matches!(volume.file_by_reference(other), Err(FileError::Stale { .. })));
    assert!(matches!(volume.open_str(r"\none"), Err(FileError::NotFound { .. })));
    assert!(matches!(
        volume.open_str(r"\file\none"),
        Err(FileError::NotADirectory { .. })
    ));
    assert!(matches!(volume.file(u64::MAX), Err(FileError::Record { .. })));
    assert!(matches!(file.stream(&[1]), Err(FileError::NoStream { .. })));
}

#[test]
fn either_boot_sector_and_either_first_record_serves() {
    let Some(disk) = volume("4096") else { return };
    let count = |disk: &Arc<MemoryDisk>| {
        let volume = open(disk);
        let mut paths = 0;
        Listing::of(&volume, 1).walk(&volume, Order::Names, |_, _| paths += 1);
        (paths, volume.report().clone())
    };
    let geometry = *open(&Arc::new(disk.clone())).geometry();
    let (all, report) = count(&Arc::new(disk.clone()));
    assert!(report.damage.is_empty());
    let mft = geometry.mft_lcn * 4096;
    for (damaged, expected) in [(0, "Backup Primary"), (mft, "Primary Backup")] {
        let disk = Arc::new(disk.clone());
        disk.write_at(&[0; BootSector::SIZE], damaged).unwrap();
        let (paths, report) = count(&disk);
        assert_eq!(format!("{:?} {:?}", report.boot_sector, report.mft), expected);
        assert_eq!(report.damage.len(), 1, "{report:?}");
        assert_eq!(paths, all);
    }
    let disk = Arc::new(disk);
    disk.write_at(&[0; 512], 0).unwrap();
    disk.write_at(&[0; 512], disk.len() - 512).unwrap();
    assert!(matches!(Volume::open(disk), Err(cv_ntfs::OpenError::NotNtfs(_))));
    assert!(Volume::open(Arc::new(MemoryDisk::new(0))).is_err());
}
