//! What the fuzz target and the mutation test do with a hive that may hold anything.

use cv_disk::Severity;
use cv_hive::{Hive, Key, KeyRef, WriteOptions};

/// Values looked at of one key, and subkeys looked for, at most.
const VALUES: usize = 300;
const LOOKUPS: usize = 20;

/// Opens `bytes` as a hive, reads all there is, and writes anew what could be loaded.
pub fn read_all(bytes: &[u8]) {
    let Ok(hive) = Hive::open(bytes) else { return };
    assert!(hive.cells().len() <= bytes.len());
    let mut keys = 0;
    for (depth, key) in hive.walk() {
        assert!(depth <= cv_hive::MAX_DEPTH);
        keys += 1;
        if let Ok(key) = key {
            read_key(&key);
        }
    }
    assert!(keys <= bytes.len());
    let strict = hive.to_tree();
    let Ok((tree, faults)) = hive.to_tree_with_faults() else {
        assert!(strict.is_err());
        return;
    };
    assert_eq!(strict.is_ok(), faults.is_empty());
    if let Ok(strict) = strict {
        assert!(strict == tree);
    }
    let (size, _) = weigh(&tree);
    assert!(size <= 2 * bytes.len(), "{size} bytes of {}", bytes.len());
    if let Ok(written) = cv_hive::write_to_vec(&tree, &WriteOptions::default()) {
        let faults = cv_hive::check::check(&written).expect("a hive");
        let mut faults = faults.listed().iter();
        assert!(faults.all(|fault| fault.severity == Severity::Note), "{faults:?}");
        let again = Hive::open(&written).expect("a hive").to_tree().expect("a sound hive");
        assert!(weigh(&again) == weigh(&tree));
    }
}

/// Bytes of names, classes and data, and the number of keys and values.
fn weigh(key: &Key) -> (usize, usize) {
    let class = key.class.as_ref().map_or(0, |class| class.units().len());
    let mut weight = (key.name.units().len() + class, 1 + key.values.len());
    for value in &key.values {
        weight.0 += value.name.units().len() + value.data.len();
    }
    key.subkeys
        .iter()
        .map(weigh)
        .fold(weight, |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn read_key(key: &KeyRef<'_>) {
    let _ = (key.class(), key.security(), key.state(), key.flags(), key.name().hash());
    assert_eq!(key.name().units().count(), key.name().len());
    for subkey in key.subkeys().flatten().take(LOOKUPS) {
        let name: Vec<u16> = subkey.name().units().collect();
        if let Ok(Some(found)) = key.find_subkey(&name) {
            assert!(found.name().matches(&name));
        }
    }
    let _ = key.subkey("none of this name");
    for value in key.values().take(VALUES) {
        let Ok(value) = value else { continue };
        let _ = (value.state(), value.value_type(), value.name().to_string());
        if let Ok(data) = value.data() {
            assert_eq!(data.len(), value.data_size());
        }
    }
    let _ = key.value("");
}
