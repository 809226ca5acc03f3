//! Faults that are found, and mended where that needs no guessing.

use crate::tools::{bytes, noise, open, real_file, sample};
use cv_disk::{MemoryDisk, ReadAt, Resize, Severity, WriteAt};
use cv_vhd::vhd::{FooterPlace, FooterState, Vhd, VhdBuilder, VhdWriter, check, repair};
use std::sync::Arc;
use uuid::Uuid;

fn disk(is_fixed: bool) -> Arc<MemoryDisk> {
    let file = Arc::new(MemoryDisk::new(0));
    let builder = VhdBuilder::new(1 << 20)
        .block_size(64 << 10)
        .identity(Uuid::from_u128(3));
    let builder = if is_fixed { builder.fixed() } else { builder };
    let disk = builder.create(file.clone()).unwrap();
    for offset in [0, 200_000, 900_000] {
        disk.write_at(&noise(offset, 70_000), offset).unwrap();
    }
    disk.finish().unwrap();
    file
}

/// The structures with faults, the worst first.
fn faulty(file: &Arc<MemoryDisk>) -> Vec<(Severity, String)> {
    let file: Arc<dyn ReadAt> = file.clone();
    let mut faults: Vec<_> = check(&file)
        .unwrap()
        .into_iter()
        .map(|fault| (fault.severity, fault.damage.structure))
        .collect();
    faults.sort_by(|a, b| b.cmp(a));
    faults
}

/// The damage is found, the content is read all the same, and a repair gives the file as it was.
fn mended(file: &Arc<MemoryDisk>, damage: impl FnOnce(&MemoryDisk), severity: Severity, structure: &str) {
    let sound = file.to_vec();
    let content = bytes(&Vhd::open(file.clone()).unwrap());
    assert_eq!(faulty(file), []);
    let damaged = Arc::new(MemoryDisk::clone(file));
    damage(&damaged);
    let found = faulty(&damaged);
    assert_eq!(
        found
            .first()
            .map(|(severity, structure)| (*severity, structure.as_str())),
        Some((severity, structure))
    );
    assert!(bytes(&Vhd::open(damaged.clone()).unwrap()) == content);
    let resizable: Arc<dyn Resize> = damaged.clone();
    let mended = repair(&resizable).unwrap();
    assert_eq!(mended.listed().len(), found.len());
    assert_eq!(faulty(&damaged), []);
    assert!(damaged.to_vec() == sound);
}

#[test]
fn either_good_copy_of_the_footer_serves() {
    let file = disk(false);
    let end = file.len() - 512;
    mended(
        &file,
        |file| file.write_at(b"x", 0).unwrap(),
        Severity::Warning,
        "footer",
    );
    mended(
        &file,
        |file| file.write_at(b"x", 100).unwrap(),
        Severity::Warning,
        "footer",
    );
    mended(
        &file,
        |file| file.write_at(&[0; 512], 0).unwrap(),
        Severity::Warning,
        "footer",
    );
    mended(
        &file,
        |file| file.write_at(b"x", end).unwrap(),
        Severity::Warning,
        "footer",
    );
    mended(
        &file,
        |file| file.write_at(b"xx", end + 50).unwrap(),
        Severity::Warning,
        "footer",
    );
    mended(&file, |file| file.set_len(end).unwrap(), Severity::Warning, "footer");

    file.write_at(b"x", 3).unwrap();
    let info = Vhd::open(file).unwrap().info();
    assert_eq!(info.footer_used, FooterPlace::Tail);
    assert_eq!(info.head_footer, FooterState::Missing);
    assert_eq!(info.tail_footer, FooterState::Good);
}

#[test]
fn checksums_of_structures_that_agree_are_put_right() {
    let stale = [1, 2, 3, 4];
    mended(
        &disk(false),
        |file| file.write_at(&stale, 512 + 36).unwrap(),
        Severity::Warning,
        "checksum of the dynamic disk header",
    );
    mended(
        &disk(false),
        |file| {
            file.write_at(&stale, 64).unwrap();
            file.write_at(&stale, file.len() - 512 + 64).unwrap();
        },
        Severity::Warning,
        "checksum of the footer",
    );
    mended(
        &disk(true),
        |file| file.write_at(&stale, file.len() - 512 + 64).unwrap(),
        Severity::Warning,
        "checksum of the footer",
    );
}

#[test]
fn a_footer_of_511_bytes_is_read_and_completed() {
    for is_fixed in [false, true] {
        mended(
            &disk(is_fixed),
            |file| file.set_len(file.len() - 1).unwrap(),
            Severity::Note,
            "footer",
        );
    }
}

#[test]
fn a_disk_with_a_footer_of_511_bytes_is_written_in_place() {
    let file = disk(false);
    file.set_len(file.len() - 1).unwrap();
    let mut expected = bytes(&Vhd::open(file.clone()).unwrap());
    let writer = VhdWriter::open(file.clone()).unwrap();
    writer.write_at(&[7; 1000], 600_000).unwrap();
    writer.finish().unwrap();
    expected[600_000..601_000].fill(7);
    assert!(bytes(&Vhd::open(file.clone()).unwrap()) == expected);
    assert_eq!(faulty(&file), []);
}

#[test]
fn room_that_a_kill_left_is_given_back() {
    let file = disk(false);
    mended(
        &file,
        |file| {
            let mut footer = [0; 512];
            let end = file.len();
            file.read_at(&mut footer, end - 512).unwrap();
            file.write_at(&[0; 512], end - 512).unwrap();
            file.set_len(end + (1 << 20)).unwrap();
            file.write_at(&footer, file.len() - 512).unwrap();
        },
        Severity::Note,
        "end of the file",
    );
}

#[test]
fn a_fixed_disk_whose_growing_was_cut_short_is_found_and_mended() {
    let file = disk(true);
    for more in [512, 4096, 1 << 20, 300 << 30] {
        let grow = |file: &MemoryDisk| file.set_len(file.len() + more).unwrap();
        mended(
            &file,
            grow,
            Severity::Warning,
            "end of the file, left by a resize that was cut short",
        );
    }
}

#[test]
fn a_fixed_disk_may_hold_a_vhd() {
    let inner = disk(false).to_vec();
    let file = Arc::new(MemoryDisk::new(0));
    let outer = VhdBuilder::new(4 << 20).fixed().create(file.clone()).unwrap();
    outer.write_at(&inner, 0).unwrap();
    outer.finish().unwrap();
    let outer = Vhd::open(file).unwrap();
    assert_eq!(outer.len(), 4 << 20);
    assert!(bytes(&outer)[..inner.len()] == inner[..]);
}

#[test]
fn sectors_that_a_bitmap_does_not_claim_read_as_zeros_and_are_reported() {
    let file = disk(false);
    // The bitmap of the first block is the sector before its content, which begins at the first 4 KiB boundary.
    let mut entry = [0; 4];
    file.read_at(&mut entry, 1536).unwrap();
    let bitmap = u64::from(u32::from_be_bytes(entry)) * 512;
    file.write_at(&[0b1011_1111], bitmap).unwrap();
    let mut expected = bytes(&Vhd::open(disk(false)).unwrap());
    expected[512..1024].fill(0);
    assert!(bytes(&Vhd::open(file.clone()).unwrap()) == expected);
    assert_eq!(
        faulty(&file),
        [(Severity::Warning, "sector bitmap of block 0".to_owned())]
    );

    let writer = VhdWriter::open(file.clone()).unwrap();
    writer.write_at(&[9; 10], 600).unwrap();
    writer.finish().unwrap();
    expected[600..610].fill(9);
    assert!(bytes(&Vhd::open(file.clone()).unwrap()) == expected);
    assert_eq!(faulty(&file), []);
}

#[test]
fn the_faults_of_real_files_are_reported() {
    for (name, expected) in [
        ("hyperv2012r2-dynamic.vhd", vec![]),
        ("d2v-zerofilled.vhd", vec![]),
        ("fat-differential.vhd", vec![]),
        ("image.vhd", vec!["checksum of the footer"; 2]),
        (
            "image-differential.vhd",
            vec![
                "checksum of the footer",
                "checksum of the dynamic disk header",
                "checksum of the footer",
            ],
        ),
    ] {
        let Some((_folder, path)) = real_file(name) else { return };
        let faults = check(&open(&path)).unwrap();
        let mut found: Vec<_> = faults
            .listed()
            .iter()
            .map(|fault| (fault.severity, fault.damage.structure.as_str()))
            .collect();
        found.retain(|(_, structure)| !structure.starts_with("disk geometry"));
        found.sort_by(|a, b| b.cmp(a));
        assert_eq!(
            found.iter().map(|(_, structure)| *structure).collect::<Vec<_>>(),
            expected,
            "{name}"
        );
        assert!(found.iter().all(|(severity, _)| *severity < Severity::Error));
    }
}

#[test]
fn a_rebuilt_disk_keeps_its_identities() {
    let file = Arc::new(MemoryDisk::new(0));
    let original = VhdBuilder::new(4 << 20)
        .block_size(512 << 10)
        .identity(Uuid::from_u128(77))
        .time_stamp(123_456)
        .creator(*b"d2v\0", 0x0002_0001)
        .create(file.clone())
        .unwrap();
    let content = sample(4 << 20);
    cv_disk::copy(&content, &original, &cv_disk::CopyOptions::default(), &cv_disk::Quiet).unwrap();
    original.finish().unwrap();
    let original = Vhd::open(file).unwrap();
    let rebuilt_file = Arc::new(MemoryDisk::new(0));
    let rebuilt = VhdBuilder::like(&original).create(rebuilt_file.clone()).unwrap();
    cv_disk::copy(&original, &rebuilt, &cv_disk::CopyOptions::default(), &cv_disk::Quiet).unwrap();
    rebuilt.finish().unwrap();
    let rebuilt = Vhd::open(rebuilt_file).unwrap();
    assert_eq!(rebuilt.info(), original.info());
    assert!(bytes(&rebuilt) == content.to_vec());
}
