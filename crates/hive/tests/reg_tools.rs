//! Exports of real hives, judged by hivexregedit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use cv_disk::Faults;
use cv_hive::reg::{Exporter, Form, Patch};
use cv_hive::{Hive, Key, KeyPath, ValueType};

mod support;
use support::{corpus, have, run};

const TOP: &str = r"HKEY_LOCAL_MACHINE\HIVE";

fn export(bytes: &[u8], form: Form) -> Vec<u8> {
    let hive = Hive::open(bytes).unwrap();
    let mut exporter = Exporter::new(Vec::new(), form, &KeyPath::parse(TOP).unwrap()).unwrap();
    let mut faults = Faults::new();
    hive.root().unwrap().visit(&mut exporter, &mut faults).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    let (text, omitted) = exporter.finish().unwrap();
    // hivex has hidden a key in "special" that no program of Windows' own can name.
    let is_special = omitted
        .listed()
        .iter()
        .all(|omission| omission.name.as_deref() == Some("zero\0key"));
    assert!(is_special, "{omitted:?}");
    text
}

/// The tree as a `.reg` file in UTF-8.
fn export_tree(tree: &Key) -> Vec<u8> {
    let mut exporter = Exporter::new(Vec::new(), Form::Version5Utf8, &KeyPath::parse(TOP).unwrap()).unwrap();
    tree.visit(&mut exporter).unwrap();
    exporter.finish().unwrap().0
}

/// What a `.reg` file can tell of a hive.
fn told(bytes: &[u8]) -> Key {
    fn strip(key: &mut Key) {
        *key = Key {
            inherits_class: true,
            values: std::mem::take(&mut key.values),
            subkeys: std::mem::take(&mut key.subkeys),
            ..Key::new(std::mem::take(&mut key.name))
        };
        key.subkeys.iter_mut().for_each(strip);
    }
    let mut tree = Hive::open(bytes).unwrap().to_tree().unwrap();
    strip(&mut tree);
    tree.name = "".into();
    tree
}

fn read(text: &[u8]) -> Key {
    let patch = Patch::parse(text).unwrap();
    patch.into_delta(&KeyPath::parse(TOP).unwrap(), 0).unwrap()
}

fn assert_same(one: &Key, other: &Key, path: &str) {
    if one == other {
        return;
    }
    let names = |key: &Key| key.subkeys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    assert_eq!(one.values, other.values, "{path}");
    assert_eq!(names(one), names(other), "{path}");
    for (one, other) in one.subkeys.iter().zip(&other.subkeys) {
        assert_same(one, other, &format!("{path}\\{}", one.name));
    }
    assert_eq!(
        (one.state, one.inherits_class),
        (other.state, other.inherits_class),
        "{path}"
    );
}

/// Hives that hivex opens.
const HIVES: [&str; 5] = [
    "SYSTEM",
    "NTUSER.DAT",
    "NTUSER-WIN7.DAT",
    "SAM_hasBigEndianDWord",
    "testhive",
];

#[test]
fn our_exports_say_what_the_hives_hold() {
    for name in HIVES
        .into_iter()
        .chain(["System_Delta", "yarp-UnicodeHive", "yarp-BigDataHive", "special"])
    {
        let Some(bytes) = corpus(name) else { return };
        for form in [Form::Version5, Form::Version5Utf8] {
            let again = read(&export(&bytes, form));
            if !["System_Delta", "special"].contains(&name) {
                assert_same(&again, &told(&bytes), name);
            }
            let mut exporter = Exporter::new(Vec::new(), form, &KeyPath::parse(TOP).unwrap()).unwrap();
            again.visit(&mut exporter).unwrap();
            // Read and written again, it is the same file.
            assert!(exporter.finish().unwrap().0 == export(&bytes, form), "{name}");
        }
    }
}

#[test]
fn exports_of_hivexregedit_say_the_same_as_ours() {
    if !have(&["hivexregedit"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in HIVES {
        let Some(bytes) = corpus(name) else { return };
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let theirs = hivexregedit(&["--export", "--prefix", TOP], &path, "\\");
        let mut expected = told(&bytes);
        keep_ascii(&mut expected);
        sort_values(&mut expected);
        let mut found = read(&theirs);
        keep_ascii(&mut found);
        sort_values(&mut found);
        assert_same(&found, &expected, name);
    }
}

#[test]
fn hivexregedit_merges_our_exports() {
    if !have(&["hivexregedit"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(minimal) = corpus("minimal") else { return };
    for name in HIVES {
        let Some(bytes) = corpus(name) else { return };
        let hive = folder.path().join("merged");
        std::fs::write(&hive, &minimal).unwrap();
        let text = folder.path().join("text.reg");
        let mut expected = told(&bytes);
        keep_ascii(&mut expected);
        sort_values(&mut expected);
        std::fs::write(&text, export_tree(&expected)).unwrap();
        hivexregedit(&["--merge", "--prefix", TOP], &hive, text.to_str().unwrap());
        let mut merged = told(&std::fs::read(&hive).unwrap());
        sort_values(&mut merged);
        assert_same(&merged, &expected, name);
    }
}

/// Drops what hivexregedit reads as one character a byte, and writes in several encodings in one file.
fn keep_ascii(key: &mut Key) {
    let is_ascii = |units: &[u16]| units.iter().all(|unit| *unit < 0x80);
    key.values.retain(|value| {
        let is_text = value.value_type == ValueType::SZ;
        is_ascii(value.name.units())
            && !(is_text && value.data.chunks_exact(2).any(|unit| unit[1] != 0 || unit[0] >= 0x80))
    });
    key.subkeys.retain(|key| is_ascii(key.name.units()));
    key.subkeys.iter_mut().for_each(keep_ascii);
}

/// Values in an order of their own, as hivex keeps none.
fn sort_values(key: &mut Key) {
    key.values.sort_by(|one, other| one.name.cmp(&other.name));
    key.subkeys.iter_mut().for_each(sort_values);
}

fn hivexregedit(options: &[&str], hive: &Path, last: &str) -> Vec<u8> {
    run(Command::new("hivexregedit").args(options).arg(hive).arg(last))
}
