//! Hives that mean harm: small ones with random damage, behind checksums that are right.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fuzz/bodies/check.rs"]
mod check;
#[path = "../fuzz/bodies/read_all.rs"]
mod read_all;
mod support;

use cv_hive::Hive;
use cv_hive::structure::{BaseBlock, Structure};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The saved hives.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/hive");
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty());
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    })
}

fn do_everything(bytes: &[u8]) {
    read_all::read_all(bytes);
    check::check_and_edit(bytes);
}

#[test]
fn saved_hives_are_sound() {
    for seed in seeds() {
        support::assert_sound(seed);
        assert!(Hive::open(seed).unwrap().to_tree().is_ok());
        do_everything(seed);
    }
}

/// Where a hive holds anything but zeros: damage elsewhere changes little.
fn used(bytes: &[u8]) -> Vec<usize> {
    let words = bytes.chunks(4).enumerate();
    words
        .filter(|(_, word)| word.iter().any(|byte| *byte != 0))
        .map(|(number, _)| number * 4)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_hives_do_no_harm(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..4, prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x80), Just(1)], 1_usize..5),
            1..20),
        references in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = seed.get(seeds()).clone();
        let places = used(&bytes);
        for (place, shift, value, length) in damage {
            let at = place.get(&places) + shift;
            let end = (at + length).min(bytes.len());
            bytes[at.min(end)..end].fill(value);
        }
        for (place, target) in references {
            // An offset of some cell where another belongs.
            let at = place.get(&places);
            let offset = (target.get(&places).saturating_sub(4096) / 8 * 8) as u32;
            bytes[*at..at + 4].copy_from_slice(&offset.to_le_bytes());
        }
        if let Some(cut) = cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        if bytes.len() >= BaseBlock::SIZE {
            BaseBlock::seal(&mut bytes);
        }
        do_everything(&bytes);
    }
}

#[test]
fn what_is_no_hive_is_said_so() {
    for bytes in [
        vec![],
        vec![0; 511],
        vec![0; 4096],
        b"regf".to_vec(),
        vec![0xFF; 1 << 16],
    ] {
        assert!(Hive::open(&bytes).is_err());
        do_everything(&bytes);
    }
    let mut only_base_block = seeds()[0][..4096].to_vec();
    do_everything(&only_base_block);
    only_base_block[36..44].fill(0xFF);
    do_everything(&only_base_block);
}

/// A bin of key values whose lists, names and data all are the same cells: little that claims to be much.
#[test]
fn cells_that_stand_for_each_other_take_no_time() {
    let mut bytes = seeds()[1].clone();
    let many = Hive::open(&bytes).unwrap().key("Many").unwrap().unwrap();
    let key = Hive::open(&bytes).unwrap().key("Key").unwrap().unwrap();
    let (count, list) = (key.node().number_of_key_values, key.node().key_values_list_offset);
    let nodes: Vec<usize> = many
        .subkeys()
        .map(|subkey| subkey.unwrap().offset() as usize + 4100)
        .collect();
    for node in nodes {
        bytes[node + 36..node + 40].copy_from_slice(&count.to_le_bytes());
        bytes[node + 40..node + 44].copy_from_slice(&list.to_le_bytes());
    }
    let started = Instant::now();
    do_everything(&bytes);
    let (_, faults) = Hive::open(&bytes).unwrap().to_tree_with_faults().unwrap();
    assert!(!faults.is_empty());
    assert!(started.elapsed() < Duration::from_secs(5));
}
