//! Damaged and made-up files: refused with a reason, never a panic.

use crate::tools::noise;
use cv_disk::{MemoryDisk, ReadAt, Severity, WriteAt};
use cv_vhd::vhd::{OpenError, ParentReference, Vhd, VhdBuilder, VhdWriter, check};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

#[path = "../../fuzz/bodies/vhd_disk.rs"]
mod body;

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/vhd_disk")
}

/// Small disks of every type, made by the builder and by hand.
fn small_disks() -> Vec<(&'static str, Vec<u8>)> {
    let make = |builder: VhdBuilder, write: &[u64]| {
        let file = Arc::new(MemoryDisk::new(0));
        let disk = builder.identity(Uuid::from_u128(5)).create(file.clone()).unwrap();
        for offset in write {
            disk.write_at(&noise(*offset, 512), *offset).unwrap();
        }
        disk.finish().unwrap();
        file.to_vec()
    };
    let parent = ParentReference::new(Uuid::from_u128(9))
        .relative(r".\base.vhd")
        .absolute(r"C:\base.vhd")
        .mac_url("file:///base.vhd");
    let mut short = make(VhdBuilder::new(2048).fixed(), &[512]);
    short.pop();
    vec![
        (
            "dynamic.vhd",
            make(VhdBuilder::new(4096).block_size(1024), &[1024, 0, 2560]),
        ),
        (
            "differencing.vhd",
            make(VhdBuilder::new(3584).block_size(2048).parent(parent), &[512, 2048]),
        ),
        (
            "empty.vhd",
            make(VhdBuilder::new(1 << 40), &[])[..1024 + 512 + 512].to_vec(),
        ),
        ("fixed.vhd", make(VhdBuilder::new(2048).fixed(), &[0])),
        ("short-footer.vhd", short),
    ]
}

/// The saved seeds; made anew first where `WRITE_SEEDS` is set, for when the layout of new files has changed.
fn seed_files() -> Vec<Vec<u8>> {
    if std::env::var_os("WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(seeds()).unwrap();
        for (name, bytes) in small_disks() {
            std::fs::write(seeds().join(name), bytes).unwrap();
        }
    }
    let files: Vec<_> = std::fs::read_dir(seeds())
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!files.is_empty());
    files
}

#[test]
fn seeds_pass() {
    for seed in seed_files() {
        body::vhd_disk(&seed);
        for length in (0..seed.len()).step_by(97) {
            body::vhd_disk(&seed[..length]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn mutated_seeds_pass(
        number in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8),
        length in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let seeds = seed_files();
        let mut bytes = number.get(&seeds).clone();
        for (position, value, in_metadata) in changes {
            // Most bytes of the metadata mean nothing; those that do are all in these.
            let fields: Vec<usize> = (8..89).chain(512 + 8..512 + 64).chain(512 + 576..512 + 624).chain(1536..1568).collect();
            let at = if in_metadata { *position.get(&fields) } else { position.index(bytes.len()) };
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len()));
        }
        body::vhd_disk(&bytes);
    }
}

/// A dynamic disk of four blocks of 1024 bytes, with some bytes replaced and all checksums right.
fn with(changes: &[(usize, &[u8])]) -> Arc<MemoryDisk> {
    let (_, mut bytes) = small_disks().swap_remove(0);
    for (offset, change) in changes {
        bytes[*offset..offset + change.len()].copy_from_slice(change);
    }
    for (range, checksum) in [(0..512, 64), (512..1536, 36)] {
        let structure = &mut bytes[range];
        structure[checksum..checksum + 4].fill(0);
        let sum: u32 = structure.iter().map(|byte| u32::from(*byte)).sum();
        structure[checksum..checksum + 4].copy_from_slice(&(!sum).to_be_bytes());
    }
    Arc::new(MemoryDisk::from(&bytes[..]))
}

/// Opening fails with these words, and so does the check.
fn refused(changes: &[(usize, &[u8])], words: &str) {
    let file = with(changes);
    let failure = Vhd::open(file.clone()).unwrap_err();
    assert!(matches!(failure, OpenError::Damaged(_)), "{failure:?}");
    assert!(failure.to_string().contains(words), "{failure}");
    let file: Arc<dyn ReadAt> = file;
    let faults = check(&file).unwrap();
    assert!(
        faults.listed().iter().any(|fault| fault.severity == Severity::Error),
        "{faults:?}"
    );
}

#[test]
fn bad_headers_are_refused_with_their_field() {
    refused(&[(60, &[0, 0, 0, 7])], "disk type");
    refused(&[(16, &[0xFF; 8])], "data offset");
    refused(&[(512, b"cxSparse")], "dynamic disk header");
    refused(&[(512 + 24, &[0, 2, 0, 0])], "header version");
    refused(&[(512 + 32, &[0; 4])], "block size");
    refused(&[(512 + 32, &[0, 0, 6, 0])], "block size");
    refused(&[(512 + 32, &[0, 0, 1, 0])], "block size");
    refused(&[(512 + 28, &[0, 0, 0, 3])], "max table entries");
    refused(&[(512 + 16, &[0xFF; 8])], "table offset");
    // A size for which even this many entries lie beyond the file.
    refused(
        &[(48, &[0, 0, 1, 0, 0, 0, 0, 0]), (512 + 28, &[0xFF; 4])],
        "table offset",
    );
}

#[test]
fn a_bat_of_four_thousand_million_entries_takes_no_memory() {
    let file = with(&[(512 + 28, &[0xFF; 4])]);
    assert_eq!(Vhd::open(file.clone()).unwrap().len(), 4096);
    assert!(VhdWriter::open(file).is_err());
}

#[test]
fn blocks_that_share_bytes_are_found_and_not_written_to() {
    let original = with(&[]);
    let mut first = [0; 4];
    original.read_at(&mut first, 1536).unwrap();
    // Entries 0 and 3 name the same block, entry 3 lies in the header, entry 3 lies outside.
    for (entry, words) in [
        (first, "does not overlap"),
        ([0, 0, 0, 1], "outside the dynamic disk header"),
        ([0, 0, 0, 0], "outside the footer copy"),
        ([0, 1, 0, 0], "before"),
    ] {
        let file = with(&[(1536 + 12, &entry)]);
        let failure = VhdWriter::open(file.clone()).unwrap_err();
        assert!(failure.to_string().contains("BAT entry"), "{failure}");
        let file: Arc<dyn ReadAt> = file;
        let faults = check(&file).unwrap();
        let found = faults
            .listed()
            .iter()
            .find(|fault| fault.damage.expected.contains(words));
        assert_eq!(found.unwrap().severity, Severity::Error);
        assert!(!found.unwrap().repairable);
    }
}

#[test]
fn a_block_outside_the_file_is_an_error_and_the_rest_is_read() {
    let disk = Vhd::open(with(&[(1536 + 12, &[0, 1, 0, 0])])).unwrap();
    disk.read_at(&mut [0; 3072], 0).unwrap();
    let failure = disk.read_at(&mut [0; 4096], 0).unwrap_err();
    assert!(failure.to_string().contains("BAT entry 3"), "{failure}");
}

#[test]
fn what_is_no_vhd_is_said_to_be_none() {
    for length in [0, 1, 511, 512, 513, 100_000] {
        let file = Arc::new(MemoryDisk::from(&noise(3, length)[..]));
        assert!(!Vhd::probe(&*file).unwrap());
        assert!(matches!(Vhd::open(file), Err(OpenError::NotVhd { .. })));
    }
}

#[test]
fn copies_of_the_footer_that_overlap_are_one() {
    let (_, bytes) = small_disks().swap_remove(0);
    for length in [488, 100, 1] {
        let mut overlapping = bytes[..length].to_vec();
        overlapping.extend(&bytes[..512]);
        body::vhd_disk(&overlapping);
    }
    body::vhd_disk(&bytes[..512]);
}
