//! Hives written from trees, read again.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_hive::{Hive, Key, KeyState, Name, Value, ValueState, ValueType, Version, WriteError, WriteOptions};
use proptest::prelude::*;
use support::trees;

fn options(version: Version) -> WriteOptions {
    WriteOptions {
        version: Some(version),
        last_written: 0x01DA_0000_0000_0000,
        file_name: Name::from(r"\SystemRoot\System32\Config\SOFTWARE"),
    }
}

/// Writes the tree, and gives what is read of it.
fn written(tree: &Key, version: Version) -> Vec<u8> {
    let bytes = cv_hive::write_to_vec(tree, &options(version)).unwrap();
    assert_eq!(bytes, cv_hive::write_to_vec(tree, &options(version)).unwrap());
    let hive = Hive::open(&bytes).unwrap();
    assert!(!hive.is_dirty());
    assert_eq!(hive.minor_version(), version.minor());
    assert_eq!(hive.cells().len() + 4096, bytes.len());
    assert_eq!(hive.to_tree().unwrap(), trees::as_written(tree));
    support::assert_sound(&bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(tree in trees::tree(false)) {
        written(&tree, Version::V1_3);
        written(&tree, Version::V1_5);
    }

    #[test]
    fn layered_trees_come_back(tree in trees::tree(true)) {
        written(&tree, Version::V1_6);
    }
}

#[test]
fn corpus_comes_back() {
    for name in support::SOUND {
        let Some(bytes) = support::corpus(name) else { return };
        let hive = Hive::open(&bytes).unwrap();
        let tree = hive.to_tree().unwrap();
        let version = match hive.minor_version() {
            3 => Version::V1_3,
            5 => Version::V1_5,
            _ => Version::V1_6,
        };
        let again = written(&tree, version);
        assert!(
            again.len() <= hive.cells().len() / 50 * 51 + (1 << 15),
            "{name} has grown"
        );
    }
}

#[test]
fn many_subkeys() {
    let mut root = Key::new("root");
    root.subkeys = (0..100_000)
        .map(|number| Key::new(&*format!("Key {number:06}")))
        .collect();
    for version in [Version::V1_3, Version::V1_5] {
        let bytes = written(&root, version);
        let hive = Hive::open(&bytes).unwrap();
        let root = hive.root().unwrap();
        for number in (0..100_000).step_by(97) {
            let name = format!("KEY {number:06}");
            assert_eq!(
                root.subkey(&*name).unwrap().unwrap().name().to_string(),
                format!("Key {number:06}")
            );
        }
        assert!(root.subkey("Key 0000005").unwrap().is_none());
    }
}

#[test]
fn large_values() {
    let mut root = Key::new("root");
    for (number, length) in [16344, 16345, 32688, 32689, 1 << 24, (1 << 24) + 1]
        .into_iter()
        .enumerate()
    {
        let data = support::random(number as u64, length);
        root.values
            .push(Value::new(&*format!("{length}"), ValueType::BINARY, data));
    }
    written(&root, Version::V1_5);
    let error = cv_hive::write_to_vec(&root, &options(Version::V1_3)).unwrap_err();
    assert!(
        matches!(error, WriteError::DataTooLarge { size: 0x0100_0000, .. }),
        "{error}"
    );
    root.values.truncate(4);
    root.values
        .push(Value::new("1 MiB", ValueType::NONE, vec![7; (1 << 20) - 4]));
    written(&root, Version::V1_3);
}

#[test]
fn deep_trees() {
    let chain = |levels: usize| {
        let mut key = Key::new("end");
        for _ in 1..levels {
            let mut above = Key::new("k");
            above.subkeys.push(key);
            key = above;
        }
        key
    };
    written(&chain(512), Version::V1_5);
    let error = cv_hive::write_to_vec(&chain(513), &options(Version::V1_5)).unwrap_err();
    assert!(matches!(error, WriteError::TooDeep { limit: 512, .. }), "{error}");
}

#[test]
fn what_a_hive_cannot_hold_is_refused() {
    let refused = |change: &dyn Fn(&mut Key), version: Option<Version>| {
        let mut root = Key::new("root");
        change(root.subkey_or_insert("Key"));
        let options = WriteOptions {
            version,
            ..WriteOptions::default()
        };
        cv_hive::write_to_vec(&root, &options)
            .err()
            .map(|error| error.to_string())
    };
    let value = |name: &str| Value::new(name, ValueType::NONE, []);
    let long = "x".repeat(256);
    let tombstone = |key: &mut Key| key.state = KeyState::Tombstone;
    let no_value = |key: &mut Key| {
        key.values.push(Value {
            state: ValueState::Tombstone,
            ..value("v")
        });
    };
    assert_eq!(refused(&|_| {}, None), None);
    assert_eq!(refused(&tombstone, None), None);
    assert_eq!(refused(&no_value, Some(Version::V1_6)), None);
    for (change, version, expected) in [
        (
            &tombstone as &dyn Fn(&mut Key),
            Some(Version::V1_5),
            "`Key` has the state of a layered key, which needs version 1.6, not V1_5",
        ),
        (
            &no_value,
            Some(Version::V1_3),
            "`Key` has the state of a layered key, which needs version 1.6, not V1_3",
        ),
        (
            &|key| key.subkeys.push(Key::new("")),
            None,
            "a subkey of `Key` has no name",
        ),
        (&|key| key.subkeys.push(Key::new(&*long)), None, "the name of `Key\\"),
        (
            &|key| key.values.push(value(&"x".repeat(16384))),
            None,
            "a value of `Key` has 16384 UTF-16 units, at most 16383 are allowed",
        ),
        (
            &|key| key.class = Some(Name::from(&*"x".repeat(32768))),
            None,
            "the class of `Key` has 32768",
        ),
        (
            &|key| key.values.extend([value("a"), value("B"), value("A")]),
            None,
            "`Key` has two values of the name `A`",
        ),
        (
            &|key| key.subkeys.extend([Key::new("b"), Key::new("A")]),
            None,
            "subkey `A` of `Key` is not behind the one before it",
        ),
        (
            &|key| key.subkeys.extend([Key::new("a"), Key::new("A")]),
            None,
            "subkey `A` of `Key` is not behind the one before it",
        ),
        (
            &|key| key.security = Some([1, 2, 3][..].into()),
            None,
            "the security descriptor of `Key` is invalid: 3 bytes",
        ),
    ] {
        let error = refused(change, version).expect(expected);
        assert!(error.starts_with(expected), "{error}");
    }
}
