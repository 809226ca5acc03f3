//! Wine's registry files read and written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use cv_hive::wine::WineRegistry;
use cv_hive::{Key, KeyPath, Name, Value, ValueType};
use proptest::prelude::*;

#[path = "support/text_trees.rs"]
mod trees;

fn write(registry: &WineRegistry) -> Vec<u8> {
    let mut bytes = Vec::new();
    registry.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn everything_that_wine_writes_is_read() {
    let text = b"WINE REGISTRY Version 2\n;; All keys relative to REGISTRY\\\\User\\\\S-1-5-4\n\n#arch=win32\n\n\
        [A\\\\\\x20ac \\[x\\]] 1700000000\n#time=1da17c3f54ba012\n#class=\"cl\\\"ass\"\n\
        @=\"default\"\n\"d\"=dword:0000001f\n\"e\"=str(2):\"%x%\"\n\"m\"=str(7):\"a\\0b\\0\"\n\"q\"=hex(b):01,00,00,00,00,00,00,00\n\n\
        [A\\\\Link] 1700000000\n#time=1da17c3f54ba012\n#link\n\
        \"SymbolicLinkValue\"=hex(6):5c,00,52,00,65,00,67,00,69,00,73,00,74,00,72,00,79,\\\n  00\n";
    let registry = WineRegistry::parse(text).unwrap();
    assert_eq!(registry.relative_to.to_string(), r"REGISTRY\User\S-1-5-4");
    let key = registry.root.descendant(&["a".into(), "\u{20ac} [X]".into()]).unwrap();
    assert_eq!(key.class, Some(Name::from("cl\"ass")));
    assert_eq!(key.last_written, 0x1da_17c3_f54b_a012);
    let multi = key.value("M").unwrap();
    assert_eq!(multi.value_type, ValueType::MULTI_SZ);
    assert_eq!(&*multi.data, b"a\0\0\0b\0\0\0\0\0");
    let link = registry.root.descendant(&["a".into(), "LINK".into()]).unwrap();
    assert!(link.is_link);
    assert_eq!(link.values[0].value_type, ValueType::LINK);
    // Wine sorts "Link" behind "€ [x]" no more than Windows does.
    let again = WineRegistry::parse(&write(&registry)).unwrap();
    assert_eq!(again, registry);
}

#[test]
fn faults_have_a_place() {
    let error = |lines: &str| {
        let text = format!("WINE REGISTRY Version 2\n\n[a] 1\n{lines}");
        let error = WineRegistry::parse(text.as_bytes()).unwrap_err();
        (error.line, error.column)
    };
    assert_eq!(error("\"a\"=1"), (4, 5));
    assert_eq!(error("\"a\"=str(2):1"), (4, 12));
    assert_eq!(error("\"a\"=dword:x"), (4, 11));
    assert_eq!(error("\"a=1"), (4, 1));
    assert_eq!(error("[b\\\\c"), (4, 1));
    assert_eq!(error("[b] x"), (4, 5));
    assert_eq!(WineRegistry::parse(b"REGEDIT4\n").unwrap_err().line, 1);
    assert!(WineRegistry::parse(format!("WINE REGISTRY Version 2\n[{}]\n", "a\\\\".repeat(600)).as_bytes()).is_err());
}

/// Makes a prefix in `folder`, or says that it was skipped.
fn boot(folder: &Path) -> bool {
    // Where Wine is missing, CI goes on: a prefix takes longer to install than all else that the tests need.
    let is_there = ["wine", "wineserver"]
        .iter()
        .all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !is_there {
        eprintln!("skipped: wine is missing");
        return false;
    }
    wine(folder, "wine", &["wineboot", "-i"]) && wine(folder, "wineserver", &["-w"])
}

fn wine(folder: &Path, tool: &str, arguments: &[&str]) -> bool {
    Command::new(tool)
        .args(arguments)
        .env("WINEPREFIX", folder)
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .env_remove("DISPLAY")
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn the_files_of_a_prefix_come_back_and_wine_starts_on_ours() {
    let folder = tempfile::tempdir().unwrap();
    if !boot(folder.path()) {
        return;
    }
    for name in ["system.reg", "user.reg", "userdef.reg"] {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        let registry = WineRegistry::parse(&bytes).unwrap();
        let again = write(&registry);
        let first = bytes.iter().zip(&again).position(|(one, other)| one != other);
        assert!(bytes == again, "{name} differs at {first:?}");
    }

    // A key of ours, with every kind of name and data, is read by Wine, kept, and written as we do.
    let path = folder.path().join("user.reg");
    let mut registry = WineRegistry::parse(&std::fs::read(&path).unwrap()).unwrap();
    let key = registry.root.subkey_or_insert("Software").subkey_or_insert("cvtool");
    key.last_written = 0x1da_17c3_f54b_a012;
    key.class = Some("a class".into());
    for (name, value_type, data) in [
        ("", ValueType::SZ, &b"d\0e\0\0\0"[..]),
        ("a_b", ValueType::MULTI_SZ, b"\x07\0\0\0\xE4\x006\0\0\0\0\0"),
        ("aZb", ValueType::QWORD, b"12345678"),
        ("tab\t\u{1}7\"\\", ValueType::BINARY, &[0x5A; 100]),
        ("\u{e4}\u{20ac}", ValueType(0x1234), b"x"),
        ("\u{10400}", ValueType::SZ, b"unended\0"),
    ] {
        key.values.push(Value::new(name, value_type, data.to_vec()));
    }
    let below = key.subkey_or_insert("[x] \u{3b1}");
    below.last_written = 0x1da_17c3_f54b_a012;
    let ours = write(&registry);
    std::fs::write(&path, &ours).unwrap();
    let arguments = ["reg", "add", r"HKCU\Software\cvtool2", "/v", "from", "/d", "wine", "/f"];
    assert!(
        wine(folder.path(), "wine", &arguments),
        "Wine does not start on the file"
    );
    assert!(wine(folder.path(), "wineserver", &["-w"]));
    let theirs = std::fs::read(&path).unwrap();
    let after = WineRegistry::parse(&theirs).unwrap();
    let find =
        |registry: &WineRegistry, name: &str| registry.root.descendant(&["Software".into(), name.into()]).cloned();
    assert!(find(&after, "cvtool2").is_some());
    assert_eq!(
        find(&after, "cvtool").map(sorted),
        find(&registry, "cvtool").map(sorted)
    );
    assert_eq!(write(&after), theirs);
}

/// The key with its values in the order of their names, as Wine keeps them in no other.
fn sorted(mut key: Key) -> Key {
    key.values.sort_by(|one, other| one.name.cmp(&other.name));
    key
}

/// What of a tree the form holds.
fn kept(key: &Key, is_root: bool) -> Key {
    let mut kept = sorted(key.clone());
    kept.subkeys = key.subkeys.iter().map(|subkey| self::kept(subkey, false)).collect();
    let is_told = !key.values.is_empty() || key.class.is_some() || key.is_link || (key.subkeys.is_empty() && !is_root);
    if !is_told {
        kept.last_written = 0;
    }
    kept
}

fn with_notes(key: Key) -> impl Strategy<Value = Key> {
    (any::<u64>(), prop::option::of(trees::name(1)), any::<bool>()).prop_map(move |(time, class, is_link)| {
        let mut key = key.clone();
        key.last_written = time;
        key.class = class;
        key.is_link = is_link;
        if let Some(subkey) = key.subkeys.first_mut() {
            subkey.last_written = time / 2;
        }
        key
    })
}

proptest! {
    #[test]
    fn trees_come_back_from_text(root in trees::tree(false).prop_flat_map(with_notes)) {
        let registry = WineRegistry { relative_to: KeyPath::parse(r"REGISTRY\Machine").unwrap(), architecture: None, root };
        let again = WineRegistry::parse(&write(&registry)).unwrap();
        prop_assert_eq!(&again.relative_to, &registry.relative_to);
        prop_assert_eq!(kept(&again.root, true), kept(&registry.root, true));
        prop_assert_eq!(write(&again), write(&registry));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = WineRegistry::parse(&bytes);
        let _ = WineRegistry::parse(&[b"WINE REGISTRY Version 2\n[a] 1\n\"a\"=", &bytes[..]].concat());
    }
}
