//! Damaged and made-up files: refused with a reason, never a panic, and never an endless loop.

use crate::model::parent_reference;
use crate::tools::{guids, identity, noise};
use cv_disk::{MemoryDisk, ReadAt, Resize, Severity, WriteAt};
use cv_vhd::vhdx::{OpenError, Vhdx, VhdxBuilder, VhdxWriter, check};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[path = "../../fuzz/bodies/vhdx_disk.rs"]
mod body;

const MIB: u64 = 1 << 20;
const HEADER: u64 = 64 << 10;
const REGIONS: u64 = 192 << 10;
const LOG: u64 = MIB;
const METADATA: u64 = 2 * MIB;
const BAT: u64 = 3 * MIB;

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/vhdx_disk")
}

fn small(differencing: bool, logical_sector_size: u32, dirty: bool) -> MemoryDisk {
    let builder = VhdxBuilder::new(5 * MIB + 4096)
        .identity(identity(5))
        .block_size(MIB as u32)
        .sector_sizes(logical_sector_size, 4096);
    let builder = if differencing {
        builder.parent(parent_reference())
    } else {
        builder
    };
    let file = Arc::new(MemoryDisk::new(0));
    let write = |disk: &VhdxWriter| {
        disk.write_at(&noise(4096, 1), 4096).unwrap();
        disk.write_at(&noise(100, 2), 5 * MIB).unwrap();
        disk.write_zeros_at(MIB..3 * MIB).unwrap();
    };
    let parent = Arc::new(MemoryDisk::new(3000));
    let disk = builder.create(file.clone()).unwrap().with_parent(parent.clone());
    if dirty {
        disk.finish().unwrap();
        write(&VhdxWriter::open(file.clone(), guids()).unwrap().with_parent(parent));
    } else {
        write(&disk);
        disk.finish().unwrap();
    }
    (*file).clone()
}

/// Small disks of every kind.
fn small_disks() -> Vec<(&'static str, MemoryDisk)> {
    let fixed = Arc::new(MemoryDisk::new(0));
    let builder = VhdxBuilder::new(2 * MIB).identity(identity(6)).fixed();
    builder.create(fixed.clone()).unwrap().finish().unwrap();
    vec![
        ("dynamic", small(false, 512, false)),
        ("dynamic-dirty", small(false, 512, true)),
        ("differencing", small(true, 512, false)),
        ("differencing-dirty-4096", small(true, 4096, true)),
        ("fixed", (*fixed).clone()),
    ]
}

/// The saved seeds; made anew first where `WRITE_SEEDS` is set, for when the layout of new files has changed.
fn saved() -> Vec<Vec<u8>> {
    if std::env::var_os("WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(seeds()).unwrap();
        for (name, disk) in small_disks() {
            std::fs::write(seeds().join(name), body::pack(&disk.to_vec())).unwrap();
        }
    }
    let mut paths: Vec<_> = seeds().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5);
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn packing_keeps_a_file() {
    for (_, disk) in small_disks() {
        let bytes = disk.to_vec();
        assert!(body::unpack(&body::pack(&bytes)).to_vec() == bytes);
    }
}

#[test]
fn every_seed_and_cuts_of_it() {
    for seed in saved() {
        body::vhdx_disk(&seed);
        for length in (0..seed.len()).step_by(997) {
            body::vhdx_disk(&seed[..length]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..9_u8, any::<u8>()), 1..8),
    ) {
        let seeds = saved();
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        // Most of a seed is payload or zero; edits aim at small numbers and what is near them.
        let structure: Vec<usize> = (0..bytes.len()).filter(|at| (1..16).contains(&bytes[*at])).collect();
        for (place, nearby, value) in edits {
            let at = (structure[place.index(structure.len())] + usize::from(nearby)).min(bytes.len() - 1);
            bytes[at] = value;
        }
        body::vhdx_disk(&bytes);
    }
}

/// Bytes that take the place of others.
type Edit<'a> = (u64, &'a [u8]);

/// A small disk with bytes replaced and checksums put right.
fn damaged(differencing: bool, edits: &[Edit<'_>]) -> Arc<dyn ReadAt> {
    let disk = small(differencing, 512, false);
    for (offset, bytes) in edits {
        disk.write_at(bytes, *offset).unwrap();
    }
    body::seal(&disk);
    Arc::new(disk)
}

/// Fails unless the file is refused, in little time, with an error that contains `why`, which the checker finds too.
fn assert_refused(file: &Arc<dyn ReadAt>, why: &str) {
    let start = Instant::now();
    let error = Vhdx::open(file.clone()).expect_err(why).to_string();
    assert!(error.contains(why), "{error} does not say {why}");
    let faults = check(file).unwrap();
    let worst = faults.listed().iter().map(|fault| fault.severity).max();
    assert_eq!(worst, Some(Severity::Error), "{why}: {faults:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{why}: {:?}", start.elapsed());
}

#[test]
fn what_the_structures_must_not_say_is_refused() {
    let header = |offset: u64, bytes: &'static [u8]| [(HEADER + offset, bytes), (2 * HEADER + offset, bytes)];
    let regions = |offset: u64, bytes: &'static [u8]| [(REGIONS + offset, bytes), (REGIONS + HEADER + offset, bytes)];
    let item = |offset: u64, bytes: &'static [u8]| [(METADATA + HEADER + offset, bytes)];
    let huge = &[0xFF; 8];
    let cases: Vec<(Vec<Edit<'_>>, &str)> = vec![
        (vec![(0, b"vhdxfilf")], "not a VHDX file"),
        (header(0, b"daeh").to_vec(), "header Signature at 0x10000"),
        (header(66, &[2, 0]).to_vec(), "header Version"),
        // A log to be replayed that lies nowhere.
        ([header(48, &[1; 16]), header(72, huge)].concat(), "header LogOffset"),
        (
            [header(48, &[1; 16]), header(68, &[1, 0, 0, 0])].concat(),
            "header LogLength",
        ),
        (
            [header(48, &[1; 16]), header(68, &[0, 0, 0xF0, 0xFF])].concat(),
            "header Log",
        ),
        (header(48, &[1; 16]).to_vec(), "complete sequence"),
        (regions(8, huge).to_vec(), "region table EntryCount"),
        (regions(8, &[0, 0, 0, 0]).to_vec(), "an entry for the BAT region"),
        (
            regions(32, &[0, 0, 0, 0, 0, 1, 0, 0]).to_vec(),
            "region table entry FileOffset",
        ),
        (regions(32, &[1, 0, 0x30]).to_vec(), "a multiple of 1 MiB"),
        (
            regions(40, &[0, 0, 0xF0, 0xFF]).to_vec(),
            "region table entry FileOffset",
        ),
        (regions(40, &[0, 0, 0, 0]).to_vec(), "region table entry Length"),
        (vec![(METADATA, b"metadatb")], "metadata table Signature"),
        (vec![(METADATA + 10, &[0xFF, 0xFF])], "metadata table EntryCount"),
        (vec![(METADATA + 32 + 16, huge)], "metadata table entry Offset"),
        (vec![(METADATA + 32 + 16, &[0, 0, 0, 0])], "metadata table entry Offset"),
        (item(0, &[0, 0, 0x30, 0]).to_vec(), "BlockSize"),
        (item(0, &[0, 0, 0, 0x80]).to_vec(), "BlockSize"),
        (item(8, huge).to_vec(), "virtual disk size"),
        (item(8, &[1]).to_vec(), "virtual disk size"),
        (item(8, &[0, 0, 0, 0, 0, 0x20]).to_vec(), "BAT region"),
        (item(16, &[0, 4, 0, 0]).to_vec(), "logical sector size"),
        (item(20, &[1, 2, 0, 0]).to_vec(), "physical sector size"),
        // A parent is needed, and there is no locator.
        (item(4, &[2, 0, 0, 0]).to_vec(), "an entry for the parent locator"),
    ];
    for (edits, why) in cases {
        assert_refused(&damaged(false, &edits), why);
    }
}

#[test]
fn unknown_regions_and_items_are_refused_if_they_are_required() {
    let region = |required: u8| {
        let mut entry = vec![0x77; 16];
        entry.extend((8 * MIB).to_le_bytes());
        entry.extend((MIB as u32).to_le_bytes());
        entry.extend([required, 0, 0, 0]);
        entry
    };
    let with_region = |required: u8| {
        let disk = small(false, 512, false);
        disk.set_len(9 * MIB).unwrap();
        for table in [REGIONS, REGIONS + HEADER] {
            disk.write_at(&[3], table + 8).unwrap();
            disk.write_at(&region(required), table + 16 + 64).unwrap();
        }
        body::seal(&disk);
        Arc::new(disk)
    };
    let refused: Arc<dyn ReadAt> = with_region(1);
    assert!(matches!(
        Vhdx::open(refused.clone()),
        Err(OpenError::UnknownRegion { .. })
    ));
    assert_refused(&refused, "77777777-7777-7777-7777-777777777777");

    // One that is not required stays, and nothing is written to its place.
    let kept = with_region(0);
    kept.write_at(&[0xEE; 4096], 8 * MIB).unwrap();
    let disk = VhdxWriter::open(kept.clone(), guids()).unwrap();
    disk.write_at(&noise(3 << 20, 8), MIB).unwrap();
    disk.finish().unwrap();
    let mut bytes = [0; 4096];
    kept.read_at(&mut bytes, 8 * MIB).unwrap();
    assert_eq!(bytes, [0xEE; 4096]);

    let with_item = |flags: u8| {
        let mut entry = vec![0x66; 16];
        entry.extend((0x2_0000_u32).to_le_bytes());
        entry.extend(5_u32.to_le_bytes());
        entry.extend([flags, 0, 0, 0, 0, 0, 0, 0]);
        let edits: [Edit<'_>; 3] = [
            (METADATA + 10, &[6]),
            (METADATA + 32 + 5 * 32, &entry),
            (METADATA + 0x2_0000, b"hello"),
        ];
        damaged(false, &edits)
    };
    assert_refused(&with_item(4), "66666666-6666-6666-6666-666666666666");
    let image = Vhdx::open(with_item(3)).unwrap();
    let rebuilt = Arc::new(MemoryDisk::new(0));
    VhdxBuilder::like(&image)
        .create(rebuilt.clone())
        .unwrap()
        .finish()
        .unwrap();
    let items = Vhdx::open(rebuilt).unwrap().info().other_items;
    assert_eq!(items, image.info().other_items);
    assert_eq!(items[0].content, b"hello");
    assert!(items[0].is_user && items[0].is_virtual_disk);
}

/// Fails unless block 0's BAT `entry` makes reading and writing fail, and the checker names it.
fn assert_bad_entry(differencing: bool, entry: u64, why: &str) {
    let file = damaged(differencing, &[(BAT, &entry.to_le_bytes())]);
    let image = Vhdx::open(file.clone())
        .unwrap()
        .with_parent(Arc::new(MemoryDisk::new(0)));
    let error = image.read_at(&mut [0; 512], 4096).expect_err(why).to_string();
    assert!(error.contains("0x300000") && error.contains(why), "{error}");
    assert!(image.extent_at(0).is_err(), "{why}");
    let found = check(&file).unwrap();
    assert!(
        found
            .listed()
            .iter()
            .any(|fault| fault.severity == Severity::Error && fault.damage.offset == BAT),
        "{found:?}"
    );
}

#[test]
fn blocks_that_cannot_be_are_errors() {
    assert_bad_entry(false, 4, "State");
    assert_bad_entry(false, 5, "State");
    assert_bad_entry(false, (4 * MIB) | 7, "no partially present block");
    assert_bad_entry(false, 6, "behind the header section");
    assert_bad_entry(false, (100 * MIB) | 6, "within the file");
    assert_bad_entry(true, !(MIB - 1) | 6, "within the file");
}

#[test]
fn a_file_whose_structures_overlap_is_not_written() {
    // The log, the metadata, the BAT, and another block.
    for place in [LOG, METADATA, BAT, 5 * MIB] {
        let file = damaged(false, &[(BAT, &(place | 6).to_le_bytes())]);
        let found = check(&file).unwrap();
        assert!(
            found.listed().iter().any(|fault| fault.severity == Severity::Error),
            "{place:#x}"
        );
        let copy = MemoryDisk::new(file.len());
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        copy.write_at(&bytes, 0).unwrap();
        let error = VhdxWriter::open(Arc::new(copy), guids())
            .expect_err("overlaps")
            .to_string();
        assert!(error.contains("nothing else takes"), "{error}");
    }
}

#[test]
fn what_the_table_says_behind_the_disk_means_nothing() {
    let disk = small(true, 512, false);
    let mut first = [0; 8];
    disk.read_at(&mut first, BAT).unwrap();
    for block in [6, 7, 512] {
        disk.write_at(&first, BAT + block * 8).unwrap();
    }
    let file = Arc::new(disk);
    let readable: Arc<dyn ReadAt> = file.clone();
    assert!(check(&readable).unwrap().is_empty());
    let shrunk = Arc::new((*file).clone());
    for (file, size) in [(&shrunk, 4 * MIB), (&file, 600 * MIB)] {
        let mut writer = VhdxWriter::open(file.clone(), guids()).unwrap();
        writer.resize(size).unwrap();
        writer.finish().unwrap();
        let readable: Arc<dyn ReadAt> = file.clone();
        assert!(check(&readable).unwrap().is_empty());
        let mut bytes = [0; 4096];
        Vhdx::open(readable).unwrap().read_at(&mut bytes, 4096).unwrap();
        assert_eq!(bytes[..], noise(4096, 1));
    }
    let image = Vhdx::open(file).unwrap();
    let mut bytes = [1; 4096];
    for offset in [6 * MIB + 4096, 512 * MIB + 4096] {
        image.read_at(&mut bytes, offset).unwrap();
        assert_eq!(bytes, [0; 4096]);
    }
}

#[test]
fn a_missing_parent_is_an_error_and_no_zeros() {
    let image = Vhdx::open(Arc::new(small(true, 512, false))).unwrap();
    let mut bytes = [0; 512];
    image.read_at(&mut bytes, 4096).unwrap();
    image.read_at(&mut bytes, 2 * MIB).unwrap();
    let error = image.read_at(&mut bytes, 0).unwrap_err().to_string();
    assert!(error.contains("parent"), "{error}");
    assert!(image.extent_at(0).is_err());
}

/// A log entry with zero descriptors for these ranges.
fn zero_entry(guid: [u8; 16], sequence: u64, tail: u32, ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut entry = b"loge\0\0\0\0".to_vec();
    entry.extend(4096_u32.to_le_bytes());
    entry.extend(tail.to_le_bytes());
    entry.extend(sequence.to_le_bytes());
    entry.extend((ranges.len() as u32).to_le_bytes());
    entry.extend([0; 4]);
    entry.extend(guid);
    entry.extend([0; 16]);
    for (offset, length) in ranges {
        entry.extend(b"zero\0\0\0\0");
        entry.extend(length.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        entry.extend(sequence.to_le_bytes());
    }
    entry.resize(4096, 0);
    entry
}

#[test]
fn logs_that_claim_the_impossible() {
    let guid = [7; 16];
    let file = |entries: Vec<Vec<u8>>| {
        let log = entries.concat();
        damaged(false, &[(HEADER + 48, &guid), (2 * HEADER + 48, &guid), (LOG, &log)])
    };
    // Petabytes of zeros behind everything: read at once, nothing allocated.
    let start = Instant::now();
    let image = Vhdx::open(file(vec![zero_entry(guid, 1, 0, &[(16 * MIB, 1 << 55)])])).unwrap();
    assert_eq!(image.info().log_to_replay.map(|log| log.entries), Some(1));
    let mut bytes = [0; 4096];
    image.read_at(&mut bytes, 4096).unwrap();
    assert_eq!(bytes[..], noise(4096, 1));
    assert!(start.elapsed() < Duration::from_secs(1));

    let refused: [(&str, u64, u64); 5] = [
        ("the file type identifier", 0, 4096),
        ("the end of all files", 1 << 62, 4096),
        ("more than there is", 1 << 63, 1 << 63),
        ("a header", HEADER, 4096),
        ("the log itself", LOG + 4096, 4096),
    ];
    for (name, offset, length) in refused {
        let file = file(vec![zero_entry(guid, 1, 0, &[(offset, length)])]);
        let error = Vhdx::open(file).expect_err(name).to_string();
        assert!(error.contains("log descriptor FileOffset"), "{name}: {error}");
    }

    // A full log of entries that all go on with one another and never come to an end, and one whose tails lie.
    let start = Instant::now();
    let ring: Vec<_> = (0..256)
        .map(|number| zero_entry(guid, number + 1, 255 * 4096, &[]))
        .collect();
    let image = Vhdx::open(file(ring)).unwrap();
    assert_eq!(image.info().log_to_replay.map(|log| log.entries), Some(1));
    let lies: Vec<_> = (0..255)
        .map(|number| zero_entry(guid, number + 1, 255 * 4096, &[]))
        .collect();
    assert!(Vhdx::open(file(lies)).is_err());
    let same: Vec<_> = (0..256).map(|_| zero_entry(guid, 9, 4096, &[])).collect();
    assert!(Vhdx::open(file(same)).is_ok());
    assert!(start.elapsed() < Duration::from_secs(2));
}
