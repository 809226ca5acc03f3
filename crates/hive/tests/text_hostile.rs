//! Texts and logs with random damage: read or refused, never a panic, and never more memory than they deserve.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/bodies/recover.rs"]
mod recover;
#[path = "../fuzz/bodies/texts.rs"]
mod texts;

use cv_hive::structure::marvin32::marvin32;
use cv_hive::structure::transaction_log::{DIRTY_VECTOR_SIGNATURE, NEW_LOG, OLD_LOG};
use cv_hive::structure::{BaseBlock, DirtyPageReference, LogEntry, Structure};
use cv_hive::{Key, Value, ValueType, WriteOptions, write_to_vec};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// The saved seeds of a target; those of recovery made anew first where `WRITE_SEEDS` is set.
fn saved(target: &str) -> Vec<Vec<u8>> {
    if target == "recover" && std::env::var_os("WRITE_SEEDS").is_some() {
        let [new, old] = logged();
        std::fs::write(folder("recover").join("new"), joined(&new, true)).unwrap();
        std::fs::write(folder("recover").join("old"), joined(&old, true)).unwrap();
    }
    let mut paths: Vec<_> = folder(target)
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A hive of one key with one value, and the same hive with a longer value.
fn two_hives() -> [Vec<u8>; 2] {
    [1, 9000].map(|length| {
        let mut root = Key::new("root");
        let value = Value::new("value", ValueType::BINARY, vec![7; length]);
        root.subkey_or_insert("key").values.push(value);
        write_to_vec(&root, &WriteOptions::default()).unwrap()
    })
}

/// The base block of a hive as a log has it.
fn log_start(hive: &[u8], file_type: u32, sequence_number: u32) -> Vec<u8> {
    let block = BaseBlock {
        file_type,
        primary_sequence_number: sequence_number,
        secondary_sequence_number: sequence_number,
        ..BaseBlock::parse(hive, 0).unwrap()
    };
    block.to_sealed_bytes()
}

fn entry(sequence_number: u32, hive: &[u8]) -> Vec<u8> {
    let bins = &hive[4096..];
    let mut entry = LogEntry {
        signature: LogEntry::SIGNATURE,
        size: 0,
        flags: 0,
        sequence_number,
        hive_bins_data_size: bins.len() as u32,
        dirty_pages_count: 1,
        hash_1: 0,
        hash_2: 0,
    }
    .to_bytes();
    let reference = DirtyPageReference {
        offset: 0,
        size: bins.len() as u32,
    };
    entry.extend(reference.to_bytes());
    entry.extend(bins);
    entry.resize(entry.len().next_multiple_of(512), 0);
    let size = entry.len() as u32;
    entry[4..8].copy_from_slice(&size.to_le_bytes());
    let hash = marvin32(&entry[40..]).to_le_bytes();
    entry[24..32].copy_from_slice(&hash);
    let hash = marvin32(&entry[..32]).to_le_bytes();
    entry[32..40].copy_from_slice(&hash);
    entry
}

/// A dirty hive with two new logs, and with an old one; both lead to the second of [`two_hives`].
fn logged() -> [[Vec<u8>; 3]; 2] {
    let [small, large] = two_hives();
    let mut dirty = small.clone();
    dirty[4..8].copy_from_slice(&6_u32.to_le_bytes());
    dirty[8..12].copy_from_slice(&5_u32.to_le_bytes());
    BaseBlock::seal(&mut dirty);
    let first = [log_start(&dirty, NEW_LOG, 5), entry(5, &small)].concat();
    let second = [log_start(&dirty, NEW_LOG, 6), entry(6, &large)].concat();

    let mut old = log_start(&large, OLD_LOG, 6);
    old.extend(DIRTY_VECTOR_SIGNATURE);
    old.extend(vec![0xFF; (large.len() - 4096) / 4096]);
    old.resize(1024, 0);
    old.extend(&large[4096..]);
    let time = &dirty[12..20].to_vec();
    old[12..20].copy_from_slice(time);
    BaseBlock::seal(&mut old);
    [[dirty.clone(), first, second], [dirty, old, Vec::new()]]
}

fn joined(parts: &[Vec<u8>; 3], is_sealed: bool) -> Vec<u8> {
    let mark = u32::from(is_sealed) << 31;
    let lengths = [parts[0].len() as u32 | mark, parts[1].len() as u32];
    [&lengths.map(u32::to_le_bytes).concat()[..], &parts.concat()].concat()
}

fn seeds(target: &str) -> &'static [Vec<u8>] {
    static SEEDS: [OnceLock<Vec<Vec<u8>>>; 3] = [const { OnceLock::new() }; 3];
    let place = ["reg_text", "wine_text", "recover"]
        .iter()
        .position(|name| *name == target)
        .unwrap();
    SEEDS[place].get_or_init(|| saved(target))
}

#[test]
fn hives_grow_by_what_their_logs_hold() {
    let [_, large] = two_hives();
    for parts in logged() {
        let [hive, first, second] = &parts;
        let recovered = cv_hive::recover(hive, &[first, second]).unwrap().unwrap();
        assert_eq!(recovered.stopped, None);
        assert!(recovered.bytes[4096..] == large[4096..]);
        assert!(cv_hive::check::check(&recovered.bytes).unwrap().is_empty());
        recover::recover_hive(&joined(&parts, false));
        recover::recover_hive(&joined(&parts, true));
    }
}

#[test]
fn sizes_that_no_page_reaches_are_refused() {
    let [[hive, _, mut log], _] = logged();
    let base = log_start(&hive, NEW_LOG, 5);
    log[..512].copy_from_slice(&base);
    log[512 + 12] = 5;
    log[512 + 16..512 + 20].copy_from_slice(&0x7000_0000_u32.to_le_bytes());
    recover::recover_hive(&joined(&[hive, log, Vec::new()], true));
}

/// What a text is damaged with.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "[", "]", "\\", "\"", "=", "-", ",", "\r\n", "hex(", "):", "dword:", "\0", ";", "@", "\\x", "#", "\u{e4}",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ]
}

fn damaged(target: &'static str, scraps: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damage = (any::<prop::sample::Index>(), 0_usize..6, scraps);
    (any::<prop::sample::Index>(), prop::collection::vec(damage, 1..8)).prop_map(move |(seed, damage)| {
        let mut bytes = seed.get(seeds(target)).clone();
        for (place, length, scrap) in damage {
            let start = place.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, scrap);
        }
        bytes
    })
}

fn words() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        prop::sample::select(vec![
            0,
            1,
            5,
            6,
            7,
            8,
            40,
            512,
            4096,
            8192,
            0x7FFF_FFFF,
            0x8000_0000,
            u32::MAX
        ])
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_reg_files_do_no_harm(bytes in damaged("reg_text", scraps())) {
        texts::reg_text(&bytes);
    }

    #[test]
    fn damaged_files_of_wine_do_no_harm(bytes in damaged("wine_text", scraps())) {
        texts::wine_text(&bytes);
    }

    #[test]
    fn damaged_logs_do_no_harm(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec((0_usize..3, 0_usize..300, words()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = seed.get(seeds("recover")).clone();
        let length = |at: usize| (u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF) as usize;
        let starts = [8, 8 + length(0), 8 + length(0) + length(4)];
        for (part, place, word) in damage {
            // The headers matter most, and stand in the first 1200 bytes of each.
            let at = starts[part] + place * 4;
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        if let Some(cut) = cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        recover::recover_hive(&bytes);
    }
}
