//! Faults are found, named and, where nothing must be guessed, mended.

use crate::memory_files::{MemoryFiles, content};
use cv_disk::{MemoryDisk, ReadAt, Resize, Severity, WriteAt};
use cv_vmdk::{ExtentFiles, Subformat, VmdkBuilder, repair};
use std::sync::Arc;

const SIZE: u64 = 80 << 20;

/// A closed image with two grains in each of its tables, and its bytes.
fn image(builder: VmdkBuilder) -> (MemoryFiles, Vec<u8>) {
    let files = MemoryFiles::default();
    let writer = files.create_image("disk", builder);
    for offset in [0, 1 << 20, 40 << 20, 79 << 20] {
        writer.write_at(&vec![0x5A; 70_000], offset).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(files.faults("disk.vmdk"), Vec::<String>::new());
    let bytes = content(&files.open_image("disk.vmdk"));
    (files, bytes)
}

fn file(files: &MemoryFiles) -> Arc<MemoryDisk> {
    files.get("disk.vmdk").unwrap()
}

fn number(file: &MemoryDisk, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    file.read_at(&mut bytes, offset).unwrap();
    u32::from_le_bytes(bytes)
}

/// Damages an image of which the other copy of everything is good: it still reads, the fault is found, mended, and gone.
fn mends(damage: impl Fn(&MemoryDisk), expected: &str) {
    let (files, before) = image(VmdkBuilder::new(SIZE));
    let disk = file(&files);
    damage(&disk);
    let faults = files.faults("disk.vmdk");
    assert!(
        faults.iter().any(|fault| fault.contains(expected)),
        "{expected}: {faults:?}"
    );
    let mended = repair(&(disk.clone() as Arc<dyn Resize>), &files).unwrap();
    assert!(!mended.is_empty(), "{expected}");
    let left = files.faults("disk.vmdk");
    assert!(
        left.iter().all(|fault| fault.contains("nothing names")),
        "{expected}: {left:?}"
    );
    assert!(content(&files.open_image("disk.vmdk")) == before, "{expected}");
}

#[test]
fn one_good_copy_mends_the_other() {
    let sector = |disk: &MemoryDisk, field: u64| u64::from(number(disk, field)) * 512;
    // Both tables of the directory begin behind it.
    let main_directory = move |disk: &MemoryDisk| sector(disk, 0x38);
    let redundant_directory = move |disk: &MemoryDisk| sector(disk, 0x30);
    mends(|disk| disk.write_at(&[1], 0x48).unwrap(), "uncleanShutdown");
    mends(|disk| disk.write_at(&[0xFF; 4], 0x38).unwrap(), "gdOffset");
    mends(|disk| disk.write_at(&[0xFF; 4], 0x30).unwrap(), "rgdOffset");
    mends(
        move |disk| disk.write_at(&[0xFF; 4], main_directory(disk) + 4).unwrap(),
        "grain directory entry 1",
    );
    mends(
        move |disk| disk.write_at(&[0xFF; 4], redundant_directory(disk)).unwrap(),
        "grain directory entry 0",
    );
    mends(
        move |disk| {
            let table = u64::from(number(disk, main_directory(disk))) * 512;
            disk.write_at(&[0xFF; 4], table).unwrap();
        },
        "grain table 0, 1 entries",
    );
    mends(
        move |disk| {
            let table = u64::from(number(disk, redundant_directory(disk) + 8)) * 512;
            disk.write_at(&[3; 2048], table).unwrap();
        },
        "grain table 2, 512 entries",
    );
}

/// Damages an image beyond mending: the fault is found.
fn finds(builder: VmdkBuilder, damage: impl Fn(&MemoryDisk), expected: &str) {
    let (files, _) = image(builder);
    damage(&file(&files));
    let faults = files.faults("disk.vmdk");
    assert!(
        faults.iter().any(|fault| fault.contains(expected)),
        "{expected}: {faults:?}"
    );
}

#[test]
fn what_is_ambiguous_is_found() {
    let sparse = || VmdkBuilder::new(SIZE);
    let both = |change: fn(&MemoryDisk, u64)| {
        move |disk: &MemoryDisk| {
            for field in [0x30, 0x38] {
                let directory = u64::from(number(disk, field)) * 512;
                change(disk, u64::from(number(disk, directory)) * 512);
            }
        }
    };
    finds(
        sparse(),
        both(|disk, table| {
            let first = number(disk, table);
            disk.write_at(&first.to_le_bytes(), table + 4).unwrap();
        }),
        "another grain or structure has",
    );
    finds(
        sparse(),
        both(|disk, table| disk.write_at(&2_u32.to_le_bytes(), table + 4).unwrap()),
        "another grain or structure has",
    );
    finds(
        sparse(),
        both(|disk, table| disk.write_at(&1_u32.to_le_bytes(), table + 8).unwrap()),
        "the flag for zeroed grains",
    );
    finds(
        sparse(),
        both(|disk, table| disk.write_at(&[0xFF; 4], table).unwrap()),
        "a place within the file",
    );
    finds(
        sparse(),
        |disk| disk.write_at(b"\r\n \n", 0x49).unwrap(),
        "line-end test",
    );
    finds(sparse(), |disk| disk.write_at(&[7], 4).unwrap(), "version");
    finds(sparse(), |disk| disk.write_at(&[0; 512], 512).unwrap(), "createType");
    finds(
        sparse(),
        |disk| disk.write_at(b"?", 0).unwrap(),
        "a sparse extent's header",
    );
}

#[test]
fn faults_of_streams_are_found() {
    let stream = || VmdkBuilder::new(SIZE).subformat(Subformat::StreamOptimized);
    finds(
        stream(),
        |disk| disk.write_at(&[9], 65_536).unwrap(),
        "grain marker, lba",
    );
    finds(
        stream(),
        |disk| disk.write_at(&[0; 4], 65_536 + 8).unwrap(),
        "grain marker, size",
    );
    finds(
        stream(),
        |disk| disk.write_at(&[0xFF; 8], 65_536 + 16).unwrap(),
        "compressed grain",
    );
    finds(
        stream(),
        |disk| disk.write_at(&[1], disk.len() - 512).unwrap(),
        "end-of-stream marker",
    );
    finds(
        stream(),
        |disk| disk.write_at(b"?", disk.len() - 1024).unwrap(),
        "stream footer",
    );
    finds(
        stream(),
        |disk| disk.set_len(disk.len() - 512).unwrap(),
        "stream footer",
    );
}

#[test]
fn faults_of_other_files_name_them() {
    let files = MemoryFiles::default();
    let builder = VmdkBuilder::new(SIZE).subformat(Subformat::MonolithicFlat);
    files.create_image("disk", builder).finish().unwrap();
    let flat = files.get("disk-flat.vmdk").unwrap();
    flat.set_len(SIZE - 1).unwrap();
    let faults = files.faults("disk.vmdk");
    assert!(
        faults[0].starts_with("error: disk-flat.vmdk: flat extent"),
        "{faults:?}"
    );
    let alone = MemoryFiles::default();
    let text = content(&*file(&files));
    let copy = alone.create("disk.vmdk").unwrap();
    copy.set_len(text.len() as u64).unwrap();
    copy.write_at(&text, 0).unwrap();
    let faults = alone.faults("disk.vmdk");
    assert!(faults[0].contains("disk-flat.vmdk"), "{faults:?}");
}

#[test]
fn a_wrong_size_in_an_embedded_descriptor_is_mended() {
    let (files, before) = image(VmdkBuilder::new(SIZE));
    let disk = file(&files);
    let mut text = vec![0; 20 * 512];
    disk.read_at(&mut text, 512).unwrap();
    let text = String::from_utf8(text).unwrap().replace("RW 163840 ", "RW 77 ");
    disk.write_at(text.as_bytes(), 512).unwrap();
    assert!(files.faults("disk.vmdk")[0].contains("extent size"));
    let mended = repair(&(disk as Arc<dyn Resize>), &files).unwrap();
    assert_eq!(mended.listed()[0].severity, Severity::Warning);
    assert_eq!(files.faults("disk.vmdk"), Vec::<String>::new());
    assert!(content(&files.open_image("disk.vmdk")) == before);
}
