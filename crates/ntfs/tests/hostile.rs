//! Damaged volumes: small ones, with random damage, in ways that checksums do not hide (NTFS has none).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fuzz/bodies/decompress.rs"]
mod decompress;
#[path = "../fuzz/bodies/mount_and_walk.rs"]
mod mount_and_walk;

use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;

/// The saved volumes.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/mount_and_walk");
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty());
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    })
}

#[test]
fn seeds_are_read() {
    for seed in seeds() {
        mount_and_walk::mount_and_walk(seed);
        assert!(cv_ntfs::Volume::open(std::sync::Arc::new(cv_disk::MemoryDisk::from(&seed[..]))).is_ok());
    }
}

/// Where a volume holds anything but zeros: damage elsewhere changes little.
fn used(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len())
        .step_by(8)
        .filter(|at| bytes[*at..].iter().take(8).any(|byte| *byte != 0))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damaged_volumes_do_no_harm(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..8, prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x80), Just(1)], 1_usize..5),
            1..30),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = seed.get(seeds()).clone();
        let places = used(&bytes);
        for (place, shift, value, length) in damage {
            let at = place.get(&places) + shift;
            let end = (at + length).min(bytes.len());
            bytes[at.min(end)..end].fill(value);
        }
        if let Some(cut) = cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        mount_and_walk::mount_and_walk(&bytes);
    }

    #[test]
    fn damaged_compression_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        decompress::decompress(&bytes);
    }
}
