//! Every fault that the checker finds, and what a repair makes of it.

use crate::tools::{assert_same, guids, identity, noise};
use cv_disk::{MemoryDisk, ReadAt, Severity, WriteAt};
use cv_vhd::vhdx::{Vhdx, VhdxBuilder, VhdxWriter, check, repair};
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn disk() -> (Arc<MemoryDisk>, MemoryDisk) {
    let file = Arc::new(MemoryDisk::new(0));
    let model = MemoryDisk::new(20 * MIB);
    let disk = VhdxBuilder::new(20 * MIB)
        .identity(identity(2))
        .block_size(MIB as u32)
        .create(file.clone())
        .unwrap();
    for number in 0..5 {
        let bytes = noise(300_000, number + 1);
        disk.write_at(&bytes, number * 4 * MIB).unwrap();
        model.write_at(&bytes, number * 4 * MIB).unwrap();
    }
    disk.finish().unwrap();
    (file, model)
}

#[test]
fn a_sound_file_has_no_fault_and_is_not_touched() {
    let (file, _) = disk();
    let before = file.to_vec();
    let readable: Arc<dyn ReadAt> = file.clone();
    assert!(check(&readable).unwrap().is_empty());
    assert!(repair(file.clone(), guids()).unwrap().is_empty());
    assert!(file.to_vec() == before);
}

#[test]
fn a_damaged_copy_is_found_read_around_and_mended() {
    // Each copy of the header and of the region table.
    for place in [64 << 10, 128 << 10, 192 << 10, 256 << 10] {
        for within in [0, 20] {
            let (file, model) = disk();
            file.write_at(&[0x55; 3], place + within).unwrap();
            let readable: Arc<dyn ReadAt> = file.clone();
            let image = Vhdx::open(readable.clone()).unwrap();
            assert_same(&image, &model);
            let info = image.info();
            let named = info
                .header_faults
                .iter()
                .chain(&info.region_table_faults)
                .flatten()
                .count();
            assert_eq!(named, 1);
            let found = check(&readable).unwrap();
            let [fault] = found.listed() else { panic!("{found:?}") };
            assert!(fault.repairable && fault.severity == Severity::Warning);
            assert!((place..place + 8).contains(&fault.damage.offset), "{fault}");
            assert_eq!(repair(file, guids()).unwrap(), found);
            assert!(check(&readable).unwrap().is_empty());
            assert_same(&Vhdx::open(readable).unwrap(), &model);
        }
    }
}

#[test]
fn region_tables_that_differ_are_made_the_same() {
    let (file, model) = disk();
    let mut table = vec![0; 64 << 10];
    file.read_at(&mut table, 256 << 10).unwrap();
    table[44] ^= 2;
    table[4..8].fill(0);
    let sum = crc32c::crc32c(&table);
    table[4..8].copy_from_slice(&sum.to_le_bytes());
    file.write_at(&table, 256 << 10).unwrap();
    let readable: Arc<dyn ReadAt> = file.clone();
    assert_eq!(check(&readable).unwrap().listed().len(), 1);
    assert_eq!(repair(file, guids()).unwrap().listed().len(), 1);
    assert!(check(&readable).unwrap().is_empty());
    assert_same(&Vhdx::open(readable).unwrap(), &model);
}

#[test]
fn a_log_left_behind_is_replayed() {
    let (file, model) = disk();
    let writer = VhdxWriter::open(file.clone(), guids()).unwrap();
    writer.write_at(&noise(5000, 9), 2 * MIB).unwrap();
    model.write_at(&noise(5000, 9), 2 * MIB).unwrap();
    drop(writer);
    let readable: Arc<dyn ReadAt> = file.clone();
    let found = check(&readable).unwrap();
    let [fault] = found.listed() else { panic!("{found:?}") };
    assert!(
        fault.repairable && fault.damage.structure == "header LogGuid",
        "{fault}"
    );
    repair(file, guids()).unwrap();
    assert!(check(&readable).unwrap().is_empty());
    assert_same(&Vhdx::open(readable).unwrap(), &model);
}

#[test]
fn headers_with_one_sequence_number_are_accepted() {
    // As disk2vhd writes them.
    let (file, model) = disk();
    let mut header = vec![0; 4096];
    file.read_at(&mut header, 64 << 10).unwrap();
    file.write_at(&header, 128 << 10).unwrap();
    let readable: Arc<dyn ReadAt> = file.clone();
    let found = check(&readable).unwrap();
    let [fault] = found.listed() else { panic!("{found:?}") };
    assert_eq!(fault.severity, Severity::Note);
    assert_same(&Vhdx::open(readable.clone()).unwrap(), &model);
    let writer = VhdxWriter::open(file, guids()).unwrap();
    writer.write_at(&[1; 512], 7 * MIB).unwrap();
    model.write_at(&[1; 512], 7 * MIB).unwrap();
    writer.finish().unwrap();
    assert!(check(&readable).unwrap().is_empty());
    assert_same(&Vhdx::open(readable).unwrap(), &model);
}

#[test]
fn a_file_without_a_log_gets_one() {
    let (file, model) = disk();
    for offset in [64 << 10, 128 << 10] {
        let mut header = vec![0; 4096];
        file.read_at(&mut header, offset).unwrap();
        header[68..80].fill(0);
        header[4..8].fill(0);
        let sum = crc32c::crc32c(&header);
        header[4..8].copy_from_slice(&sum.to_le_bytes());
        file.write_at(&header, offset).unwrap();
    }
    let readable: Arc<dyn ReadAt> = file.clone();
    assert_same(&Vhdx::open(readable.clone()).unwrap(), &model);
    let writer = VhdxWriter::open(file, guids()).unwrap();
    writer.write_at(&[1; 512], 7 * MIB).unwrap();
    model.write_at(&[1; 512], 7 * MIB).unwrap();
    writer.finish().unwrap();
    assert!(check(&readable).unwrap().is_empty());
    let image = Vhdx::open(readable).unwrap();
    assert!(image.info().log.is_some());
    assert_same(&image, &model);
}
