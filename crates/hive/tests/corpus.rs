//! Hives that Windows and others made, and damaged ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_hive::{Hive, Key, KeyState, OpenError, ValueState};

/// Name, minor version, keys, values; the last two as an independent walk counted them.
const COUNTS: [(&str, u32, usize, usize); 19] = [
    ("SYSTEM", 5, 30756, 73456),
    ("NTUSER.DAT", 3, 1812, 4094),
    ("NTUSER-WIN7.DAT", 3, 2288, 5470),
    ("transactions_NTUSER.DAT", 5, 2590, 4119),
    ("yarp-OldDirtyHive", 3, 5003, 0),
    ("yarp-RecoveredHive_Windows7", 3, 5003, 1),
    ("amcache.hve", 5, 2105, 17539),
    ("testhive", 5, 528, 12),
    ("System_Delta", 6, 586, 820),
    ("yarp-BigDataHive", 5, 2, 2),
    ("yarp-ManySubkeysHive", 3, 5003, 0),
    ("yarp-UnicodeHive", 3, 3, 0),
    ("yarp-PairHive", 3, 4, 0),
    ("yarp-WrongOrderHive", 3, 11, 0),
    ("yarp-TruncatedHive", 3, 2, 0),
    ("SAM_hasBigEndianDWord", 3, 92, 103),
    ("minimal", 5, 1, 0),
    ("special", 5, 4, 3),
    ("corrupted_system_hive", 5, 1687, 5625),
];

fn count(key: &Key) -> (usize, usize) {
    key.subkeys
        .iter()
        .map(count)
        .fold((1, key.values.len()), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Hives of the corpus that Windows would open without loss.
fn sound() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    support::SOUND
        .iter()
        .filter_map(|name| Some((*name, support::corpus(name)?)))
}

#[test]
fn all_keys_and_values_are_counted() {
    for (name, version, keys, values) in COUNTS {
        let Some(bytes) = support::corpus(name) else { return };
        let hive = Hive::open(&bytes).unwrap();
        assert_eq!(hive.minor_version(), version, "{name}");
        let mut walked = (0, 0);
        for (_, key) in hive.walk() {
            let Ok(key) = key else { continue };
            walked.0 += 1;
            walked.1 += key.values().flatten().count();
        }
        assert_eq!(walked, (keys, values), "{name}");
        let (tree, _) = hive.to_tree_with_faults().unwrap();
        // Nine values there have data that cannot be read.
        let lost = if name == "corrupted_system_hive" { 9 } else { 0 };
        assert_eq!(count(&tree), (keys, values - lost), "{name}");
    }
}

#[test]
fn sound_hives_load_without_a_fault() {
    for (name, bytes) in sound() {
        let hive = Hive::open(&bytes).unwrap();
        assert!(hive.to_tree().is_ok(), "{name}");
        let is_dirty = ["transactions_NTUSER.DAT", "yarp-OldDirtyHive", "amcache.hve"].contains(&name);
        assert_eq!(hive.is_dirty(), is_dirty, "{name}");
    }
}

#[test]
fn damage_costs_only_what_it_is_in() {
    for (name, faults_expected) in [("yarp-TruncatedHive", 9), ("corrupted_system_hive", 1)] {
        let Some(bytes) = support::corpus(name) else { return };
        let (_, faults) = Hive::open(&bytes).unwrap().to_tree_with_faults().unwrap();
        assert!(faults.listed().len() >= faults_expected, "{name}: {faults:?}");
        assert!(Hive::open(&bytes).unwrap().to_tree().is_err(), "{name}");
    }
}

#[test]
fn every_key_and_value_is_found_by_its_name() {
    for (name, bytes) in sound() {
        let hive = Hive::open(&bytes).unwrap();
        for (_, key) in hive.walk() {
            let key = key.unwrap();
            for subkey in key.subkeys() {
                let subkey = subkey.unwrap();
                let swapped = swap_case(&subkey.name().units().collect::<Vec<_>>());
                let found = key.find_subkey(&swapped).unwrap().unwrap();
                assert_eq!(found.offset(), subkey.offset(), "{name}: {}", subkey.name());
            }
            assert!(key.subkey("there is no such key").unwrap().is_none());
            for value in key.values().take(50) {
                let value = value.unwrap();
                let found = key.value(value.name().to_name()).unwrap().unwrap();
                assert_eq!(found.offset(), value.offset(), "{name}: {}", value.name());
            }
        }
    }
}

/// The other case of ASCII letters.
fn swap_case(units: &[u16]) -> Vec<u16> {
    let swap = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii_alphabetic() => u16::from(byte ^ 0x20),
        _ => unit,
    };
    units.iter().copied().map(swap).collect()
}

#[test]
fn paths_lead_to_keys() {
    let Some(bytes) = support::corpus("SYSTEM") else { return };
    let hive = Hive::open(&bytes).unwrap();
    let select = hive.key(r"select\").unwrap().unwrap();
    assert_eq!(
        select.value("CURRENT").unwrap().unwrap().data().unwrap()[..],
        [1, 0, 0, 0]
    );
    assert!(hive.key(r"Select\none").unwrap().is_none());
    let classes = hive
        .walk()
        .filter(|(_, key)| key.as_ref().is_ok_and(|key| key.class().unwrap().is_some()));
    assert!(classes.count() > 0);
    let big = hive.walk().filter_map(|(_, key)| key.ok());
    let big = big.flat_map(|key| key.values()).filter_map(Result::ok);
    assert!(
        big.filter(|value| value.data_size() > 16344)
            .all(|value| value.data().unwrap().len() == value.data_size())
    );
}

#[test]
fn states_of_a_delta_hive() {
    let Some(bytes) = support::corpus("System_Delta") else {
        return;
    };
    let hive = Hive::open(&bytes).unwrap();
    let mut states = std::collections::BTreeMap::new();
    let mut tombstones = 0;
    for (_, key) in hive.walk() {
        let key = key.unwrap();
        *states
            .entry((format!("{:?}", key.state()), key.inherits_class()))
            .or_insert(0) += 1;
        let values = key.values().map(Result::unwrap);
        tombstones += values.filter(|value| value.state() == ValueState::Tombstone).count();
    }
    assert_eq!(tombstones, 3);
    let state = |state: KeyState, inherits| states.get(&(format!("{state:?}"), inherits)).copied();
    assert_eq!(state(KeyState::Merge, true), Some(514));
    assert_eq!(state(KeyState::SupersedeTree, false), Some(61));
    assert_eq!(state(KeyState::Merge, false), Some(8));
    assert_eq!(state(KeyState::SupersedeTree, true), Some(1));
    assert_eq!(state(KeyState::Tombstone, false), Some(2));
}

#[test]
fn equal_security_descriptors_are_shared() {
    let Some(bytes) = support::corpus("NTUSER.DAT") else {
        return;
    };
    let tree = Hive::open(&bytes).unwrap().to_tree().unwrap();
    let mut pointers = std::collections::HashSet::new();
    let mut contents = std::collections::HashSet::new();
    let mut pending = vec![&tree];
    while let Some(key) = pending.pop() {
        let security = key.security.as_ref().unwrap();
        pointers.insert(security.as_ptr());
        contents.insert(security.clone());
        pending.extend(&key.subkeys);
    }
    assert_eq!(pointers.len(), contents.len());
}

#[test]
fn hives_are_read_from_disks_within_a_bound() {
    use cv_disk::MemoryDisk;
    use cv_hive::read::{MAX_HIVE_SIZE, read_to_memory};
    let Some(bytes) = support::corpus("SYSTEM") else { return };
    let disk = MemoryDisk::from(&bytes[..]);
    assert!(read_to_memory(&disk, MAX_HIVE_SIZE).unwrap() == bytes);
    assert!(matches!(
        read_to_memory(&disk, 1 << 20),
        Err(OpenError::TooLarge { limit: 0x10_0000, .. })
    ));
    let zeros = MemoryDisk::new(1 << 40);
    assert!(matches!(
        read_to_memory(&zeros, MAX_HIVE_SIZE),
        Err(OpenError::NotAHive(_))
    ));
    assert!(read_to_memory(&MemoryDisk::new(0), MAX_HIVE_SIZE).unwrap().is_empty());
}
